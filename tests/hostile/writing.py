"""Attacks as what is written: a description's bytes, terms as numbers, files in storage, a trainer's submission."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from marketplace.keys.sealing import Purpose, SealContext
from marketplace.services.proofs import JobSetups, committed
from marketplace.spec import ProofsConfig
from tests.hostile.attack import Attack, Edit, Seat
from tests.hostile.bare import BareStorage
from tests.hostile.material import files, forms, onchain
from tests.hostile.world import Template, World
from zk.encoding import submission_hash
from zk.files import pack_update

FINNEY = 10**15  # wei: every amount of a hostile job is one, unless an attack says otherwise
WINDOW, LONG_WINDOW = 6, 40  # seconds of each phase; the long one where a trainer of ours takes part
HOUR = 3600
NOBODYS_KEY = bytes([9]) + bytes(31)
NOWHERE = onchain.GOOD_FORM.decode()


class Writer:
    """Makes an attack's parts for one world. templates: by pay rule."""

    def __init__(self, world: World, templates: dict[str, Template]) -> None:
        self.world, self._templates = world, templates
        self.shelf = BareStorage(world.address)
        self.parameters = templates["krum-cosine"].spec.parameters
        self._random = self.shelf.put(b"random bytes, and no more than that" * 40).decode()
        self._srs = JobSetups.choose(world.nodes["owner"], ProofsConfig(), 108, self.parameters).srs

    def template(self, attack: Attack) -> Template:
        return self._templates["reference" if attack.reference else "krum-cosine"]

    # ---------------------------------------------------------------- the description

    def spec(self, attack: Attack) -> bytes:
        """The description's bytes; what else it names is put into storage."""
        document: dict[str, Any] = json.loads(self.template(attack).spec.to_bytes())
        document |= {"name": "Digits", "description": f"Of attack {attack.number}."}  # a file of its own
        edits = attack.edits
        if attack.base:
            cid = self.shelf.put(files.BASES[attack.base](self.parameters))
            edits += (("base_cid", json.dumps(cid.decode())),)
        if attack.pinned:
            edits += (files.PINNED[attack.pinned],)
        found = edited(document, [(place, self._named(value, document)) for place, value in edits])
        return forms.FORMS[attack.form](found) if attack.form else found

    def _named(self, value: str, document: dict[str, Any]) -> str:
        return value.replace("NOWHERE", NOWHERE).replace("RANDOM", self._random).replace("BASE", document["base_cid"])

    def client_document(self, attack: Attack) -> dict[str, Any]:
        """The same as a job file, for Merit's own client. Raises ValueError for what is no JSON."""
        document: dict[str, Any] = json.loads(self.template(attack).spec.to_bytes())
        for name in ("format", "base_cid", "proofs", "validation"):
            del document[name]
        document["update"] = {"clip": document.pop("clip")}
        made: dict[str, Any] = json.loads(edited(document, list(attack.edits)))
        aggregator = self.world.nodes["aggregator"].me
        window = f"{self.window(attack)} s"
        market = {
            **dict.fromkeys(("reward", "fee", "stake", "bond"), "0.001 ether"),
            **{"rounds": 1, "min_trainers": 1, "max_trainers": 1, "max_faulty": 0, "enrol_for": "1 h"},
            **{"submit_window": window, "settle_window": window, "confirm_window": window, "rule": "krum-cosine"},
            "aggregator": {"address": aggregator.address, "encryption_key": "0x" + aggregator.encryption_key.hex()},
        }
        return {**made, "market": made.get("market", market)}

    # ---------------------------------------------------------------- the terms

    def window(self, attack: Attack) -> int:
        return LONG_WINDOW if attack.joined else WINDOW

    def terms(self, attack: Attack, judge: str) -> dict[str, int]:
        terms = self.world.bare.words_of(self.template(attack).terms)
        now, seats = self.world.market.connection.now(), max(1, len(attack.seats) + attack.joined)
        terms |= dict.fromkeys(("reward", "fee", "stake", "bond"), FINNEY)
        terms |= dict.fromkeys(("submitWindow", "settleWindow", "confirmWindow"), self.window(attack))
        terms |= {"takeoverWindow": 0, "minRounds": 1}
        terms |= {"minTrainers": seats, "maxTrainers": seats, "maxFaulty": 0, "rounds": 1, "aggregator": int(judge, 16)}
        terms |= {"maxMissed": 1, "slashBps": 10_000}  # who is silent once loses all of its stake
        terms["enrolBy"] = now + (HOUR if attack.enrolment is None else attack.enrolment)
        terms |= dict(attack.terms)
        if attack.contract:
            terms[attack.part] = int(self.world.contracts[attack.contract], 16)
            terms |= {"gramKey": onchain.ANY_KEY} if attack.part == "gramVerifier" else {}
            terms |= {"decisionKey": onchain.ANY_KEY} if attack.part == "decisionVerifier" else {}
        return terms

    # ---------------------------------------------------------------- a trainer's submission

    def submission(self, seat: Seat, context: SealContext) -> tuple[bytes, bytes]:
        """(32-byte hash, CID) of what a hostile trainer submits to our aggregator."""
        rng = np.random.default_rng(context.job_id)
        row = rng.integers(-50, 51, self.parameters, dtype=np.int16)
        kind, _, value = seat.submits.partition(": ")
        if kind == "values":
            row = _row(value, self.parameters)
        made = committed(self._srs, row)
        digest = submission_hash(made.commitment, context.party)
        if seat.submits in files.UNPUBLISHED:
            return digest, onchain.GOOD_FORM if seat.submits == files.UNPUBLISHED[0] else b"../\x1b[2J\xff"
        good = pack_update(made.row, made.blinders, made.commitment, 1)
        key = self.world.nodes["aggregator"].me.encryption_key
        to = files.Submitting(key, replace(context, purpose=Purpose.UPDATE), good, digest, self.shelf.put)
        content = to.sealed() if kind == "values" else files.SUBMISSIONS[seat.submits](to)
        return digest, self.shelf.put(content)


def _row(value: str, d: int) -> Any:
    if value == "one entry":
        row = np.zeros(d, np.int16)
        row[d // 2] = 32767
        return row
    return np.full(d, {"ones": 1, "zeros": 0, "all 32767": 32767, "all −32767": -32767}[value], np.int16)


def edited(document: dict[str, Any], edits: list[Edit]) -> bytes:
    """The document as canonical JSON, with what the edits say, to the letter, in its places."""
    marks = {}
    for place, value in edits:
        *path, last = place.split(".")
        at: Any = document
        for step in path:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        mark = f"@@{len(marks)}@@"
        at[last], marks[f'"{mark}"'.encode()] = mark, value.encode()
    written = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    for mark_bytes, raw in marks.items():
        written = written.replace(mark_bytes, raw)
    return written


def address(attack: Attack, what: str) -> str:
    """An account of the attacker's for this attack alone."""
    return f"0x{Random(f'{attack.number} {what}').getrandbits(160):040x}"
