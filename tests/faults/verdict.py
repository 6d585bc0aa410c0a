"""What must hold after a run, whatever befell it."""

import time

from marketplace.domain import ZERO_ADDRESS
from marketplace.services.index import Index
from marketplace.services.node import JobFeed
from tests.faults.child import Trouble
from tests.faults.run import Scene
from tests.faults.stage import Party

AUDIT_SECONDS = 120.0
CLEAN_EXITS = (0, 8, -9)  # the job is over; it was over when it started; it was killed


def judge(scene: Scene) -> None:
    """Adds to the run's result what does not hold.

    Every payout is right to the unit (merit audit exits with 0), all money leaves when everybody withdraws, nobody sent
    two different updates in one round, a hostile trainer was paid nothing, no process ended with a traceback or an
    error of its own, and the index that was killed holds what the chain does.
    """
    result, market = scene.result, scene.market
    if not result.stuck:
        _audit(scene)
    for node in scene.nodes.values():
        if market.credit(node.me.address, ZERO_ADDRESS):
            market.withdraw(node.me.account, ZERO_ADDRESS)
    result.lost = 0 if result.stuck else market.balance(ZERO_ADDRESS)
    if result.lost:
        result.problems.append(f"{result.lost} wei are left in the contract after everybody withdrew")
    for (sender, round), different in scene.submitted.items():
        if len(different) > 1:
            result.doubled += len(different) - 1
            result.problems.append(f"{sender} sent {len(different)} different updates in round {round}")
    _look_at_processes(scene)
    _look_at_hostile(scene)
    _look_at_index(scene)


def _audit(scene: Scene) -> None:
    home = scene.folder / "auditor"
    home.mkdir()
    environment = {**scene.parties[0].environment, "MERIT_RPC": scene.ledger.url, "MERIT_HOME": str(home)}
    auditor = Party("auditor", ["audit", str(scene.job_id)], environment, home / "errors", scene.news, Trouble())
    auditor.start()
    deadline = time.monotonic() + AUDIT_SECONDS
    while auditor.ended() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    auditor.stop()
    if auditor.code != 0:
        said = (home / "errors").read_text(errors="replace")[-400:]
        scene.result.problems.append(f"the audit exits with {auditor.code}: {said}")


def _look_at_processes(scene: Scene) -> None:
    for party in scene.parties:
        errors = party.errors.read_text(errors="replace") if party.errors.exists() else ""
        if "Traceback" in errors:
            scene.result.problems.append(f"{party.name} crashed: {errors[errors.rindex('Traceback') :][-2000:]}")
        if party is not scene.index and party.ended() not in (*CLEAN_EXITS, None):
            scene.result.problems.append(f"{party.name} ended with {party.ended()}: {errors[-300:]}")


def _look_at_hostile(scene: Scene) -> None:
    if not scene.plan.hostile:
        return
    history = JobFeed(scene.node("owner"), scene.job_id).refresh()
    slot = history.slot_of(scene.node("trainer 0").me.address)
    if slot is not None and any(slot in pays for pays in history.pays.values()):
        scene.result.problems.append(f"an update that is {scene.plan.hostile} was paid")


def _look_at_index(scene: Scene) -> None:
    """Opened again after it was killed wherever it was, it catches up and holds the chain's events, each once."""
    scene.index.stop()
    node, connection = scene.node("owner"), scene.market.connection
    url = f"sqlite:///{scene.folder / 'index.sqlite'}"
    index = Index(url, chain_id=connection.chain_id, market=scene.market.address, first_block=0)
    while index.update(node.events, connection):
        pass
    held = [news.event for news in index.events()]
    index.close()
    if held != node.events.read()[0]:
        scene.result.problems.append("the index does not hold the chain's events")
