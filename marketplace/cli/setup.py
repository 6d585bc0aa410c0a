"""`merit setup`: what proofs rest on. Make it, import it, take part in making it, describe it (docs/setups.md).

The service is imported where it is used: commands that need no prover, `merit audit` first of all, run without the
compiled core.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from marketplace.cli.session import Session, session
from marketplace.domain import Rule
from marketplace.errors import InputError
from zk.statements import circuit_id, circuit_shape

if TYPE_CHECKING:
    from marketplace.services.setups import SetupFacts, Setups
    from zk.decision import DecisionKey
    from zk.setup import Srs

app = typer.Typer(no_args_is_help=True, help="Set-ups and keys that proofs are made and checked with.")
key_app = typer.Typer(no_args_is_help=True, help="A key that several people make together.")
app.add_typer(key_app, name="key")

Slots = Annotated[int, typer.Option(min=1, max=32, help="The most trainers of a job; rounded up to 8, 16 or 32.")]
Chunk = Annotated[int, typer.Option(help="N, the length of a chunk: a power of two, 8 … 1048576.")]
Ptau = Annotated[Path, typer.Option("--ptau", help="A ceremony's powers of tau on BN254 (.ptau).")]
Named = Annotated[str, typer.Argument(metavar="HASH|FILE", help="One that is kept here, or a file.")]


@app.command("make")
def make(
    context: typer.Context,
    chunk: Chunk,
    rule: Annotated[str | None, typer.Option(help="Also make a key for this pay rule.")] = None,
    slots: Slots = 8,
) -> None:
    """Make a set-up, and a key, for development: whoever makes them can forge proofs."""
    here = session(context)
    circuit = None if rule is None else _circuit(rule, slots)
    setups = _setups(here)
    made: list[Srs | DecisionKey] = [setups.development_srs(chunk)]
    if circuit is not None:
        made.append(setups.development_key(circuit))
    facts = [_facts(each) for each in made]
    here.show([_document(each) for each in facts], "\n".join(_sentence(each) for each in facts))


@app.command("list")
def list_setups(context: typer.Context) -> None:
    """What is kept in the home folder."""
    here = session(context)
    found = _setups(here).list()
    table = Table("what", "for", "kind", "bytes", "hash")
    for facts in found:
        what = "set-up" if facts.what == "srs" else "key"
        table.add_row(what, _size(facts), facts.kind, f"{facts.bytes:,}", "0x" + facts.hash.hex())
    here.show(
        [_document(facts) for facts in found],
        table if found else "There is none yet; `merit setup make` or `merit setup ptau` makes one.",
    )


@app.command("describe")
def describe(context: typer.Context, named: Named) -> None:
    """Kind, size, hash and contributions; a file that is not kept here is checked in full."""
    here = session(context)
    facts = _facts(_setups(here).find(named))
    lines = [f"{name}: {value}" for name, value in _document(facts).items() if name != "contributions"]
    lines += [f"contribution: 0x{state.hex()} {name}" for name, state in facts.contributions]
    here.show(_document(facts), "\n".join(lines))


@app.command("import")
def import_file(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The file of a set-up or key.")]
) -> None:
    """Keep a set-up or key that somebody gave you, after all of it was checked."""
    here = session(context)
    _say(here, _setups(here).import_file(file))


@app.command("ptau")
def ptau(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A ceremony's powers of tau on BN254 (.ptau).")],
    chunk: Chunk,
) -> None:
    """Keep the set-up in a ceremony's file, after all of it was checked. Takes minutes for the largest."""
    here = session(context)
    with _bar(here) as progress:
        srs = _setups(here).import_ptau(file, chunk, progress)
    _say(here, srs)


@key_app.command("new")
def key_new(
    context: typer.Context,
    ptau: Ptau,
    rule: Annotated[str, typer.Option(help="krum-cosine or reference: the pay rule that the key is for.")],
    slots: Slots,
) -> None:
    """The key that follows from a ceremony's powers alone: the first contributor starts from it."""
    here = session(context)
    circuit = _circuit(rule, slots)
    with _bar(here) as progress:
        key = _setups(here).initial_key(ptau, circuit, progress)
    _say(here, key, "It is worth nothing before somebody contributes to it.")


@key_app.command("contribute")
def key_contribute(
    context: typer.Context,
    named: Named,
    name: Annotated[str, typer.Option(help="What the contribution is listed under: up to 64 bytes.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the key to this file.")] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Add your secret to a key. It is drawn and forgotten here: one honest contributor makes the key sound."""
    here = session(context)
    if output is not None and output.exists() and not force:
        raise InputError(f"{output} exists; give --force to replace it.")
    setups = _setups(here)
    key = setups.contribute(named, name)
    if output is not None:
        setups.export(key, output)
    mine = key.contributions[-1][1].hex()
    _say(here, key, f"Make the hash of your contribution known, so that all see it in the final key: 0x{mine}")


@key_app.command("verify")
def key_verify(context: typer.Context, named: Named, ptau: Ptau) -> None:
    """Check that a key follows from a ceremony's powers by its contributions, and from nothing else."""
    here = session(context)
    with _bar(here) as progress:
        key = _setups(here).verify_key(named, ptau, progress)
    names = ", ".join(name for name, _ in key.contributions)
    _say(here, key, f"It follows from {ptau} by the contributions of {names}.")


# ---------------------------------------------------------------- common to them


def _setups(here: Session) -> "Setups":
    from marketplace.services.setups import Setups

    return Setups(here.settings.home_folder / "setups")


def _facts(made: "Srs | DecisionKey") -> "SetupFacts":
    from marketplace.services.setups import facts_of

    return facts_of(made)


def _circuit(rule: str, slots: int) -> int:
    found = [each for each in Rule if each.label == rule]
    if not found:
        raise InputError(f"There is no pay rule {rule!r}: {' and '.join(each.label for each in Rule)} are known.")
    return circuit_id(found[0].value, slots)


@contextmanager
def _bar(here: Session) -> Iterator[Callable[[str, int, int], None] | None]:
    if here.json:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=here.err, transient=True) as progress:
        task = progress.add_task("reading", total=None)

        def show(phase: str, done: int, total: int) -> None:
            progress.update(task, description=phase, completed=done, total=total if done else None)

        yield show


def _say(here: Session, made: "Srs | DecisionKey", more: str = "") -> None:
    facts = _facts(made)
    here.show(_document(facts), _sentence(facts) + (f"\n{more}" if more else ""))


def _size(facts: "SetupFacts") -> str:
    if facts.what == "srs":
        return f"chunks of {facts.size:,}"
    rule, slots = circuit_shape(facts.size)
    return f"{Rule(rule).label}, {slots} seats"


def _document(facts: "SetupFacts") -> dict[str, Any]:
    document: dict[str, Any] = {
        "what": facts.what,
        "chunk" if facts.what == "srs" else "circuit": facts.size,
        "kind": facts.kind,
        "hash": "0x" + facts.hash.hex(),
        "bytes": facts.bytes,
    }
    if facts.contributions:
        document["contributions"] = [{"name": name, "hash": "0x" + state.hex()} for name, state in facts.contributions]
    return document


def _sentence(facts: "SetupFacts") -> str:
    named = f"{'Set-up' if facts.what == 'srs' else 'Key'} 0x{facts.hash.hex()} ({_size(facts)})"
    return f"{named} is " + ("for development only." if facts.development else "from a ceremony.")
