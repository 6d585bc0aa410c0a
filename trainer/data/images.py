"""Data sets as folders of images: one subfolder a class, files of exactly the schema's size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.config import DataSchema
from trainer.data.dataset import MAX_BYTES, Dataset, check_size

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MODES = {1: "L", 3: "RGB"}


def _files(folder: Path, schema: DataSchema) -> Iterator[tuple[Path, int]]:
    names = schema.class_names or tuple(str(number) for number in range(schema.classes))
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    unknown = sorted(set(found) - set(names))
    if unknown or not found:
        what = f"{unknown[0]!r} was found" if unknown else "none was found"
        raise ValueError(f"{folder}: subfolders named as the classes ({', '.join(names[:5])}, …) are expected, {what}")
    for number, name in enumerate(names):
        if name in found:
            for path in sorted((folder / name).iterdir()):
                if not path.name.startswith("."):
                    yield path, number


def _pixels(path: Path, schema: DataSchema) -> NDArray[np.uint8]:
    """uint8[channels, height, width]; the size that the file declares is checked before a pixel is decoded."""
    channels, height, width = schema.shape
    check_size(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.size != (width, height):
                raise ValueError(f"{width} × {height} pixels are expected, {image.width} × {image.height} were found")
            pixels = np.asarray(image.convert(_MODES[channels]), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: an image is expected: {error}") from error
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def read_images(folder: Path, schema: DataSchema) -> Dataset:
    """float32[n, channels, height, width], values 0 … 255, in the order of class and file name.

    Images are never resized; grey and colour are converted into each other as the schema has 1 or 3 channels.
    """
    if schema.kind != "image":
        raise ValueError(f"{folder}: {schema.kind} data are expected, a folder holds images")
    files = list(_files(folder, schema))
    size = 4 * len(files) * int(np.prod(schema.shape))
    if size > MAX_BYTES:
        raise ValueError(f"{folder}: {len(files)} images have {size} bytes of values, at most {MAX_BYTES} are read")
    x = np.empty((len(files), *schema.shape), dtype=np.float32)
    for row, (path, _) in enumerate(files):
        x[row] = _pixels(path, schema)
    return Dataset(x, np.array([number for _, number in files], dtype=np.int64))
