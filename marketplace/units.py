"""Amounts and durations as people write them, to ints and back."""

import re
from collections.abc import Callable
from fractions import Fraction

_COIN = ("gwei", "ether", "eth", "wei")
_UNITS = {"wei": 1, "gwei": 10**9, "ether": 10**18, "eth": 10**18}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def parse_amount(value: int | str) -> int:
    """`5`, `"5 wei"`, `"0.25 ether"` → smallest units. Raises ValueError for anything inexact, negative or unknown."""
    _checked_kind(value, "ether")
    number, unit = (str(value), "wei") if isinstance(value, int) else _split(value, "wei", "0.25 ether")
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r}; use {', '.join(_UNITS)}")
    return _whole(value, Fraction(number) * _UNITS[unit])


def _checked_kind(value: object, unit: str) -> None:
    if isinstance(value, float):
        raise ValueError(f"{value!r} lacks its unit: write '{value!r} {unit}', or a whole number of the smallest unit")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"an amount is a whole number or a text such as '0.25 {unit}', not {value!r}")


def _whole(value: int | str, amount: Fraction) -> int:
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


def parse_token_amount(value: int | str, decimals: Callable[[], int | None]) -> int:
    """`5000000`, `"5 tokens"`, `"0.25"` of an ERC-20 → its smallest units. Raises ValueError as `parse_amount` does.

    A whole number, and only that, counts smallest units. decimals: of the token, None where it does not say; asked for
    only where a text has to be read by it.
    """
    _checked_kind(value, "tokens")
    number, unit = (str(value), "") if isinstance(value, int) else _split(value, "", "0.25 tokens")
    if unit in _COIN:
        raise ValueError(
            f"{value!r} is an amount of the chain's coin, and this job pays in a token: write '5 tokens', or a whole "
            "number of the token's smallest unit"
        )
    if unit not in ("", "token", "tokens"):
        raise ValueError(f"unknown unit {unit!r}; use tokens, or a whole number of the token's smallest unit")
    if unit == "" and "." not in number:
        return _whole(value, Fraction(number))
    places = decimals()
    if places is None:
        raise ValueError("the token does not say how many decimals it has: give a whole number of its smallest unit")
    return _whole(value, Fraction(number) * 10**places)


def format_amount(amount: int, symbol: str = "ether", decimals: int | None = 18) -> str:
    """Smallest units → a readable decimal, trailing zeros dropped.

    decimals: the token's; None where it is not known, and then the amount stays in its smallest units, never guessed.
    """
    if decimals is None:
        return f"{amount} smallest units of {symbol}"
    whole, part = divmod(amount, 10**decimals)
    fraction = f"{part:0{decimals}}".rstrip("0") if part else ""
    return f"{whole}.{fraction} {symbol}" if fraction else f"{whole} {symbol}"


def format_ago(seconds: int) -> str:
    """`12 minutes ago`: in the largest unit of which there is a whole one."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"


def _split(text: str, default_unit: str, example: str) -> tuple[str, str]:
    match = re.fullmatch(r"\s*([0-9]{1,60}(?:\.[0-9]{1,60})?)\s*([a-z]*)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not understood; write it like {example!r}")
    return match[1], match[2] or default_unit


def format_metric(value: float, *, share: bool) -> str:
    """A metric as people read it: 93.4% of what is a part of one, else four digits."""
    return f"{value:.1%}" if share else f"{value:.4g}"
