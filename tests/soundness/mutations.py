"""What tests/soundness/mutate.py breaks: one check of a verifier, or one constraint of a circuit, at a time."""

from dataclasses import dataclass

PYTHON, POINTS, TALK = "zk/verifier.py", "zk/points.py", "zk/transcript.py"
GRAM, DECISION = "contracts/verifiers/GramVerifier.sol", "contracts/verifiers/DecisionVerifier.sol"
LIBRARY, TRANSCRIPT = "contracts/libraries/Bn254.sol", "contracts/libraries/Transcript.sol"
GADGETS, CIRCUIT = "zk/core/decision/src/gadgets.rs", "zk/core/decision/src/circuit.rs"
HIDDEN, KRUM = "zk/core/decision/src/gram.rs", "zk/core/decision/src/krum_cosine.rs"
REFERENCE, SEMIDEFINITE = "zk/core/decision/src/reference.rs", "zk/core/decision/src/semidefinite.rs"


@dataclass(frozen=True)
class Mutation:
    file: str
    this: str  # there once
    instead: str

    @property
    def part(self) -> str:
        """verifiers in Python or Solidity, or circuits."""
        return {"sol": "solidity", "rs": "circuits"}.get(self.file.rsplit(".")[-1], "python")

    def __str__(self) -> str:
        return f"{self.file}: {self.this.strip()!r} → {self.instead.strip()!r}"


CONTROLS = (
    Mutation(PYTHON, "return pairing_is_one(((left, tau)", "return pairing_is_one(((left, tau)"),
    Mutation(GRAM, "valid = _equalUnderTau(left, right);", "valid = _equalUnderTau(left, right);"),
    Mutation(CIRCUIT, "equal(cs, &all, masks)?;", "equal(cs, &all, masks)?;"),
)
"""Nothing is broken: with these the tests have to pass, or what they notice says nothing."""

