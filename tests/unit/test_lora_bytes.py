"""An update of adapters is as large as the adapters, whatever model they are on."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from marketplace.keys.sealing import Purpose, SealContext, sealed_size
from marketplace.services.deliveries import DELIVERY, Sealed, seal_update
from marketplace.services.proofs import committed
from trainer.config import LoraConfig, ModelConfig
from trainer.models import build, count_parameters, frozen_tensors
from zk import setup
from zk.encoding import BLINDER_BYTES, POINT_BYTES, chunks
from zk.files import pack_update

CHUNK = 4096
SRS = setup.development(CHUNK, seed=b"sizes do not depend on it")
READER = X25519PrivateKey.generate().public_key().public_bytes_raw()
CONTEXT = SealContext(31337, "0x" + "cd" * 20, 7, 3, "0x" + "a1" * 20, Purpose.UPDATE)


def gpt2(vocabulary: int) -> ModelConfig:
    config = {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 64, "vocab_size": vocabulary}
    return ModelConfig(
        architecture="transformers",
        parameters={"class": "GPT2LMHeadModel", "config": config},
        lora=LoraConfig(rank=8, targets=("c_attn", "c_proj", "c_fc")),
        seed=1,
    )


def submission(d: int) -> Sealed:
    """A trainer's: the update with its commitment, sealed to an aggregator."""
    made = committed(SRS, np.random.default_rng(1).integers(-(2**15) + 1, 2**15, d).astype(np.int16))
    return seal_update(READER, pack_update(made.row, made.blinders, made.commitment, chunks(d, CHUNK)), CONTEXT)


@pytest.mark.parametrize("vocabulary", [257, 20_000])
def test_bytes_follow_what_is_trained(vocabulary: int) -> None:
    model = gpt2(vocabulary)
    d, frozen = count_parameters(model), sum(tensor.numel() for tensor in frozen_tensors(build(model)).values())
    made = submission(d)
    commitment = chunks(d, CHUNK) * (POINT_BYTES + BLINDER_BYTES)
    seal = sealed_size(2 * d) - 2 * d + sealed_size(DELIVERY)
    assert d == 2 * 8 * (256 + 128 + 320 + 320)  # two layers of rank 8: inputs and outputs of each target
    assert frozen > (100_000 if vocabulary == 257 else 1_000_000)
    assert len(made.large) + len(made.small) == pytest.approx(2 * d + commitment + seal, rel=0.02)
