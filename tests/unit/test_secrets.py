"""No secret of a party is found where it does not belong: logs, answers, errors, process lists, environments, files.

The secrets are known to these tests and looked for in every form in which they would be useful to a finder. What is
searched is the work of a whole job, a node's API and real `merit` processes. That the search would find a secret is
shown first, by planting some.
"""

import base64
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from rich.console import Console

from marketplace.api.guard import token_of
from marketplace.api.logs import JsonLines
from marketplace.chain import connection as connections
from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.cli.session import Session
from marketplace.domain import State
from marketplace.errors import MeritError
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.keys.sealing import Purpose, SealContext, open_sealed_bytes, seal_bytes_to
from marketplace.services.audit import audit_job
from marketplace.services.index import Index
from marketplace.services.node import job_key
from marketplace.settings import Settings
from marketplace.storage import open_storage, put_bytes, transfer
from marketplace.urls import shown_url
from tests.api_node import TOKEN, api_of
from tests.chain_fixtures import PEOPLE
from tests.jobs import World, new_play
from zk.decision import Secret
from zk.gram import Mask

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

PASSWORD = "correct horse battery staple §7"
START = 60.0  # seconds for a process to start on a busy machine


# ---------------------------------------------------------------- the search


def forms(secret: bytes) -> dict[str, bytes]:
    """A secret as it might be written down. Base64 at each of its three places within a longer text."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "decimal": str(int.from_bytes(secret)).encode(),
        "little-endian decimal": str(int.from_bytes(secret, "little")).encode(),
        "repr": repr(secret)[2:-1].encode(),
        "list": ", ".join(map(str, secret)).encode(),
        "url": quote(secret).encode(),
        "json": json.dumps(secret.decode("latin-1"))[1:-1].encode(),
    }
    if len(secret) == 32:  # of a key, a third is too much
        found |= {"hex, its beginning": found["hex"][:22], "hex, its end": found["hex"][-22:]}
    for at in range(3):
        whole = base64.b64encode(bytes(at) + secret)
        core = whole[-(-8 * at // 6) : len(whole) - 4 if whole.endswith(b"=") else len(whole)]
        found[f"base64, {at}"] = core
        found[f"url-safe base64, {at}"] = core.replace(b"+", b"-").replace(b"/", b"_")
    return found


def found_in(places: Mapping[str, bytes], secrets: Mapping[str, bytes]) -> list[str]:
    """Which secret is where, and how written."""
    patterns = [(name, form, text) for name, secret in secrets.items() for form, text in forms(secret).items()]
    return [
        f"{name} ({form}) in {place}"
        for place, content in places.items()
        for name, form, text in patterns
        if text in content
    ]


def secrets_of(name: str, identity: Identity) -> dict[str, bytes]:
    private = identity.decryption_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return {f"{name}'s private key": bytes(identity.account.key), f"{name}'s X25519 key": private}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def processes() -> dict[int, int]:
    """Every process's parent."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return parents


def family(root: int) -> list[int]:
    parents, members = processes(), [root]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def told_by_proc(pids: list[int], what: str) -> dict[str, bytes]:
    found = {}
    for pid in pids:
        try:
            found[f"{what} of {pid}"] = Path(f"/proc/{pid}/{what}").read_bytes()
        except OSError:
            continue
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system has no /proc")


@contextmanager
def everything_logged() -> Iterator[StringIO]:
    """All loggers at DEBUG, as the node writes them, with what else their records carry."""
    said = StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonLines())
    extra = logging.StreamHandler(said)
    extra.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    for one in (handler, extra):
        root.addHandler(one)
    try:
        yield said
    finally:
        root.setLevel(level)
        for one in (handler, extra):
            root.removeHandler(one)


