"""What the API says of jobs in trouble, at each step of a real chain: takeovers, disputes, confirmation, exits."""

from typing import Any

from marketplace.chain.clock import skip_to
from marketplace.domain import ZERO_ADDRESS, Rule, State
from marketplace.services.handover import Inbox
from marketplace.services.node import JobFeed, fetch_spec, job_key
from tests.api_node import Api, api_of
from tests.chain_fixtures import (
    AGGREGATOR,
    FIVE,
    KEY,
    ONE_FAULTY,
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
        chain.market.submit_update(FIVE[slot], job_id, round_, commitment(round_, slot), f"bafy{slot}")


def settle(
    chain: Chain, job_id: int, round_: int = 1, unopened: int = 0, by: Any = AGGREGATOR, submitted: int = 0b111
) -> None:
    """Those that are opened are selected."""
    chosen = submitted & ~unopened
    scores = (1,) * chosen.bit_count()
    judged = settlement(chosen, scores, unopened, submitted=submitted, round_=round_)
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


def test_fees_and_pot_grow_by_round_and_nothing_is_paid_before_the_end(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0)
    before = shown(api, job_id)
    assert (before["settled"], before["pot"], before["fees"], before["outcome"]) == (0, "0", "0", None)
    for round_ in (1, 2):
        submit(chain, job_id, round_, 0, 1, 2)
        settle(chain, job_id, round_)
        detail = shown(api, job_id)
        pot, fees = round_ * 1_000_000, round_ * 70_000
        assert (detail["settled"], int(detail["pot"]), int(detail["fees"])) == (round_, pot, fees)
        assert int(detail["escrow"]) == 2 * (1_000_000 + 70_000)
    assert shown(api, job_id, "/payouts") == []
    assert (detail["summary"]["state"], detail["outcome"]) == ("confirming", "completed")
    assert [person["pay"] for person in shown(api, job_id, "/trainers")] == ["666666"] * 3


def test_a_stranger_completes_a_confirming_job_past_its_deadline_only(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=1, takeover_window=0, confirm_window=900)
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    detail, job = shown(api, job_id), chain.market.job(job_id)
    assert detail["summary"]["state"] == "confirming"
    assert (detail["terms"]["confirm_window"], detail["terms"]["min_rounds"]) == (900, 1)
    assert (detail["summary"]["confirm_by"], detail["summary"]["submit_by"]) == (job.submit_by, None)
    assert exit_of(detail) == ("complete", job.submit_by + 1)
    assert [item["job_id"] for item in api.bare.get("/api/jobs?state=confirming").json()["items"]] == [job_id]
    assert refused(api, job_id, "complete") == "NotCompletable"
    chain.forward(901)
    done = api.web.post(f"/api/jobs/{job_id}/calls/complete")
    assert done.status_code == 200, done.text
    detail = shown(api, job_id)
    assert detail["summary"]["state"] == "completed"
    assert detail["exits"] == detail["findings"] == []
    assert (detail["fees"], detail["outcome"]) == ("0", None)
    (fee,) = (credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "fee")
    assert (fee["payee"], fee["amount"]) == (AGGREGATOR.address, "70000")
    assert [person["status"] for person in shown(api, job_id, "/trainers")] == ["finished"] * 3


def test_pay_and_stakes_wait_for_claims_which_anybody_may_send_once(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0, max_strikes=1)
    submit(chain, job_id, 1, 0, 1, 2)
    chain.market.settle_round(
        AGGREGATOR, job_id, 1, *settlement(0b011, (3, 1), struck=0b100, submitted=0b111, round_=1)
    )
    (first, _) = shown(api, job_id, "/rounds")
    assert (first["selected"], first["struck"]) == ([0, 1], [2])
    assert [int(gain) for gain in first["gains"]] == [3 * 2**62, 2**62]
    judged = {each["slot"]: each for each in shown(api, job_id, "/rounds/1")["judged"]}
    assert [judged[slot]["verdict"] for slot in range(3)] == ["selected", "selected", "struck"]
    assert [(each["score"], each["gain"], each["loss"]) for each in judged.values()] == [
        ("3", str(3 * 2**62), None),
        ("1", str(2**62), None),
        ("0", "0", None),
    ]
    assert api.web.post(f"/api/jobs/{job_id}/claims/0").json()["name"] == "NotOver"
    chain.market.leave(TRAINERS[1], job_id)
    submit(chain, job_id, 2, 0)
    chain.forward(601)
    chain.market.settle_round(AGGREGATOR, job_id, 2, *settlement(0b001, (1,), submitted=0b001, round_=2))
    people = shown(api, job_id, "/trainers")
    # Points: (3 + 4) / 4 · 2 rounds, 1 / 4 · 1 round, none.
    assert [(each["balance"], each["opened"]) for each in people] == [
        (str(7 * 2**62), 2),
        (str(2**62), 1),
        ("0", 1),
    ]
    assert [int(each["pay"]) for each in people] == [2_000_000 * 14 // 15, 2_000_000 // 15, 0]
    assert [(each["staked"], each["stake"]) for each in people] == [(True, "500000"), (False, "0"), (True, "350000")]
    assert [(each["strikes"], each["struck"]) for each in people] == [(0, []), (0, []), (1, [1])]
    chain.forward(601)
    assert api.web.post(f"/api/jobs/{job_id}/calls/complete").status_code == 200

    def waiting(account: str) -> list[tuple[int, int, str, str]]:
        api.caught_up()
        found = api.bare.get(f"/api/credits/{account}").json()["unclaimed"]
        return [(each["job_id"], each["slot"], each["pay"], each["stake"]) for each in found]

    assert waiting(TRAINERS[0].address) == [(job_id, 0, "1866666", "500000")]
    assert waiting(TRAINERS[1].address) == [(job_id, 1, "133333", "0")]
    assert waiting(TRAINERS[2].address) == [(job_id, 2, "0", "350000")]
    assert waiting(AGGREGATOR.address) == waiting(STRANGER.address) == []
    for slot in range(3):
        assert api.web.post(f"/api/jobs/{job_id}/claims/{slot}").status_code == 200
    again = api.web.post(f"/api/jobs/{job_id}/claims/0")
    assert (again.status_code, again.json()["name"]) == (409, "AlreadyClaimed")
    assert api.web.post(f"/api/jobs/{job_id}/claims/3").json()["name"] == "NotMember"
    assert api.web.post(f"/api/jobs/{job_id}/claims/32").status_code == 422
    assert [waiting(who.address) for who in TRAINERS] == [[], [], []]
    detail = shown(api, job_id)
    assert int(detail["burnt"]) == 150_000 + 1, "the slash for strikes, and what of the pot did not divide"
    assert (detail["escrow"], detail["findings"]) == ("0", [])
    assert [each["claimed"] for each in shown(api, job_id, "/trainers")] == [True] * 3


def test_a_seat_is_found_by_its_payee_too(world: World, api: Api) -> None:
    chain = world.chain
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    chain.market.join(TRAINERS[0], job_id, STRANGER.address, KEY)
    chain.market.join(TRAINERS[1], job_id, TRAINERS[1].address, KEY)
    chain.market.leave(TRAINERS[1], job_id)
    assert [each["member"] for each in shown(api, job_id, "/trainers")] == [False, False], "nobody is before the start"
    chain.market.cancel(OWNER, job_id)
    assert [each["member"] for each in shown(api, job_id, "/trainers")] == [True, False]
    for account in (TRAINERS[0].address, STRANGER.address):
        (found,) = api.bare.get(f"/api/credits/{account}").json()["unclaimed"]
        assert (found["slot"], found["payee"], found["stake"]) == (0, STRANGER.address, "500000")
    assert api.bare.get(f"/api/credits/{TRAINERS[1].address}").json()["unclaimed"] == []


def test_an_owner_asks_for_the_end_which_comes_with_the_next_settlement(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=3, min_rounds=1, takeover_window=0)
    assert refused(api, job_id, "end") == "NotOwner"
    assert not shown(api, job_id)["end_asked"]
    chain.market.ask_end(OWNER, job_id)
    assert shown(api, job_id)["end_asked"]
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    detail = shown(api, job_id)
    assert (detail["summary"]["state"], detail["outcome"], detail["settled"]) == ("confirming", "completed", 1)


def test_who_left_before_the_end_has_not_finished(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, rounds=1, takeover_window=0)
    chain.market.leave(TRAINERS[2], job_id)
    submit(chain, job_id, 1, 0, 1)
    chain.market.settle_round(AGGREGATOR, job_id, 1, *settlement(0b11, (1, 1), submitted=0b11))
    chain.forward(601)
    chain.market.complete(STRANGER, job_id)
    statuses = {person["slot"]: person["status"] for person in shown(api, job_id, "/trainers")}
    assert statuses == {0: "finished", 1: "finished", 2: "left"}


def test_fees_of_rounds_before_a_takeover_wait_for_their_claim(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=300)
    submit(chain, job_id, 1, 0, 1, 2)
    settle(chain, job_id)
    submit(chain, job_id, 2, 0)
    chain.forward(1201)
    chain.market.take_over(STRANGER, job_id, STRANGER.address, KEY)
    owed = {"payee": AGGREGATOR.address, "fees": "70000"}
    assert shown(api, job_id)["owed"] == [owed]
    claim = f"/api/jobs/{job_id}/fees/{AGGREGATOR.address}"
    assert api.web.post(claim).json()["name"] == "NotOver"
    chain.forward(601)
    chain.market.abort(STRANGER, job_id)
    detail = shown(api, job_id)
    assert (detail["summary"]["state"], detail["outcome"]) == ("confirming", "aborted")
    chain.forward(601)
    chain.market.complete(STRANGER, job_id)
    detail = shown(api, job_id)
    assert (detail["summary"]["state"], detail["owed"], detail["fees"]) == ("aborted", [owed], "70000")
    (found,) = api.bare.get(f"/api/credits/{AGGREGATOR.address}").json()["unclaimed"]
    assert (found["job_id"], found["slot"], found["fees"]) == (job_id, None, "70000")
    assert api.web.post(claim).status_code == 200
    assert api.web.post(claim).json()["name"] == "NothingToClaim"
    detail = shown(api, job_id)
    assert (detail["owed"], detail["fees"], detail["findings"]) == ([], "0", [])
    assert api.bare.get(f"/api/credits/{AGGREGATOR.address}").json()["unclaimed"] == []


def test_a_failed_aggregator_s_job_is_taken_over_and_its_updates_are_delivered_again(world: World, api: Api) -> None:
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
    assert (round_["summary"]["status"], round_["summary"]["undelivered"]) == ("delivering", [0, 1])
    assert [each["slot"] for each in round_["submissions"]] == [0, 1]

    chain.market.publish_key(STRANGER, job_id, "bafykey2")
    for trainer in TRAINERS[:2]:
        chain.market.redeliver(trainer, job_id, 1, "bafyagain")
    settle(chain, job_id, by=STRANGER, submitted=0b11)
    assert [entry["status"] for entry in shown(api, job_id, "/rounds")] == ["settled", "open"]
    assert [person["submitted"] for person in shown(api, job_id, "/trainers")] == [[1], [1], []]
    assert shown(api, job_id)["findings"] == []


def test_an_aggregator_that_took_over_and_is_not_ready_is_aborted_without_blame(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=300)
    submit(chain, job_id, 1, 0)
    chain.forward(1201)
    chain.market.take_over(STRANGER, job_id, STRANGER.address, KEY)
    assert "it gets its bond back, and the job ends" in shown(api, job_id)["exits"][0]["text"]
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


def revealing_job(chain: Chain) -> int:
    """Confirming, under rule reference: of the three that opened, seat 0 brought most of what it pays by."""
    job_id = running_job(chain, FIVE, **ONE_FAULTY, rounds=1, rule=Rule.REFERENCE, reveal_window=300)
    submit(chain, job_id, 1, 0, 1, 2)
    chain.forward(601)
    judged = settlement(0b111, (2**40, 2**38, 2**38), submitted=0b111, rule=Rule.REFERENCE)
    chain.market.settle_round(AGGREGATOR, job_id, 1, *judged)
    return job_id


def pays(api: Api, job_id: int) -> list[int]:
    return [int(person["pay"]) for person in shown(api, job_id, "/trainers")]


def test_reveals_and_disputes_of_rows_are_told_and_at_the_quorum_pay_is_the_lesser(world: World, api: Api) -> None:
    chain = world.chain
    job_id = revealing_job(chain)
    detail, job = shown(api, job_id), chain.market.job(job_id)
    assert (detail["terms"]["reveal_window"], detail["reveal_by"], detail["rows_quorum"]) == (300, job.settle_by, 2)
    assert (detail["reveals"], detail["rows_disputes"], detail["disputed_rows"]) == ([], [], False)
    assert "revealed to all members" in detail["summary"]["trust"]
    assert pays(api, job_id) == [666_666, 166_666, 166_666, 0, 0]

    chain.market.reveal(AGGREGATOR, job_id, "bafyrubbish")
    chain.market.dispute_rows(TRAINERS[2], job_id, 1)
    detail = shown(api, job_id)
    assert detail["reveals"] == [{"sender": AGGREGATOR.address, "cid": "bafyrubbish"}]
    assert (detail["rows_disputes"], detail["disputed_rows"]) == ([{"slot": 2, "round": 1}], False)
    chain.forward(301)
    chain.market.dispute_rows(TRAINERS[1], job_id, 0)
    detail = shown(api, job_id)
    assert detail["rows_disputes"] == [{"slot": 1, "round": 0}, {"slot": 2, "round": 1}]
    assert (detail["disputed_rows"], detail["fees"], int(detail["burnt"])) == (True, "0", 900_000 + 70_000)
    assert pays(api, job_id) == [333_333, 166_666, 166_666, 0, 0]
    chain.forward(601)
    chain.market.complete(STRANGER, job_id)
    assert pays(api, job_id) == [333_333, 166_666, 166_666, 0, 0]
    assert shown(api, job_id)["findings"] == []


def test_a_job_whose_data_nobody_revealed_pays_the_lesser(world: World, api: Api) -> None:
    chain = world.chain
    job_id = revealing_job(chain)
    chain.forward(601)
    chain.market.complete(STRANGER, job_id)
    detail = shown(api, job_id)
    assert (detail["disputed_rows"], detail["reveals"], detail["rows_disputes"]) == (True, [], [])
    assert (detail["reveal_by"], detail["findings"]) == (None, [])
    assert pays(api, job_id) == [333_333, 166_666, 166_666, 0, 0]


def test_a_full_job_can_be_started_by_anybody_once_the_start_delay_is_over(world: World, api: Api) -> None:
    chain = world.chain
    job_id, _ = chain.market.create_job(OWNER, terms(chain, max_trainers=2, start_delay=300), KEY, "bafyspec")
    chain.market.accept_aggregation(AGGREGATOR, job_id, AGGREGATOR.address, KEY)
    assert shown(api, job_id)["summary"]["startable_from"] is None
    for trainer in TRAINERS[:2]:
        chain.market.join(trainer, job_id, trainer.address, KEY)
    detail, startable = shown(api, job_id), chain.market.job(job_id).submit_by
    assert (detail["terms"]["start_delay"], detail["summary"]["startable_from"]) == (300, startable)
    assert exit_of(detail) == ("start", startable)
    assert refused(api, job_id, "start") == "StartDelayed"
    chain.forward(301)
    assert api.web.post(f"/api/jobs/{job_id}/calls/start").status_code == 200
    assert shown(api, job_id)["summary"]["startable_from"] is None


def test_a_seat_that_is_taken_last_delays_the_start_beyond_the_enrolment(world: World, api: Api) -> None:
    chain = world.chain
    job_id, _ = chain.market.create_job(OWNER, terms(chain, min_trainers=1, start_delay=7200), KEY, "bafyspec")
    chain.market.accept_aggregation(AGGREGATOR, job_id, AGGREGATOR.address, KEY)
    chain.market.join(TRAINERS[0], job_id, TRAINERS[0].address, KEY)
    assert exit_of(shown(api, job_id)) == ("start", chain.market.job(job_id).submit_by)


def test_disputes_are_told_until_the_quorum_burns_bond_and_fees(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, FIVE, **ONE_FAULTY, rounds=2, takeover_window=0)
    chain.market.dispute(TRAINERS[1], job_id)
    detail = shown(api, job_id)
    (first,) = detail["disputes"]
    assert (first["round"], first["slot"], first["operator"]) == (1, 1, TRAINERS[1].address)
    assert (first["stands"], first["confirming"], detail["quorum"]) == (True, False, 2)
    submit(chain, job_id, 1, *range(5))
    settle(chain, job_id, submitted=0b11111)
    assert [each["stands"] for each in shown(api, job_id)["disputes"]] == [False]
    submit(chain, job_id, 2, *range(5))
    settle(chain, job_id, 2, submitted=0b11111)
    for trainer in (TRAINERS[0], TRAINERS[2]):
        chain.market.dispute(trainer, job_id)
    detail = shown(api, job_id)
    assert (detail["summary"]["state"], detail["outcome"], detail["disputed_sum"]) == ("confirming", "completed", True)
    assert [(each["slot"], each["confirming"], each["stands"]) for each in detail["disputes"]] == [
        (1, False, False),
        (0, True, True),
        (2, True, True),
    ]
    assert (int(detail["burnt"]), detail["fees"]) == (900_000 + 2 * 70_000, "0")
    (burnt,) = (credit for credit in shown(api, job_id, "/payouts") if credit["reason"] == "burnt")
    assert burnt["payee"] == ZERO_ADDRESS
    nobody = api.bare.get(f"/api/credits/{ZERO_ADDRESS}").json()
    assert nobody["tokens"][0]["withdrawable"] == "1040000"
    assert detail["findings"] == []


def test_what_did_not_open_is_delivered_again_and_then_judged(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, FIVE, **ONE_FAULTY)
    submit(chain, job_id, 1, *range(5))
    before = shown(api, job_id)
    assert (before["terms"]["max_voids"], before["voids"], before["delivering"], before["undelivered"]) == (
        3,
        0,
        False,
        [],
    )
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b10010)
    detail, job = shown(api, job_id), chain.market.job(job_id)
    assert (detail["voids"], detail["delivering"], detail["undelivered"]) == (1, True, [1, 4])
    assert (detail["summary"]["submit_by"], detail["summary"]["settle_by"]) == (job.submit_by, job.settle_by)
    assert exit_of(detail) == ("abort", job.settle_by + 1)
    (round_,) = shown(api, job_id, "/rounds")
    assert (round_["status"], round_["submitted"], round_["undelivered"]) == ("delivering", [0, 2, 3], [1, 4])
    (void,) = round_["voids"]
    assert (void["unopened"], void["delivered"]) == ([1, 4], [])
    assert (void["deliver_by"], void["settle_by"]) == (job.submit_by, job.settle_by)

    chain.market.redeliver(FIVE[4], job_id, 1, "bafyagain")
    assert shown(api, job_id)["undelivered"] == [1]
    chain.market.redeliver(FIVE[1], job_id, 1, "bafyonce")
    detail, round_ = shown(api, job_id), shown(api, job_id, "/rounds/1")
    assert (detail["delivering"], detail["undelivered"]) == (True, [])
    summary = round_["summary"]
    assert (summary["status"], summary["submitted"], summary["undelivered"]) == ("settling", [0, 1, 2, 3, 4], [])
    (void,) = summary["voids"]
    assert [(each["slot"], each["operator"], each["cid"]) for each in void["delivered"]] == [
        (4, FIVE[4].address, "bafyagain"),
        (1, FIVE[1].address, "bafyonce"),
    ]
    assert [each["cid"] for each in round_["submissions"]] == ["bafy0", "bafyonce", "bafy2", "bafy3", "bafyagain"]

    settle(chain, job_id, submitted=0b11111)
    detail = shown(api, job_id)
    assert (detail["voids"], detail["delivering"], detail["voided_out"], detail["findings"]) == (1, False, False, [])
    assert [(entry["status"], len(entry["voids"])) for entry in shown(api, job_id, "/rounds")] == [
        ("settled", 1),
        ("open", 0),
    ]


def test_who_does_not_deliver_again_gains_nothing_and_has_not_missed(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain)
    submit(chain, job_id, 1, 0, 2)
    chain.forward(601)
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b100)
    chain.forward(601)
    assert shown(api, job_id, "/rounds")[0]["status"] == "settling"
    settle(chain, job_id, submitted=0b001)
    first = shown(api, job_id, "/rounds/1")
    assert (first["summary"]["submitted"], first["summary"]["undelivered"]) == ([0], [2])
    assert {each["slot"]: each["verdict"] for each in first["judged"]} == {
        0: "selected",
        1: "missing",
        2: "undelivered",
    }
    assert [(each["missed"], each["opened"]) for each in shown(api, job_id, "/trainers")] == [(0, 1), (1, 0), (0, 0)]
    assert shown(api, job_id)["findings"] == []


