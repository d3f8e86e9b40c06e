"""Limits as dated data: sets of rules, a province as a layer over its country, and what loading refuses.

A set is one file of measures/limits (or a user's own). ``extends`` takes another set's limits over; a limit of the same id replaces the
one below where it is stricter, or says ``replaces = true``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, get_args

from mloan_report.measures.data_files import load_toml, number, one_of, require, toml_files
from mloan_report.measures.regime import RefusedRegime, last_day, within
from mloan_report.model.enumerations import ChargeKind

MEASURES = ("by_person", "by_related", "by_household", "financials", "loans", "all_in_rate", "ratio", "debt_service")
BASES = ("absolute", "net_assets_previous_year_end", "net_assets_latest", "reference_rate")
OPERATORS = ("<=", ">=", "=")
UNITS = ("ratio", "times", "money", "loans")
NEEDS = {
    "by_person": "sum",
    "by_related": "sum",
    "by_household": "sum",
    "financials": "figure",
    "loans": "where",
    "ratio": "ratio",
    "all_in_rate": "charge_kinds",
}


@dataclass(frozen=True)
class Limit:
    """One limit. ``value`` is a part (0.10), a multiple, money in the set's currency, or a count of loans, by ``unit``.

    - ``measure``: the sum of a column by person, related parties or household; a figure of financials; loans that fit; the all-in annual
      cost of each loan; a ratio; the debt service of a household to its income.
    - ``charge_kinds``: for the all-in cost, the kinds of charges.kind that count where ``in_annual_rate`` does not say.
    - ``base``: what the figure is divided by. ``early_pct``: from how much of the limit on an early warning is given (ours: 80).
    - ``severity`` error or warning; until ``warning_until`` a breach is only a warning.
    """

    id: str
    en: str
    zh: str
    measure: str
    base: str
    operator: str
    value: Decimal
    unit: str
    source: str
    article: str
    certainty: str
    sum: str | None = None
    where: str | None = None
    figure: str | None = None
    ratio: str | None = None
    reference_rate: str | None = None
    charge_kinds: tuple[str, ...] = ()
    severity: str = "error"
    warning_until: str | None = None
    early_pct: Decimal = Decimal(80)
    enabled: bool = True
    effective_from: str | None = None
    effective_to: str | None = None
    note: str | None = None

    def in_force(self, on: date) -> bool:
        """Whether the limit is switched on and *on* lies within its dates."""
        return self.enabled and within(on, self.effective_from, self.effective_to)

    def severity_on(self, on: date) -> str:
        """How grave a breach on that day is."""
        return "warning" if self.warning_until is not None and on <= last_day(self.warning_until) else self.severity

    def stricter_than(self, other: Limit) -> bool:
        """Whether this one lets less through."""
        return self.value >= other.value if self.operator == ">=" else self.value <= other.value


@dataclass(frozen=True)
class LimitSet:
    """A set of limits, with those of the set that it extends."""

    id: str
    country: str
    en: str
    zh: str | None
    currency_code: str | None
    limits: tuple[Limit, ...]
    note: str | None


@cache
def limit_sets() -> dict[str, LimitSet]:
    """Every set that comes with the library, by id."""
    files = {data["id"]: (data, name) for name, data in toml_files("limits")}
    return {id: parse_limits(data, name, {i: d for i, (d, _) in files.items()}) for id, (data, name) in files.items()}


def load_limits(path: str | Path) -> LimitSet:
    """A set of one's own, which may extend one of the library's. RefusedRegime says what is wrong."""
    name, data = load_toml(path)
    return parse_limits(data, name, {d["id"]: d for _, d in toml_files("limits")})


def parse_limits(data: Mapping[str, Any], file: str, others: Mapping[str, Mapping[str, Any]]) -> LimitSet:
    """A set from its data, and that of the sets it may extend."""
    require(data, ("id", "country", "en"), file)
    below: LimitSet | None = None
    if extends := data.get("extends"):
        if extends not in others or extends == data["id"]:
            raise RefusedRegime(f"{file}: extends {extends!r}, which is not there; there are {', '.join(sorted(others))}")
        below = parse_limits(others[extends], f"{extends}.toml", others)
    found = {limit.id: limit for limit in below.limits} if below else {}
    own: set[str] = set()
    for raw in data.get("limit", []):
        limit = _limit(raw, file)
        if limit.id in own:
            raise RefusedRegime(f"{file}: limit {limit.id} stands twice")
        own.add(limit.id)
        under = found.get(limit.id)
        if under is not None and not raw.get("replaces") and not limit.stricter_than(under):
            raise RefusedRegime(f"{file}: limit {limit.id} is less strict than that of {extends}: say replaces = true if that is meant")
        found[limit.id] = limit
    if not found:
        raise RefusedRegime(f"{file}: there is no limit")
    currency = data.get("currency_code", below.currency_code if below else None)
    if currency is None and any(limit.unit == "money" for limit in found.values()):
        raise RefusedRegime(f"{file}: an amount needs the set's currency_code")
    return LimitSet(data["id"], data["country"], data["en"], data.get("zh"), currency, tuple(found.values()), data.get("note"))


def _limit(raw: Mapping[str, Any], file: str) -> Limit:
    where = f"{file}: limit {raw.get('id', '?')}"
    require(raw, ("id", "en", "measure", "base", "operator", "value", "unit", "source", "article", "certainty"), where)
    for name, words in (("measure", MEASURES), ("base", BASES), ("operator", OPERATORS), ("unit", UNITS)):
        one_of(raw[name], words, f"{where}: {name}")
    one_of(raw.get("severity", "error"), ("error", "warning"), f"{where}: severity")
    needed = NEEDS.get(raw["measure"])
    if needed and not raw.get(needed):
        raise RefusedRegime(f"{where}: measure {raw['measure']} needs {needed}")
    if unknown := set(raw.get("charge_kinds", ())) - set(get_args(ChargeKind)):
        raise RefusedRegime(f"{where}: {', '.join(sorted(unknown))} is no kind of charge")
    if raw["base"] == "reference_rate" and not raw.get("reference_rate"):
        raise RefusedRegime(f"{where}: base reference_rate needs the code of the rate")
    known = {name: raw[name] for name in _TEXTS if name in raw}
    return Limit(
        id=raw["id"],
        en=raw["en"],
        zh=raw.get("zh", raw["en"]),
        value=number(raw["value"], where, low=0),
        early_pct=number(raw.get("early_pct", "80"), where, low=0),
        enabled=raw.get("enabled", True),
        charge_kinds=tuple(raw.get("charge_kinds", ())),
        **known,
    )


_TEXTS = (
    "measure", "base", "operator", "unit", "source", "article", "certainty", "sum", "where", "figure", "ratio", "reference_rate", "severity", "warning_until",
    "effective_from", "effective_to", "note",
)  # fmt: skip
