"""Job files that are made to hurt their reader: each is refused with one short sentence, in bounded time and memory."""

import json
import resource
import time
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from marketplace.documents import MAX_DEPTH, MAX_FILE_BYTES, MAX_SCALAR, parse_yaml
from marketplace.errors import CorruptContent, InputError
from marketplace.spec import JobFile, Spec, read_job_file
from tests.example import TEXT, example

SECONDS = 10.0  # of the slowest below, 1 on an idle core
MEMORY = 128 << 10  # KiB that all of them together may add

LAUGHS = "\n".join(
    ["l0: &l0 [lol]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 25)), "name: *l24"]
)
HOSTILE = {
    "billion laughs": LAUGHS,
    "an alias of itself": "&a [*a]",
    "merged mappings": "a: &a {x: 1}\nb: {<<: *a}",
    "deep lists": "[" * (MAX_FILE_BYTES // 2),
    "deep mappings": "{a: " * 50_000,
    "deep blocks": "- " * 100_000,
    "deep keys": "? " * 100_000,
    "one level too many": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "a number of a quarter megabyte": "a: 1" + ":1" * 120_000,
    "a long text": "a: " + "x" * (MAX_SCALAR + 1),
    "too many digits": "a: " + "1" * 5000,
    "an infinite time": "a: 1" + ":1" * 5000 + ".5",
    "no day of the calendar": "a: 2001-99-99",
    "no character": r'"\UFFFFFFFF"',
    "a tag without its form": "!!timestamp x",
    "an unknown bool": "!!bool x",
    "a directive": "%TAG ! tag:example.org,2000:\n---\na",
    "a list of all that fits": "a: [" + "1," * 128_000 + "]",
    "unknown fields": "\n".join(f"k{n}: 1" for n in range(25_000)),
    "a field's name of escapes": r'"\e[2J\x07": 1',
    "two documents": "a: 1\n---\nb: 2",
    "a list for a key": "{[1]: 2}",
    "null bytes": "a: \0",
    "half a character": r'"\uD800": 1',
    "nothing": "",
    "ten megabytes": "#" * (10 << 20),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_job_file_is_refused_in_one_sentence_and_bounded_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(text.encode())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(InputError) as caught:
        read_job_file(path)
    assert time.monotonic() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
    said = str(caught.value)
    assert said.startswith(str(path))
    assert len(said) < 8000
    assert said.isprintable()


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not YAML"):
        read_job_file(path)


def test_the_same_bounds_hold_for_text_that_comes_without_a_file() -> None:
    for text in (LAUGHS, "[" * 1000, "#" * (MAX_FILE_BYTES + 1)):
        with pytest.raises(InputError, match=r"^The job "):
            parse_yaml(text, where="The job")
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, where="The job")


def test_what_merit_writes_itself_is_read() -> None:
    document = yaml.safe_load(TEXT)
    for flow in (True, False, None):
        assert parse_yaml(yaml.safe_dump(document, default_flow_style=flow), where="The job") == document


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize("text", ["\x1b[2J", "a\x07", "\x9b1A", "a\rb", "a\x7f"])
def test_no_job_says_anything_to_a_terminal(field: str, text: str) -> None:
    document = yaml.safe_load(TEXT) | {field: text}
    with pytest.raises(ValidationError, match="control character"):
        JobFile.model_validate(document)
    with pytest.raises(CorruptContent, match="control character"):
        Spec.from_bytes(json.dumps({field: text}).encode(), where="somewhere")


def test_a_jobs_text_may_be_in_any_script() -> None:
    text = "Zahlen, أرقام, मी‌ठा, 数字 👩‍💻\n\tand more"
    job = example(description=text)
    assert job.description == text


def test_that_no_name_is_given_twice_is_seen_in_bounded_time() -> None:
    started = time.monotonic()
    assert len(parse_yaml("{" + ",".join(f"{number:x}a" for number in range(24_000)) + "}", where="it")) == 24_000
    assert time.monotonic() - started < SECONDS
