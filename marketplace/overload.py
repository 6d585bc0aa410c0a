"""How services say by HTTP that they have too much to do, and how slow one may be."""

import time
from email.utils import parsedate_to_datetime

BUSY = (408, 425, 429, 502, 503, 504)  # statuses after which the same request may succeed
MIN_RATE = 16_384  # bytes per second below which a transfer is given up, once its timeout has passed
MAX_PAUSE = 10.0  # seconds that a service is left alone at its wish


def time_for(size: int, beside: float) -> float:
    """Seconds that a transfer of so many bytes may take: what they take at MIN_RATE, and so many seconds beside."""
    return beside + size / MIN_RATE


def retry_after(header: str) -> float:
    """The seconds of a Retry-After header, at most MAX_PAUSE; 0 where it says nothing."""
    try:
        seconds = float(header) if header.isdecimal() else parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_PAUSE)
