"""Early warnings as data: thresholds on any ratio by any grouping, and the advice on reporting that a policy makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from mloan_report.measures.data_files import load_toml, number, one_of, require, toml_files
from mloan_report.measures.period import period_ratio_definitions
from mloan_report.measures.ratio import ratio_definitions
from mloan_report.measures.regime import RefusedRegime

TESTS = ("above", "below", "change_points", "change_percent", "deviations")
SEVERITIES = ("watch", "serious", "critical")


@dataclass(frozen=True)
class EarlyWarning:
    """A threshold on a ratio of a date or of a period (then of the one that ends on the date). ``level`` by ``test``:

    - above, below: the ratio itself (unrounded);
    - change_points: its rise over the period before, as a difference of parts of 1; change_percent: the same over the value before;
    - deviations: how many standard deviations (of a sample) it lies above the mean of the 12 periods before; at least ``min_periods`` of them.

    Groups with less than ``min_share`` of the portfolio are passed over, and counted. ``falls`` turns the three last tests round.
    """

    id: str
    en: str
    zh: str
    ratio: str
    test: str
    level: Decimal
    severity: str
    source: str
    certainty: str
    by: tuple[str, ...] = ()
    falls: bool = False
    min_share: Decimal = Decimal(0)
    min_periods: int = 6
    note: str | None = None


@dataclass(frozen=True)
class Advice:
    """What to do about reporting where at least ``count`` warnings of ``severity`` or worse fired; due so many days after the date."""

    action: str
    en: str
    zh: str
    severity: str
    count: int
    due_days: int
    source: str


@dataclass(frozen=True)
class WarningSet:
    """A set of thresholds with its policy of advice."""

    id: str
    en: str
    zh: str
    warnings: tuple[EarlyWarning, ...]
    advice: tuple[Advice, ...]


@cache
def warning_sets() -> dict[str, WarningSet]:
    """Every set that comes with the library, by id."""
    return {s.id: s for s in (parse_warnings(data, name) for name, data in toml_files("warnings"))}


def load_warnings(path: str | Path) -> WarningSet:
    """A set of one's own. RefusedRegime says what is wrong."""
    name, data = load_toml(path)
    return parse_warnings(data, name)


def parse_warnings(data: Mapping[str, Any], file: str) -> WarningSet:
    """A set from its data; refused without a source, for an unknown ratio, test or severity."""
    require(data, ("id", "en", "warning"), file)
    warnings = tuple(_warning(w, file) for w in data["warning"])
    if len({w.id for w in warnings}) != len(warnings):
        raise RefusedRegime(f"{file}: a warning stands twice")
    return WarningSet(data["id"], data["en"], data.get("zh", data["en"]), warnings, tuple(_advice(a, file) for a in data.get("advice", [])))


def _warning(raw: Mapping[str, Any], file: str) -> EarlyWarning:
    where = f"{file}: warning {raw.get('id', '?')}"
    require(raw, ("id", "en", "ratio", "test", "level", "severity", "source", "certainty"), where)
    one_of(raw["test"], TESTS, f"{where}: test")
    one_of(raw["severity"], SEVERITIES, f"{where}: severity")
    if raw["ratio"] not in ratio_definitions() and raw["ratio"] not in period_ratio_definitions():
        raise RefusedRegime(f"{where}: there is no ratio {raw['ratio']}")
    return EarlyWarning(
        id=raw["id"],
        en=raw["en"],
        zh=raw.get("zh", raw["en"]),
        ratio=raw["ratio"],
        test=raw["test"],
        level=number(raw["level"], where),
        severity=raw["severity"],
        source=raw["source"],
        certainty=raw["certainty"],
        by=tuple(raw.get("by", ())),
        falls=raw.get("falls", False),
        min_share=number(raw.get("min_share", "0"), where),
        min_periods=raw.get("min_periods", 6),
        note=raw.get("note"),
    )


def _advice(raw: Mapping[str, Any], file: str) -> Advice:
    require(raw, ("action", "en", "severity", "count", "due_days", "source"), f"{file}: an advice")
    one_of(raw["severity"], SEVERITIES, f"{file}: advice severity")
    return Advice(raw["action"], raw["en"], raw.get("zh", raw["en"]), raw["severity"], raw["count"], raw["due_days"], raw["source"])
