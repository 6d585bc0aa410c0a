"""`merit audit`: check a job's every payout, trusting nobody."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table

from aggregator.points import LOSS_BITS, ROUND
from marketplace.cli.session import session
from marketplace.domain import Rule
from marketplace.errors import InputError
from marketplace.files import read_within
from marketplace.units import format_amount


def audit(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    job_key_file: Annotated[Path | None, typer.Option(help="The job key, to follow the models too.")] = None,
    validation: Annotated[str | None, typer.Option(help="Data to measure the models' accuracy on.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Rebuild a job from its events and check every payout, balance and file. Exit code 1 names what is wrong.

    Needs the chain and storage only: no key, no account, no server of anybody's.
    """
    from marketplace.services.audit import audit_job, report_document

    here = session(context)
    key = None
    if job_key_file is not None:
        try:
            key = bytes.fromhex(read_within(job_key_file, 256).decode("ascii").strip().removeprefix("0x"))
        except ValueError as error:
            raise InputError(f"{job_key_file} holds no job key: 64 hexadecimal digits are expected.") from error
        if len(key) != 32:
            raise InputError(f"{job_key_file} holds {len(key)} bytes; a job key has 32.")
    reader = here.reader()
    report = audit_job(reader, job, job_key=key, validation=validation)
    checks = Table("check", "result", "what was checked", title=f"Audit of job {job}", title_justify="left")
    for check in report.checks:
        mark = {True: "[green]ok[/]", False: "[bold red]WRONG[/]", None: "[yellow]not checked[/]"}[check.ok]
        checks.add_row(check.name, mark, check.detail)
    unit, brought = (1 << LOSS_BITS, "less loss") if report.rule == Rule.REFERENCE.label else (ROUND, "rounds' worth")
    pay = Table("seat", "operator", brought, "opened", "strikes", "pay", title_justify="left")
    pay.title = "Pay by seat" if report.over else "Pay by seat, if the job ended now"
    token = reader.market.token(report.token)
    for seat, paid in report.pay.items():
        amount = format_amount(paid.pay, *token) + ("" if paid.claimed or not report.over else ", to be claimed")
        pay.add_row(str(seat), paid.operator, f"{paid.balance / unit:.4f}", str(paid.opened), str(paid.strikes), amount)
    findings = [f"[red]{finding}[/]" for finding in report.findings]
    verdict = "[bold green]audit: OK[/]" if report.ok else "[bold red]audit: FAILED[/]"
    verdict += f" ({report.proofs} proofs checked)"
    if json:
        here = here.as_json()
    here.show(report_document(report), Group(checks, *([pay] if report.pay else []), *findings, verdict))
    if not report.ok:
        raise typer.Exit(1)
