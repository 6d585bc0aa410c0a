"""Amounts and durations as people write them."""

import pytest

from marketplace.units import format_amount, parse_amount, parse_duration, parse_token_amount, parse_wait


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        (7, 7),
        ("7", 7),
        ("7 wei", 7),
        ("2 gwei", 2 * 10**9),
        ("0.25 ether", 25 * 10**16),
        ("1ether", 10**18),
        ("0.000000000000000001 ether", 1),
        ("340282366920938463463374607431768211455", 2**128 - 1),
    ],
)
def test_amounts_are_exact(text: int | str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "much",
        "-1",
        "1e18",
        "0.5 wei",
        "0.0000000000000000001 ether",
        "1 bitcoin",
        "1 2",
        True,
        1.5,
        None,
        2**128,
        "٣",
    ],
)
def test_what_is_no_exact_amount_is_refused(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence depends on the mistake
        parse_amount(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90), ("90 s", 90), ("5 min", 300), ("1.5 h", 5400), ("2 d", 172800)]
)
def test_durations_are_whole_seconds(text: int | str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["0", 0, "0.5 s", "-1 h", "1 year", "soon", True])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 ether"),
        (2**128 - 1, "340282366920938463463.374607431768211455 ether"),
        (1, "0.000000000000000001 ether"),
        (10**18, "1 ether"),
        (25 * 10**16, "0.25 ether"),
    ],
)
def test_amounts_are_shown_without_loss(amount: int, text: str) -> None:
    assert format_amount(amount) == text
    assert parse_amount(format_amount(amount)) == amount


@pytest.mark.parametrize("nothing", [0, "0", "0 s", "0 h"])
def test_a_wait_may_be_none_at_all_and_a_duration_may_not(nothing: int | str) -> None:
    assert parse_wait(nothing) == 0
    with pytest.raises(ValueError, match="above 0"):
        parse_duration(nothing)


@pytest.mark.parametrize("text", [True, False, "-1 s", -1, "0.5 s", "soon", None])
def test_what_is_no_wait_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"seconds|unit|not understood"):
        parse_wait(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        (5_000_000, 5_000_000),
        ("5000000", 5_000_000),
        ("5 tokens", 5_000_000),
        ("1 token", 1_000_000),
        ("0.25", 250_000),
        ("0.000001 tokens", 1),
    ],
)
def test_an_amount_of_a_token_is_read_by_its_decimals(text: int | str, amount: int) -> None:
    assert parse_token_amount(text, lambda: 6) == amount


@pytest.mark.parametrize("text", ["5 ether", "5 eth", "3 gwei", "7 wei"])
def test_coin_is_no_amount_of_a_token(text: str) -> None:
    with pytest.raises(ValueError, match="an amount of the chain's coin, and this job pays in a token"):
        parse_token_amount(text, lambda: 18)


@pytest.mark.parametrize("text", ["0.0000001 tokens", "-1", "5 dollars", "", True, None, 1.5, 2**128])
def test_what_is_no_amount_of_a_token_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"amount|unit|not understood|smallest"):
        parse_token_amount(text, lambda: 6)  # type: ignore[arg-type]


def test_a_token_without_decimals_takes_whole_units_only() -> None:
    assert parse_token_amount("12", lambda: None) == 12
    with pytest.raises(ValueError, match="does not say how many decimals"):
        parse_token_amount("12 tokens", lambda: None)


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [
        (5_000_000, 6, "5 T"),
        (1, 6, "0.000001 T"),
        (1_500_000, 6, "1.5 T"),
        (7, 0, "7 T"),
        (10, 0, "10 T"),
        (0, 6, "0 T"),
        (1, 36, "0." + "0" * 35 + "1 T"),
        (5_000_000, None, "5000000 smallest units of T"),
    ],
)
def test_amounts_are_shown_in_the_tokens_own_decimals(amount: int, decimals: int | None, text: str) -> None:
    assert format_amount(amount, "T", decimals) == text
