"""From a float difference to an update in integers, with the same bits on CPU and GPU.

w = clamp(round(Δ / scale), ±LIMIT), rounded to nearest even, the division in float64: one IEEE operation an entry.
Then the clip, in integers: with C = ⌊clip / scale⌋, S = Σ w_i² and r = ⌈√S⌉, if S > C² every w_i becomes
w_i · C / r, truncated toward zero, so that the norm ends at most C.
"""

from math import floor, isqrt

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
