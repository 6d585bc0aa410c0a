"""Hand-overs, which can be announced without end: the true one is found, with a bounded number of fetches."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.keys.identity import Identity
from marketplace.keys.sealing import Purpose, seal_bytes_to, seal_job_key
from marketplace.services.handover import DEPTH, LOOKED_AT, Handover, Inbox
from marketplace.services.node import Node
from marketplace.storage import put_bytes
from marketplace.storage.memory import MemoryStorage

JOB = 7
KEY = bytes(range(32))


@dataclass
class Counting(MemoryStorage):
    """Counts what is fetched; some of it is missing."""

    asked: list[str] = field(default_factory=list)
    down: bool = False

    def __post_init__(self) -> None:
        MemoryStorage.__init__(self)

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        self.asked.append(cid)
        if self.down:
            raise StorageError("The storage cannot be reached.")
        return super().get(cid, sink, max_bytes=max_bytes)


class World:
    """An aggregator that has taken over, the failed one's job key document, and the parties of the job."""

    def __init__(self, tmp_path: Path) -> None:
        self.storage = Counting()
        self.me, self.failed = Identity(secrets.token_bytes(32)), Identity(secrets.token_bytes(32))
        self.owner = Identity(secrets.token_bytes(32)).address
        self.trainers = [Identity(secrets.token_bytes(32)).address for _ in range(32)]
        market: Any = SimpleNamespace(connection=SimpleNamespace(chain_id=1), address="0x" + "11" * 20)
        events: Any = None
        self.node = Node(market, events, self.storage, tmp_path, self.me)
        context = self.node.context(Purpose.JOB_KEY, job_id=JOB, party=self.failed.address)
        document = seal_job_key(KEY, {}, context)
        published = SimpleNamespace(cid=put_bytes(self.storage, document))
        self.history: Any = SimpleNamespace(
            created=SimpleNamespace(owner=self.owner, job_id=JOB),
            keys=[(self.failed.address, published)],
            handed_over=[],
        )
        self.document = published.cid

    def sealed(self, sender: str, key: bytes = KEY, validation_cid: str = "") -> str:
        context = self.node.context(Purpose.HANDOVER, job_id=JOB, party=sender)
        content = Handover(job_key=key.hex(), validation_cid=validation_cid).model_dump_json().encode()
        return put_bytes(self.storage, seal_bytes_to(self.me.encryption_key, content, context))

    def announce(self, sender: str, cid: str) -> None:
        self.history.handed_over.append(SimpleNamespace(sender=sender, cid=cid))

    def spam(self, sender: str) -> None:
        """Announces content that nobody has."""
        self.announce(sender, put_bytes(MemoryStorage(), f"{len(self.history.handed_over)}".encode()))

    def fetched(self) -> list[str]:
        return [cid for cid in self.storage.asked if cid != self.document]

    def looks_until_key(self, inbox: Inbox, most: int) -> int:
        for number in range(1, most + 1):
            before = len(self.fetched())
            found = inbox.key(self.history)
            assert len(self.fetched()) - before <= LOOKED_AT
            if found is not None:
                assert found == KEY
                return number
        pytest.fail(f"the key was not found in {most} looks: {len(self.fetched())} fetches")


@pytest.fixture
def made(tmp_path: Path) -> World:
    return World(tmp_path)


def test_ten_thousand_hand_overs_of_one_trainer_do_not_hide_the_true_one(made: World) -> None:
    spammer, honest = made.trainers[:2]
    for _ in range(5000):
        made.spam(spammer)
    made.announce(honest, made.sealed(honest))
    for _ in range(5000):
        made.spam(spammer)
    made.looks_until_key(Inbox(made.node), 1)
    assert len(made.fetched()) <= LOOKED_AT


