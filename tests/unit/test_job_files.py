"""The files that a job names are stored and fetched piece by piece, and kept by their hash."""

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.errors import CorruptContent, InputError
from marketplace.services import programs
from marketplace.services.programs import fetch_files, publish_files
from marketplace.storage import open_storage

SIZE = 2**25


@pytest.fixture
def node(tmp_path: Path) -> Any:
    return SimpleNamespace(home=tmp_path / "home", storage=open_storage(f"folder:{tmp_path / 'store'}", timeout=1))


def big(path: Path, last: bytes = b"end") -> Path:
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE)
        file.write(last)
    return path


def test_a_file_is_stored_and_fetched_in_a_part_of_its_size(node: Any, tmp_path: Path) -> None:
    path = big(tmp_path / "own.safetensors")
    tracemalloc.start()
    spec = SimpleNamespace(files=publish_files(node, {"own": path}))
    (found,) = fetch_files(node, spec).values()
    (again,) = fetch_files(node, spec).values()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < SIZE // 4
    assert found == again
    assert found.read_bytes() == path.read_bytes()
    assert [each.name for each in found.parent.iterdir()] == [spec.files["own"].hash[2:]]


def test_a_damaged_copy_is_fetched_again_and_another_file_is_refused(node: Any, tmp_path: Path) -> None:
    ours = publish_files(node, {"own": big(tmp_path / "a")})["own"]
    theirs = publish_files(node, {"own": big(tmp_path / "b", b"END")})["own"]
    (found,) = fetch_files(node, SimpleNamespace(files={"own": ours})).values()
    found.write_bytes(b"damaged")
    (found,) = fetch_files(node, SimpleNamespace(files={"own": ours})).values()
    assert found.stat().st_size == SIZE + 3
    with pytest.raises(CorruptContent, match="is not the one that the job names"):
        fetch_files(node, SimpleNamespace(files={"own": theirs.model_copy(update={"hash": "0x" + "00" * 32})}))
    assert len(list(found.parent.iterdir())) == 1


def test_a_file_beyond_the_bound_is_not_stored(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MAX_JOB_FILE_BYTES", SIZE)
    with pytest.raises(InputError, match=f"The job's file own has {SIZE + 3} bytes; at most {SIZE} are possible"):
        publish_files(node, {"own": big(tmp_path / "a")})
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("bafy*"))
