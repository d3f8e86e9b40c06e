"""What the data lacks for a pack: each fact that a field needs, its column, how much is filled, how many records would fail.

Worked out from the pack's layout and rules, so it holds for any pack: the records are made as for a filing and not written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.filing.bucket import home_records
from mloan_report.filing.building import request_for
from mloan_report.filing.making import make_filing
from mloan_report.filing.request import FilingRequest, today
from mloan_report.layout import LayoutField, RecordSet
from mloan_report.layout.records import ABSENT, VALUE
from mloan_report.packs import Pack
from mloan_report.packs.views import ENTITIES
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.sql import RefusedExpression, compile_sql
from mloan_report.portfolio.workers import over_buckets


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


def gaps(pack: Pack | str, portfolio: Source, as_of: date | None = None, settings: Mapping[str, str] | None = None, *, jobs: int | None = 1) -> GapReport:
    """The gaps of *portfolio* for *pack* on *as_of* (default: the latest date in the data)."""
    day = as_of or portfolio.latest_date() or today(portfolio.institution.time_zone)
    request = request_for(pack, portfolio, day, settings=settings, need_settings=False)
    chosen = request.pack
    whole = _Counts()
    seen: set[tuple[str, str]] = set()
    for counts, shared in over_buckets(portfolio, _CountBucket(request, portfolio), range(portfolio.count), jobs):
        whole.add(counts)
        for (record, entity), one in shared.items():
            if (record, entity) not in seen:
                seen.add((record, entity))
                whole.add(one)
    layouts = {r.name: r for r in chosen.records(day)}
    out = []
    for (record, column), (needed, filled) in whole.filled.items():
        field = next(f for f in layouts[record].fields if f.column == column)
        gap = _gap(chosen, record, field, needed, filled, whole.rejected[record, column], tuple(sorted(whole.codes.get((record, column), ()))))
        if gap is not None:
            out.append(gap)
    lacking = {s.name: s.meaning for s in chosen.settings.values() if s.required and request.settings[s.name] is None}
    out.sort(key=lambda g: (-g.rejected, -g.missing, g.record, g.field))
    records = {name: whole.records[name] for name in layouts if whole.records[name]}
    return GapReport(day, records, tuple(out), dict(whole.unmapped), lacking)


@dataclass
class _Counts:
    """Sums over records: how many there are, needed and filled by field, rejected by field, codes, values without a code."""

    records: Counter[str] = field(default_factory=Counter)
    filled: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    unmapped: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Counts) -> None:
        self.records.update(other.records)
        self.rejected.update(other.rejected)
        self.unmapped.update(other.unmapped)
        for place, (needed, filled) in other.filled.items():
            before = self.filled.get(place, (0, 0))
            self.filled[place] = (before[0] + needed, before[1] + filled)
        for place, codes in other.codes.items():
            self.codes.setdefault(place, set()).update(codes)

    def take(self, records: RecordSet, which: pl.Series) -> None:
        """Counts the records where *which* is true."""
        name = records.layout.name
        self.records[name] += int(which.sum())
        for f in records.layout.fields:
            if f.is_container or f.column not in records.state.columns:
                continue
            state = records.state[f.column].filter(which)
            before = self.filled.get((name, f.column), (0, 0))
            self.filled[name, f.column] = (before[0] + int((state != ABSENT).sum()), before[1] + int((state == VALUE).sum()))


@dataclass(frozen=True)
class _CountBucket:
    request: FilingRequest
    source: Source

    def __call__(self, number: int) -> tuple[_Counts, dict[tuple[str, str], _Counts]]:
        """The counts of what has its home in the bucket, and apart those of entities that several buckets name."""
        book = self.source.bucket(number)
        filing = make_filing(replace(self.request, portfolio=book), [], quarantine=False)
        out, shared = _Counts(), dict[tuple[str, str], _Counts]()
        place: dict[tuple[str, int], _Counts] = {}
        for name, records in filing.records.items():
            kept = home_records(records, number, book)
            entity = ENTITIES.get(records.layout.rows)
            common = records.typed[entity].is_in(list(book.shared)).fill_null(False) if entity in records.typed.columns and book.shared else ~kept & kept
            out.take(records, kept & ~common)
            for i in (kept & common).arg_true().to_list():
                one = shared[name, str(records.typed[str(entity)][i])] = place[name, i] = _Counts()
                one.take(records, pl.Series([i]).new_from_index(0, records.height) == pl.int_range(records.height, eager=True))
            for i in (~kept).arg_true().to_list():
                place[name, i] = _Counts()  # counted where it has its home
        told: set[tuple[str, str, int]] = set()
        for f in filing.findings:
            if f.code == "MAP-001" and f.loan_id not in book.guest_loans:
                out.unmapped[f"{f.field} = {f.value}"] += 1
            if not f.table or not f.field:
                continue
            number_of = int(f.args.get("record_no", 0)) - 1
            counts = place.get((f.table, number_of), out)
            counts.codes.setdefault((f.table, f.field), set()).add(f.code)
            if f.severity == "error" and (f.table, f.field, number_of) not in told:
                told.add((f.table, f.field, number_of))
                counts.rejected[f.table, f.field] += 1
        return out, shared


def _gap(pack: Pack, record: str, f: LayoutField, needed: int, filled: int, failing: int, codes: tuple[str, ...]) -> Gap | None:
    wanted = f.required == "M" or failing > 0 or (f.required == "C" and bool(codes))
    if not wanted or (needed == filled and failing == 0):
        return None
    return Gap(record, f.name, f.title_en, _columns_of(pack, f), needed, filled, failing, codes, f.condition)


def _columns_of(pack: Pack, f: LayoutField) -> tuple[str, ...]:
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
