"""Attacks on a node from the browser it shares a machine with, and from the network."""

import contextlib
import http.client
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import Request

from marketplace.api import serve
from marketplace.api.folders import Folders
from marketplace.api.forms import DataEntry
from marketplace.api.guard import HEADERS, require_loopback, token_of
from marketplace.api.problems import Refusal
from marketplace.errors import InputError
from marketplace.services.agent import Notice
from tests.api_node import TOKEN, Api, told
from tests.chain_fixtures import KEY, OWNER, terms
from tests.jobs import World
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ACTING = [
    ("GET", "/api/local"),
    ("GET", "/api/data"),
    ("GET", "/api/trainers"),
    ("GET", "/api/trainers/1"),
    ("POST", "/api/trainers"),
    ("POST", "/api/trainers/1/pause"),
    ("POST", "/api/trainers/1/resume"),
    ("POST", "/api/trainers/1/leave"),
    ("POST", "/api/trainers/1/dispute"),
    ("POST", "/api/trainers/1/dispute-rows/0"),
    ("POST", "/api/data/check"),
    ("POST", "/api/data/columns"),
    ("POST", "/api/jobs/1/calls/start"),
    ("POST", "/api/jobs/1/invitations"),
    ("POST", "/api/jobs/1/claims/0"),
    ("POST", f"/api/jobs/1/fees/{PAYEE}"),
    ("POST", "/api/withdraw"),
    ("POST", "/api/fund"),
    ("POST", "/api/jobs"),
    ("POST", "/api/jobs/preview"),
    ("POST", "/api/jobs/prepare"),
    ("GET", "/api/setups"),
    ("GET", "/api/jobs/1/own"),
    ("GET", "/api/jobs/1/model"),
    ("GET", "/api/jobs/1/scores"),
    ("POST", "/api/jobs/1/reveal"),
    ("POST", "/api/jobs/1/reveal/prepare"),
    ("POST", "/api/jobs/1/reveal-to-members"),
    ("POST", "/api/jobs/1/reveal-to-members/prepare"),
    ("POST", "/api/jobs/1/hand-over/prepare"),
    ("GET", "/api/sent"),
    ("GET", "/api/jobs/1/samples"),
    ("POST", "/api/jobs/1/samples"),
    ("GET", "/api/requests"),
    ("POST", "/api/requests/1/accept"),
    ("POST", "/api/requests/1/decline"),
    ("GET", "/api/troubles"),
]


