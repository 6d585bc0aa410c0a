"""What the API says of jobs in trouble, at each step of a real chain: takeovers, disputes, confirmation, exits."""

from typing import Any

from marketplace.chain.clock import skip_to
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.services.handover import received_key, received_validation
from marketplace.services.node import JobFeed, fetch_spec, job_key
from tests.api_node import Api, api_of
from tests.chain_fixtures import (
    AGGREGATOR,
    KEY,
    OWNER,
    PEOPLE,
    TRAINERS,
    Chain,
    commitment,
    running_job,
    settlement,
    terms,
)
from tests.jobs import World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]

STRANGER = PEOPLE[8]


def submit(chain: Chain, job_id: int, round_: int, *slots: int) -> None:
    for slot in slots:
        chain.market.submit_update(TRAINERS[slot], job_id, round_, commitment(round_, slot), f"bafy{slot}")


def settle(chain: Chain, job_id: int, round_: int = 1, unopened: int = 0, by: Any = AGGREGATOR) -> None:
    """All three had submitted; those that are opened are selected."""
    chosen = 0b111 & ~unopened
    weights = (1,) * chosen.bit_count()
    judged = settlement(chosen, weights, unopened, submitted=0b111, round_=round_)
    chain.market.settle_round(by, job_id, round_, *judged)


def shown(api: Api, job_id: int, part: str = "") -> Any:
    api.caught_up()
    answer = api.bare.get(f"/api/jobs/{job_id}{part}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def exit_of(detail: Any) -> tuple[str, int]:
    (found,) = detail["exits"]
    return found["call"], found["since"]


def refused(api: Api, job_id: int, call: str) -> str:
    answer = api.web.post(f"/api/jobs/{job_id}/calls/{call}")
    assert answer.status_code == 409, answer.text
    return str(answer.json()["name"])


def test_the_fee_is_due_until_the_next_round_is_settled(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0)
    assert not shown(api, job_id)["fee_due"]
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    detail = shown(api, job_id)
    assert detail["fee_due"]
    assert int(detail["escrow"]) == 1_000_000 + 2 * 70_000 + 1, "the reward of a round, both fees, what rounding left"
    assert not [credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "fee"]
    submit(chain, job_id, 2, 0, 1, 2)
    settle(chain, job_id, 2)
    (fee,) = (credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "fee")
    assert (fee["round"], fee["payee"], fee["amount"]) == (2, AGGREGATOR.address, "70000")
    assert shown(api, job_id)["fee_due"], "that of the last round is"


def test_a_stranger_completes_a_confirming_job_past_its_deadline_only(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=1, takeover_window=0)
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    detail, job = shown(api, job_id), chain.market.job(job_id)
    assert detail["summary"]["state"] == "confirming"
    assert (detail["summary"]["confirm_by"], detail["summary"]["submit_by"]) == (job.submit_by, None)
    assert exit_of(detail) == ("complete", job.submit_by + 1)
    assert [item["job_id"] for item in api.bare.get("/api/jobs?state=confirming").json()["items"]] == [job_id]
    assert refused(api, job_id, "complete") == "NotCompletable"
    chain.market.leave(TRAINERS[0], job_id)
    chain.forward(601)
    done = api.web.post(f"/api/jobs/{job_id}/calls/complete")
    assert done.status_code == 200, done.text
    detail = shown(api, job_id)
    assert detail["summary"]["state"] == "completed"
    assert detail["exits"] == detail["findings"] == []
    assert not detail["fee_due"]
    assert [person["status"] for person in shown(api, job_id, "/trainers")] == ["finished"] * 3


def test_who_left_before_the_last_round_was_settled_has_not_finished(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=1, takeover_window=0)
    chain.market.leave(TRAINERS[2], job_id)
    submit(chain, job_id, 1, 0, 1)
    chain.market.settle_round(AGGREGATOR, job_id, 1, *settlement(0b11, (1, 1), submitted=0b11))
    chain.market.leave(TRAINERS[1], job_id)
    statuses = {person["slot"]: person["status"] for person in shown(api, job_id, "/trainers")}
    assert statuses == {0: "active", 1: "finished", 2: "left"}


def test_a_failed_aggregator_s_job_is_taken_over_and_its_round_begins_anew(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=300)
    before = shown(api, job_id)
    assert (before["terms"]["takeover_window"], before["takeovers"], before["takeover"]) == (300, [], None)
    assert exit_of(before)[0] == "skip"
    submit(chain, job_id, 1, 0, 1)
    settle_by = chain.market.job(job_id).settle_by
    waiting = shown(api, job_id)
    assert waiting["takeover"] == {"since": settle_by + 1, "until": settle_by + 300}
    assert exit_of(waiting) == ("abort", settle_by + 301)
    chain.forward(1201)
    assert refused(api, job_id, "abort") == "NotAbortable"
    chain.market.take_over(STRANGER, job_id, STRANGER.address, KEY)

    taken, job = shown(api, job_id), chain.market.job(job_id)
    (takeover,) = taken["takeovers"]
    assert (takeover["round"], takeover["failed"], takeover["aggregator"]) == (1, AGGREGATOR.address, STRANGER.address)
    assert taken["summary"]["aggregator"] == STRANGER.address
    assert not taken["key_published"]
    assert taken["takeover"] is None, "who has taken over and is not ready is not taken over from"
    assert exit_of(taken) == ("abort", job.submit_by + 1)
    round_ = shown(api, job_id, "/rounds/1")
    assert (round_["summary"]["aggregator"], round_["summary"]["submitted"]) == (STRANGER.address, [])
    assert [each["slot"] for each in round_["failed"]] == [0, 1]
    assert round_["submissions"] == []

    chain.market.publish_key(STRANGER, job_id, "bafykey2")
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id, by=STRANGER)
    assert [entry["status"] for entry in shown(api, job_id, "/rounds")] == ["settled", "open"]
    assert [person["submitted"] for person in shown(api, job_id, "/trainers")] == [[1], [1], [1]]
    assert shown(api, job_id)["findings"] == []