def test_a_round_that_nobody_delivers_again_is_skipped_and_is_nobody_s_to_take_over(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=300)
    submit(chain, job_id, 1, 0, 1, 2)
    assert shown(api, job_id)["takeover"] is not None
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b111)
    detail, job = shown(api, job_id), chain.market.job(job_id)
    assert (exit_of(detail), detail["takeover"]) == (("skip", job.submit_by + 1), None)
    assert detail["exits"][0]["text"].startswith("No update was delivered again:")
    chain.forward(601)
    assert api.web.post(f"/api/jobs/{job_id}/calls/skip").status_code == 200
    first, second = shown(api, job_id, "/rounds")
    assert (first["status"], first["undelivered"], second["status"]) == ("skipped", [0, 1, 2], "open")
    assert [(each["missed"], each["submitted"]) for each in shown(api, job_id, "/trainers")] == [(0, [1])] * 3
    assert shown(api, job_id)["findings"] == []


def test_who_was_late_before_another_void_is_asked_again_with_those_that_do_not_open_then(
    world: World, api: Api
) -> None:
    chain = world.chain
    job_id = running_job(chain, FIVE, **ONE_FAULTY)
    submit(chain, job_id, 1, *range(5))
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b10010)
    chain.market.redeliver(FIVE[4], job_id, 1, "bafyagain")
    chain.forward(601)
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b00101)
    detail, (round_,) = shown(api, job_id), shown(api, job_id, "/rounds")
    assert (detail["voids"], detail["undelivered"]) == (2, [0, 1, 2])
    assert (round_["status"], round_["submitted"], round_["undelivered"]) == ("delivering", [3, 4], [0, 1, 2])
    assert [(each["unopened"], [late["slot"] for late in each["delivered"]]) for each in round_["voids"]] == [
        ([1, 4], [4]),
        ([0, 2], []),
    ]
    chain.market.redeliver(FIVE[1], job_id, 1, "bafylate")
    chain.forward(601)
    settle(chain, job_id, submitted=0b11010)
    first = shown(api, job_id, "/rounds/1")
    assert [each["verdict"] for each in first["judged"]] == [
        "undelivered",
        "selected",
        "undelivered",
        "selected",
        "selected",
    ]
    assert [late["slot"] for late in first["summary"]["voids"][1]["delivered"]] == [1]
    assert [each["missed"] for each in shown(api, job_id, "/trainers")] == [0] * 5
    assert shown(api, job_id)["findings"] == []


