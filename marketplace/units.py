"""Amounts and durations as people write them, to ints and back."""

import re
from fractions import Fraction

_UNITS = {"wei": 1, "gwei": 10**9, "ether": 10**18, "eth": 10**18}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def parse_amount(value: int | str) -> int:
    """`5`, `"5 wei"`, `"0.25 ether"` → smallest units. Raises ValueError for anything inexact, negative or unknown."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"an amount is a whole number or a text such as '0.25 ether', not {value!r}")
    number, unit = (str(value), "wei") if isinstance(value, int) else _split(value, "wei", "0.25 ether")
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r}; use {', '.join(_UNITS)}")
    amount = Fraction(number) * _UNITS[unit]
    if amount < 0 or amount.denominator != 1 or amount >= 2**128:
        raise ValueError(f"{value!r} is not a whole number of the smallest unit between 0 and 2^128")
    return int(amount)


def parse_duration(value: int | str) -> int:
    """`90`, `"90 s"`, `"5 min"`, `"1.5 h"`, `"2 d"` → seconds, whole and positive. Raises ValueError."""
    if (seconds := parse_wait(value)) == 0:
        raise ValueError(f"{value!r} is not a whole number of seconds above 0")
    return seconds


def parse_wait(value: int | str) -> int:
    """As `parse_duration`, and 0 for none at all. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"a duration is whole seconds or a text such as '10 min', not {value!r}")
    number, unit = (str(value), "s") if isinstance(value, int) else _split(value, "s", "10 min")
    if unit not in _SECONDS:
        raise ValueError(f"unknown unit {unit!r}; use {', '.join(_SECONDS)}")
    seconds = Fraction(number) * _SECONDS[unit]
    if seconds < 0 or seconds.denominator != 1:
        raise ValueError(f"{value!r} is not a whole number of seconds from 0 on")
    return int(seconds)


def format_amount(amount: int, symbol: str = "ether") -> str:
    """Smallest units → a readable decimal with 18 places, trailing zeros dropped."""
    whole, part = divmod(amount, 10**18)
    text = f"{whole}.{part:018}".rstrip("0").rstrip(".")
    return f"{text} {symbol}"


def _split(text: str, default_unit: str, example: str) -> tuple[str, str]:
    match = re.fullmatch(r"\s*([0-9]{1,60}(?:\.[0-9]{1,60})?)\s*([a-z]*)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not understood; write it like {example!r}")
    return match[1], match[2] or default_unit
