"""What the command line says, all of it, in one file for review: tests/snapshots/command-line.txt.

`MERIT_RENEW=1 pytest tests/e2e/test_messages.py` writes it anew. It holds the help of each command, what real commands
print against a real chain, and the templates of all messages in the sources.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
import typer.rich_utils
import yaml

from marketplace.cli.commands import COMMANDS, loaded
from marketplace.keys.keystore import Keystore
from tests.chain_fixtures import PEOPLE
from tests.e2e.command_line import at_home, run
from tests.jobs import World, blobs, job_file, new_play
from tests.messages import templates
from trainer.data import write_npz

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

SNAPSHOT = Path(__file__).resolve().parents[1] / "snapshots" / "command-line.txt"
PARTS = ("What commands say", "Help", "Every message in the sources")
WIDTH = 110
Say = Callable[..., str]

# What differs from run to run.
_VARIES = [
    (r"bafk[a-z2-7]{55}", "CID"),
    (r"0x[0-9a-f]{64}", "HASH"),
    (r"about [0-9.]+ ether", "about N ether"),
    (r"(?<= ether) {2,}", "  "),  # a column as wide as that number
    (r"^\d\d:\d\d:\d\d ", "HH:MM:SS "),
    (r"\d\d:\d\d on \d+ [A-Z][a-z]+", "HH:MM on DAY"),
    (r"\d\d:\d\d(?=[.;,])", "HH:MM"),
    (r"[0-9.]+ GiB", "N GiB"),
    (r"0x[0-9a-fA-F]{40}", "ADDRESS"),
    (r"0x[0-9a-fA-F]{6,39}…", "ADDRESS"),
    (r"^HH:MM:SS Still .*\n", ""),
    (r"from block \d+ on", "from block N on"),
    (r"\d+\.\d{4,}", "N"),
    (r"loss \d+\.\d+", "loss N"),
    (r"accuracy [0-9.]+%", "accuracy N%"),
    (r"process \d+", "process PID"),
    (r"holds \d+\.\d{6,} ether", "holds N ether"),
    (r"N ether(?= are missing)", "N ether"),
    (r"Python \d+\.\d+\.\d+, torch [0-9.+a-z]+", "Python P, torch T"),
    (r"gas costs [0-9.]+ gwei", "gas costs N gwei"),
    (r"clock is \d+ s (ahead of|behind)", "clock is S s \\1"),
]


@pytest.fixture
def say(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs `merit` in this process; the command, its exit code and what it wrote, with what varies named."""
    home = at_home(world, monkeypatch)
    Keystore(home / "keys", scrypt_n=2).import_key("other", PEOPLE[7].key.hex().encode(), "right")
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERM", "dumb")
    known = {
        str(world.folder): "FOLDER",
        world.chain.connection.url: "RPC",
        world.chain.connection.url.rpartition(":")[2]: "PORT",
        world.chain.market.address: "MARKET",
        PEOPLE[8].address: "ME",
        PEOPLE[7].address: "OTHER",
    }

    def named(text: str) -> str:
        for value, name in known.items():
            text = text.replace(value, name)
        for pattern, name in _VARIES:
            text = re.sub(pattern, name, text, flags=re.MULTILINE)
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())

    def said(*arguments: object, **environment: str | None) -> str:
        with monkeypatch.context() as changed:
            for name, value in environment.items():
                changed.delenv(name, False) if value is None else changed.setenv(name, value)
            code, out, err = run(changed, capsys, *arguments)
        set_for = "".join(f"{name}={value or ''} " for name, value in environment.items())
        shown = named(f"$ {set_for}merit {' '.join(map(str, arguments))}")
        return f"{shown}{named(out)}{named(err)}(exit code {code})\n"

    return said


def helps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", WIDTH)
    monkeypatch.setattr(typer.rich_utils, "COLOR_SYSTEM", None)
    pages = []

    def visit(commands: Mapping[str, object], *path: str) -> None:
        _, out, _ = run(monkeypatch, capsys, *path, "--help")
        pages.append(f"$ merit {' '.join([*path, '--help'])}\n{_plain(out)}")
        for name, command in commands.items():
            visit(getattr(command, "commands", {}), *path, name)

    visit({name: loaded(name) for name in COMMANDS})
    return "\n".join(pages)


def _plain(text: str) -> str:
    """Without boxes: what is said."""
    lines = (re.sub(r"[─╭╮╰╯]{2,}", "", line).replace("│", " ").strip("╭╮╰╯─ ") for line in text.splitlines())
    return "".join(f"{re.sub(r'  +', '  ', line)}\n" for line in lines if line.strip())