def test_one_void_more_than_the_job_allows_ends_it_and_burns_the_reward_of_the_round(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, max_voids=0)
    submit(chain, job_id, 1, 0, 1, 2)
    chain.market.void_round(AGGREGATOR, job_id, 1, 0b001)
    detail = shown(api, job_id)
    assert (detail["summary"]["state"], detail["voided_out"], detail["burnt"]) == ("aborted", True, "1000000")
    assert (detail["voids"], detail["delivering"], detail["findings"]) == (0, False, [])
    (round_,) = shown(api, job_id, "/rounds")
    (void,) = round_["voids"]
    assert (round_["status"], void["unopened"]) == ("ended", [0])
    assert (void["deliver_by"], void["settle_by"]) == (None, None)


def test_a_shown_opening_is_told_with_its_round(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, FIVE, **ONE_FAULTY, takeover_window=0)
    submit(chain, job_id, 1, *range(5))
    settle(chain, job_id, unopened=0b100, submitted=0b11111)
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
    chain.market.submit_update(first, play.job_id, 1, commitment(1, by=first), "bafy")
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
        assert Inbox(rescuer).key(history) == job_key(play.owner, history)
        assert Inbox(rescuer).validation(history, fetch_spec(rescuer.storage, history.created)) is not None
        api.caught_up()
        assert len(feed.refresh().handed_over) == 1


def test_only_a_trainer_of_this_node_disputes_with_its_key(world: World, api: Api) -> None:
    chain = world.chain
    job_id = running_job(chain, takeover_window=0)
    for path in ("dispute", "dispute-rows/1"):
        answer = api.web.post(f"/api/trainers/{job_id}/{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:merit:not-found")
        assert api.bare.post(f"/api/trainers/{job_id}/{path}").status_code == 401
    assert chain.market.job(job_id).state is State.RUNNING