@contextmanager
def anybodys_umask() -> Iterator[None]:
    """Files get the rights that are asked for, and no fewer."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


# ---------------------------------------------------------------- the search finds what is there


@pytest.mark.parametrize("form", forms(b"x"))
def test_a_planted_secret_is_found_in_every_form(form: str, tmp_path: Path) -> None:
    secret = bytes(range(60, 92))
    planted = b"before " + forms(secret)[form] + b" after"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(planted)
    places = files_below(tmp_path)
    assert any(hit.startswith("it (") for hit in found_in(places, {"it": secret}))
    assert not found_in(places, {"another": bytes(range(100, 132))})


@pytest.mark.parametrize("shift", range(3))
def test_a_secret_within_longer_base64_is_found(shift: int) -> None:
    secret = bytes(range(200, 232))
    blob = base64.b64encode(b"abcdef"[: 3 + shift] + secret + b"the end")
    assert found_in({"blob": blob}, {"it": secret})


@needs_proc
def test_a_planted_secret_is_found_in_a_log_a_command_line_and_an_environment() -> None:
    secret = os.urandom(16).hex().encode()
    with everything_logged() as said:
        logging.getLogger("some.library").debug("using %s", secret)
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()", secret.decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HIDDEN": secret.decode()},
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()  # a process that is only just beginning has no command line yet
        places = {"log": said.getvalue().encode()}
        for what in ("cmdline", "environ"):
            places |= told_by_proc(family(os.getpid()), what)
        hits = found_in(places, {"it": secret})
    finally:
        child.communicate(b"\n", timeout=START)
    assert {hit.split(" in ")[1] for hit in hits} == {"log", f"cmdline of {child.pid}", f"environ of {child.pid}"}


# ---------------------------------------------------------------- a whole job, and a node that shows it

PAGES = (
    "/api/node", "/api/jobs", "/api/jobs/1", "/api/jobs/1/rounds", "/api/jobs/1/events", "/api/trainers", "/api/data",
    "/api/accounts", "/metrics", "/api/openapi.json", "/api/jobs/99", "/api/nowhere", "/api/jobs/1/audit",
)  # fmt: skip


def test_a_whole_job_and_its_node_show_no_secret(world: World) -> None:
    with everything_logged() as said, anybodys_umask():
        play = new_play(world, rounds=1)
        assert play.finish() is State.COMPLETED
        key = job_key(play.owner, play.history())
        report = audit_job(play.owner, play.job_id, job_key=key)
        answers = {}
        with api_of(play.trainers[0], world.chain.first_block) as api:
            api.caught_up()
            schema = api.web.get("/api/openapi.json")
            paths = {path for path in schema.json().get("paths", {}) if "{" not in path} if schema.is_success else set()
            for page in sorted({*PAGES, *paths} - {"/api/events"}):
                for name, client in (("with token", api.web), ("without", api.bare)):
                    answer = client.get(page)
                    answers[f"{page} {name}"] = answer.content + str(answer.headers).encode()
            refused = api.web.post("/api/jobs/1/trainers", json={"data": "/etc/passwd", "password": PASSWORD})
            answers["a refused request"] = refused.content
    parties = {"owner": play.owner, "aggregator": play.aggregator} | {
        f"trainer {number}": node for number, node in enumerate(play.trainers)
    }
    secrets = {"job key": key, "token": TOKEN.encode(), "password": PASSWORD.encode()}
    for name, node in parties.items():
        secrets |= secrets_of(name, node.me)
    log = said.getvalue().encode()
    places = {"log": log, "notices": repr(world.notices).encode(), "audit": repr(report).encode(), **answers}
    places |= files_below(world.folder)

    # There was something to search: answers name the parties, the log is long, many files were written.
    assert play.owner.me.address.encode() in answers["/api/jobs/1 without"]
    assert b"eth_sendRawTransaction" in log or len(log) > 10_000
    assert len(places) > 40
    assert found_in(places, secrets) == []
    open_to_others = [
        str(path.relative_to(world.folder))
        for node in parties.values()
        for path in node.home.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and not _public(path)
    ]
    assert open_to_others == []


def _public(path: Path) -> bool:
    """What anybody may read: set-ups and keys of circuits, the index of the chain, empty lock files."""
    return "setups" in path.parts or path.name.startswith("index.sqlite") or path.name == ".lock"


# ---------------------------------------------------------------- real processes


def merit(home: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    keep = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "marketplace.cli.main", "--json", *arguments],
        env=keep | {"MERIT_HOME": str(home)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_proc
def test_a_node_and_what_it_starts_show_no_secret(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = merit(home, "up", "--port", "0", "--chain-port", "0", MERIT_PASSWORD=PASSWORD)
    watchdog_end = time.monotonic() + 2 * START
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert time.monotonic() < watchdog_end
        url, _, token = facts["url"].partition("/#token=")
        places = {}
        for page in PAGES[:-1]:
            places[page] = httpx.get(url + page, headers={"Authorization": f"Bearer {token}"}, timeout=START).content
        places["a wrong token"] = httpx.get(url + "/api/trainers", headers={"Authorization": "Bearer x"}).content
        members = family(process.pid)
        assert len(members) >= 3  # itself, Anvil's guard, Anvil
        places |= told_by_proc(members, "cmdline")
        environments = told_by_proc([member for member in members if member != process.pid], "environ")
        assert environments
        places |= environments
    finally:
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=START)
    places |= {"log": log.encode(), "output after the address": out.encode()}
    keys = Keystore(home / "local" / "keys")
    secrets = {"password": PASSWORD.encode(), "token": token.encode()}
    for name in ("node", "aggregator"):
        secrets |= secrets_of(name, keys.load(name, "local"))
    files = files_below(home)
    assert files.pop(str(home / "local" / "token")).decode() == token
    assert found_in(places | files, secrets) == []
    private = [home / "local" / "token", *(home / "local" / "keys").iterdir()]
    assert [oct(path.stat().st_mode & 0o777) for path in private] == ["0o600"] * len(private)


@needs_proc
def test_a_chains_process_does_not_get_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIT_PASSWORD", PASSWORD)
    with Anvil():
        children = [member for member in family(os.getpid()) if member != os.getpid()]
        environments = told_by_proc(children, "environ")
        started = {k: v for k, v in environments.items() if b"PATH=" in v}
    assert started
    assert found_in(started, {"password": PASSWORD.encode()}) == []


def test_keys_made_and_misused_on_the_command_line_are_not_told(tmp_path: Path) -> None:
    home, password_file = tmp_path / "home", tmp_path / "password"
    password_file.write_text(PASSWORD + "\n")
    private = PEOPLE[3].key.hex().removeprefix("0x")
    said = {}

    def run(name: str, *arguments: str, typed: str = "", **environment: str) -> int:
        keep = {key: value for key, value in os.environ.items() if not key.startswith("MERIT_")}
        done = subprocess.run(
            [sys.executable, "-m", "marketplace.cli.main", *arguments],
            env=keep | {"MERIT_HOME": str(home)} | environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
        )
        said[name] = (done.stdout + done.stderr).encode()
        return done.returncode

    assert run("import", "--password-file", str(password_file), "key", "new", "a", "--import", typed=private) == 0
    assert run("no key", "key", "new", "c", "--import", typed=private[:-1] + "g", MERIT_PASSWORD=PASSWORD) == 2
    assert run("wrong password", "--key", "a", "key", "show", MERIT_PASSWORD=PASSWORD + "x") == 2
    secrets = {"private key": bytes.fromhex(private), "password": PASSWORD.encode()}
    assert found_in(said | files_below(home), secrets) == []
    assert PEOPLE[3].address.encode() in said["import"]


# ---------------------------------------------------------------- errors, foreseen and not


def _told(error: BaseException) -> bytes:
    return (str(error) + repr(error) + "".join(traceback.format_exception(error))).encode()


def test_foreseen_errors_and_their_causes_name_no_secret(tmp_path: Path) -> None:
    identity = Identity(bytes(range(1, 33)))
    beyond = b"\xff" * 31 + b"\xfe"  # above the group's order
    keys = Keystore(tmp_path, scrypt_n=2)
    keys.create("a", PASSWORD)
    raw = tmp_path / "raw.json"
    told = {}

    def mistake(name: str, action: object) -> None:
        with pytest.raises(MeritError) as caught:
            action()  # type: ignore[operator]
        told[name] = _told(caught.value)

    mistake("wrong password", lambda: keys.load("a", PASSWORD + "x"))
    mistake("no key", lambda: keys.import_key("b", bytes(identity.account.key).hex().encode() + b"0", PASSWORD))
    mistake("a key beyond the order", lambda: keys.import_key("b", beyond.hex().encode(), PASSWORD))
    raw.write_text(json.dumps({"private_key": bytes(identity.account.key).hex(), "version": 3}))
    mistake("a raw key", lambda: keys.load("raw", PASSWORD))
    raw.write_bytes(bytes(identity.account.key).hex().encode())
    mistake("a bare key", lambda: keys.load("raw", PASSWORD))
    sealed = seal_bytes_to(identity.encryption_key, b"x", _context(1))
    mistake("another seal", lambda: open_sealed_bytes(identity.decryption_key, sealed, _context(2), 10))
    secrets = secrets_of("somebody", identity) | {"password": PASSWORD.encode(), "number": beyond}
    assert found_in(told, secrets) == []


# ---------------------------------------------------------------- addresses with keys in them

USER, WORD, PIECE, QUERY = "us3r-Jq7", "p@ss/w0rd-Kx4?v", "v3-tok3n-Lm9", "key-Zt2%20b"
IN_URLS = {
    "user": USER.encode(), "password": WORD.encode(), "path": PIECE.encode(), "query": b"key-Zt2",
    "password, its end": b"w0rd-Kx4",
}  # fmt: skip


def secret_urls(place: str) -> list[str]:
    """The address of a service at `place` (HOST:PORT), with a secret in each of its parts, well formed or not."""
    quoted = quote(WORD, safe="")
    ends = ("", f"/{PIECE}/rpc?apikey={QUERY}", f"?{QUERY}#{PIECE}")
    starts = ("", f"{USER}:{quoted}@", f"{USER}:{WORD}@")
    return [f"http://{start}{place}{end}" for start in starts for end in ends]


class Answering(ThreadingHTTPServer):
    """Gives everybody the same answer."""

    def __init__(self, status: int, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


ANSWERS = {
    "not there": None,
    "no entry": (401, b"go away"),
    "busy": (429, b"slow down"),
    "a page": (200, b"<html>"),
    "an error": (200, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}'),
    "nonsense": (200, b'{"jsonrpc": "2.0", "id": 1, "result": "zz"}'),
    "elsewhere": (307, b""),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_part_of_an_address_that_may_be_a_key_is_told(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_pause", lambda state: 0.01)
    monkeypatch.setattr(transfer, "_pause", lambda state: 0.01)
    given = ANSWERS[answer]
    server = Answering(*given) if given is not None else None
    place = f"127.0.0.1:{server.server_port if server else 9}"
    told: dict[str, bytes] = {}

    def attempt(name: str, action: Callable[[], object]) -> None:
        try:
            told[name] = repr(action()).encode()
        except MeritError as error:
            logging.getLogger("merit").exception("it failed")
            told[name] = _told(error)

    with everything_logged() as said:
        for url in secret_urls(place):
            attempt(f"rpc {url}", lambda url=url: Connection(url, timeout=2).head())  # type: ignore[misc]
            for form in (url, f"node+{url}", url.replace("http://", "ftp://"), f"/dns/127.0.0.1/tcp/9/http/{PIECE}"):
                attempt(f"storage {form}", lambda form=form: put_bytes(open_storage(form, timeout=2), b"x"))  # type: ignore[misc]
            settings = Settings(home=tmp_path, rpc=url, storage=url)
            told[f"settings {url}"] = repr(settings).encode() + str(settings).encode()
            told[f"shown {url}"] = shown_url(url).encode()
            for kind in ("postgresql+pg8000", "postgresql+nodriver", "nodialect", ""):
                index = url.replace("http", kind)
                attempt(f"index {index}", lambda index=index: Index(index, chain_id=1, market="0x", first_block=0))  # type: ignore[misc]
    if server is not None:
        server.shutdown()
        server.server_close()
    assert len(told) > 80
    assert found_in(told | {"log": said.getvalue().encode()}, IN_URLS) == []
    assert any(b"127.0.0.1:" in text for name, text in told.items() if name.startswith("rpc"))


def test_the_command_line_tells_no_key_of_an_address(tmp_path: Path) -> None:
    said = {}
    for number, url in enumerate(secret_urls("127.0.0.1:9")[4::3]):
        for command in (("job", "list"), ("--storage", url, "doctor"), ("up", "--port", "0")):
            keep = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
            done = subprocess.run(
                [sys.executable, "-m", "marketplace.cli.main", *command],
                env=keep | {"MERIT_HOME": str(tmp_path), "MERIT_RPC": url, "MERIT_RPC_TIMEOUT": "1"},
                capture_output=True,
                timeout=2 * START,
                check=False,
            )
            assert done.returncode not in (0, 70)
            said[f"{number} {command[-1]}"] = done.stdout + done.stderr
    assert found_in(said, IN_URLS) == []


def _context(job_id: int) -> SealContext:
    return SealContext(1, "0x" + "ab" * 20, job_id, 0, "0x" + "cd" * 20, Purpose.UPDATE)


CRASH = """
import sys
from marketplace.keys.keystore import Keystore
from marketplace.cli import main
def broken(self, name, password):
    secret = bytes(range(1, 33))
    held = self, name, password, secret
    raise RuntimeError("unforeseen")
