"""Data sets as folders of images: one subfolder a class, files of exactly the schema's size."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.config import DataSchema
from trainer.data.dataset import MAX_BYTES, Dataset, check_size

Pixels = NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MODES = {1: "L", 3: "RGB"}
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_TRANSPARENT = {"LA": "L", "PA": "P", "RGBA": "RGB"}
_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106
_WHITE_IS_ZERO = 0
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels.swapaxes(0, 1), 2),
    8: np.rot90,
}
"""By EXIF orientation, from how the pixels [height, width, …] are stored to how they are to be seen."""


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


def _pixels(path: Path, schema: DataSchema) -> Pixels:
    """uint8[channels, height, width]; the size that the file declares is checked before a pixel is decoded."""
    channels, height, width = schema.shape
    check_size(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if sorted(image.size) != sorted((width, height)):  # a turned one has its sides exchanged
                raise ValueError(f"{width} × {height} pixels are expected, {image.width} × {image.height} were found")
            pixels = _turned(_eight_bits(image, channels), image.getexif().get(_ORIENTATION, 1))
            if pixels.shape[:2] != (height, width):
                found = f"{pixels.shape[1]} × {pixels.shape[0]}"
                raise ValueError(f"{width} × {height} pixels are expected, {found} were found")
    except (*_COMPLAINTS, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: an image is expected: {error}") from error
    return pixels.transpose(2, 0, 1)


# What Pillow raises for files that are damaged in one place or another.
_COMPLAINTS = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, struct.error)


def _eight_bits(image: Image.Image, channels: int) -> Pixels:
    """uint8[height, width, channels] of an image in any mode of 8 or 16 bits a channel. ValueError for others.

    Of 16 bits the upper 8 are taken (Pillow does so itself for colours). Transparency is dropped.
    """
    mode = image.mode
    if mode in _SIXTEEN_BITS or (mode == "I" and image.format == "PPM"):
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            raise ValueError("16 bits in which black is 0 are expected, white is 0 in this one")
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], channels, axis=2)
    if mode not in _EIGHT_BITS:
        raise ValueError(f"8 or 16 bits a channel are expected, Pillow's mode {mode} was found: convert it first")
    if mode in _TRANSPARENT:
        image = image.convert(_TRANSPARENT[mode])
    pixels = np.asarray(image.convert(_MODES[channels]), dtype=np.uint8)
    return pixels.reshape(image.height, image.width, channels)


def _turned(pixels: Pixels, orientation: object) -> Pixels:
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else turn(pixels)


def read_images(folder: Path, schema: DataSchema) -> Dataset:
    """float32[n, channels, height, width], values 0 … 255, in the order of class and file name.

    Images are never resized; they are turned as their EXIF data say, and grey and colour are converted into each other
    as the schema has 1 or 3 channels. Of 16 bits a channel the upper 8 are taken.
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
