"""ISO 4217 codes with their minor digits, and ISO 3166-1 countries (data: currencies.csv, countries.csv).

Source: ISO 4217:2015 table A.1 and ISO 3166-1 (public standards; certainty official).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def currencies() -> dict[str, int]:
    """Minor digits by ISO 4217 code (UGX 0, CNY 2, KWD 3)."""
    return {row["code"]: int(row["minor_digits"]) for row in _rows("currencies.csv")}


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 alpha-3 code by alpha-2 code."""
    return {row["alpha_2"]: row["alpha_3"] for row in _rows("countries.csv")}


def minor_digits(code: str) -> int:
    """Decimals of *code*'s minor unit; KeyError when ISO 4217 has no such code."""
    return currencies()[code]


def _rows(name: str) -> list[dict[str, str]]:
    text = files("mloan_report.model").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