Keystore.load = broken
sys.argv = ["merit", "key", "show"]
main.main()
"""


def test_an_unforeseen_error_ends_the_command_line_without_its_variables(tmp_path: Path) -> None:
    Keystore(tmp_path / "keys", scrypt_n=2).create("default", PASSWORD)
    environment = {**os.environ, "MERIT_HOME": str(tmp_path), "MERIT_PASSWORD": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-c", CRASH], env=environment, capture_output=True, timeout=START, check=False
    )
    assert done.returncode == 1
    assert b"unforeseen" in done.stderr
    assert b"held = self" not in done.stdout  # no excerpts with values either
    secrets = {"password": PASSWORD.encode(), "key": bytes(range(1, 33))}
    assert found_in({"output": done.stdout + done.stderr}, secrets) == []


def test_an_unforeseen_error_of_a_node_is_logged_without_its_variables() -> None:
    secret = os.urandom(32)

    def broken(held: bytes) -> None:
        raise RuntimeError("unforeseen")

    with everything_logged() as said:
        try:
            broken(secret)
        except RuntimeError:
            logging.getLogger("merit.api").exception("unexpected error")
    log = said.getvalue()
    assert "unforeseen" in log
    assert found_in({"log": log.encode()}, {"key": secret}) == []


def test_what_holds_a_secret_does_not_show_it_when_it_is_printed(world: World, tmp_path: Path) -> None:
    """Crash reporters and debuggers print variables: the long-lived ones keep quiet."""
    node = world.watcher("somebody", Identity(os.urandom(32)))
    settings = Settings(home=tmp_path, password=SecretStr(PASSWORD))
    session = Session(settings, False, Console(), Console())
    number = int.from_bytes(os.urandom(31))
    secret, mask = Secret([[7, number], [number, 7]], number, number), Mask(number.to_bytes(32), number)
    shown = {
        type(one).__name__: (repr(one) + str(one)).encode() for one in (node, node.me, session, settings, secret, mask)
    }
    shown["account"] = (repr(node.me.account) + str(node.me.account)).encode()
    shown["key"] = repr(node.me.decryption_key).encode()
    secrets = secrets_of("somebody", node.me) | {"password": PASSWORD.encode(), "number": number.to_bytes(31)}
    assert found_in(shown, secrets) == []
    assert node.me.address.encode() in shown["Node"]


def test_files_that_hold_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    with anybodys_umask():
        Keystore(tmp_path / "keys", scrypt_n=2).create("a", PASSWORD)
        token = token_of(tmp_path)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"keys": "0o700", "a.json": "0o600", "token": "0o600"}
    assert len(token) >= 32
