"""One image as numbers: of exactly the size that is asked for, as it is to be seen, or refused."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.config import IGNORED, ImageFeature, MaskTarget
from trainer.data.dataset import check_size
from trainer.data.options import DataOptions
from zk.encoding import Int64s

Pixels = NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MASK_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM")  # without those that lose a little
_MODES = {1: "L", 3: "RGB"}
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106
_WHITE_IS_ZERO = 0
_TURNS: dict[int, Callable[[NDArray[np.int64] | Pixels], NDArray[np.int64] | Pixels]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels.swapaxes(0, 1), 2),
    8: np.rot90,
}
"""By EXIF orientation, from how the pixels [height, width, …] are stored to how they are to be seen."""

# What Pillow raises for files that are damaged in one place or another.
_COMPLAINTS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)


def _opened(image: Image.Image, height: int, width: int) -> None:
    """Raises ValueError before a pixel is decoded, by the size that the file declares."""
    if sorted(image.size) != sorted((width, height)):  # a turned one has its sides exchanged
        raise ValueError(f"{width} × {height} pixels are expected, {image.width} × {image.height} were found")
    # A phone's MPO is a picture with others behind it, which are no frames.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"one image is expected, {getattr(image, 'n_frames', 1)} frames were found")


def _stream(content: Path | bytes) -> IO[bytes]:
    """Never a path: of one, Pillow maps raw TIFF files, and mixes up the pixels of turned ones."""
    if isinstance(content, bytes):
        return io.BytesIO(content)
    check_size(content)
    return content.open("rb")


def image_pixels(content: Path | bytes, where: object, feature: ImageFeature, options: DataOptions) -> Pixels:
    """uint8[channels, height, width] of a file or its bytes. Raises ValueError."""
    try:
        with _stream(content) as file, Image.open(file, formats=_FORMATS) as image:
            _opened(image, feature.height, feature.width)
            pixels = _turned(_eight_bits(image, feature.channels, options), image, feature.height, feature.width)
    except _COMPLAINTS as error:
        raise ValueError(f"{where}: an image is expected: {error}") from error
    return pixels.transpose(2, 0, 1).astype(np.uint8)


def _white_is_zero(image: Image.Image) -> bool:
    return bool(getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _sixteen(image: Image.Image) -> Int64s:
    """int64[height, width], 0 … 65535."""
    if _white_is_zero(image):
        raise ValueError("16 bits in which black is 0 are expected, white is 0 in this one")
    if "transparency" in image.info:
        raise ValueError("16 bits without transparency are expected: convert it first")
    return np.asarray(image).astype(np.int64)


def _eight_bits(image: Image.Image, channels: int, options: DataOptions) -> Pixels:
    """uint8[height, width, channels] of an image in any mode of 8 or 16 bits a channel. ValueError for others.

    Of 16 bits the upper 8 are taken (Pillow does so itself for colours).
    """
    mode = image.mode
    if mode in _SIXTEEN_BITS or (mode == "I" and image.format == "PPM"):
        grey = (_sixteen(image) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], channels, axis=2)
    if mode == "CMYK":
        raise ValueError("grey or red, green, blue is expected, colours for print were found: convert it first")
    if mode not in _EIGHT_BITS:
        raise ValueError(f"8 or 16 bits a channel are expected, Pillow's mode {mode} was found: convert it first")
    if image.has_transparency_data:
        image = _opaque(image.convert("RGBA"), options)
    pixels = np.asarray(image.convert(_MODES[channels]), dtype=np.uint8)
    return pixels.reshape(image.height, image.width, channels)


def _opaque(image: Image.Image, options: DataOptions) -> Image.Image:
    """Without its alpha: what lies behind is the trainer's to say, since hidden pixels may be of any colour."""
    if image.getchannel("A").getextrema() != (255, 255):
        if options.background is None:
            raise ValueError("opaque pixels are expected, transparent ones were found: give a background")
        below = Image.new("RGBA", image.size, options.background)
        below.alpha_composite(image)
        image = below
    return image.convert("RGB")


def _turned(pixels: NDArray, image: Image.Image, height: int, width: int) -> NDArray:  # type: ignore[type-arg]
    # Pillow itself turns a TIFF file's pixels as it loads them.
    orientation = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION, 1)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    pixels = pixels if turn is None else turn(pixels)
    if pixels.shape[:2] != (height, width):
        found = f"{pixels.shape[1]} × {pixels.shape[0]}"
        raise ValueError(f"{width} × {height} pixels are expected, {found} were found")
    return pixels


def mask_pixels(path: Path, target: MaskTarget, shape: tuple[int, int], options: DataOptions) -> Int64s:
    """int64[height, width], classes, −100 where the options' `void` stands. Raises ValueError.

    Grey values are classes, 1 bit is 0 and 1; of a palette with colours it is the entries' numbers.
    """
    height, width = shape
    try:
        with _stream(path) as file, Image.open(file, formats=_MASK_FORMATS) as image:
            _opened(image, height, width)
            classes: Int64s = np.ascontiguousarray(_turned(_values(image), image, height, width))
    except _COMPLAINTS as error:
        raise ValueError(f"{path}: a mask is expected: {error}") from error
    asked = np.ones(classes.shape, dtype=np.bool_) if options.void is None else classes != options.void
    wrong = np.argwhere(asked & (classes >= target.classes))
    if wrong.size:
        y, x = (int(place) for place in wrong[0])
        found = f"{int(classes[y, x])} was found at row {y + 1}, column {x + 1}"
        raise ValueError(f"{path}: classes 0 … {target.classes - 1} are expected, {found}")
    return np.where(asked, classes, IGNORED)


def _values(image: Image.Image) -> Int64s:
    if image.mode in _SIXTEEN_BITS:
        return _sixteen(image)
    if image.mode not in ("1", "L", "P"):
        raise ValueError(f"one value a pixel is expected, Pillow's mode {image.mode} was found")
    if image.mode == "L" and _white_is_zero(image):
        raise ValueError("values in which black is 0 are expected, white is 0 in this one")
    numbers = np.asarray(image).astype(np.int64)
    if image.mode == "P":
        colours = np.asarray(image.convert("RGB")).astype(np.int64)
        if (colours == colours[:, :, :1]).all():  # a palette of greys is a way to write greys
            return colours[:, :, 0]
    return numbers