def document(world: World) -> dict[str, object]:
    made: dict[str, object] = job_file(world.node("aggregator")).model_dump(mode="json", exclude_none=True)
    return made


MISTAKES: dict[str, Callable[[str], str]] = {
    "an unknown field": lambda text: text + "colour: red\n",
    "no name": lambda text: re.sub("^name:.*\n", "", text, flags=re.MULTILINE),
    "a name that is a number": lambda text: re.sub("^name:.*\n", "name: 2026\n", text, flags=re.MULTILINE),
    "names of classes without quotes": lambda text: re.sub(r"names: \[\]", "names: [yes, no]", text),
    "no rounds": lambda text: text.replace("rounds: 2", "rounds: 0"),
    "an amount that is none": lambda text: re.sub("reward: .*", "reward: much", text),
    "an amount without a unit": lambda text: re.sub("reward: .*", "reward: 0.5", text),
    "a duration that is none": lambda text: re.sub("submit_window: .*", "submit_window: 10 parsecs", text),
    "an address of one digit": lambda text: re.sub(r"address: .*", "address: 0x1", text),
    "a name for an address": lambda text: re.sub(r"address: .*", "address: market.eth", text),
    "a wrong checksum": lambda text: re.sub(
        r"address: .*", "address: 0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", text
    ),
    "coin in a job that pays in a token": lambda text: re.sub(
        "reward: .*", "reward: 5 ether\n  token: 0x52908400098527886e0f7030069857d2e4169ee7", text
    ),
    "more faulty trainers than seats bear": lambda text: re.sub("max_faulty: .*", "max_faulty: 3", text),
    "an architecture that is none": lambda text: text.replace("architecture: mlp", "architecture: transformer9"),
    "a model for other data": lambda text: re.sub(r"(shape:\n +)- 2", r"\1- 3", text),
    "a field that is given twice": lambda text: text + "name: Again\n",
    "an anchor": lambda text: text + "a: &x 1\n",
    "no YAML": lambda text: "market: [",
    "nothing": lambda text: "",
}


