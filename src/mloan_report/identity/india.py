"""Indian numbers: Aadhaar, whose check is asked of whole columns, and numbers that python-stdnum lacks."""

from __future__ import annotations

import polars as pl

from mloan_report.identity.scheme import Parts, Scheme

# The dihedral group of the pentagon: products (row by row), and the permutation that Verhoeff applies again at each place.
_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(digits: pl.Series) -> pl.Series:
    """The Verhoeff sum of each number of twelve digits: 0 where its check digit holds."""
    pairs = list(range(100))
    product = [_PRODUCT[n // 10][n % 10] for n in pairs]
    permuted = list(range(10))
    total = pl.Series([0]).new_from_index(0, digits.len()).cast(pl.Int64)
    for place in range(12):
        digit = digits.str.slice(11 - place, 1).cast(pl.Int64, strict=False).replace_strict(list(range(10)), permuted, default=None, return_dtype=pl.Int64)
        total = (total * 10 + digit).replace_strict(pairs, product, default=None, return_dtype=pl.Int64)
        permuted = [_TURN[n] for n in permuted]
    return total


def _aadhaar(number: pl.Series) -> dict[str, pl.Series]:
    digits = number.str.replace_all("[- ]", "")
    shaped = digits.str.contains("^[2-9][0-9]{11}$")
    return {
        "length": digits.str.len_chars() != 12,
        "characters": ~digits.str.contains("^[2-9][0-9]*$") | (digits == digits.str.reverse()),
        "check_digit": shaped & (verhoeff(digits) != 0),
    }


def _shaped(length: tuple[int, int], pattern: str) -> Parts:
    """A number without a check digit: how long it is, and its letters and digits."""

    def parts(number: pl.Series) -> dict[str, pl.Series]:
        text = number.str.replace_all("[- /]", "")
        return {"length": ~text.str.len_chars().is_between(*length), "characters": ~text.str.contains(pattern)}

    return parts


_SOFT = frozenset({"length", "characters"})
INDIA = (
    Scheme("in_.aadhaar", "Aadhaar number (UID)", "印度唯一身份号码", "UIDAI, as python-stdnum has it", "public_code", _aadhaar),
    Scheme("in.ckyc", "Central KYC identifier", "印度中央客户识别号", "CERSAI, as remembered", "knowledge", _shaped((14, 14), "^[0-9]+$"), _SOFT),
    Scheme(
        "in.driving_licence",
        "Driving licence number",
        "印度驾驶执照号码",
        "Ministry of Road Transport and Highways, as remembered",
        "knowledge",
        _shaped((9, 16), "^[A-Z]{2}[0-9A-Z]+$"),
        _SOFT,
    ),
    Scheme("in.ration_card", "Ration card number", "印度配给卡号码", "by state, no common form", "knowledge", _shaped((4, 20), "^[0-9A-Z]+$"), _SOFT),
)
