"""An account's address as people type it, in any of its correct spellings."""

import re

from eth_utils.address import is_checksum_address, to_checksum_address

_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_SHOWN = 80  # characters of what was typed that a message repeats


def parse_address(text: object) -> str:
    """`text` in its checksummed spelling (EIP-55).

    All letters small, all large, or mixed with the right checksum are taken, with white space around. Raises
    ValueError, as a clause, for anything else; where only the checksum is wrong it names the right one, because
    whoever knows the digits to be right can go on with it.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not an address; write 0x and 40 hexadecimal digits")
    typed = text.strip()
    shown = repr(typed if len(typed) <= _SHOWN else f"{typed[:_SHOWN]}…")
    if not _ADDRESS.fullmatch(typed):
        raise ValueError(f"{shown} is not an address: {_problem(typed)}")
    digits = typed[2:]
    right = to_checksum_address(f"0x{digits}")
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(f"0x{digits}"):
        raise ValueError(
            f"{shown} has a wrong checksum, so a digit may be mistyped; if all are right, they are spelled {right}"
        )
    return right


def _problem(typed: str) -> str:
    if re.fullmatch(r"0[xX][0-9a-fA-F]*", typed):
        found = len(typed) - 2
        return f"it has {found} {'digit' if found == 1 else 'digits'} after 0x, and an address has 40"
    if re.fullmatch(r"[0-9a-fA-F]{40}", typed):
        return f"write 0x before it: 0x{typed}"
    if "." in typed and not typed.startswith(("0x", "0X")):
        return "names are not looked up; give the account itself, 0x and 40 hexadecimal digits"
    return "write 0x and 40 hexadecimal digits"
