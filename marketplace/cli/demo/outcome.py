"""What came of a demo: a live board while it runs; tables, JSON and a picture at the end."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Group
from rich.table import Table

from marketplace.cli.demo.cast import Cast
from marketplace.domain import Job
from marketplace.replay import JobHistory
from marketplace.units import format_metric
from trainer.train import Evaluation


@dataclass(frozen=True, slots=True)
class Outcome:
    """names: operator → (name, role); scores: on the test data, before round 1 and after each round; gas: by call, of
    each transaction; seconds: by phase."""

    history: JobHistory
    names: dict[str, tuple[str, str]]
    scores: list[Evaluation]
    gas: dict[str, list[int]]
    seconds: dict[str, float]
    audit: dict[str, Any]
    parameters: int

    @property
    def audit_ok(self) -> bool:
        return self.audit.get("ok") is True

    def payouts(self) -> dict[str, dict[str, Any]]:
        """By trainer: role, wei paid for work, rounds in which it was selected, and by round its part of the gains."""
        settled, parts = sorted(self.history.settled.items()), self.history.divided(self.history.pot_so_far)
        result = {}
        for slot, trainer in sorted(self.history.participants.items()):
            name, role = self.names[trainer.operator]
            selected = [number for number, event in settled if event.settlement.selected >> slot & 1]
            by_round = {number: self.history.rounds[number - 1].part(slot) for number, _ in settled}
            result[name] = {
                "role": role,
                "slot": slot,
                "operator": trainer.operator,
                "wei": parts[slot],
                "selected": selected,
                "by_round": by_round,
            }
        return dict(sorted(result.items()))


def board(job: Job, players: Cast, status: dict[str, str], rounds: int) -> Table:
    """What everybody is doing."""
    title = f"job {job.state.name.lower()}, round {job.round} of {rounds}, {job.submitted.bit_count()} submitted"
    table = Table(title=title, title_justify="left", expand=True)
    table.add_column("who", no_wrap=True)
    table.add_column("role", no_wrap=True)
    table.add_column("does", overflow="ellipsis", no_wrap=True, ratio=1)
    for player in players.all:
        table.add_row(player.name, player.role, status.get(player.name, ""))
    return table


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The results for programs."""
    return {
        "metric": outcome.scores[0].name,
        "values": [entry.value for entry in outcome.scores],
        "losses": [entry.loss for entry in outcome.scores],
        "payouts": outcome.payouts(),
        "gas": outcome.gas,
        "seconds": outcome.seconds,
        "audit": outcome.audit,
        "state": outcome.history.state.name.lower(),
    }


def outcome_tables(outcome: Outcome) -> Group:
    """The results for people."""
    scores, name = outcome.scores[1:], outcome.scores[0].name
    by_round = Table("", *(f"round {number}" for number in range(1, len(scores) + 1)), title=f"Test {name} by round")
    by_round.add_row("", *(format_metric(entry.value, share=entry.share) for entry in scores))
    rounds = sorted(outcome.history.settled)
    pay = Table(title="What each round brought, as a part of it, and pay in ether")
    for header in ("trainer", "role", *(f"round {number}" for number in rounds), "paid"):
        pay.add_column(header, no_wrap=header in ("trainer", "role", "paid"))
    for name, row in outcome.payouts().items():
        cells = [f"{row['by_round'][number]:+.1%}" if number in row["selected"] else "-" for number in rounds]
        pay.add_row(name, row["role"], *cells, f"{row['wei'] / 10**18:.4f}")
    gas = Table("call", "transactions", "gas, median", "gas, most", title="Gas by call")
    for call, used in sorted(outcome.gas.items()):
        gas.add_row(call, str(len(used)), f"{int(median(used)):,}", f"{max(used):,}")
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.seconds.items())
    checks = outcome.audit.get("checks", [])
    passed = sum(check["ok"] is True for check in checks)
    verdict = "[bold green]audit: OK[/]" if outcome.audit_ok else "[bold red]audit: FAILED[/]"
    wrong = [f"  {finding['where']}: {finding['what']}" for finding in outcome.audit.get("findings", [])]
    verdict += f" ({passed} of {len(checks)} checks passed, {outcome.audit.get('proofs', 0)} proofs hold)"
    return Group(by_round, pay, gas, f"Time: {spent}.", *wrong, verdict)


def picture(outcome: Outcome, path: Path) -> None:
    """The metric by round beside pay by trainer, as PNG or SVG by the file's ending."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    name = outcome.scores[0].name
    left.plot(range(len(outcome.scores)), [entry.value for entry in outcome.scores], marker="o")
    left.set(xlabel="round", ylabel=f"test {name}", title=f"{name.capitalize()} by round")
    if outcome.scores[0].share:
        left.set_ylim(0, 1)
        left.yaxis.set_major_formatter("{x:.0%}")
    left.grid(alpha=0.3)
    rows = outcome.payouts()
    right.bar(list(rows), [row["wei"] / 10**18 for row in rows.values()])
    right.set(ylabel="pay, ether", title="Pay by trainer")
    right.set_xticks(range(len(rows)), [f"{name}\n{row['role']}" for name, row in rows.items()], fontsize=8)
    figure.savefig(path, dpi=150)
