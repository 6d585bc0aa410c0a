"""Made-up inputs are the same in every run, and no test fails because a machine is busy."""

from hypothesis import settings

settings.register_profile("merit", deadline=None, derandomize=True)
settings.load_profile("merit")