def test_hand_overs_of_all_other_trainers_do_not_hide_the_true_one(made: World) -> None:
    """31 of 32 trainers and the owner send what is missing, and go on sending: each gets its turn, no more."""
    honest = made.trainers[17]
    made.announce(honest, made.sealed(honest))
    for _ in range(20):
        for who in [made.owner, *made.trainers]:
            if who != honest:
                made.spam(who)
    inbox = Inbox(made.node)
    for _ in range(33 // LOOKED_AT + 1):
        if inbox.key(made.history):
            break
        for who in [made.owner, *made.trainers]:
            if who != honest:
                made.spam(who)
    assert inbox.key(made.history) == KEY
    assert len(made.fetched()) <= 33 + LOOKED_AT


def test_one_that_comes_late_is_looked_at_first(made: World) -> None:
    spammer, honest = made.trainers[:2]
    for _ in range(100):
        made.spam(spammer)
    inbox = Inbox(made.node)
    for _ in range(10):
        assert inbox.key(made.history) is None
    assert len(set(made.fetched())) == DEPTH, "no more of one sender"
    made.announce(honest, made.sealed(honest))
    made.looks_until_key(inbox, 1)


def test_a_senders_mistake_does_not_hide_what_it_sent_before(made: World) -> None:
    honest = made.trainers[0]
    made.announce(honest, made.sealed(honest))
    made.announce(honest, put_bytes(made.storage, b"no sealed file"))
    made.announce(honest, made.sealed(honest, key=b""))
    made.looks_until_key(Inbox(made.node), 2)


def test_what_does_not_open_is_fetched_once(made: World) -> None:
    liar = made.trainers[0]
    bad = [put_bytes(made.storage, content) for content in (b"no sealed file", b"MRTSEAL1" + bytes(200))]
    bad.append(made.sealed(liar, key=b"\7" * 32))
    for cid in bad:
        made.announce(liar, cid)
    inbox = Inbox(made.node)
    for _ in range(10):
        assert inbox.key(made.history) is None
    assert sorted(made.fetched()) == sorted(bad)


def test_what_is_not_to_be_had_is_asked_for_again(made: World) -> None:
    honest = made.trainers[0]
    cid = made.sealed(honest)
    content = made.storage.contents.pop(cid)
    made.announce(honest, cid)
    inbox = Inbox(made.node)
    for _ in range(3):
        assert inbox.key(made.history) is None
    made.storage.contents[cid] = content
    made.looks_until_key(inbox, 1)


def test_while_storage_is_out_of_reach_nothing_is_given_up(made: World) -> None:
    honest = made.trainers[0]
    made.announce(honest, made.sealed(honest))
    inbox = Inbox(made.node)
    made.storage.down = True
    with pytest.raises(StorageError):
        inbox.key(made.history)
    made.storage.down = False
    made.looks_until_key(inbox, 1)


def test_a_key_that_was_found_is_not_looked_for_again(made: World) -> None:
    honest = made.trainers[0]
    made.announce(honest, made.sealed(honest))
    inbox = Inbox(made.node)
    assert inbox.key(made.history) == KEY
    asked = len(made.storage.asked)
    assert inbox.key(made.history) == KEY
    assert len(made.storage.asked) == asked


def test_validation_data_are_the_owners_alone_and_wrong_ones_are_fetched_once(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def opened(node: Node, created: Any, spec: Any, cid: str) -> Any:
        tried.append(cid)
        if cid == "bafygone":
            raise NotFound("not there.")
        if cid == "bafyright":
            return "the data"
        raise CorruptContent("not those.")

    monkeypatch.setattr("marketplace.services.handover.open_validation", opened)
    spec: Any = None
    made.announce(made.trainers[0], made.sealed(made.trainers[0], validation_cid="bafyright"))
    inbox = Inbox(made.node)
    assert inbox.validation(made.history, spec) is None
    assert tried == []
    for cid in ("bafyright", "bafygone", "bafywrong"):
        made.announce(made.owner, made.sealed(made.owner, validation_cid=cid))
    assert inbox.validation(made.history, spec) is None
    assert inbox.validation(made.history, spec) is None
    assert inbox.validation(made.history, spec) == "the data"
    assert tried == ["bafywrong", "bafygone", "bafyright"]