def conversation(world: World, say: Say) -> str:
    """What is said, in chapters."""
    parts: list[str] = []
    folder, job = world.folder, folder_file(world, "job.yaml", yaml.safe_dump(document(world), sort_keys=False))
    write_npz(folder / "good.npz", blobs(40, 3))
    write_npz(folder / "validation.npz", blobs(40, 4))
    good = ("--data", folder / "good.npz")

    def chapter(title: str, *said: str) -> None:
        parts.append(f"# {title}\n\n" + "\n".join(said))

    chapter(
        "Where there is nothing",
        say("--version"),
        say("--rpc", "nowhere", "job", "list"),
        say("--rpc", "http://127.0.0.1:9", "job", "list"),
        say("page"),
        say("job", "list"),
        say("audit", 7),
        say("job", "list", MERIT_MARKET=None),
        say("--market", "0x12", "job", "list"),
        say("--market", "market.eth", "job", "list"),
        say("--market", PEOPLE[1].address, "job", "list"),
        say("--poll", "soon", "job", "list"),
    )
    chapter(
        "Keys and coin",
        say("key", "list"),
        say("key", "show"),
        say("key", "show", MERIT_PASSWORD="wrong"),
        say("key", "show", MERIT_PASSWORD=None),
        say("--password-file", folder / "nowhere", "key", "show", MERIT_PASSWORD=None),
        say("key", "new", "default"),
        say("key", "new", "No Name"),
        say("--key", "nobody", "withdraw"),
        say("--key", "0xnobody", "withdraw"),
        say("--home", folder / "empty", "withdraw"),
        say("fund", "other", PEOPLE[8].address.lower()),
        say("fund", "nobody.eth"),
        say("deploy", MERIT_HOME=str(folder / "home")),
    )
    chapter(
        "Creating a job",
        say("job", "create", folder / "nowhere.yaml"),
        *(f"{title}:\n" + create(world, say, mistaken(change, job.read_text())) for title, change in MISTAKES.items()),
        say("job", "create", job),
        say("--key", "other", "--storage", "/ip4/127.0.0.1/tcp/9", "job", "create", "--yes", job),
        create(world, say, re.sub("reward: .*", "reward: 900000 ether", job.read_text())),
        create(world, say, re.sub("rounds: 2", "rounds: 2\n  rule: reference", job.read_text())),
        say("job", "create", "--yes", job, "--validation", folder / "nowhere.npz"),
        say("job", "create", "--yes", job, "--validation", folder / "validation.npz"),
        say("job", "list"),
        say("job", "show", 1),
    )
    chapter(
        "Before a job starts",
        say("job", "start", 1),
        say("job", "skip", 1),
        say("job", "abort", 1),
        say("job", "complete", 1),
        say("--key", "other", "job", "cancel", 1),
        say("job", "model", 1, "-o", folder / "model.safetensors"),
        say("job", "key", 1, "-o", folder / "job.key"),
        say("job", "reveal", 1),
        say("job", "reveal", 1, "--members"),
        say("data", "check", 1, *good),
        say("data", "check", 1, "--data", folder / "nowhere.csv"),
        say("--storage", f"folder:{folder / 'home'}", "data", "check", 1, *good),
        say("trainer", "join", 1, *good, "--payee", "me"),
        say("trainer", "join", 1, *good, "--devices", "abacus"),
        say("trainer", "leave", 1),
        say("trainer", "dispute", 1),
        say("trainer", "dispute", 1, "--yes"),
        say("trainer", "show-opening", 1, 1),
        say("trainer", "show-opening", 1, 1, "--publish-my-update"),
        say("aggregator", "run", "--take-over"),
        say("aggregator", "run", "--job", 1, "--take-over"),
        say("aggregator", "run", "--job", 1),
        say("audit", 1),
        say("job", "cancel", 1),
        say("job", "show", 1),
        say("withdraw"),
        say("withdraw"),
        say("withdraw", "--token", "0x12"),
    )
    play = new_play(world)
    play.finish()
    chapter(
        "A job that is over",
        say("job", "show", play.job_id),
        say("trainer", "join", play.job_id, *good),
        say("aggregator", "run", "--job", play.job_id),
        say("job", "model", play.job_id, "-o", folder / "model.safetensors"),
        say("job", "watch", play.job_id, "--validation", folder / "validation.npz"),
        say("audit", play.job_id),
        say("audit", play.job_id, "--job-key-file", folder / "job.yaml"),
        say("audit", play.job_id, "--job-key-file", folder / "nowhere"),
        say("audit", play.job_id, "--validation", "digits"),
        say("job", "list"),
    )
    chapter(
        "No such job",
        *(
            say(*command)
            for command in (
                ("job", "show", 9),
                ("job", "model", 9),
                ("job", "watch", 9),
                ("job", "cancel", 9),
                ("trainer", "join", 9, *good),
                ("trainer", "leave", 9),
                ("aggregator", "run", "--job", 9),
                ("audit", 9),
                ("job", "show", 0),
            )
        ),
    )
    taken = world.chain.connection.url.rpartition(":")[2]
    chapter(
        "Set-ups and nodes",
        say("setup", "make", "--chunk", "100"),
        say("setup", "make", "--chunk", "1024", "--rule", "generosity"),
        say("setup", "describe", folder / "nowhere"),
        say("setup", "import", job),
        say("chain", "--port", taken),
        say("up", "--admit", "me"),
        say("up", "--port", taken),
        say("up", "--data", folder / "nowhere"),
    )
    return "\n".join(parts)


def folder_file(world: World, name: str, text: str) -> Path:
    path = world.folder / name
    path.write_text(text)
    return path


def mistaken(change: Callable[[str], str], text: str) -> str:
    """A job file with a mistake in it; one that changes nothing would be no mistake."""
    changed = change(text)
    assert changed != text
    return changed


def create(world: World, say: Say, text: str) -> str:
    return say("job", "create", "--yes", folder_file(world, "changed.yaml", text))


def held(part: str, text: str) -> None:
    """Holds one part of the snapshot to what is said now, or writes it anew."""
    parts = dict.fromkeys(PARTS, "")
    if SNAPSHOT.exists():
        for found in re.split(r"^=+ ", SNAPSHOT.read_text(), flags=re.MULTILINE)[1:]:
            name, _, kept = found.partition("\n\n")
            parts[name] = kept.rstrip("\n") + "\n"
    if os.environ.get("MERIT_RENEW"):
        parts[part] = text
        SNAPSHOT.write_text("\n".join(f"{'=' * 20} {name}\n\n{kept}" for name, kept in parts.items()))
    changes = list(
        difflib.unified_diff(parts[part].splitlines(), text.splitlines(), "kept", "said now", lineterm="", n=1)
    )
    hint = "read what changed; if it is meant, `MERIT_RENEW=1 pytest tests/e2e/test_messages.py` keeps it"
    assert not changes, hint + "\n" + "\n".join(changes[:200])


def test_every_message_in_the_sources_is_in_the_snapshot() -> None:
    held("Every message in the sources", templates())


def test_the_help_of_every_command_is_in_the_snapshot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held("Help", helps(monkeypatch, capsys))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_what_real_commands_say_is_in_the_snapshot(world: World, say: Say) -> None:
    held("What commands say", conversation(world, say))
