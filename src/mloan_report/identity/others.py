"""Salvadoran and Brazilian numbers and bank cards."""

from __future__ import annotations

import polars as pl

from mloan_report.identity.scheme import Scheme, weighted_sum

_DIGITS = {str(n): n for n in range(10)}


def plain(number: pl.Series) -> pl.Series:
    """Without hyphens and blanks."""
    return number.str.replace_all("[- ]", "")


def _dui(number: pl.Series) -> dict[str, pl.Series]:
    digits = plain(number)
    shaped = digits.str.contains("^[0-9]{9}$")
    expected = (10 - weighted_sum(digits, (9, 8, 7, 6, 5, 4, 3, 2), _DIGITS) % 10) % 10
    return {
        "length": digits.str.len_chars() != 9,
        "characters": ~digits.str.contains("^[0-9]+$"),
        "check_digit": shaped & (digits.str.slice(8, 1).cast(pl.Int64, strict=False) != expected),
    }


def _nit(number: pl.Series) -> dict[str, pl.Series]:
    digits = plain(number)
    shaped = digits.str.contains("^[0-9]{14}$")
    born = pl.select(pl.when(shaped).then(digits.str.slice(4, 6))).to_series()
    day, month = born.str.slice(0, 2).cast(pl.Int64), born.str.slice(2, 2).cast(pl.Int64)
    return {
        "length": digits.str.len_chars() != 14,
        "characters": ~digits.str.contains("^[0-9]+$"),
        "date": shaped & ((day < 1) | (day > 31) | (month < 1) | (month > 12)),
        "check_digit": shaped & (digits.str.slice(13, 1).cast(pl.Int64, strict=False) != _nit_check(digits)),
    }


def _nit_check(digits: pl.Series) -> pl.Series:
    """Two rules by serial number (positions 11-13): up to 100 mod 11 of weights 14..2 then mod 10; above, 11 - mod 11."""
    old = weighted_sum(digits, tuple(range(14, 1, -1)), _DIGITS) % 11 % 10
    new = (-weighted_sum(digits, (2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), _DIGITS)) % 11 % 10
    serial = digits.str.slice(10, 3).cast(pl.Int64, strict=False)
    return pl.select(pl.when(serial <= 100).then(old).otherwise(new)).to_series()


def _card(number: pl.Series) -> dict[str, pl.Series]:
    digits = plain(number)
    length = digits.str.len_chars()
    shaped = digits.str.contains("^[0-9]{12,19}$")
    reverse = digits.str.reverse()
    total = pl.Series([0]).new_from_index(0, digits.len()).cast(pl.Int64)
    for i in range(19):
        digit = reverse.str.slice(i, 1).replace_strict(_DIGITS, default=0, return_dtype=pl.Int64)
        total = total + (digit if i % 2 == 0 else digit * 2 // 10 + digit * 2 % 10)
    return {
        "length": (length < 12) | (length > 19),
        "characters": ~digits.str.contains("^[0-9]+$"),
        "check_digit": shaped & (total % 10 != 0),
    }


_ALNUM = {**_DIGITS, **{chr(65 + n): 17 + n for n in range(26)}}
"""Digits and letters of a CNPJ of after July 2026: their ASCII code less 48."""


def _marks(number: pl.Series) -> pl.Series:
    return number.str.replace_all("[-./ ]", "")


def _mod_11(text: pl.Series, weights: tuple[int, ...], values: dict[str, int]) -> pl.Series:
    rest = weighted_sum(text, weights, values) % 11
    return pl.select(pl.when(rest < 2).then(0).otherwise(11 - rest)).to_series()


def _cpf(number: pl.Series) -> dict[str, pl.Series]:
    digits = _marks(number)
    shaped = digits.str.contains("^[0-9]{11}$")
    first = _mod_11(digits, tuple(range(10, 1, -1)), _DIGITS)
    second = _mod_11(digits, tuple(range(11, 1, -1)), _DIGITS)
    wrong = (digits.str.slice(9, 1).cast(pl.Int64, strict=False) != first) | (digits.str.slice(10, 1).cast(pl.Int64, strict=False) != second)
    same = digits.is_in([c * 11 for c in _DIGITS])  # eleven equal digits pass the sums and were never given to anybody
    return {
        "length": digits.str.len_chars() != 11,
        "characters": ~digits.str.contains("^[0-9]+$"),
        "check_digit": shaped & (wrong | same),
    }


def _cnpj(number: pl.Series) -> dict[str, pl.Series]:
    signs = _marks(number)
    shaped = signs.str.contains("^[0-9A-Z]{12}[0-9]{2}$")
    first = _mod_11(signs, (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), _ALNUM)
    second = _mod_11(signs, (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), _ALNUM)
    wrong = (signs.str.slice(12, 1).cast(pl.Int64, strict=False) != first) | (signs.str.slice(13, 1).cast(pl.Int64, strict=False) != second)
    return {
        "length": signs.str.len_chars() != 14,
        "characters": (signs.str.len_chars() == 14) & ~shaped,
        "check_digit": shaped & (wrong | (signs == "0" * 14)),
    }


OTHERS = (
    Scheme("br.cpf", "Taxpayer number of a natural person (CPF)", "巴西个人税号", "Receita Federal, as python-stdnum has it", "public_code", _cpf),
    Scheme(
        "br.cnpj",
        "Taxpayer number of a legal person (CNPJ), with letters from July 2026",
        "巴西法人税号",
        "Receita Federal, IN RFB 2.229/2024 for letters, as python-stdnum has it",
        "public_code",
        _cnpj,
    ),
    Scheme("sv.dui", "Identity document number (DUI)", "萨尔瓦多身份证号", "RNPN, as remembered", "knowledge", _dui, frozenset({"check_digit"})),
    Scheme(
        "sv.nit",
        "Tax identification number (NIT)",
        "萨尔瓦多税号",
        "Ministerio de Hacienda, as python-stdnum has it",
        "public_code",
        _nit,
        frozenset({"check_digit", "date"}),
    ),
    Scheme("bank_card", "Bank card number", "银行卡号", "ISO/IEC 7812-1", "official", _card, frozenset({"check_digit"})),
)
