"""Jobs in trouble: told once, tried again after growing pauses; and calls that hold up no other."""

import threading

import pytest

from marketplace.errors import StorageError
from marketplace.services.agent import Notice
from marketplace.services.crew import Crew
from marketplace.services.trouble import FIRST, LONGEST, MAX_TEXT, Troubles


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told() -> list[Notice]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles(told: list[Notice], clock: Clock) -> Troubles:
    return Troubles(told.append, clock)


def test_pauses_grow_and_are_bounded(troubles: Troubles, clock: Clock) -> None:
    pauses = []
    for _ in range(40):
        again = troubles.met(7, StorageError("Gone.")).again_at
        assert again is not None
        assert troubles.waits(7)
        pauses.append(again - clock.now)
        clock.now = again
        assert not troubles.waits(7)
    assert pauses[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert pauses[-1] == LONGEST
    again = troubles.met(7, StorageError("Gone."), longest=3.0).again_at
    assert again == clock.now + 3.0
    assert troubles.attempts(7) == 41
    (trouble,) = troubles.all()
    assert trouble.since == 1000.0


def test_each_text_of_a_trouble_is_told_once(troubles: Troubles, told: list[Notice]) -> None:
    for text in ("One.", "One.", "Two.", "One."):
        troubles.met(7, StorageError(text))
    troubles.met(8, StorageError("One."))
    assert [notice.text for notice in told] == ["Job 7: One.", "Job 7: Two.", "Job 8: One."]
    assert told[0].values == {"job": 7}
    troubles.over(7)
    assert not troubles.waits(7)
    troubles.met(7, StorageError("One."))
    assert len(told) == 4


def test_a_text_that_changes_each_time_is_not_told_without_end(troubles: Troubles, told: list[Notice]) -> None:
    for number in range(500):
        troubles.met(7, StorageError(f"Number {number}."))
    assert len(told) < 100


def test_of_what_nobody_expected_the_kind_is_told_and_the_log_has_the_rest(
    troubles: Troubles, told: list[Notice], caplog: pytest.LogCaptureFixture
) -> None:
    troubles.met(7, ValueError("secret"))
    assert told[0].text == "Job 7: An unexpected ValueError came up; the log says more."
    assert "secret" in caplog.text
    assert troubles.met(9, StorageError("\x1b[2J\ngone")).text == "\N{REPLACEMENT CHARACTER}[2J gone"
    assert len(troubles.met(8, StorageError("x" * 10_000)).text) == MAX_TEXT


def test_a_job_is_tried_at_once_where_something_has_changed(troubles: Troubles) -> None:
    troubles.met(7, StorageError("Gone."))
    troubles.hurry(7)
    troubles.hurry(8)
    assert not troubles.waits(7)
    assert [trouble.job_id for trouble in troubles.all()] == [7]


class _Panic(BaseException):
    pass


def test_a_call_that_hangs_holds_up_no_other_and_what_is_raised_is_an_outcome() -> None:
    crew, release, error = Crew("test"), threading.Event(), _Panic()

    def raising() -> None:
        raise error

    crew.start(1, lambda: release.wait(60))
    crew.start(2, lambda: "two")
    crew.start(3, raising)
    done: dict[int, object] = {}
    for _ in range(100):
        done |= dict(crew.finished(0.1))
        if len(done) == 2:
            break
    assert done == {2: "two", 3: error}
    assert crew.busy == {1}
    with pytest.raises(ValueError, match="busy"):
        crew.start(1, lambda: None)
    release.set()
    assert crew.finished(60) == [(1, True)]
    assert crew.busy == frozenset()
    assert crew.finished(60) == []
