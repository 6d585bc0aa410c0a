"""What data files are, by their names; known without what reads them."""

from pathlib import Path

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")
ARRAYS = (".npz", ".safetensors")
TEXTS = ".txt"
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


def named_compressed(path: Path) -> bool:
    """Whether its name says that the whole file is compressed."""
    return path.suffix.lower() in COMPRESSIONS


def ending_of(path: Path) -> str:
    """Such as ".csv"; of a compressed file, that of what is in it."""
    return Path(path.stem if named_compressed(path) else path.name).suffix.lower()