MUTATIONS = tuple(
    Mutation(*fields)
    for fields in (
        (PYTHON, "if not 2 <= setup.chunk <= MAX_CHUNK or setup.chunk & (setup.chunk - 1):", "if False:"),
        (PYTHON, "or references not in (0, REFERENCE_BITS)", ""),
        (PYTHON, "0 < statement.positions < 2 ** (SLOTS + 2)", "0 < statement.positions"),
        (PYTHON, "if len(statement.commitments) != rows:", "if False:"),
        (PYTHON, "any(len(row) != 64 * c for row in statement.commitments)", "False"),
        (PYTHON, "if len(statement.coefficients) != slots:", "if False:"),
        (PYTHON, "for value in (statement.gram_hash, *statement.coefficients)", "for value in statement.coefficients"),
        (PYTHON, "for value in (statement.gram_hash, *statement.coefficients)", "for value in (statement.gram_hash,)"),
        (PYTHON, "if len(proof) != 32 * count:", "if False:"),
        (PYTHON, 'scalar(data, "a scalar of the Gram proof")', 'int.from_bytes(data, "big")'),
        (PYTHON, "word(statement.gram_hash), *proof.words[0:2])", "*proof.words[0:2])"),
        (PYTHON, "Transcript(statement.context)", "Transcript(bytes(160))"),
        (PYTHON, "transcript.absorb(pf.words[6:10])", "pass"),
        (PYTHON, "transcript.absorb(map(word, statement.coefficients))", "pass"),
        (PYTHON, "if vanishing == 0:", "if False:"),
        (PYTHON, "- products - eM", "- eM"),
        (PYTHON, "+ y * pow(N, -1, P))", ")"),
        (PYTHON, "+ lam * pow(rho, k, P) * coefficient", ""),
        (PYTHON, "-lam * pow(rho, k, P)", "-lam"),
        (PYTHON, "[*statement.coefficients, 0, 0]", "[*statement.coefficients, 1, 1]"),
        (PYTHON, "+ u * eAw", ""),
        (PYTHON, "return pairing_is_one(((left, tau), (neg(right), G2)))", "return True"),
        (PYTHON, "if gamma == delta:", "if False:"),
        (PYTHON, "if len(public_inputs) != len(ic) - 1:", "if False:"),
        (PYTHON, "if not all(0 <= x < P for x in public_inputs):", "if False:"),
        (PYTHON, "if rest or length < 8:", "if rest:"),
        (PYTHON, "return pairing_is_one(((neg(A), B), (alpha, beta), (bound, gamma), (C, delta)))", "return True"),
        (PYTHON, "(bound, gamma), (C, delta)", "(C, delta)"),
        (POINTS, "or value >= P:", ":"),
        (POINTS, "if any(value >= field_modulus for value in values):", "if False:"),
        (POINTS, "if not is_on_curve(point, b):", "if False:"),
        (POINTS, "if infinity:", "if True:"),
        (POINTS, "if not is_on_curve(point, b2):", "if False:"),
        (POINTS, "if not is_inf(multiply(point, P)):", "if False:"),
        (GRAM, "if (chunk_ < 2 || chunk_ > MAX_CHUNK || chunk_ & (chunk_ - 1) != 0) revert WrongChunk(chunk_);", ""),
        (GRAM, "if (tau_[0] | tau_[1] | tau_[2] | tau_[3] == 0) revert Bn254.Infinity();", ""),
        (GRAM, "Bn254.pairingIsOne(_pair(1, 2, tau_));", ""),
        (GRAM, "statement.positions == 0 || ", ""),
        (GRAM, "statement.positions >> (SLOTS + 2) != 0", "false"),
        (GRAM, "(references != 0 && references != REFERENCE_BITS)", "false"),
        (GRAM, '_requireLength("commitments", statement.commitments.length, 2 * rows * c);', ""),
        (GRAM, '_requireLength("coefficients", statement.coefficients.length, slots);', ""),
        (GRAM, '_requireLength("proof", proof.length, ROWS_AT_Z + 2 * c);', ""),
        (GRAM, "Bn254.requireScalar(statement.gramHash);", ""),
        (GRAM, "Bn254.requireScalars(statement.coefficients);", ""),
        (GRAM, "Bn254.requireScalars(proof[Y:]);", ""),
        (GRAM, "Bn254.requireFinite(proof[M], proof[M + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[A], proof[A + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[Q], proof[Q + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[WZ], proof[WZ + 1]);", ""),
        (GRAM, "Bn254.requireFinite(proof[WW], proof[WW + 1]);", ""),
        (GRAM, "if (vanishing == 0) return (false, r, s);", ""),
        (GRAM, "talk.say(statement.gramHash);", ""),
        (GRAM, "talk.say(proof[WZ:Y]);\n        talk.absorb();", ""),
        (GRAM, "talk.say(statement.coefficients);\n        talk.absorb();", ""),
        (GRAM, "(scalars.a, scalars.b) = (0, P - ch.lambda);", "(scalars.a, scalars.b) = (0, 0);"),
        (GRAM, "scalars.b = mulmod(ch.lambda, coefficients[0], P);", "scalars.b = ch.lambda;"),
        (GRAM, "Bn254.Scalars(0, ch.v, 0, ch.rho)", "Bn254.Scalars(0, ch.v, 0, 1)"),
        (GRAM, "E = addmod(E, mulmod(ch.u, proof[EA_AT_WZ], P), P);", ""),
        (GRAM, "valid = _equalUnderTau(left, right);", "valid = true;"),
        (DECISION, 'if (inputs.length != inputCount) revert WrongLength("inputs", inputs.length, inputCount);', ""),
        (DECISION, "Bn254.requireScalars(inputs);", ""),
        (DECISION, "Bn254.requireFinite(proof[0], proof[1]);", ""),
        (DECISION, "Bn254.requireFinite(proof[2] | proof[3], proof[4] | proof[5]);", ""),
        (DECISION, "Bn254.requireFinite(proof[6], proof[7]);", ""),
        (DECISION, "bound.addProducts(words, IC + 2, inputs);", ""),
        (DECISION, "return Bn254.pairingIsOne(pairs);", "Bn254.pairingIsOne(pairs); return true;"),
        (DECISION, "Bn254.pairingIsOne(pair);", ""),
        (DECISION, "Bn254.requireFinite(words[at] | words[at + 1], words[at + 2] | words[at + 3]);", ""),
        (DECISION, "Bn254.requireFinite(words[0], words[1]);", ""),
        (DECISION, "Bn254.requireFinite(words[at], words[at + 1]);", ""),
        (DECISION, "sum.addPoint(words[at], words[at + 1]);", ""),
        (DECISION, ") revert UnsafeKey();", ") {}"),
        (LIBRARY, "if (value >= ORDER) revert NotBelowOrder(value);", ""),
        (LIBRARY, "if (x | y == 0) revert Infinity();", ""),
        (LIBRARY, "if (y >= FIELD) revert InvalidPoint();", "if (y > FIELD) revert InvalidPoint();"),
        (LIBRARY, "finite := and(finite,", "finite := or(finite,"),
        (TRANSCRIPT, "let hash := keccak256(state, 0x20)", "let hash := mload(state)"),
        (TALK, 'DOMAIN = b"merit/gram-proof/v1"', 'DOMAIN = b"merit/gram-proof/v2"'),
        (TALK, "keccak(self.state + b\"\".join(words))", "keccak(b\"\".join(words))"),
        (TALK, "self.state = keccak(self.state)\n", "self.state += b\"\"\n"),
        (GADGETS, "    boolean(cs, &b)?;\n    Ok(b)", "    Ok(b)"),
        (GADGETS, "    boolean(cs, &highest)?;\n", ""),
        (GADGETS, "    enforce(cs, a, b, &c)?;\n", ""),
        (GADGETS, "    enforce(cs, x, &z, &constant(0u64))?;\n", ""),
        (GADGETS, "    in_range(cs, &q, q_bits)?;\n", ""),
        (GADGETS, "    in_range(cs, &rest, d_bits)?;\n", ""),
        (GADGETS, "    in_range(cs, &(d - &rest - Fr::one()), d_bits)?;\n", ""),
        (GADGETS, "    in_range(cs, &root, n)?;\n", ""),
        (GADGETS, "    in_range(cs, &rest, n + 1)?;\n", ""),
        (GADGETS, "    in_range(cs, &(root.clone() + &root - &rest), n + 1)?;\n", ""),
        (GADGETS, "        in_range(cs, &(over - &chosen_over - &chosen_over), width)?;\n", ""),
        (GADGETS, "    equal(cs, &sum(cs, &chosen)?, count)?;\n", ""),
        (GADGETS, "        enforce(cs, &mark, &(constant(1u64) - chosen), &constant(0u64))?;\n", ""),
        (GADGETS, "    equal(cs, &sum(cs, &marks)?, any)?;\n", ""),
        (GADGETS, "    equal(cs, &sum(cs, &at)?, &found.threshold)?;\n", ""),
        (CIRCUIT, "    in_range(cs, &faulty, FAULTY_BITS)?;\n", ""),
        (CIRCUIT, "    equal(cs, &gram.hash(cs)?, gram_hash)?;\n", ""),
        (CIRCUIT, "    equal(cs, &gram.fold(cs, r, s)?, y)?;\n", ""),
        (CIRCUIT, "    equal(cs, &all, masks)?;\n", ""),
        (CIRCUIT, "        equal(cs, &all, input)?;\n", ""),
        (CIRCUIT, "coefficients.chain(scores).zip(packed)", "coefficients.zip(packed)"),
        (CIRCUIT, ".chain([(pow2(FAULTY_AT), &faulty)]).chain(struck)", ".chain([(pow2(FAULTY_AT), &faulty)])"),
        (HIDDEN, "                enforce(cs, &closed, &gram.at(i, j).value, &constant(0u64))?;\n", ""),
        (HIDDEN, "vec![constant(self.shape.id())]", "vec![constant(0u64)]"),
        (HIDDEN, "elements.extend([self.mu.clone(), self.salt.clone()])", "elements.extend([self.mu.clone()])"),
        (HIDDEN, "elements.extend([self.mu.clone(), self.salt.clone()])", "elements.extend([self.salt.clone()])"),
        (HIDDEN, "Ok(total + &self.mu)", "Ok(total)"),
        (HIDDEN, "bits(cs, &next, shape.log() + 1)?[0].clone()", "hint(cs, || Ok(Fr::from(0u64)))?"),
        (KRUM, "let most = positive_part(cs, &(half_rounded_up(cs, shape, &m)? - Fr::from(2u64)), log + 1)?;",
            "let most = half_rounded_up(cs, shape, &m)? - Fr::from(2u64);"),
        (KRUM, "let left_out = minimum(cs, faulty, &most, 8)?;", "let left_out = most;"),
        (KRUM, "let far = smallest(cs, &others, &near, DISTANCE_BITS)?.sum;", "let far = sum(cs, &others)?;"),
        (KRUM, "far * Fr::from(n as u64) + Fr::from(i as u64)", "far * Fr::from(n as u64)"),
        (KRUM, "keys.push(masked(cs, &live[i], &key, pow2(key_bits) - Fr::one())?);", "keys.push(key);"),
        (KRUM, "let none = is_zero(cs, &divisor)?;", "let none = constant(0u64);"),
        (KRUM, "positive_part(cs, &along[i], ENTRY_BITS + log)?", "along[i].clone()"),
        (REFERENCE, "masked(cs, &live[i], &gram.at(i, i).value, pow2(NORM_BITS) - Fr::one())",
            "Ok(gram.at(i, i).value.clone())"),
        (REFERENCE, "let median = largest_chosen(cs, &norms, &lower_half, &any)?;",
            "let median = lower_half.threshold;"),
        (KRUM, "|(opened, live)| opened - live", "|(_, live)| constant(1u64) - live"),
        (REFERENCE, "let upper_half = live - &lower_half.chosen[i];", "let upper_half = constant(0u64);"),
        (REFERENCE, "let upper_half = live - &lower_half.chosen[i];",
            "let upper_half = constant(1u64) - &lower_half.chosen[i];"),
        (REFERENCE, "product(cs, live, &along.positive)?", "live.clone()"),
        (REFERENCE, "product(cs, live, &(constant(1u64) - opposite))?", "(constant(1u64) - opposite)"),
        (REFERENCE, "product(cs, live, &(constant(1u64) - opposite))?", "live.clone()"),
        (REFERENCE, "opposite(cs, along, &norm, vv, &no_direction, ENTRY_BITS)?",
            "opposite(cs, along, &norm, vv, &constant(0u64), ENTRY_BITS)?"),
        (REFERENCE, "let negative = product(cs, &(constant(1u64) - &a.positive), &a.value)?;",
            "let negative = a.value.clone();"),
        (REFERENCE, "not_negative(cs, &(square * Fr::from(4u64) - lengths - none), 2 * n + 2)",
            "not_negative(cs, &(square * Fr::from(4u64) - lengths - Fr::one()), 2 * n + 2)"),
        (SEMIDEFINITE, "                in_range(cs, &x, FACTOR_BITS)?;\n", ""),
        (SEMIDEFINITE, "                in_range(cs, &(&x + pow2(FACTOR_BITS)), FACTOR_BITS + 1)?;\n", ""),
        (SEMIDEFINITE, "in_range(cs, &(rest + Fr::from(shift(n)) * pow2(REST_BITS)), FACTOR_BITS + 1)?;\n", ""),
        (SEMIDEFINITE, "                in_range(cs, &(rest + pow2(REST_BITS)), REST_BITS + 1)?;\n", ""),
    )
)  # fmt: skip