def is_problem(answer: httpx.Response, status: int) -> str:
    """Checks an error document, and returns its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    return str(document["detail"])


# ---------------------------------------------------------------- host names


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", "", "[::2]"]
)
def test_a_rebound_name_is_refused(api: Api, host: str) -> None:
    for path in ("/api/node", "/metrics", "/"):
        assert "host name" in is_problem(api.web.get(path, headers={"Host": host}), 403)


def test_two_hosts_are_refused(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        status = raw.recv(100).split(b" ")[1]
    assert status in (b"400", b"403")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]", "[::1]:80"])
def test_the_loopback_s_names_are_served(api: Api, host: str) -> None:
    assert api.bare.get("/api/health", headers={"Host": host}).status_code == 200


# ---------------------------------------------------------------- other sites


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil", "file://"]
)
@pytest.mark.parametrize("token", [True, False])
def test_a_foreign_page_cannot_act_even_with_the_token(api: Api, origin: str, token: bool) -> None:
    client = api.web if token else api.bare
    answer = client.post("/api/withdraw", json={}, headers={"Origin": origin})
    assert "origins" in is_problem(answer, 403)


def test_a_form_of_a_foreign_page_cannot_act(api: Api) -> None:
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    is_problem(api.bare.post("/api/withdraw", content=b'{"token":"0x"}', headers=headers), 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_cannot_make_the_node_work(api: Api, site: str) -> None:
    assert "sites" in is_problem(api.bare.get("/api/jobs/1/audit", headers={"Sec-Fetch-Site": site}), 403)


def test_the_page_itself_may_act(api: Api) -> None:
    headers = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
    assert "no credit" in is_problem(api.web.post("/api/withdraw", json={}, headers=headers), 409)


def test_no_other_origin_is_given_leave_to_read(api: Api) -> None:
    answer = api.bare.get("/api/node", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = api.bare.options("/api/withdraw", headers={"Origin": "https://evil.example"})
    is_problem(preflight, 403)


def test_every_answer_forbids_what_the_page_does_not_need(api: Api) -> None:
    for path in ("/api/health", "/api/jobs/77", "/nowhere", "/metrics"):
        headers = api.bare.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


# ---------------------------------------------------------------- token


@pytest.mark.parametrize(
    "header", [None, "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"]
)
def test_whoever_has_no_token_neither_acts_nor_looks(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in ACTING:
        answer = api.bare.request(method, path, json={}, headers=headers)
        assert "token" in is_problem(answer, 401), path


def test_the_list_of_what_needs_the_token_is_complete(api: Api) -> None:
    document = api.bare.get("/api/openapi.json").json()
    named = {"job_id": "1", "call": "start", "slot": "0", "round": "0", "payee": PAYEE}
    guarded = {
        (method.upper(), re.sub(r"{(\w+)}", lambda part: named.get(part[1], part[0]), path))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    }
    assert guarded == set(ACTING)
    acting = {
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "get" and "content" not in path
    }
    assert all("security" in document["paths"][path][method] for method, path in acting)


def test_the_token_is_only_the_user_s_to_read(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert token_of(tmp_path) == token
    assert token_of(tmp_path / "another") != token
    os.chmod(tmp_path / "token", 0o644)
    with pytest.raises(InputError, match="read by others"):
        token_of(tmp_path)


def test_neither_key_nor_token_nor_password_is_told(api: Api) -> None:
    me = api.services.node.me
    secrets = [bytes(me.account.key).hex(), me.decryption_key.private_bytes_raw().hex(), TOKEN]
    paths = ["/api/node", "/api/local", "/api/health", "/metrics", "/api/trainers", "/api/openapi.json", "/api/data"]
    said = "".join(api.web.get(path).text for path in paths).lower()
    assert me.address.lower() in said
    assert not [secret for secret in secrets if secret.lower() in said]


def test_what_is_local_is_not_shown_under_a_public_name_nor_from_elsewhere(world: World) -> None:
    from tests.api_node import api_of

    with api_of(world.node("node"), world.chain.first_block, hosts=("node.example",)) as api:
        public = {"Host": "node.example"}  # as a proxy on the same machine passes it on
        assert api.bare.get("/api/health", headers=public).status_code == 200
        assert api.web.get("/api/trainers", headers=public).status_code == 200
        reads = [("GET", "/api/local"), ("GET", "/api/data")]
        for method, path in [*reads, ("POST", "/api/data/check"), ("POST", "/api/data/columns")]:
            assert "own machine" in is_problem(api.web.request(method, path, json={}, headers=public), 403)


@pytest.mark.parametrize(("caller", "near"), [("127.0.0.1", True), ("::1", True), ("192.168.1.7", False), ("", False)])
def test_who_is_on_this_machine(caller: str, near: bool) -> None:
    scope = {"type": "http", "headers": [(b"host", b"localhost:80")], "client": (caller, 1)}
    if near:
        require_loopback(Request(scope))
    else:
        with pytest.raises(Refusal):
            require_loopback(Request(scope))


# ---------------------------------------------------------------- sizes


def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    is_problem(api.web.post("/api/jobs/preview", json={"yaml": "x" * 600_000}), 413)

    def endless() -> Iterator[bytes]:
        yield b'{"yaml": "'
        for _ in range(100):
            yield b"x" * 65_536

    with contextlib.suppress(httpx.WriteError):  # the server may hang up while it is being sent
        assert api.web.post("/api/jobs/preview", content=endless()).status_code == 413


def test_a_size_that_is_only_announced_is_refused_at_once(api: Api) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(api.url.rsplit(":", 1)[1]), timeout=PATIENCE)
    connection.putrequest("PUT", "/api/content/b" + "a" * 58)
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status in (413, 422)
    connection.close()


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=PATIENCE)


def until_it_hangs_up(raw: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := raw.recv(65_536):
            said += piece
    return said


@pytest.mark.parametrize("line", [b"X: " + b"x" * 1_000_000, b"X: x\r\n" * 200_000, b"GET /" + b"x" * 1_000_000])
def test_a_head_without_end_is_cut_off(api: Api, line: bytes) -> None:
    with connect(api) as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n" + line)
        said = until_it_hangs_up(raw)
    assert not said or said.split()[1] in (b"400", b"431")
    assert api.bare.get("/api/health").status_code == 200


def test_who_does_not_finish_a_head_is_hung_up_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_WITHIN", 0.4)
    whole = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    stream = told(api.web, "/api/events")  # who waits for an answer is not meant
    next(stream)
    for before in (b"", whole):  # at once, and after a request that was answered
        with connect(api) as raw:
            raw.sendall(before + whole[:-2])
            said = until_it_hangs_up(raw)
        assert said.count(b"HTTP/1.1 200") == bool(before)
    api.services.hub.say(1, Notice("still", "here"))
    assert next(stream).data["kind"] == "still"
    stream.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"job_id": 1, "data": "digits", "more": 1}', b"[" * 100_000, b"\xff"]
)
def test_bodies_that_are_none_are_refused_in_words(api: Api, body: bytes) -> None:
    answer = api.web.post("/api/trainers", content=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 422)


@pytest.mark.parametrize(
    "yaml",
    ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "a: &a [1]\nb: [*a, *a]", "\t", "a: !!python/object:os.system x"],
)
def test_yaml_that_would_grow_or_nest_without_end_is_refused(api: Api, yaml: str) -> None:
    is_problem(api.web.post("/api/jobs/preview", json={"yaml": yaml}), 400)


@pytest.mark.parametrize(
    "path", ["/api/jobs/0", "/api/jobs/x", f"/api/jobs/{2**63}", "/api/jobs?limit=100000", "/api/jobs?cursor=é"]
)
def test_values_out_of_bounds_are_refused_in_words(api: Api, path: str) -> None:
    assert api.bare.get(path).status_code in (400, 422)
    assert api.bare.get(path).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/trainers", "/api/data/check"])
def test_numbers_that_no_database_holds_are_refused_in_words(api: Api, path: str) -> None:
    is_problem(api.web.post(path, json={"job_id": 2**63, "data": "digits"}), 422)


def test_streams_are_bounded(api: Api) -> None:
    with api.services.streams.taken():
        for _ in range(63):
            api.services.streams._free.acquire(blocking=False)
        answer = api.bare.get("/api/events")
        is_problem(answer, 429)
        assert answer.headers["retry-after"]
        for _ in range(63):
            api.services.streams._free.release()


# ---------------------------------------------------------------- paths


def attacks(world: World) -> list[str]:
    """Ways out of the folder `data`, next to which lies `secret.npz`."""
    data, secret = world.folder / "data", world.folder / "secret.npz"
    secret.write_bytes(b"secret")
    (world.folder / "data-2").mkdir()
    (world.folder / "data-2" / "x.npz").write_bytes(b"secret")
    (data / "link.npz").symlink_to(secret)
    (data / "up").symlink_to(world.folder)
    images = data / "images" / "0"
    images.mkdir(parents=True)
    (images / "leak.png").symlink_to(secret)
    loop = data / "loop"
    loop.symlink_to(loop)
    return [
        str(secret),
        f"{data}/../secret.npz",
        f"{data}/images/../../secret.npz",
        f"{data}/link.npz",
        f"{data}/up/secret.npz",
        f"{data}-2/x.npz",
        f"{data}/images",
        f"{data}/loop",
        f"{data}/missing.npz",
        "/etc/passwd",
        "data/x.npz",
        "~/x.npz",
        "",
        f"{data}/x\0.npz",
        "/proc/self/environ",
    ]


def test_no_path_leads_out_of_the_allowed_folders(world: World, api: Api) -> None:
    job_id, _ = world.chain.market.create_job(OWNER, terms(world.chain), KEY, "bafyspec")
    api.until(lambda: api.bare.get(f"/api/jobs/{job_id}").status_code == 200, "the job is indexed")
    for source in attacks(world):
        for path in ("/api/trainers", "/api/data/check", "/api/data/columns"):
            asked = {"data": source} | ({} if path.endswith("columns") else {"job_id": job_id})
            answer = api.web.post(path, json=asked)
            assert answer.status_code in (400, 422), source
            assert "secret" not in answer.text.replace(json.dumps(source)[1:-1], "")
    assert api.services.trainers.all() == []


@pytest.mark.parametrize("name", ["../secret.npz", "link.npz", "up/secret.npz", "missing.npz", "images", "x\0.npz", ""])
def test_a_job_s_own_file_is_one_of_an_allowed_folder(world: World, api: Api, name: str) -> None:
    attacks(world)
    folders = Folders([world.folder / "data"])
    with pytest.raises(InputError):
        folders.named(name)
    (world.folder / "data" / "mine.program").write_bytes(b"x")
    assert folders.named("mine.program") == world.folder / "data" / "mine.program"
    with pytest.raises(InputError, match="published under that name"):
        folders.named(str(world.folder / "data" / "mine.program"))


def test_what_is_outside_and_what_is_missing_cannot_be_told_apart(world: World, api: Api) -> None:
    folders = Folders([world.folder / "data"])
    (world.folder / "there").write_bytes(b"")

    def said(name: str) -> str:
        with pytest.raises(InputError) as error:
            folders.confined(str(world.folder / name))
        return str(error.value).replace(name, "")

    assert said("there") == said("gone")


def test_links_are_listed_only_when_they_stay_inside(world: World, api: Api) -> None:
    attacks(world)
    (world.folder / "data" / "own.npz").write_bytes(b"x")
    entries = [DataEntry.model_validate(entry) for entry in api.web.get("/api/data").json()]
    names = {Path(entry.source).name for entry in entries}
    assert "own.npz" in names
    assert not {"link.npz", "up", "secret.npz"} & names


def test_links_to_allowed_places_are_followed(world: World, api: Api) -> None:
    data = world.folder / "data"
    (data / "own.npz").write_bytes(b"x")
    (data / "alias.npz").symlink_to(data / "own.npz")
    assert Folders([data]).confined(str(data / "alias.npz")) == str(data / "own.npz")


# ---------------------------------------------------------------- the page


def test_the_page_is_served_and_nothing_beside_it(world: World, tmp_path: Path) -> None:
    from tests.api_node import api_of

    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html>the page")
    (dist / "assets" / "app.js").write_text("1")
    (tmp_path / "outside.txt").write_text("secret")
    (dist / "link.txt").symlink_to(tmp_path / "outside.txt")
    with api_of(world.node("node"), world.chain.first_block, dist=dist) as api:
        assert "the page" in api.bare.get("/").text
        assert "the page" in api.bare.get("/jobs/7", headers={"Accept": "text/html"}).text
        assert api.bare.get("/assets/app.js").text == "1"
        is_problem(api.bare.get("/api/nowhere"), 404)
        for path in ("/../outside.txt", "/%2e%2e/outside.txt", "/assets/..%2f..%2foutside.txt", "/link.txt"):
            assert "secret" not in api.bare.get(path).text


def test_the_documentation_is_served_under_docs_by_the_pages_own_policy(world: World, tmp_path: Path) -> None:
    from tests.api_node import api_of

    dist, docs = tmp_path / "dist", tmp_path / "docs"
    for folder, text in ((dist, "the page"), (docs, "the documentation")):
        folder.mkdir()
        (folder / "index.html").write_text(f"<!doctype html>{text}")
    (tmp_path / "outside.txt").write_text("secret")
    with api_of(world.node("node"), world.chain.first_block, dist=dist, docs=docs) as api:
        answer = api.bare.get("/docs/")
        assert "the documentation" in answer.text
        assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
        assert api.bare.get("/docs").headers["location"].endswith("/docs/")
        assert "the page" in api.bare.get("/").text
        assert api.bare.get("/docs/nowhere.html", headers={"Accept": "text/html"}).status_code == 404
        assert "secret" not in api.bare.get("/docs/..%2foutside.txt").text
    with api_of(world.node("node"), world.chain.first_block, dist=dist, docs=tmp_path / "not-built") as api:
        assert "the page" in api.bare.get("/docs/", headers={"Accept": "text/html"}).text
