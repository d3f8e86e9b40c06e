"""Identity numbers that no one country gives."""

from __future__ import annotations

import polars as pl

from mloan_report.identity.scheme import Scheme

_VALUES = {**{str(n): str(n) for n in range(10)}, **{chr(ord("A") + n): str(10 + n) for n in range(26)}}


def _lei(number: pl.Series) -> dict[str, pl.Series]:
    shaped = number.str.contains("^[0-9A-Z]{18}[0-9]{2}$")
    digits = number.str.replace_many(list(_VALUES), list(_VALUES.values()))  # two digits for a letter: 38 at most
    rest = pl.Series([0]).new_from_index(0, number.len()).cast(pl.Int64)
    for start in range(0, 40, 8):
        some = digits.str.slice(start, 8)
        rest = (rest * 10 ** some.str.len_chars().cast(pl.Int64) + some.replace("", "0").cast(pl.Int64, strict=False)) % 97
    return {"length": number.str.len_chars() != 20, "characters": ~number.str.contains("^[0-9A-Z]*$"), "check_digit": shaped & (rest != 1)}


INTERNATIONAL = (Scheme("lei", "Legal entity identifier (LEI)", "法人机构识别编码", "ISO 17442-1, ISO 7064 (modulus 97)", "official", _lei),)