def test_an_aggregator_that_took_over_and_is_not_ready_is_aborted_without_blame(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=300)
    submit(chain, job_id, 1, 0)
    chain.forward(1201)
    chain.market.take_over(STRANGER, job_id, STRANGER.address, KEY)
    assert "its bond, stakes and escrow go back" in shown(api, job_id)["exits"][0]["text"]
    chain.forward(601)
    assert api.web.post(f"/api/jobs/{job_id}/calls/abort").status_code == 200
    back = [credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "bond"]
    assert [credit["payee"] for credit in back] == [STRANGER.address]


def test_a_window_opens_too_where_the_job_key_was_never_handed_out(world: World, api: Api) -> None:
    chain = world.chain
    job_id, _ = chain.market.create_job(OWNER, terms(chain, takeover_window=300, max_trainers=2), KEY, "bafyspec")
    chain.market.accept_aggregation(AGGREGATOR, job_id, AGGREGATOR.address, KEY)
    for trainer in TRAINERS[:2]:
        chain.market.join(trainer, job_id, trainer.address, KEY)
    chain.market.start(OWNER, job_id)
    detail, submit_by = shown(api, job_id), chain.market.job(job_id).submit_by
    assert detail["takeover"] == {"since": submit_by + 1, "until": submit_by + 300}
    assert exit_of(detail) == ("abort", submit_by + 301)


def test_disputes_are_told_until_the_quorum_ends_the_job_and_burns_bond_and_fee(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=2, takeover_window=0)
    chain.market.dispute(TRAINERS[1], job_id)
    detail = shown(api, job_id)
    (first,) = detail["disputes"]
    assert (first["round"], first["slot"], first["operator"]) == (1, 1, TRAINERS[1].address)
    assert (first["stands"], first["confirming"], detail["quorum"]) == (True, False, 2)
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    assert [each["stands"] for each in shown(api, job_id)["disputes"]] == [False]
    submit(chain, job_id, 2, 0, 1, 2)
    settle(chain, job_id, 2)
    for trainer in (TRAINERS[0], TRAINERS[2]):
        chain.market.dispute(trainer, job_id)
    detail = shown(api, job_id)
    assert detail["summary"]["state"] == "aborted"
    assert [(each["slot"], each["confirming"], each["stands"]) for each in detail["disputes"]] == [
        (1, False, False),
        (0, True, True),
        (2, True, True),
    ]
    assert int(detail["burnt"]) == 900_000 + 70_000
    (burnt,) = (credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "burnt")
    assert burnt["payee"] == ZERO_ADDRESS
    nobody = api.bare.get(f"/api/credits/{ZERO_ADDRESS}").json()
    assert nobody["tokens"][0]["withdrawable"] == "970000"
    assert detail["findings"] == []


def test_a_shown_opening_is_told_with_its_round(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0)
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id, unopened=0b100)
    chain.market.show_opening(TRAINERS[2], job_id, 1, "bafyopening")
    (opening,) = shown(api, job_id, "/rounds/1")["shown"]
    assert (opening["slot"], opening["operator"], opening["cid"]) == (2, TRAINERS[2].address, "bafyopening")
    assert shown(api, job_id, "/rounds/2")["shown"] == []


def test_the_node_of_an_owner_hands_the_validation_data_and_the_key_to_who_takes_over(world: World) -> None:
    chain = world.chain
    play = new_play(world, takeover_window="1 h")
    judge, rescuer = play.judge(), world.node("rescuer")
    for trainer in play.trainers:
        me = trainer.me
        judge.step()
        chain.market.join(me.account, play.job_id, me.address, me.encryption_key)
    assert any(judge.step() and chain.market.job(play.job_id).key_published for _ in range(20))
    first = play.trainers[0].me.account
    chain.market.submit_update(first, play.job_id, 1, commitment(1, 0), "bafy")
    with api_of(play.owner, chain.first_block) as api:
        api.caught_up()
        skip_to(chain.connection, chain.market.job(play.job_id).settle_by + 1)
        me = rescuer.me
        chain.market.take_over(me.account, play.job_id, me.address, me.encryption_key)
        feed = JobFeed(rescuer, play.job_id)
        api.until(lambda: feed.refresh().handed_over, "the owner has handed over")
        history = feed.refresh()
        (event,) = history.handed_over
        assert event.sender == play.owner.me.address
        assert received_key(rescuer, history) == job_key(play.owner, history)
        assert received_validation(rescuer, history, fetch_spec(rescuer.storage, history.created)) is not None
        api.caught_up()
        assert len(feed.refresh().handed_over) == 1


def test_only_a_trainer_of_this_node_disputes_with_its_key(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0)
    answer = api.web.post(f"/api/trainers/{job_id}/dispute")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:merit:not-found")
    assert api.bare.post(f"/api/trainers/{job_id}/dispute").status_code == 401
    assert chain.market.job(job_id).state is State.RUNNING
