"""Chinese numbers: resident identity (GB 11643), unified social credit code (GB 32100), organisation code (GB 11714),
credit reference code (中征码), mobile numbers.

python-stdnum refuses genuine resident numbers (its place test asks whether the county existed in the birth year, knows no
810000, 820000, 830000, and raises KeyError on some) and codes beginning N, Y or A; so date, place and format are ours.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from mloan_report.identity.scheme import Scheme, no, weighted_sum

_DIGITS = {str(n): n for n in range(10)}
_LETTERS = _DIGITS | {chr(ord("A") + n): 10 + n for n in range(26)}
_USCC = {c: n for n, c in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
_RIC_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RIC_CHECK = "10X98765432"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ZHONGZHENG_WEIGHTS = (1, 3, 5, 7, 11, 2, 13, 1, 1, 17, 19, 97, 23, 29)


def _ric(number: pl.Series) -> dict[str, pl.Series]:
    length = number.str.len_chars()
    old = number.str.contains("^[0-9]{15}$")
    shaped = number.str.contains("^[0-9]{17}[0-9X]$")
    expected = (weighted_sum(number, _RIC_WEIGHTS, _DIGITS) % 11).replace_strict(dict(enumerate(_RIC_CHECK)), default=None, return_dtype=pl.String)
    born = _born(number)
    return {
        "length": ~old & (length != 18),
        "characters": (length == 18) & ~shaped,
        "date": shaped & (born.is_null() | (born.dt.year() < 1850)),
        "check_digit": shaped & (number.str.slice(17, 1) != expected),
        "place": shaped & ~_known_place(number.str.slice(0, 6)),
        "old_form": old,
    }


def _born(number: pl.Series) -> pl.Series:
    ok = number.str.contains("^[0-9]{17}[0-9X]$")
    digits = pl.select(pl.when(ok).then(number.str.slice(6, 8))).to_series()
    return digits.str.to_date("%Y%m%d", strict=False)


def _ric_reads(number: pl.Series) -> pl.DataFrame:
    ok = number.str.contains("^[0-9]{17}[0-9X]$")
    odd = number.str.slice(16, 1).cast(pl.Int64, strict=False) % 2
    sex = pl.select(pl.when(ok & (odd == 1)).then(pl.lit("male")).when(ok).then(pl.lit("female"))).to_series()
    return pl.DataFrame({"born_on": _born(number), "sex": sex})


def _known_place(code: pl.Series) -> pl.Series:
    wanted = code.drop_nulls().unique().to_list()
    return code.is_in([c for c in wanted if place_is_known(c)])


@cache
def place_is_known(code: str) -> bool:
    """Whether GB/T 2260 has or had this place, whatever the year; residence permits (81, 82, 83) and foreigners (9) included."""
    from stdnum import numdb

    if code[:1] == "9" or code in ("810000", "820000", "830000"):
        return True
    parts = numdb.get("cn/loc").info(code)
    return len(parts) >= 1 and parts[0][0] == code[: len(parts[0][0])] and bool(parts[0][1]) and "".join(p[0] for p in parts if p[1]) == code


def _uscc(code: pl.Series) -> dict[str, pl.Series]:
    length = code.str.len_chars()
    shaped = code.str.contains("^[0-9A-HJ-NPQRTUWXY]{18}$")
    total = weighted_sum(code, _USCC_WEIGHTS, _USCC)
    expected = ((31 - total % 31) % 31).replace_strict({n: c for c, n in _USCC.items()}, default=None, return_dtype=pl.String)
    return {
        "length": length != 18,
        "characters": (length == 18) & ~shaped,
        "check_digit": shaped & (code.str.slice(17, 1) != expected),
        "organisation_part": shaped & _org_wrong(code.str.slice(8, 9)),
    }


def _org(code: pl.Series) -> dict[str, pl.Series]:
    plain = code.str.replace("-", "", literal=True)
    shaped = code.str.contains("^[0-9A-Z]{8}-?[0-9X]$")
    return {
        "length": plain.str.len_chars() != 9,
        "characters": (plain.str.len_chars() == 9) & ~shaped,
        "check_digit": shaped & _org_wrong(plain),
    }


def _org_wrong(nine: pl.Series) -> pl.Series:
    value = 11 - weighted_sum(nine, _ORG_WEIGHTS, _LETTERS) % 11
    expected = value.replace_strict({**{n: str(n) for n in range(1, 10)}, 10: "X", 11: "0"}, default=None, return_dtype=pl.String)
    return nine.str.slice(8, 1) != expected


def _zhongzheng(code: pl.Series) -> dict[str, pl.Series]:
    length = code.str.len_chars()
    shaped = code.str.contains("^[0-9A-Z]{3}[0-9]{13}$")
    expected = (weighted_sum(code, _ZHONGZHENG_WEIGHTS, _LETTERS) % 97 + 1).cast(pl.String).str.zfill(2)
    return {
        "length": length != 16,
        "characters": (length == 16) & ~shaped,
        "check_digit": shaped & (code.str.slice(14, 2) != expected),
    }


def _mobile(number: pl.Series) -> dict[str, pl.Series]:
    length = number.str.len_chars()
    digits = number.str.contains("^[0-9]+$")
    return {
        "length": length != 11,
        "characters": ~digits,
        "prefix": digits & (length == 11) & ~number.str.contains("^1[3-9]"),
        "check_digit": no(number),
    }


CHINA = (
    Scheme("cn.ric", "Resident identity number", "公民身份号码", "GB 11643", "official", _ric, frozenset({"place", "old_form"}), _ric_reads),
    Scheme("cn.uscc", "Unified social credit code", "统一社会信用代码", "GB 32100-2015", "official", _uscc, frozenset({"organisation_part"})),
    Scheme("cn.gb11714", "Organisation code", "组织机构代码", "GB 11714-1997", "official", _org),
    Scheme("cn.zhongzheng", "Credit reference code", "中征码", "one public implementation", "public_code", _zhongzheng, frozenset({"check_digit"})),
    Scheme("cn.mobile", "Mobile number", "手机号码", "MIIT numbering plan", "knowledge", _mobile),
)
