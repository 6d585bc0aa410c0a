"""The games: what a coalition does, what it would have if nothing stopped it, and what it has.

Every game is played to its worst end for the others: a false dispute, for example, is taken to have its quorum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aggregator.points import divide
from aggregator.reference import first_row, second_row
from benches.pay.attacks import ATTACKS
from benches.pay.play import POT, Played
from benches.theft import forged, lies
from benches.theft.books import Coalition, Ending, Terms, percent, takes
from benches.theft.respond import Stage, best
from marketplace.domain import Rule

UNTOLD = 0.5
"""In percent of the pot: two random searches differ by this much. Where nothing was searched nothing is allowed."""

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """One game. All figures in percent of the pot.

    unstopped: what the coalition would have more than from honest play, if nobody looked or nothing were proved.
    vs_honest: what it has more. vs_best: what it has more than from its in-range best response. dispute_costs: the most
    that one honest member loses by joining the dispute; None where there is none.
    """

    game: str
    rule: str
    trainers: int
    max_faulty: int
    coalition: str
    seed: int
    unstopped: float
    vs_honest: float
    vs_best: float
    dispute_costs: float | None
    stopped_by: str
    allowed: float = ROUNDING

    @property
    def verdict(self) -> str:
        return "open" if self.vs_best > self.allowed else "holds"


class Table:
    """The job whose games are played: its terms, and its honest play."""

    def __init__(self, stage: Stage, terms: Terms) -> None:
        self.stage, self.terms, self.honest = stage, terms, stage.play()

    def row(
        self,
        game: str,
        coalition: Coalition,
        has: int,
        stopped_by: str,
        *,
        best: Played | None = None,
        unstopped: int | None = None,
        dispute_costs: int | None = None,
    ) -> Row:
        """has, unstopped: as `books.takes` counts. best: the best response; where there is none, honest play."""
        honest, most = (
            takes(self.terms, coalition, played.balances, played.opened)
            for played in (self.honest, best or self.honest)
        )
        return Row(
            game,
            self.stage.rule.label,
            self.stage.trainers,
            self.stage.max_faulty,
            str(coalition),
            self.stage.seed,
            percent((has if unstopped is None else unstopped) - honest),
            percent(has - honest),
            percent(has - max(honest, most)),
            None if dispute_costs is None else percent(dispute_costs),
            stopped_by,
        )


class Players:
    """A coalition's trainers, who have the last slots, and their best responses."""

    def __init__(self, stage: Stage, members: int, tries: int) -> None:
        self.count = members
        self.slots = list(range(stage.trainers - members, stage.trainers))
        self.others = list(range(stage.trainers - members))
        self.alone, self.informed = best(stage, members, tries)

    def with_(self, *, aggregator: bool = False, owner: bool | None = False) -> Coalition:
        return Coalition(self.slots, aggregator, owner)


def losses_by_dispute(balances: Sequence[int], opened: Sequence[int], among: Sequence[int]) -> list[int]:
    """What each of these members has less where the rows are disputed. Never below 0: nobody gains by disputing."""
    before, after = divide(POT, balances, opened), divide(POT, balances, opened, disputed=True)
    return [before[slot] - after[slot] for slot in among]


