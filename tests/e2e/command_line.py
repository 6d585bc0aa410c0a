"""The command line inside the test's process: a fixture for tests that ask what `merit` says.

PYTEST_DONT_REWRITE: test modules import from here before pytest registers the plugin.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace.cli.main import main
from marketplace.keys.keystore import Keystore
from tests.chain_fixtures import PEOPLE
from tests.jobs import World, share_setups

Merit = Callable[..., tuple[int, str, str]]
ME = PEOPLE[8]


def at_home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with ME's key, from which `merit` uses the world's chain, market and storage."""
    home = world.folder / "home"
    Keystore(home / "keys", scrypt_n=2).import_key("default", ME.key.hex().encode(), "right")
    share_setups(home)
    for name, value in {
        "HOME": str(home),
        "RPC": world.chain.connection.url,
        "MARKET": world.chain.market.address,
        "STORAGE": f"folder:{world.folder / 'storage'}",
        "PASSWORD": "right",
    }.items():
        monkeypatch.setenv(f"MERIT_{name}", value)
    return home


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """The exit code of `merit ARGUMENTS`, and what it wrote to standard output and error."""
    monkeypatch.setattr(sys, "argv", ["merit", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def merit(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Merit:
    """Runs `merit` as ME; its exit code, and what it wrote to standard output and error, with single spaces."""
    at_home(world, monkeypatch)

    def said(*arguments: object) -> tuple[int, str, str]:
        code, out, err = run(monkeypatch, capsys, *arguments)
        return code, " ".join(out.split()), " ".join(err.split())

    return said
