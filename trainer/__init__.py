"""Local work: a model from its description, data checked against their schema, a round of training, integers."""