def not_vectors(table: Table, tries: int) -> Iterator[Row]:
    """1. Rows that are no vectors; two trainers of three would be a majority."""
    stage = table.stage
    if stage.trainers < 5:
        return
    entry = table.honest.rounds[len(table.honest.rounds) // 2]
    references = []
    if stage.rule is Rule.REFERENCE:
        gradient = stage.learner.validation.gradient
        references = [first_row(gradient, entry.base)[0], second_row(gradient, entry.base, entry.end)[0]]
    honest = [update for update in entry.updates[:-2] if update is not None]
    found = forged.search(forged.Scenery(stage.rule, stage.max_faulty, honest, references), tries, stage.seed)
    fair = 2 / stage.trainers
    # What was refused leaves them with what they can do in range.
    left = found.in_range if found.refused == found.worth else found.best
    for game, part, stopped_by in (
        ("products that no vectors have", left, f"the decision proof: {forged.REFUSAL}"),
        ("entries out of range, as far as proofs let pass", found.passes, "what passes counts like a real vector"),
    ):
        yield Row(
            game,
            stage.rule.label,
            stage.trainers,
            stage.max_faulty,
            "aggregator + 2 trainers",
            stage.seed,
            100 * (found.best - fair),
            100 * (part - fair),
            100 * (part - found.in_range),
            None,
            stopped_by,
            allowed=UNTOLD,
        )


def false_rows(table: Table, players: Players) -> Iterator[Row]:
    """2. False reference rows, in the last round alone: the second row's exponent makes it outweigh all others."""
    stage, terms, honest = table.stage, table.terms, table.honest
    opened, n = honest.opened, stage.trainers
    coalition, response = players.with_(aggregator=True, owner=None), players.informed.played
    unbonded = Terms(n, terms.max_faulty, terms.rounds, bonded=False)

    theirs = lies.last_round(honest, [1.0 if slot in players.slots else -1.0 for slot in range(n)])
    ends = Ending.ROWS if len(players.others) >= terms.quorum else Ending.UNDISPUTED
    what = (
        "members recompute and dispute"
        if ends is Ending.ROWS
        else f"nothing: {len(players.others)} would dispute, {terms.quorum} have to"
    )
    shut_out = [0 if slot in players.others[: terms.unopened] else rounds for slot, rounds in enumerate(opened)]
    for game, money, rounds_opened, ending, stopped_by in (
        ("false rows: every point to them", terms, opened, ends, what),
        ("the same, without a bond", unbonded, opened, ends, what),
        ("the same, and others called unopened", terms, shut_out, ends, what),
        ("the same, without a bond and with others called unopened", unbonded, shut_out, ends, what),
        ("the same, and the data kept back", terms, opened, Ending.ROWS, "no reveal in time counts as a dispute"),
    ):
        yield table.row(
            game,
            coalition,
            takes(money, coalition, theirs, rounds_opened, ending),
            stopped_by,
            best=response,
            unstopped=takes(money, coalition, theirs, rounds_opened),
            dispute_costs=max(losses_by_dispute(theirs, rounds_opened, players.others)) if ending is ends else None,
        )
    if terms.max_faulty:
        yield from quiet_rows(table, players)
    yield table.row(
        "rows bent within the tolerance, and the best response",
        coalition,
        takes(terms, coalition, lies.bent(stage, response, players.slots), response.opened),
        "nothing: they agree with the recomputed ones",
        best=response,
    )


def quiet_rows(table: Table, players: Players) -> Iterator[Row]:
    """Who has more than an equal part loses by a dispute, who has less loses nothing, and nobody gains.

    So the lie that too few have no reason against takes all from f members and leaves the others just above equal.
    """
    terms, opened, n = table.terms, table.honest.opened, table.stage.trainers
    coalition = players.with_(aggregator=True, owner=None)
    robbed, spared = players.others[: terms.max_faulty], players.others[terms.max_faulty :]
    left = 1.01 / n
    own = (1 - left * len(spared)) / players.count
    parts = [-0.01 if slot in robbed else left if slot in spared else own for slot in range(n)]
    balances = lies.last_round(table.honest, parts)
    costs = losses_by_dispute(balances, opened, players.others)
    willing = sum(cost <= 1 for cost in costs)  # a unit is what floors take
    for game, many in (
        ("false rows: f members robbed, nodes dispute", len(players.others)),
        ("the same, members dispute only at no cost", willing),
    ):
        enough = many >= terms.quorum
        yield table.row(
            game,
            coalition,
            takes(terms, coalition, balances, opened, Ending.ROWS if enough else Ending.UNDISPUTED),
            "members recompute and dispute" if enough else f"nothing: {many} would dispute, {terms.quorum} have to",
            best=players.informed.played,
            unstopped=takes(terms, coalition, balances, opened),
            dispute_costs=max(costs),
        )


def false_disputes(table: Table, players: Players) -> Iterator[Row]:
    """2. Disputes of true rows, after the best response, and by Sybils that would like equal parts."""
    terms, n = table.terms, table.stage.trainers
    why, liars, response = "nobody gets more than by its points", players.with_(), players.alone.played
    yield table.row(
        "true rows disputed",
        liars,
        takes(terms, liars, response.balances, response.opened, Ending.ROWS),
        why,
        best=response,
    )
    for name in ("noise of the median norm", "noise of norm 1", "zeros"):
        played = table.stage.play(players.count, ATTACKS[name])
        sybils = players.with_(owner=None)
        yield table.row(
            f"{name}, and true rows disputed",
            sybils,
            takes(terms, sybils, played.balances, played.opened, Ending.ROWS),
            why,
            best=players.alone.played,
            unstopped=POT * players.count // n,  # if a dispute divided by rounds opened alone
        )


def without_trainers(table: Table) -> Iterator[Row]:
    """2, 3. The owner, the aggregator, both."""
    stage, terms, honest = table.stage, table.terms, table.honest
    both = Coalition(aggregator=True, owner=True)
    if stage.rule is Rule.REFERENCE:
        updates = [update for update in honest.rounds[0].updates if update is not None]
        nothing = lies.everybody(updates)
        for coalition in (Coalition(aggregator=True), both):
            yield table.row(
                "false rows against everybody, in all rounds",
                coalition,
                takes(terms, coalition, nothing, honest.opened, Ending.ROWS),
                "the pot never returns to the owner",
                unstopped=takes(terms, coalition, nothing, honest.opened),
            )
        owner = Coalition(owner=True)
        kept = takes(terms, owner, honest.balances, honest.opened, Ending.ROWS)
        yield table.row("the data kept back", owner, kept, "the pot never returns to the owner")
    fees = terms.fee * (terms.rounds - 1)
    saved = terms.reward + terms.fee
    yield table.row(
        "the last round never settled",
        both,
        saved + fees - terms.bond,
        "the bond goes to who submitted",
        unstopped=saved + fees,
    )
    yield table.row(
        "the last round never settled, without a bond", both, saved + fees, "nothing: its reward returns to the owner"
    )
    for coalition in (both, Coalition(aggregator=True)):
        yield table.row(
            "good submissions called unopened until the job ends, in the last round",
            coalition,
            fees + terms.fee * bool(coalition.owner),
            "the round's reward is burnt",
            unstopped=fees + saved * bool(coalition.owner),
        )


def the_bond(table: Table, players: Players) -> Iterator[Row]:
    """3. False disputes of sums, and submissions that open for nobody, by a quorum; on top of the best response."""
    terms, n = table.terms, table.stage.trainers
    if players.count < terms.quorum:
        return

    def kept(coalition: Coalition, played: Played, settled: int, ending: Ending = Ending.UNDISPUTED) -> int:
        """Where the job ends after so many settled rounds."""
        balances = [sum(entry.gains[slot] for entry in played.rounds[:settled]) for slot in range(n)]
        return takes(terms, coalition, balances, [settled] * n, ending, settled)

    liars, response = players.with_(), players.alone.played
    yield table.row(
        "a good last sum disputed",
        liars,
        kept(liars, response, terms.rounds, Ending.SUM),
        "bond and fees are burnt, the division stays",
        best=response,
    )
    yield table.row(
        "a good sum disputed, when it suits them best",
        liars,
        max(kept(liars, response, settled, Ending.SUM) for settled in range(1, terms.rounds)),
        "the pay of the rounds to come is lost",
        best=response,
    )
    for owner in (False, True):
        coalition = players.with_(owner=owner)
        response = (players.informed if owner else players.alone).played
        last = kept(coalition, response, terms.rounds - 1) + terms.fee * owner
        yield table.row(
            "what does not open until the job ends, in the last round",
            coalition,
            last,
            "the round's reward is burnt, the bond stays",
            best=response,
            unstopped=last + terms.bond // n * players.count + terms.reward * owner,  # if the aggregator had failed
        )
    coalition, response = players.with_(aggregator=True, owner=None), players.informed.played
    yield table.row(
        "good submissions called unopened until the job ends, when it suits them best",
        coalition,
        max(kept(coalition, response, settled) for settled in range(1, terms.rounds)),
        "the pay of the rounds to come is lost",
        best=response,
    )


def unopened(table: Table, players: Players) -> Iterator[Row]:
    """4. Good submissions of the best paid others, called unopened in every round; on top of the best response."""
    stage, terms = table.stage, table.terms
    cap, coalition = terms.unopened, players.with_(aggregator=True)
    if not cap:
        return
    pay = divide(POT, table.honest.balances, table.honest.opened)
    ranked = sorted(players.others, key=lambda slot: -pay[slot])
    response = players.informed
    played = stage.play(players.count, response.make(), ranked[:cap])
    yield table.row(
        "good submissions called unopened",
        coalition,
        takes(terms, coalition, played.balances, played.opened),
        "its name alone: who shows an opening is believed by audits; f and a third at most",
        best=response.played,
    )


def case(rule: Rule, trainers: int, max_faulty: int, rounds: int, data: str, tries: int, seed: int) -> list[Row]:
    """All games of one job, for coalitions of one trainer and of the largest minority."""
    stage = Stage(rule, trainers, max_faulty, rounds, data, seed)
    table = Table(stage, Terms(trainers, max_faulty, rounds))
    found = [*not_vectors(table, 3 * tries), *without_trainers(table)]
    for members in sorted({1, (trainers - 1) // 2}):
        players = Players(stage, members, tries)
        if rule is Rule.REFERENCE:
            found += [*false_rows(table, players), *false_disputes(table, players)]
        found += [*the_bond(table, players), *unopened(table, players)]
    return found


def worst(rows: Sequence[Row]) -> list[Row]:
    """One row for each game: the largest figures over the seeds."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        key = (row.game, row.rule, row.trainers, row.max_faulty, row.coalition, row.stopped_by)
        groups.setdefault(key, []).append(row)
    found = []
    for group in groups.values():
        one = group[0]
        costs = [row.dispute_costs for row in group if row.dispute_costs is not None]
        found.append(
            Row(
                one.game,
                one.rule,
                one.trainers,
                one.max_faulty,
                one.coalition,
                one.seed,
                max(row.unstopped for row in group),
                max(row.vs_honest for row in group),
                max(row.vs_best for row in group),
                max(costs, default=None),
                one.stopped_by,
                one.allowed,
            )
        )
    return found
