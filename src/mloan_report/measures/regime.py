"""Regimes as dated data: loading, and what loading refuses.

A regime is one file in measures/regimes (or a user's own folder): who issued it, from when, how days are counted, its
segments with bands by kind of security, its categories, its triggers. Gaps, overlaps, missing sources and unknown
categories are refused when it loads.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

CERTAINTIES = ("official", "secondary", "public_code", "knowledge", "knowledge_low")
ALL_MODES = (
    "unsecured",
    "guaranteed",
    "mortgaged",
    "pledged",
    "combined_with_guarantor",
    "combined_without_guarantor",
    "joint_liability_group",
)


class RefusedRegime(ValueError):
    """A regime, provision table or ratio file that cannot be relied on; the message names the file and the reason."""


@dataclass(frozen=True)
class Band:
    """Days (inclusive, counted by the regime's method) that make a category, and its rate in percent."""

    code: str
    start: int
    end: int | None
    provision_pct: Decimal | None

    @property
    def text(self) -> str:
        """The band as read: ``31-60`` or ``over 180``."""
        return f"over {self.start - 1}" if self.end is None else f"{self.start}-{self.end}" if self.end != self.start else f"{self.start}"


@dataclass(frozen=True)
class Security:
    """Bands for loans of some guarantee modes."""

    name: str
    guarantee_modes: tuple[str, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Segment:
    """Loans to which a set of bands applies; ``applies`` is SQL over the loan view."""

    name: str
    applies: str
    certainty: str
    securities: tuple[Security, ...]


@dataclass(frozen=True)
class Category:
    """A category; ``npl`` is None where the regime does not say whether it counts as non-performing."""

    code: str
    en: str
    local: str
    npl: bool | None
    rank: int


@dataclass(frozen=True)
class Trigger:
    """An event that puts a loan in a category at least; ``when`` is SQL over the loan view."""

    at_least: str
    when: str
    reason: str
    source: str
    certainty: str


@dataclass(frozen=True)
class Contagion:
    """How a borrower's other loans weigh: the worst of the borrower, or a share of non-performing debt."""

    kind: str
    applies: str
    reason: str
    source: str
    certainty: str
    above_pct: Decimal | None = None
    at_least: str | None = None


@dataclass(frozen=True)
class Regime:
    """A classification regime in force for a time."""

    id: str
    country: str
    en: str
    local: str | None
    source: str
    certainty: str
    instrument_certainty: str
    effective_from: str
    effective_to: str | None
    unit: str
    days: str
    dpd_method: str
    segments: tuple[Segment, ...]
    categories: tuple[Category, ...]
    triggers: tuple[Trigger, ...]
    contagion: Contagion | None
    special_mention: tuple[str, ...]
    provision_base: str | None
    provision_base_note: str | None
    note: str | None

    def category(self, code: str) -> Category:
        """The category with *code*; KeyError when the regime has none."""
        return next(c for c in self.categories if c.code == code)

    def in_force(self, on: date) -> bool:
        """Whether *on* lies within its dates; a partial date means its first day (from) or last day (to)."""
        return _first_day(self.effective_from) <= on and (self.effective_to is None or on <= _last_day(self.effective_to))

    @property
    def has_own_rates(self) -> bool:
        """Whether its bands carry provision rates."""
        return any(b.provision_pct is not None for s in self.segments for x in s.securities for b in x.bands)

    @property
    def marks_npl(self) -> bool:
        """Whether it says which categories are non-performing."""
        return any(c.npl for c in self.categories)


@cache
def regimes() -> dict[str, Regime]:
    """Every regime that comes with the library, by id."""
    found = {}
    for entry in sorted(files("mloan_report.measures").joinpath("regimes").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            regime = parse_regime(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
            found[regime.id] = regime
    return found


def load_regime(path: str | Path) -> Regime:
    """A user's own regime file, under the same refusals."""
    file = Path(path)
    return parse_regime(tomllib.loads(file.read_text(encoding="utf-8")), file.name)


def parse_regime(data: dict[str, Any], file: str) -> Regime:
    """A regime from its data; :class:`RefusedRegime` names what is wrong."""
    for name in ("id", "country", "en", "source", "certainty", "effective_from", "unit", "days", "dpd_method"):
        if not data.get(name):
            raise RefusedRegime(f"{file}: {name} is missing")
    if data["certainty"] not in CERTAINTIES:
        raise RefusedRegime(f"{file}: certainty {data['certainty']!r} is not one of {', '.join(CERTAINTIES)}")
    categories = tuple(Category(c["code"], c["en"], c.get("local", c["en"]), c.get("npl"), rank) for rank, c in enumerate(data.get("category", [])))
    codes = {c.code for c in categories}
    if len(codes) != len(categories) or not categories:
        raise RefusedRegime(f"{file}: categories are missing or stand twice")
    segments = tuple(_segment(s, codes, file) for s in data.get("segment", []))
    if not segments:
        raise RefusedRegime(f"{file}: there is no segment")
    triggers = tuple(_trigger(t, codes, file) for t in data.get("trigger", []))
    contagion = _contagion(data["contagion"], codes, file) if "contagion" in data else None
    return Regime(
        id=data["id"],
        country=data["country"],
        en=data["en"],
        local=data.get("zh", data.get("local")),
        source=data["source"],
        certainty=data["certainty"],
        instrument_certainty=data.get("instrument_certainty", data["certainty"]),
        effective_from=data["effective_from"],
        effective_to=data.get("effective_to"),
        unit=data["unit"],
        days=data["days"],
        dpd_method=data["dpd_method"],
        segments=segments,
        categories=categories,
        triggers=triggers,
        contagion=contagion,
        special_mention=tuple(data.get("special_mention", [])),
        provision_base=data.get("provision_base"),
        provision_base_note=data.get("provision_base_note"),
        note=data.get("note"),
    )


def _segment(data: dict[str, Any], codes: set[str], file: str) -> Segment:
    name = data.get("name") or "?"
    if not data.get("applies"):
        raise RefusedRegime(f"{file}: segment {name!r} does not say to what it applies")
    securities = []
    seen: set[str] = set()
    for entry in data.get("security", []):
        modes = tuple(entry.get("guarantee_modes", ALL_MODES))
        if seen & set(modes):
            raise RefusedRegime(f"{file}: segment {name!r}: {', '.join(sorted(seen & set(modes)))} stands under two securities")
        seen |= set(modes)
        securities.append(Security(entry["name"], modes, _bands(entry.get("bands", []), codes, f"{file}: {name}/{entry['name']}")))
    if not securities:
        raise RefusedRegime(f"{file}: segment {name!r} has no bands")
    return Segment(name, data["applies"], data.get("certainty", "knowledge"), tuple(securities))


def _bands(rows: Sequence[dict[str, Any]], codes: set[str], where: str) -> tuple[Band, ...]:
    bands = []
    for row in rows:
        if row["code"] not in codes:
            raise RefusedRegime(f"{where}: {row['code']!r} is not a category")
        pct = Decimal(row["provision_pct"]) if "provision_pct" in row else None
        bands.append(Band(row["code"], row["from"], row.get("to"), pct))
    if not bands:
        raise RefusedRegime(f"{where}: there is no band")
    for before, after in itertools.pairwise(bands):
        if before.end is None or after.start <= before.end:
            raise RefusedRegime(f"{where}: bands {before.text} and {after.text} overlap")
        if after.start > before.end + 1:
            raise RefusedRegime(f"{where}: there is a gap between {before.text} and {after.text}")
    if bands[-1].end is not None:
        raise RefusedRegime(f"{where}: there is a gap above {bands[-1].end}")
    return tuple(bands)


def _trigger(data: dict[str, Any], codes: set[str], file: str) -> Trigger:
    for name in ("at_least", "when", "reason", "source", "certainty"):
        if not data.get(name):
            raise RefusedRegime(f"{file}: a trigger has no {name}")
    if data["at_least"] not in codes:
        raise RefusedRegime(f"{file}: trigger at_least {data['at_least']!r} is not a category")
    return Trigger(**{k: data[k] for k in ("at_least", "when", "reason", "source", "certainty")})


def _contagion(data: dict[str, Any], codes: set[str], file: str) -> Contagion:
    if data.get("kind") not in ("worst_of_borrower", "non_performing_share") or not data.get("source"):
        raise RefusedRegime(f"{file}: contagion needs a known kind and a source")
    if data["kind"] == "non_performing_share" and (data.get("at_least") not in codes or "above_pct" not in data):
        raise RefusedRegime(f"{file}: contagion by share needs above_pct and at_least")
    return Contagion(
        data["kind"],
        data["applies"],
        data["reason"],
        data["source"],
        data["certainty"],
        Decimal(data["above_pct"]) if "above_pct" in data else None,
        data.get("at_least"),
    )


def _first_day(text: str) -> date:
    parts = [int(p) for p in text.split("-")]
    return date(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1)


def _last_day(text: str) -> date:
    parts = [int(p) for p in text.split("-")]
    if len(parts) == 3:
        return date(*parts)
    year, month = (parts[0], parts[1]) if len(parts) == 2 else (parts[0], 12)
    return date(year + month // 12, month % 12 + 1, 1).fromordinal(date(year + month // 12, month % 12 + 1, 1).toordinal() - 1)
