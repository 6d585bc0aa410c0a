"""What must hold after a run, whatever befell it."""

import time

from marketplace.domain import ZERO_ADDRESS, slots
from marketplace.errors import ChainError, JobOver
from marketplace.services.index import Index
from marketplace.services.node import JobFeed
from tests.faults.child import Trouble
from tests.faults.run import Scene
from tests.faults.stage import Party

AUDIT_SECONDS = 120.0
BYSTANDERS = ("node", "owner")  # they end at an outage, and are started again
CLEAN_EXITS = (0, JobOver.exit_code, -9)  # the job is over; it was over when it started; it was killed


def judge(scene: Scene) -> None:
    """Adds to the run's result what does not hold.

    Every payout is right to the unit (merit audit exits with 0), all money leaves when everybody withdraws, nobody sent
    two different updates in one round, a hostile trainer was paid nothing, no process ended with a traceback or an
    error of its own, and the index of the node that was killed holds what the chain does.
    """
    result, market = scene.result, scene.market
    if not result.stuck:
        _audit(scene)
    if not result.stuck:
        _claim(scene)
    for node in scene.nodes.values():
        if market.credit(node.me.address, ZERO_ADDRESS):
            market.withdraw(node.me.account, ZERO_ADDRESS)
    burnt = market.credit(ZERO_ADDRESS, ZERO_ADDRESS)
    result.lost = 0 if result.stuck else market.balance(ZERO_ADDRESS) - burnt
    if result.lost:
        result.problems.append(f"{result.lost} wei are left in the contract after everybody withdrew")
    again = [event.round for event in JobFeed(scene.party("owner"), scene.job_id).refresh().takeovers]
    for (sender, round), different in scene.submitted.items():
        allowed = 1 + again.count(round)  # to another aggregator a round's update is sealed again
        if len(different) > allowed:
            result.doubled += len(different) - allowed
            result.problems.append(f"{sender} sent {len(different)} different updates in round {round}")
    _look_at_processes(scene)
    _look_at_hostile(scene)
    _look_at_index(scene)


def _claim(scene: Scene) -> None:
    """What those do not claim any more whose part ended early, or who lost the job to another."""
    owner = scene.party("owner")
    history = JobFeed(owner, scene.job_id).refresh()
    for slot in {*slots(history.members)} - history.claimed:
        scene.market.claim(owner.me.account, scene.job_id, slot)
    for payee in [] if history.disputed_sum else history.owed:
        scene.market.claim_fees(owner.me.account, scene.job_id, payee)


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
        scene.result.problems.append(f"the audit exits with {auditor.code}: {_last_words(auditor)}")


def _look_at_processes(scene: Scene) -> None:
    for party in scene.parties:
        party.stop()
        if "Traceback" in party.said():
            scene.result.problems.append(f"{party.name} crashed: {_last_words(party)}")
        elif not (party.name in BYSTANDERS or party.trouble.hostile or _ended_well(party)):
            scene.result.problems.append(f"{party.name} ended with {party.ended()}: {_last_words(party)}")


def _ended_well(party: Party) -> bool:
    """Or it was started while the chain gave no answer, which it says and ends."""
    return party.ended() in (*CLEAN_EXITS, None) or (party.ended() == ChainError.exit_code and not party.spoke)


def _last_words(party: Party) -> str:
    """The last traceback that the party printed, else its last lines; without what it says at every start."""
    said = [line for line in party.said().splitlines() if line.strip() and "for development only" not in line]
    begins = [number for number, line in enumerate(said) if "Traceback" in line]
    return "\n".join(said[begins[-1] :] if begins else said[-3:])[-2000:]


def _look_at_hostile(scene: Scene) -> None:
    if not scene.plan.hostile:
        return
    history = JobFeed(scene.party("owner"), scene.job_id).refresh()
    slot = history.slot_of(scene.party("trainer 0").me.address)
    if slot is not None and any(gains.get(slot, 0) > 0 for gains in history.gains.values()):
        scene.result.problems.append(f"an update that is {scene.plan.hostile} brought points")


def _look_at_index(scene: Scene) -> None:
    """Opened again after it was killed wherever it was, it catches up and holds the chain's events, each once."""
    scene.node.stop()
    node, connection = scene.party("owner"), scene.market.connection
    name = f"{connection.chain_id}-{scene.market.address}-0.sqlite"
    url = f"sqlite:///{scene.party('node').home / 'index' / name}"
    index = Index(url, chain_id=connection.chain_id, market=scene.market.address, first_block=0)
    while index.update(node.events, connection):
        pass
    held = [news.event for news in index.events()]
    index.close()
    if held != node.events.read()[0]:
        scene.result.problems.append("the index does not hold the chain's events")
