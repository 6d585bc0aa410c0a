"""Addresses as people type and paste them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.addresses import parse_address

RIGHT = "0x52908400098527886E0F7030069857D2E4169EE7"
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@given(st.binary(min_size=20, max_size=20))
def test_every_correct_spelling_is_the_same_address(raw: bytes) -> None:
    right = parse_address("0x" + raw.hex())
    for text in (raw.hex(), raw.hex().upper()):
        assert parse_address("0x" + text) == parse_address("0X" + text) == parse_address(f"  0x{text}\n") == right
    assert parse_address(right) == right
    assert bytes.fromhex(right[2:]) == raw


def test_a_wrong_checksum_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(ValueError, match=f"wrong checksum.*{MIXED}"):
        parse_address(MIXED.replace("5aA", "5Aa"))
    with pytest.raises(ValueError, match=f"wrong checksum.*{RIGHT}"):
        parse_address(RIGHT.replace("EE7", "ee7"))


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("vitalik.eth", "names are not looked up"),
        ("0x12", "it has 2 digits after 0x, and an address has 40"),
        (RIGHT + "0", "it has 41 digits"),
        (RIGHT[2:], f"write 0x before it: {RIGHT}"),
        ("0xZZ908400098527886E0F7030069857D2E4169EE7", "write 0x and 40 hexadecimal digits"),
        ("", "write 0x and 40 hexadecimal digits"),
        (12, "12 is not an address"),
        (None, "None is not an address"),
        ("0x" + "٣" * 40, "write 0x and 40"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(text: object, clause: str) -> None:
    with pytest.raises(ValueError, match="is not an address") as caught:
        parse_address(text)
    assert clause in str(caught.value)


def test_a_message_repeats_little_of_what_was_typed() -> None:
    with pytest.raises(ValueError, match="is not an address") as caught:
        parse_address("x" * 100_000)
    assert len(str(caught.value)) < 250
