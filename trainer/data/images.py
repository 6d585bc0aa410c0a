"""Folders: of images in a subfolder a class, of images and masks, or of images beside a table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainer.config import ClassTarget, ImageFeature, MaskTarget
from trainer.data.dataset import Dataset
from trainer.data.options import image_name
from trainer.data.pixels import image_pixels, mask_pixels
from trainer.data.reading import Reading, entries
from trainer.data.store import Growing


def class_files(reading: Reading, target: ClassTarget) -> Iterator[tuple[Path, int]]:
    """Each file in a class's subfolder with the class's number, by class and name. Raises ValueError for other folders,
    for files beside them, and for folders within."""
    folder = reading.path
    names = target.names or tuple(str(number) for number in range(target.classes))
    listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    expected = f"{folder}: subfolders named as the classes ({listed}) are expected"
    found = {}
    for path in entries(folder, reading):
        if not path.is_dir():
            reading.bad_file(path, ValueError(f"{expected}, a file {path.name!r} was found"))
        elif path.name not in names:
            near = next((name for name in names if name.casefold() == path.name.strip().casefold()), None)
            hint = f"; {near!r} is spelt otherwise" if near is not None else ""
            raise ValueError(f"{expected}, {path.name!r} was found{hint}")
        else:
            found[path.name] = path
    if not found:
        raise ValueError(f"{expected}, none was found")
    for number, name in enumerate(names):
        files = list(entries(found[name], reading)) if name in found else []
        reading.notes.remark(f"class {name!r} has no file", int(not files))
        for path in files:
            if path.is_dir():
                reading.bad_file(path, ValueError(f"{path}: files are expected in a class's folder, not folders"))
            else:
                yield path, number


def read_images(reading: Reading) -> Dataset:
    """float32[n, channels, height, width], values 0 … 255, in the order of class and file name.

    Images are never resized; they are turned as their EXIF data say, and grey and colour are converted into each other
    as the schema has 1 or 3 channels. Of 16 bits a channel the upper 8 are taken.
    """
    schema, name = reading.schema, image_name(reading.schema)
    if name is None or len(schema.features) != 1:
        raise ValueError(f"{reading.path}: the job has other features than one image: put a metadata.csv beside them")
    feature = schema.features[name]
    if not isinstance(feature, ImageFeature):
        raise TypeError(name)
    if isinstance(schema.target, MaskTarget):
        return _with_masks(reading, name, feature, schema.target)
    if not isinstance(schema.target, ClassTarget):
        raise ValueError(f"{reading.path}: images alone have no such target: put a metadata.csv beside them")
    x, labels = _growing(reading, feature), []
    for path, label in class_files(reading, schema.target):
        try:
            x.append(image_pixels(path, path, feature, reading.options)[None])
            labels.append(label)
        except ValueError as error:
            reading.bad_file(path, error)
    return Dataset({name: x.array()}, np.array(labels, dtype=np.int64))


def _growing(reading: Reading, feature: ImageFeature) -> Growing:
    shape = (feature.channels, feature.height, feature.width)
    return Growing(shape, np.float32, reading.path, reading.options.cache)


def _with_masks(reading: Reading, name: str, feature: ImageFeature, target: MaskTarget) -> Dataset:
    """Images in the subfolder named as the feature or `images`, or in the folder itself; a mask of the same name (but
    for its ending) for each in the subfolder named as the target."""
    options = reading.options
    masks_folder = reading.path / options.column(target.name)
    if not masks_folder.is_dir():
        raise ValueError(f"{reading.path}: a subfolder {masks_folder.name!r} of masks is expected, none was found")
    places = (reading.path / options.column(name), reading.path / "images")
    images_folder = next((place for place in places if place.is_dir()), reading.path)
    images = _by_stem([path for path in entries(images_folder, reading) if path != masks_folder], reading)
    masks = _by_stem(list(entries(masks_folder, reading)), reading)
    for stem in sorted(set(masks) - set(images)):
        reading.bad_file(masks[stem], ValueError(f"{masks[stem]}: an image of its name is expected, none was found"))
    x = _growing(reading, feature)
    y = Growing((feature.height, feature.width), np.int64, reading.path, options.cache)
    for stem, path in images.items():
        try:
            if stem not in masks:
                raise ValueError(f"{path}: a mask of its name is expected in {masks_folder.name}, none was found")
            pixels = image_pixels(path, path, feature, options)
            mask = mask_pixels(masks[stem], target, (feature.height, feature.width), options)
        except ValueError as error:
            reading.bad_file(path, error)
            continue
        x.append(pixels[None])
        y.append(mask[None])
    return Dataset({name: x.array()}, y.array())


def _by_stem(paths: list[Path], reading: Reading) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            reading.bad_file(path, ValueError(f"{path}: images are expected, a folder was found"))
        elif path.stem in found:
            raise ValueError(f"{path}: one file of a name is expected, {found[path.stem].name} is another")
        else:
            found[path.stem] = path
    return found
