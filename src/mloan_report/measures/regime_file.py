"""Reading regime files: what is refused, and how a file's words become a :class:`~mloan_report.measures.regime.Regime`.

Gaps, overlaps, missing sources and unknown categories are refused when a file loads.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, get_args

from mloan_report.measures.data_files import load_toml, number, one_of, require, toml_files
from mloan_report.measures.regime import (
    BELOW_FIRST_BAND,
    CERTAINTIES,
    Band,
    Category,
    Contagion,
    Cure,
    GeneralProvision,
    Improvement,
    Materiality,
    RefusedRegime,
    Regime,
    Security,
    Segment,
    Setting,
    Settings,
    Trigger,
)
from mloan_report.model.enumerations import GuaranteeMode

ALL_MODES: tuple[str, ...] = get_args(GuaranteeMode)
UNITS = ("loan", "borrower", "group")
COUNTED = ("calendar_day", "missed_payment", "completed_month", "month_as_npa")
DAYS_BY_METHOD = {
    "oldest_unpaid": "days_oldest_unpaid",
    "inclusive": "days_inclusive",
    "cumulative_contractual": "days_contractual",
    "consecutive_material": "days_material",
    "periods_missed": "overdue_instalments",
    "months": "MONTHS(as_of, oldest_unpaid_due_on)",
    "months_as_npa": "CASE WHEN npa_since_on >= as_of THEN 0 ELSE MONTHS(ADD_DAYS(as_of, -1), npa_since_on) + 1 END",
}
"""What each method of counting reads from the loan view (definitions: docs/regimes.md)."""
CONTAGIONS = {
    "worst_of_person": (),
    "worst_of_group": (),
    "non_performing_share": ("above_pct", "at_least"),
    "overdue_share_everywhere": ("above_pct", "at_least", "days_over"),
    "worst_elsewhere": (),
}


@cache
def regimes() -> dict[str, Regime]:
    """Every regime that comes with the library, by id, with its default settings."""
    return {regime.id: regime for regime in (parse_regime(data, name) for name, data in toml_files("regimes"))}


def regime_with(id: str, settings: Settings) -> Regime:
    """A regime of the library with its settings changed. RefusedRegime for a setting that it does not have."""
    for name, data in toml_files("regimes"):
        if data["id"] == id:
            return parse_regime(data, name, settings)
    raise KeyError(id)


def load_regime(path: str | Path, settings: Settings | None = None) -> Regime:
    """A user's own regime file, under the same refusals."""
    name, data = load_toml(path)
    return parse_regime(data, name, settings or {})


def parse_regime(data: dict[str, Any], file: str, settings: Settings | None = None) -> Regime:
    """A regime from its data; :class:`RefusedRegime` names what is wrong."""
    require(data, ("id", "country", "en", "source", "certainty", "unit", "dpd_method"), file)
    known = _settings(data, settings or {}, file)
    data = _substituted(data, {s.name: s.value for s in known})
    for name in ("rate_certainty", "instrument_certainty"):
        if name in data:
            one_of(data[name], CERTAINTIES, f"{file}: {name}")
    one_of(data["unit"], UNITS, f"{file}: unit")
    days = data.get("days") or DAYS_BY_METHOD.get(data["dpd_method"])
    if days is None:
        raise RefusedRegime(f"{file}: dpd_method {data['dpd_method']!r} is not one of {', '.join(DAYS_BY_METHOD)}")
    counts_in = one_of(data.get("counts_in", "calendar_day"), COUNTED, f"{file}: counts_in")
    listed = data.get("category", [])
    codes = {c["code"] for c in listed}
    if len(codes) != len(listed) or not listed:
        raise RefusedRegime(f"{file}: categories are missing or stand twice")
    segments = tuple(_segment(s, codes, file, data) for s in data.get("segment", []))
    if not segments:
        raise RefusedRegime(f"{file}: there is no segment")
    if data["dpd_method"] == "consecutive_material" and "materiality" not in data:
        raise RefusedRegime(f"{file}: consecutive days need the thresholds of [materiality]")
    return Regime(
        id=data["id"],
        country=data["country"],
        en=data["en"],
        local=data.get("zh", data.get("local")),
        source=data["source"],
        certainty=data["certainty"],
        rate_certainty=data.get("rate_certainty"),
        instrument_certainty=data.get("instrument_certainty", data["certainty"]),
        effective_from=data.get("effective_from"),
        effective_to=data.get("effective_to"),
        unit=data["unit"],
        dpd_method=data["dpd_method"],
        days=days,
        counts_in=counts_in,
        segments=segments,
        categories=_categories(listed, segments),
        triggers=tuple(_trigger(t, codes, file) for t in data.get("trigger", [])),
        contagion=tuple(_contagion(c, codes, file) for c in data.get("contagion", [])),
        cures=tuple(Cure(*_held(c, "until", codes, f"{file}: cure")) for c in data.get("cure", [])),
        improvements=tuple(Improvement(*_held(c, "when", codes, f"{file}: improvement")) for c in data.get("improvement", [])),
        special_mention=tuple(data.get("special_mention", [])),
        npa_by=tuple(data.get("npa_by", [data["id"]])),
        npa_from=data.get("npa_from"),
        provision_base=data.get("provision_base"),
        provision_base_note=data.get("provision_base_note"),
        general=_general(data["general_provision"], codes, file) if "general_provision" in data else None,
        materiality=_materiality(data["materiality"], file) if "materiality" in data else None,
        near_edge_days=data.get("near_edge_days"),
        settings=known,
        note=data.get("note"),
    )


