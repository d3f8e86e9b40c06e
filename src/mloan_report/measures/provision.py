"""Provision tables as dated data: rates by category or by rule, general and specific kept apart, each with its own base.

A table has a purpose: ``regulatory`` (what a supervisor requires), ``accounting`` or ``tax`` (what a tax law lets deduct). They are never mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from mloan_report.measures.data_files import number, one_of, require, toml_files
from mloan_report.measures.regime import RefusedRegime, within

PURPOSES = ("regulatory", "accounting", "tax")
SCALE = 10**7


@dataclass(frozen=True)
class RateRule:
    """A rate where ``when`` (SQL) fits: ``pct`` and ``step`` for each of ``steps`` (SQL count), at most ``cap``; all in 10^-7 percent."""

    when: str
    pct: int
    step: int
    steps: str | None
    cap: int


@dataclass(frozen=True)
class Part:
    """Percent (10^-7) of a base, summed over the book: SQL over the loan view, or what overdue instalments of an age lack.

    ``from_days`` and ``to_days`` bound that age (each instalment has its own); then ``base`` is SQL over the arrears (principal, interest,
    fees, penalty).
    """

    pct: int
    base: str
    from_days: int | None = None
    to_days: int | None = None


@dataclass(frozen=True)
class ProvisionTable:
    """Rates in 10^-7 percent; ``base`` is SQL over the loan view.

    ``level`` loan: each loan has its provision; ``general`` is added to it. ``level`` portfolio: the requirement is the greatest of
    ``alternatives``, each a sum of parts over the whole book.
    """

    id: str
    en: str
    local: str | None
    source: str
    certainty: str
    purpose: str
    level: str
    effective_from: str | None
    effective_to: str | None
    regimes: tuple[str, ...]
    base: str
    general: int
    general_base: str | None
    general_categories: tuple[str, ...]
    specific: tuple[tuple[str, int], ...]
    rules: tuple[RateRule, ...]
    alternatives: tuple[tuple[str, tuple[Part, ...]], ...]
    note: str | None

    def rates(self) -> dict[str, int]:
        """The specific rate by category."""
        return dict(self.specific)

    def in_force(self, on: date) -> bool:
        """Whether *on* lies within its dates."""
        return within(on, self.effective_from, self.effective_to)


@cache
def provision_tables() -> dict[str, ProvisionTable]:
    """Every provision table that comes with the library, by id."""
    return {table.id: table for table in (parse_provisions(data, name) for name, data in toml_files("provisions"))}


def parse_provisions(data: dict[str, Any], file: str) -> ProvisionTable:
    """A table from its data; refused without a source, a certainty or a rate."""
    require(data, ("id", "en", "source", "certainty"), file)
    purpose = one_of(data.get("purpose", "regulatory"), PURPOSES, f"{file}: purpose")
    rules = tuple(_rule(r, file) for r in data.get("rate", []))
    alternatives = tuple(
        (a["name"], tuple(Part(_scaled(p["pct"], file), p["base"], p.get("from_days"), p.get("to_days")) for p in a["parts"]))
        for a in data.get("alternative", [])
    )
    specific = tuple((str(code), _scaled(rate, file)) for code, rate in data.get("specific_pct", {}).items())
    if sum(map(bool, (rules, alternatives, specific))) != 1:
        raise RefusedRegime(f"{file}: needs rates by category (specific_pct), by rule (rate) or for the portfolio (alternative), and only one of them")
    if not alternatives and not (data.get("regimes") and data.get("base")):
        raise RefusedRegime(f"{file}: regimes or base is missing")
    return ProvisionTable(
        id=data["id"],
        en=data["en"],
        local=data.get("zh", data.get("local")),
        source=data["source"],
        certainty=data["certainty"],
        purpose=purpose,
        level="portfolio" if alternatives else "loan",
        effective_from=data.get("effective_from"),
        effective_to=data.get("effective_to"),
        regimes=tuple(data.get("regimes", ())),
        base=data.get("base", ""),
        general=_scaled(data.get("general_pct", "0"), file),
        general_base=data.get("general_base"),
        general_categories=tuple(data.get("general_categories", ())),
        specific=specific,
        rules=rules,
        alternatives=alternatives,
        note=data.get("note"),
    )


def _rule(data: dict[str, Any], file: str) -> RateRule:
    require(data, ("when", "pct"), f"{file}: a rate")
    return RateRule(
        data["when"], _scaled(data["pct"], file), _scaled(data.get("step_pct", "0"), file), data.get("steps"), _scaled(data.get("cap_pct", "100"), file)
    )


def _scaled(text: str, file: str) -> int:
    return int(number(text, file, low=0, high=100) * SCALE)
