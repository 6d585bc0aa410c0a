"""What `merit --help` lists is what there is, and it is listed without importing what the commands need."""

import subprocess
import sys

import pytest

from marketplace.cli.commands import COMMANDS, loaded

HEAVY = ("eth_account", "fastapi", "numpy", "pydantic", "requests", "sklearn", "sqlalchemy", "torch", "web3", "yaml")
LISTED = f"""
import sys
from marketplace.cli.main import main
sys.argv = ["merit", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_merit_can_do_is_said_without_what_it_is_done_with(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED, option], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "imported:"
    assert all(name in done.stdout for name in COMMANDS) or option == "--version"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_in_the_list_is_its_own_help(name: str) -> None:
    first, _, _ = (loaded(name).help or "").partition("\n\n")
    assert " ".join(first.split()) == COMMANDS[name][1]
