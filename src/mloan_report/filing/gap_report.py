"""What the data lacks for a pack: each fact that a field needs, its column, how much is filled, how many records would fail.

Worked out from the pack's layout and rules, so it holds for any pack: the records are made as for a filing and not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from mloan_report.filing.building import request_for
from mloan_report.filing.making import make_filing
from mloan_report.layout import LayoutField, RecordSet
from mloan_report.layout.records import ABSENT, VALUE
from mloan_report.packs import Pack
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.sql import RefusedExpression, compile_sql


@dataclass(frozen=True)
class Gap:
    """A field that some record lacks: where its value comes from, how many are filled, and what the lack does."""

    record: str
    field: str
    title: str
    columns: tuple[str, ...]
    needed: int
    filled: int
    rejected: int
    codes: tuple[str, ...]
    condition: str

    @property
    def missing(self) -> int:
        """Records without the value."""
        return self.needed - self.filled

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        pct = None if not self.needed else str((Decimal(100 * self.filled) / Decimal(self.needed)).quantize(Decimal("0.1")))
        return {
            "record": self.record,
            "field": self.field,
            "title": self.title,
            "columns": list(self.columns),
            "needed": self.needed,
            "filled": self.filled,
            "missing": self.missing,
            "filled_pct": pct,
            "records_rejected": self.rejected,
            "codes": list(self.codes),
            "condition": self.condition,
        }


@dataclass(frozen=True)
class GapReport:
    """The date it is for, the records that would be made, the gaps (first what rejects most records), and settings that lack."""

    as_of: date
    records: Mapping[str, int]
    gaps: tuple[Gap, ...]
    unmapped: Mapping[str, int]
    settings: Mapping[str, str]


def gaps(pack: Pack | str, portfolio: Portfolio, as_of: date | None = None, settings: Mapping[str, str] | None = None) -> GapReport:
    """The gaps of *portfolio* for *pack* on *as_of* (default: the latest date in the data)."""
    day = as_of or portfolio.latest_date() or date.today()
    request = request_for(pack, portfolio, day, settings=settings, need_settings=False)
    filing = make_filing(request, [], quarantine=False)
    rejected: dict[tuple[str, str], set[int]] = {}
    codes: dict[tuple[str, str], set[str]] = {}
    unmapped: dict[str, int] = {}
    for f in filing.findings:
        if f.code == "MAP-001":
            unmapped[f"{f.field} = {f.value}"] = unmapped.get(f"{f.field} = {f.value}", 0) + 1
        if f.severity == "error" and f.table and f.field:
            rejected.setdefault((f.table, f.field), set()).add(int(f.args.get("record_no", 0)))
        if f.table and f.field:
            codes.setdefault((f.table, f.field), set()).add(f.code)
    out = []
    for records in filing.records.values():
        for field in records.layout.fields:
            if field.is_container or field.column not in records.state.columns:
                continue
            gap = _gap(request.pack, records, field, rejected, codes)
            if gap is not None:
                out.append(gap)
    lacking = {s.name: s.meaning for s in request.pack.settings.values() if s.required and request.settings[s.name] is None}
    out.sort(key=lambda g: (-g.rejected, -g.missing, g.record, g.field))
    return GapReport(day, {n: r.height for n, r in filing.records.items()}, tuple(out), unmapped, lacking)


def _gap(pack: Pack, records: RecordSet, f: LayoutField, rejected: Mapping[tuple[str, str], set[int]], codes: Mapping[tuple[str, str], set[str]]) -> Gap | None:
    state = records.state[f.column]
    needed = int((state != ABSENT).sum())
    filled = int((state == VALUE).sum())
    place = (records.layout.name, f.column)
    failing = len(rejected.get(place, ()))
    wanted = f.required == "M" or failing > 0 or (f.required == "C" and place in codes)
    if not wanted or (needed == filled and failing == 0):
        return None
    return Gap(
        records.layout.name, f.name, f.title_en, _columns_of(pack, records, f), needed, filled, failing, tuple(sorted(codes.get(place, ()))), f.condition
    )


def _columns_of(pack: Pack, records: RecordSet, f: LayoutField) -> tuple[str, ...]:
    """The columns that the field's value is made from, maps and other fields followed back one step."""
    if not f.value:
        return ()
    sources = {m.into: m.column for m in pack.maps}
    try:
        names = compile_sql(f.value, _every_name(f.value), pack.functions).columns
    except RefusedExpression:
        return ()
    return tuple(sorted({sources.get(n, n) for n in names if not n.startswith("set_")}))


def _every_name(sql: str) -> set[str]:
    import re

    keywords = {
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS",
        "NULL",
        "TRUE",
        "FALSE",
        "DISTINCT",
        "FROM",
        "BETWEEN",
        "COALESCE",
        "GREATEST",
        "LEAST",
    }
    return {w for w in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", re.sub(r"'[^']*'", "", sql)) if w not in keywords and not w.isupper()}