def _settings(data: dict[str, Any], given: Settings, file: str) -> tuple[Setting, ...]:
    known = {s["name"]: s for s in data.get("setting", [])}
    unknown = set(given) - set(known)
    if unknown:
        raise RefusedRegime(f"{file}: there is no setting {', '.join(sorted(unknown))}; there are {', '.join(known) or 'none'}")
    return tuple(Setting(n, s["default"], int(given.get(n, s["default"])), s["meaning"]) for n, s in known.items())


def _substituted(value: Any, settings: Settings) -> Any:
    """``{name}`` in any text becomes the setting's value."""
    if isinstance(value, dict):
        return {k: _substituted(v, settings) for k, v in value.items() if k != "setting"}
    if isinstance(value, list):
        return [_substituted(v, settings) for v in value]
    if isinstance(value, str) and settings:
        return re.sub(r"\{(\w+)\}", lambda m: str(settings[m[1]]) if m[1] in settings else m[0], value)
    return value


def _categories(listed: Sequence[dict[str, Any]], segments: Sequence[Segment]) -> tuple[Category, ...]:
    """The categories in their order, before them the unstated one where a band does not start at 0."""
    open_below = any(x.bands[0].start > 0 for s in segments for x in s.securities)
    below = [Category(BELOW_FIRST_BAND, "performing, class not stated", "performing", False, 0)] if open_below else []
    rest = [
        Category(c["code"], c["en"], c.get("local", c["en"]), c.get("npl"), rank, Decimal(c["provision_pct"]) if "provision_pct" in c else None)
        for rank, c in enumerate(listed, start=len(below))
    ]
    return (*below, *rest)


def _segment(data: dict[str, Any], codes: set[str], file: str, whole: dict[str, Any]) -> Segment:
    name = data.get("name") or "?"
    if not data.get("applies"):
        raise RefusedRegime(f"{file}: segment {name!r} does not say to what it applies")
    securities: list[Security] = []
    for entry in data.get("security", []):
        modes = tuple(entry.get("guarantee_modes", ALL_MODES))
        twice = {m for s in securities for m in s.guarantee_modes} & set(modes)
        if twice:
            raise RefusedRegime(f"{file}: segment {name!r}: {', '.join(sorted(twice))} stands under two securities")
        if unknown := set(modes) - set(ALL_MODES):
            raise RefusedRegime(f"{file}: segment {name!r}: {', '.join(sorted(unknown))} is no guarantee mode")
        securities.append(Security(entry["name"], modes, _bands(entry.get("bands", []), codes, f"{file}: {name}/{entry['name']}")))
    if not securities:
        raise RefusedRegime(f"{file}: segment {name!r} has no bands")
    certainty = one_of(data.get("certainty", whole["certainty"]), CERTAINTIES, f"{file}: segment {name!r}: certainty")
    rate_certainty = data.get("rate_certainty", whole.get("rate_certainty"))
    return Segment(name, data["applies"], certainty, rate_certainty, tuple(securities), data.get("effective_from"), data.get("effective_to"))


