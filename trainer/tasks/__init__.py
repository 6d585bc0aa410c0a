"""What a model is for: the loss of its outputs, and the metrics that its users look at.

A task is a file of this package. Metrics come from torchmetrics; pay follows from the loss alone.
"""

from trainer.tasks.task import Metric, Task, task_of

__all__ = ["Metric", "Task", "task_of"]
