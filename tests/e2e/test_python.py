"""`import merit` on a real chain: the notebook as it stands, and a market whose parties are programs of their own."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import merit
from marketplace.chain.transactions import transact
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import run
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.node import Node
from merit.events import Ended, JobCreated, Joined, Revealed, RoundSettled
from scripts.notebook import EXAMPLES, notebook
from tests.chain_fixtures import PEOPLE
from tests.jobs import ETHER, World, blobs, job_file, share_setups
from tests.patience import PATIENCE
from trainer.data import write_npz

pytestmark = pytest.mark.slow
pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

PASSWORD = "right"


def test_the_notebook_is_the_script_and_runs(tmp_path: Path) -> None:
    written = (EXAMPLES / "notebook.ipynb").read_text("utf-8")
    assert written == notebook((EXAMPLES / "notebook.py").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in json.loads(written)["cells"] if cell["cell_type"] == "code"]
    command = [sys.executable, "-c", "\n".join(cells)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "audit: OK (4 proofs checked)" in lines
    assert [line.split()[0] for line in lines if "are pay" in line] == ["anna", "ben", "cleo"]
    assert set(lines[-1].strip("[]").split()) <= {"'left'", "'right'"}


def account(world: World, name: str) -> merit.Market:
    """A funded party with a home folder and a key of its own, connected as its own program would be."""
    home = world.folder / name
    identity = Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD)
    share_setups(home)
    transact(world.chain.connection, PEOPLE[9], identity.address, b"", value=20 * ETHER, wait=PATIENCE)
    return connected(world, home, PASSWORD)


def connected(world: World, home: Path, password: str | None) -> merit.Market:
    market = world.chain.market
    storage = f"folder:{world.folder / 'storage'}"
    url = market.connection.url
    return merit.connect(rpc=url, market=market.address, storage=storage, home=home, password=password, poll=0.05)


@contextmanager
def judging(node: Node, job_id: int) -> Iterator[None]:
    stop = threading.Event()
    agent = AggregatorAgent(node, job_id, node.me.address, lambda notice: None)
    options = {"report": lambda notice: None, "poll": 0.05, "patience": PATIENCE, "stop": stop}
    thread = threading.Thread(target=run, args=(agent,), kwargs=options, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)


def test_owner_trainers_and_auditor_meet_on_a_chain_by_programs_alone(world: World) -> None:
    judge = world.node("aggregator")
    owner = account(world, "owner")
    job = owner.create(job_file(judge, min_trainers=3), validation=blobs(80, 1))
    again = owner.create(job_file(judge, min_trainers=3), validation=blobs(80, 1))
    assert again.number == job.number  # what was asked for before is not paid twice
    assert [(each.job, each.state, each.owner) for each in owner.jobs()] == [(1, merit.State.OPEN, owner.address)]

    rounds: list[int] = []

    def train(work: merit.OwnRound) -> object:
        rounds.append(work.round)
        for inputs, target in work.loader():
            loss = work.loss(inputs, target)
            work.module.zero_grad()
            loss.backward()
            for parameter in work.module.parameters():
                parameter.data -= 0.1 * parameter.grad
        return work.module

    parties = [account(world, f"trainer-{number}") for number in range(3)]
    files = [world.folder / f"data-{number}.npz" for number in range(2)]
    for number, path in enumerate(files):
        write_npz(path, blobs(60, 10 + number))
    with judging(judge, job.number):
        joined = [
            parties[0].job(job.number).join(files[0], devices="cpu"),
            parties[1].job(job.number).join(str(files[1]), devices="cpu", seed=1),
            parties[2].job(job.number).join(blobs(60, 12), devices="cpu", train=train),
        ]
        seen = []
        for event in job.watch():
            seen.append(event)
            if isinstance(event, Revealed):
                world.chain.forward(job.terms.confirm_window)
        for participation in joined:
            participation.wait(PATIENCE)
    assert rounds == [1, 2]
    assert isinstance(seen[0], JobCreated)
    assert isinstance(seen[-1], Ended)
    assert {event.operator for event in seen if isinstance(event, Joined)} == {party.address for party in parties}
    assert [event.round for event in seen if isinstance(event, RoundSettled)] == [1, 2]
    assert job.state is merit.State.COMPLETED

    checks = list(job.oversee())
    assert [check.problem for check in checks] == ["", ""]
    job.reveal()
    auditor = connected(world, world.folder / "auditor", None)
    report = auditor.job(job.number).audit()
    assert (report.ok, report.proofs) == (True, 4)
    assert job.audit(models=True).ok
    with pytest.raises(merit.NotFound, match="merit key new"):
        _ = auditor.address

    pay = job.pay()
    for party in parties:
        (mine,) = [paid for paid in pay.values() if paid.operator == party.address]
        held = party.balance()
        assert party.credit() == mine.pay + job.terms.stake
        assert party.withdraw() == mine.pay + job.terms.stake
        assert party.balance() > held
        assert party.credit() == 0
    with pytest.raises(merit.Reverted):
        parties[0].withdraw()

    model = parties[0].job(job.number).model()
    test = blobs(200, 5)
    found = model.evaluate(test)
    assert (found.name, found.value > 0.9) == ("accuracy", True)
    model.save(world.folder / "model.safetensors")
    same = merit.load_model(world.folder / "model.safetensors")
    assert np.array_equal(same.predict(test).values, model.predict(test).values)
    assert same.card.origin.job.endswith(f"/{job.number}")
