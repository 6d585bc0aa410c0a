"""Webhooks: what is sent and how it is signed, what a receiver may do to a node, and what a restart leaves undone."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from marketplace.api.webhooks import OVERLAP, Place, Teller
from marketplace.domain import Event, Joined, KeyPublished, RoundOpened
from marketplace.errors import InputError
from marketplace.services.agent import Step
from marketplace.services.index import News
from marketplace.services.webhooks import (
    Message,
    Outcome,
    Sender,
    key_of,
    message_of,
    read_webhooks,
    signature,
)
from tests.receiver import SECRET, Receiver, hook, receiving

NOW = 1_795_849_605
FAST = (0.001, 0.001)
ME, OTHER = (Account.from_key(bytes([n]) * 32).address for n in (1, 2))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as made:
        yield made


# ---------------------------------------------------------------- an index, as far as it is asked


class Queue:
    """What a Teller asks of an index."""

    def __init__(self) -> None:
        self.generation = "a"
        self.indexed = 1000
        self.rows: list[News] = []
        self.mine: set[int] = set()

    def put(self, event: Event) -> None:
        self.rows.append(News(self.last_seq + 1, 0, event))

    @property
    def last_seq(self) -> int:
        return self.rows[-1].seq if self.rows else 0

    def seq_at(self, block: int) -> int:
        return max((news.seq for news in self.rows if news.event.block <= block), default=0)

    def events(self, *, after: int, limit: int) -> list[News]:
        return [news for news in self.rows if news.seq > after][:limit]

    def jobs_of(self, accounts: object) -> set[int]:
        return self.mine


def opened(block: int, job_id: int = 7, round: int = 1) -> RoundOpened:
    place = {"block": block, "log_index": 0, "transaction": f"0x{block:064x}", "timestamp": NOW, "job_id": job_id}
    return RoundOpened(**place, round=round, submit_by=NOW + 60, settle_by=NOW + 120)


def teller(
    queue: Queue, url: str, folder: Path, *, head: int = 0, stop: threading.Event | None = None, **more: Any
) -> Teller:
    given = hook(url, **more)
    sender = Sender(given, stop or threading.Event(), logging.getLogger("merit.webhooks").warning, pauses=FAST)
    return Teller(
        given, queue, sender, folder / "alerts.json", chain_id=31337, market=OTHER, head=head, accounts={ME}
    )  # fmt: skip


def told_all(one: Teller) -> None:
    while one.step() is Step.WORKED:
        pass


# ---------------------------------------------------------------- one message


def test_a_signature_is_what_the_standard_s_example_says() -> None:
    made = signature(key_of(hook().secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_is_signed_over_its_id_its_time_and_its_very_bytes(receiver: Receiver) -> None:
    sender = Sender(hook(receiver.url + "/hook?key=1"), threading.Event(), print, clock=lambda: NOW)
    message = message_of(OTHER, 1, (5, 2), "0xab", {"type": "Joined"})
    assert sender.send(message) is Outcome.TAKEN
    ((path, headers, body),) = receiver.came
    assert (path, body) == ("/hook?key=1", b'{"type":"Joined"}')
    assert (headers["content-type"], headers["webhook-id"]) == ("application/json", message.id)
    assert headers["webhook-timestamp"] == str(NOW)
    assert headers["webhook-signature"] == signature(key_of(hook().secret), message.id, NOW, body)


def test_an_event_has_the_same_id_whenever_it_is_sent_and_another_than_all_others() -> None:
    one = message_of(OTHER, 1, (5, 2), "0xab", {}).id
    assert one == message_of(OTHER, 1, (5, 2), "0xab", {"more": 1}).id
    others = [(OTHER, 2, (5, 2)), (ME, 1, (5, 2)), (OTHER, 1, (5, 3)), (OTHER, 1, (6, 2))]
    assert len({one, *(message_of(market, chain, place, "0xab", {}).id for market, chain, place in others)}) == 5


def test_a_receiver_that_fails_is_asked_again_until_it_takes_the_message(receiver: Receiver) -> None:
    receiver.statuses += [500, 429, 404]
    said: list[str] = []
    sender = Sender(hook(receiver.url), threading.Event(), said.append, pauses=FAST)
    assert sender.send(Message("evt_1", b"{}")) is Outcome.TAKEN
    assert [headers["webhook-id"] for _, headers, _ in receiver.came] == ["evt_1"] * 4
    assert [text.rpartition("(")[2] for text in said] == [
        f"it answered {status}): attempt {number}." for number, status in enumerate((500, 429, 404), start=1)
    ]


def test_a_redirect_is_not_followed_and_counts_as_a_failure(receiver: Receiver) -> None:
    receiver.statuses += [302]
    sender = Sender(hook(receiver.url + "/hook"), threading.Event(), lambda _: None, pauses=FAST)
    assert sender.send(Message("evt_1", b"{}")) is Outcome.TAKEN
    assert [path for path, _, _ in receiver.came] == ["/hook", "/hook"]


def test_a_receiver_that_is_gone_is_left_alone(receiver: Receiver) -> None:
    receiver.statuses += [410]
    assert Sender(hook(receiver.url), threading.Event(), print).send(Message("evt_1", b"{}")) is Outcome.GONE
    assert len(receiver.came) == 1


def test_an_event_that_is_never_taken_is_given_up_in_time() -> None:
    sender = Sender(hook("http://127.0.0.1:1/"), threading.Event(), lambda _: None, pauses=FAST, give_up=0.05)
    assert sender.send(Message("evt_1", b"{}")) is Outcome.GIVEN_UP


def test_a_node_that_stops_waits_for_no_receiver(receiver: Receiver) -> None:
    stop = threading.Event()
    receiver.before = stop.set
    receiver.statuses += [503] * 5
    sender = Sender(hook(receiver.url), stop, lambda _: None, pauses=(600.0, 600.0))
    assert sender.send(Message("evt_1", b"{}")) is Outcome.STOPPED
    assert len(receiver.came) == 1


def test_neither_proxies_nor_passwords_of_the_environment_are_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    sender = Sender(hook(receiver.url), threading.Event(), print)
    assert sender.send(Message("evt_1", b"{}")) is Outcome.TAKEN
    assert "authorization" not in receiver.came[0][1]


def test_neither_address_nor_secret_is_told_when_a_receiver_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    address = "http://ann:hunter2@localhost:1/path-token?key=query-token"
    log = logging.getLogger("merit.webhooks")
    sender = Sender(hook(address), threading.Event(), log.warning, pauses=FAST, give_up=0.05)
    assert sender.send(Message("evt_1", b"{}")) is Outcome.GIVEN_UP
    assert "Webhook alerts" in caplog.text
    for secret in ("hunter2", "path-token", "query-token", SECRET, SECRET.removeprefix("whsec_")):
        assert secret not in caplog.text + repr(hook(address)) + str(hook(address))


# ---------------------------------------------------------------- the queue


def test_a_new_receiver_is_told_what_comes_from_now_on_in_order(receiver: Receiver, tmp_path: Path) -> None:
    queue = Queue()
    queue.put(opened(5))
    one = teller(queue, receiver.url, tmp_path, head=5)
    told_all(one)
    for block in (6, 7, 8):
        queue.put(opened(block, round=block))
    assert one.waiting == 3
    told_all(one)
    bodies = [json.loads(body) for _, _, body in receiver.came]
    assert [body["data"]["values"]["round"] for body in bodies] == [6, 7, 8]
    assert (one.waiting, one.counts) == (0, {"taken": 3})
    first = bodies[0]
    assert (first["type"], first["timestamp"]) == ("RoundOpened", "2026-11-28T07:06:45Z")
    assert (first["data"]["job_id"], first["data"]["chain_id"], first["data"]["market"]) == (7, 31337, OTHER)


def test_an_index_that_is_still_behind_does_not_count_as_news(receiver: Receiver, tmp_path: Path) -> None:
    queue = Queue()
    queue.indexed = 3
    queue.put(opened(2))
    one = teller(queue, receiver.url, tmp_path, head=9)
    told_all(one)
    queue.put(opened(8))
    queue.put(opened(10))
    queue.indexed = 10
    told_all(one)
    assert [json.loads(body)["data"]["block"] for _, _, body in receiver.came] == [10]


def test_a_node_that_was_off_sends_what_it_missed_and_repeats_nothing_it_knows_was_taken(
    receiver: Receiver, tmp_path: Path
) -> None:
    queue = Queue()
    told_all(teller(queue, receiver.url, tmp_path))
    queue.put(opened(6))
    stop = threading.Event()
    one = teller(queue, receiver.url, tmp_path, stop=stop)
    told_all(one)
    queue.put(opened(7))
    queue.put(opened(8))
    receiver.statuses += [204, 500]  # the second is refused, and the node is stopped
    receiver.before = lambda: stop.set() if len(receiver.came) == 2 else None
    assert one.step() is Step.WAITING
    receiver.before = lambda: None
    told_all(teller(queue, receiver.url, tmp_path))
    assert [json.loads(body)["data"]["block"] for _, _, body in receiver.came] == [6, 7, 8, 8]
    ids = [headers["webhook-id"] for _, headers, _ in receiver.came]
    assert (ids[2] == ids[3], len(set(ids))) == (True, 3)


def test_after_a_reorganization_what_came_in_its_place_is_told(receiver: Receiver, tmp_path: Path) -> None:
    queue = Queue()
    one = teller(queue, receiver.url, tmp_path)
    told_all(one)
    queue.put(opened(600))
    queue.put(opened(900))
    told_all(one)
    queue.rows = [*queue.rows[:1], News(9, 0, opened(901))]
    queue.generation = "b"
    told_all(one)
    assert [json.loads(body)["data"]["block"] for _, _, body in receiver.came] == [600, 900, 901]


def test_an_index_that_is_built_again_repeats_the_last_blocks_at_most(receiver: Receiver, tmp_path: Path) -> None:
    queue = Queue()
    told_all(teller(queue, receiver.url, tmp_path))
    for block in (100, 700, 900):
        queue.put(opened(block))
    told_all(teller(queue, receiver.url, tmp_path))
    queue.generation = "b"
    told_all(teller(queue, receiver.url, tmp_path))
    blocks = [json.loads(body)["data"]["block"] for _, _, body in receiver.came]
    assert blocks == [100, 700, 900, *(block for block in (100, 700, 900) if block > 900 - OVERLAP)]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"jobs": "all"}, [1, 2, 3]),
        ({"jobs": [2, 9]}, [2]),
        ({"jobs": "own"}, [3]),
        ({"jobs": "all", "events": ["Joined"]}, []),
        ({"jobs": "all", "events": ["RoundOpened", "Joined"]}, [1, 2, 3]),
    ],
)
def test_a_receiver_is_told_of_the_jobs_and_events_it_was_configured_for(
    receiver: Receiver, tmp_path: Path, more: dict[str, Any], told: list[int]
) -> None:
    queue = Queue()
    queue.mine = {3}
    one = teller(queue, receiver.url, tmp_path, **more)
    told_all(one)
    for job_id in (1, 2, 3):
        queue.put(opened(10 + job_id, job_id))
    told_all(one)
    assert [json.loads(body)["data"]["job_id"] for _, _, body in receiver.came] == told
    assert one.waiting == 0


def test_a_receiver_that_has_gone_is_not_asked_again_after_a_restart_either(receiver: Receiver, tmp_path: Path) -> None:
    queue = Queue()
    told_all(teller(queue, receiver.url, tmp_path))
    queue.put(opened(6))
    queue.put(opened(7))
    receiver.statuses += [410]
    told_all(teller(queue, receiver.url, tmp_path))
    again = teller(queue, receiver.url, tmp_path)
    told_all(again)
    assert (len(receiver.came), again.waiting) == (1, 0)


def test_a_place_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text("{}")
    with pytest.raises(InputError, match=r"alerts\.json says no place"):
        teller(Queue(), "https://example.org", tmp_path)
    assert Place(block=3).seq == 0


# ---------------------------------------------------------------- the file


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "webhooks.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def entry(**changed: str) -> str:
    fields = {"name": "alerts", "url": "https://ann:hunter2@example.org/hook", "secret": SECRET} | changed
    return "\n".join(f"  {'- ' if name == 'name' else '  '}{name}: {value}" for name, value in fields.items()) + "\n"


def test_a_file_of_webhooks_is_read_and_its_absence_means_none(tmp_path: Path) -> None:
    assert read_webhooks(tmp_path / "webhooks.yaml") == ()
    path = written(tmp_path, "webhooks:\n" + entry() + entry(name="second", jobs="[7, 8]", events="[RoundSettled]"))
    first, second = read_webhooks(path)
    assert (first.jobs, first.events, second.jobs, second.events) == ("own", (), (7, 8), ("RoundSettled",))
    assert first.url.get_secret_value() == "https://ann:hunter2@example.org/hook"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry(url="http://ann:hunter2@example.org/"), "for this machine only"),
        (entry(url="http://169.254.169.254/latest"), "for this machine only"),
        (entry(url="file:///etc/passwd"), "begins with https://"),
        (entry(url="https://"), "begins with https://"),
        (entry(url="'https://example.org:99999/hunter2'"), "this is no address"),
        (entry(secret="whsec_c2hvcnQtaHVudGVyMg=="), "24 to 64 bytes"),
        (entry(secret="hunter2"), "24 to 64 bytes"),
        (entry(name="Not a name"), "name"),
        (entry(events="[RoundClosed]"), "there is no event RoundClosed"),
        (entry(jobs="mine"), "jobs"),
        (entry() + entry(), "the name of two webhooks"),
        (entry(more="1"), "more"),
        ("".join(entry(name=f"a{n}") for n in range(17)), "16"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_telling_what_is_secret(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_webhooks(written(tmp_path, "webhooks:\n" + text))
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chmod 600"):
        read_webhooks(written(tmp_path, "webhooks:\n" + entry(), mode=0o644))


def test_each_event_of_the_contract_can_be_chosen(tmp_path: Path) -> None:
    names = ", ".join(kind.__name__ for kind in (Joined, KeyPublished, RoundOpened))
    (one,) = read_webhooks(written(tmp_path, "webhooks:\n" + entry(events=f"[{names}]")))
    assert len(one.events) == 3
