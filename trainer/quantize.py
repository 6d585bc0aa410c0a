"""From a float difference to an update in integers, with the same bits on CPU and GPU.

w = clamp(round(Δ / scale), ±LIMIT), rounded to nearest even, the division in float64: one IEEE operation an entry.
Then the clip, in integers: with C = ⌊clip / scale⌋, S = Σ w_i² and r = ⌈√S⌉, if S > C² every w_i becomes
w_i · C / r, truncated toward zero, so that the norm ends at most C.

A job may want its updates smaller: `lighten` keeps the largest entries, in fewer bits, and says what it left out, which
is added to the next round's update ("error feedback": Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847). In
integers too: nothing is lost but what clip takes.
"""

from math import ceil, floor, isqrt
from typing import NamedTuple

import numpy as np
import torch

from zk.encoding import LIMIT, MAX_ENTRIES, Int16s

_CHUNK = 2**22


def to_integers(delta: torch.Tensor, scale: float, clip: float | None = None) -> Int16s:
    """The update int16[d], on the CPU, of a difference float32[d] on any device.

    scale: value of one integer step; clip: largest L2 norm, in units of the model, or None. Needs 2·d bytes and chunks
    of 32 MiB on the device. Raises ValueError if `delta` is no float32[d], is not finite, or clip is below scale.
    """
    if delta.dtype != torch.float32 or delta.ndim != 1 or not 1 <= len(delta) <= MAX_ENTRIES:
        raise ValueError(f"a difference is float32[1 … {MAX_ENTRIES}], this is {delta.dtype}{list(delta.shape)}")
    if not scale > 0 or (clip is not None and not clip >= scale):
        raise ValueError(f"scale {scale} has to be above 0 and at most clip {clip}")
    if not bool(torch.isfinite(delta).all()):
        raise ValueError("the update has an entry that is not a finite number: training diverged")
    if delta.device.type == "mps":
        delta = delta.cpu()  # MPS has no float64
    # A divisor on the device: torch turns division by a plain number into multiplication by its reciprocal on CUDA.
    step = torch.tensor(scale, dtype=torch.float64, device=delta.device)
    w = torch.empty(delta.shape, dtype=torch.int16, device=delta.device)
    for entries, part in zip(torch.split(w, _CHUNK), torch.split(delta.detach(), _CHUNK), strict=True):
        entries.copy_((part.double() / step).round_().clamp_(-LIMIT, LIMIT))
    if clip is not None:
        _shorten(w, floor(clip / scale))
    result: Int16s = w.cpu().numpy()
    return result


def _shorten(w: torch.Tensor, limit: int) -> None:
    """Scales int16[d] in place to an L2 norm of at most `limit` ≥ 1. |w_i · limit| < 2^15 · 2^29: exact in int64."""
    parts = torch.split(w, _CHUNK)
    square = sum(int(part.long().square_().sum()) for part in parts)
    if square <= limit * limit:
        return
    root = isqrt(square - 1) + 1
    for part in parts:
        part.copy_(part.long().mul_(limit).div_(root, rounding_mode="trunc"))


class Lightened(NamedTuple):
    """An update int16[d] as it is sent, and what of it was left out, int16[d]: together the whole update."""

    sent: Int16s
    left: Int16s


def carry_over(update: Int16s, left: Int16s, scale: float, clip: float | None = None) -> Int16s:
    """int16[d]: an update with what the one before has left out, within ±LIMIT and again within clip."""
    whole: Int16s = np.clip(update.astype(np.int32) + left, -LIMIT, LIMIT).astype(np.int16)
    if clip is not None:
        _shorten(torch.from_numpy(whole), floor(clip / scale))
    return whole


def lighten(update: Int16s, bits: int, keep: float) -> Lightened:
    """The largest ⌈keep · d⌉ entries, of equals the first, as multiples of the least power of two with which `bits`
    bits, sign included, hold them, rounded to nearest even. update: int16[d], which stays as it is."""
    if bits == 16 and keep == 1:
        return Lightened(update, np.zeros_like(update))
    sent = update.astype(np.int32)
    count = ceil(keep * len(sent))
    if count < len(sent):
        sizes = np.abs(sent)
        least = np.partition(sizes, -count)[-count]
        equal = np.flatnonzero(sizes == least)
        sent[sizes < least] = 0
        sent[equal[count - int((sizes > least).sum()) :]] = 0
    most = 2 ** (bits - 1) - 1
    shift = max(0, int(np.abs(sent).max()).bit_length() - (bits - 1))
    if shift:
        np.rint(np.ldexp(sent, -shift), out=(steps := np.empty(len(sent))))
        sent = np.clip(steps, -most, most).astype(np.int32) << shift
    return Lightened(sent.astype(np.int16), (update - sent).astype(np.int16))