def _bands(rows: Sequence[dict[str, Any]], codes: set[str], where: str) -> tuple[Band, ...]:
    bands = []
    for row in rows:
        if row["code"] not in codes:
            raise RefusedRegime(f"{where}: {row['code']!r} is not a category")
        rates = {name: _percent(row[key], where) for name, key in _RATES.items() if key in row}
        sure = one_of(row["certainty"], CERTAINTIES, f"{where}: certainty") if "certainty" in row else None
        bands.append(Band(row["code"], _edge(row["from"], where), None if row.get("to") is None else _edge(row["to"], where), **rates, certainty=sure))
    if not bands:
        raise RefusedRegime(f"{where}: there is no band")
    for before, after in itertools.pairwise(bands):
        if before.end is None or after.start <= before.end:
            raise RefusedRegime(f"{where}: bands {before.text} and {after.text} overlap")
        if after.start > before.end + 1:
            raise RefusedRegime(f"{where}: there is a gap between {before.text} and {after.text}")
    if any(b.end is not None and b.end < b.start for b in bands):
        raise RefusedRegime(f"{where}: a band ends before it starts")
    if bands[-1].end is not None:
        raise RefusedRegime(f"{where}: there is a gap above {bands[-1].end}")
    return tuple(bands)


_RATES = {"provision_pct": "provision_pct", "provision_low": "low", "provision_high": "high", "secured_pct": "secured_pct"}


def _edge(value: int | str, where: str) -> int:
    """A whole number, or one of a setting with so many added: ``{npl_days} + 1``."""
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d+)(?: ([+-]) (\d+))?", value.strip())
    if found is None:
        raise RefusedRegime(f"{where}: {value!r} is not a whole number")
    base, sign, more = int(found[1]), found[2], int(found[3] or 0)
    return base - more if sign == "-" else base + more


def _percent(text: Any, where: str) -> Decimal:
    return number(text, where, low=0, high=100)


def _coded(code: str, codes: set[str], where: str) -> str:
    if code not in codes:
        raise RefusedRegime(f"{where} names {code!r}, which is not a category")
    return code


def _trigger(data: dict[str, Any], codes: set[str], file: str) -> Trigger:
    found = Trigger(*require(data, ("at_least", "when", "reason", "source", "certainty"), f"{file}: a trigger"))
    _coded(found.at_least, codes, f"{file}: trigger at_least")
    return found


def _held(data: dict[str, Any], condition: str, codes: set[str], where: str) -> list[Any]:
    held, *rest = require(data, ("categories", condition, "reason", "source", "certainty"), where)
    return [tuple(_coded(c, codes, where) for c in held), *rest]


def _contagion(data: dict[str, Any], codes: set[str], file: str) -> Contagion:
    where = f"{file}: contagion"
    kind, applies, reason, source, certainty = require(data, ("kind", "applies", "reason", "source", "certainty"), where)
    one_of(kind, tuple(CONTAGIONS), f"{where}: kind")
    for name in CONTAGIONS[kind]:
        if name not in data:
            raise RefusedRegime(f"{where} by {kind} needs {name}")
    return Contagion(
        kind,
        applies,
        reason,
        source,
        certainty,
        _percent(data["above_pct"], where) if "above_pct" in data else None,
        _coded(data["at_least"], codes, where) if "at_least" in data else None,
        data.get("days_over"),
        _percent(data["min_share_pct"], where) if "min_share_pct" in data else None,
    )


def _general(data: dict[str, Any], codes: set[str], file: str) -> GeneralProvision:
    where = f"{file}: general_provision"
    pct, base, categories, source, certainty = require(data, ("pct", "base", "categories", "source", "certainty"), where)
    for code in categories:
        _coded(code, codes | {BELOW_FIRST_BAND}, where)
    return GeneralProvision(_percent(pct, where), base, tuple(categories), source, certainty)


def _materiality(data: dict[str, Any], file: str) -> Materiality:
    where = f"{file}: materiality"
    require(data, ("amount_retail", "amount_other", "currency_code", "share_pct", "retail", "source"), where)
    return Materiality(
        number(data["amount_retail"], where, low=0),
        number(data["amount_other"], where, low=0),
        data["currency_code"],
        _percent(data["share_pct"], where),
        data["retail"],
        data["source"],
    )
