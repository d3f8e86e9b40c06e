"""What a record looks like, as data: fields, segments and groups, read from records/*.csv.

A row is one field (or a segment or group, by ``type``). ``segment`` names where it stands: empty for the record itself,
``Segment`` or ``Segment/Group[]``. ``value`` is SQL for a typed value over the record's view, never formatted text; the
type prints it. ``present`` is SQL for what appears only under a condition; reading uses the same condition.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

FieldType = Literal[
    "text",
    "code",
    "digits",
    "alnum",
    "int",
    "short",
    "whole",
    "amount",
    "percent",
    "decimal",
    "date",
    "month",
    "year",
    "moment",
    "blank",
    "size",
    "segment",
    "group",
]
"""``whole`` is a number of at most ``length`` digits; ``blank`` is reserved; ``size`` is a length that the writer works out."""
FIELD_TYPES: tuple[str, ...] = get_args(FieldType)
Rounding = Literal["half_up", "half_even", "down"]
Place = Literal["body", "head", "foot", "root"]
PERSONAL = ("name", "identifier", "contact", "address", "birth", "account", "phone", "email", "birth_date", "sensitive", "secret")
"""What a field may be for which findings do not show it whole: kinds that masking knows show a part, all others nothing."""


class RefusedLayout(ValueError):
    """A layout that cannot be relied on; the message names record, field and reason."""


@dataclass(frozen=True)
class CodeList:
    """The codes of a list. An open list is not known whole: other values are a warning; an external one is a public standard."""

    name: str
    codes: tuple[str, ...]
    labels: Mapping[str, str]
    repealed: frozenset[str] = frozenset()
    is_open: bool = False
    is_external: bool = False
    warns: bool = False

    @property
    def active(self) -> tuple[str, ...]:
        """Codes that may still be used."""
        return tuple(c for c in self.codes if c not in self.repealed)


@dataclass(frozen=True)
class LayoutField:
    """One field of a record."""

    record: str
    segment: str
    position: int
    name: str
    column: str
    title_local: str
    title_en: str
    type: FieldType
    length: int | None
    min_length: int | None
    scale: int
    required: str
    nillable: bool
    codes: tuple[str, ...]
    listed: bool
    pattern: str | None
    minimum: str | None
    maximum: str | None
    collapse: bool
    pii: str | None
    present: str | None
    present_rule: str | None
    value: str | None
    condition: str
    certainty: str
    start: int | None = None
    """First column (1-based) of a field of fixed width; its width is ``length``."""
    format: str = ""
    """How a date, month or moment prints, as strftime; empty for ISO 8601."""
    rounding: Rounding = "half_up"
    """How an amount or percent with more decimals than the field is brought to them."""
    ids: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The regulator's own rule ids for what the layout says of this field, by kind (missing, type, length, code, date)."""

    @property
    def is_container(self) -> bool:
        """Whether it is a segment or a group rather than a value."""
        return self.type in ("segment", "group")

    @property
    def is_number(self) -> bool:
        """Whether its typed value is a whole number (scaled by ``scale``)."""
        return self.type in ("int", "short", "whole", "amount", "percent", "decimal", "year", "size")


@dataclass(frozen=True)
class Group:
    """A repeated group inside a record: rows of another view, in order, joined to the record by its key."""

    path: str
    name: str
    rows: str
    where: str | None
    order: tuple[str, ...]
    fields: tuple[LayoutField, ...]


@dataclass(frozen=True)
class Lookup:
    """A column brought from another record: SUM, COUNT, MIN, MAX or FIRST of an expression over its rows with the same key."""

    name: str
    record: str
    on: tuple[str, ...]
    their: tuple[str, ...]
    value: str
    where: str | None = None


@dataclass(frozen=True)
class RecordLayout:
    """A record: where its rows come from, how it is written, and its fields in order."""

    name: str
    root: str
    rows: str
    where: str | None
    order: tuple[str, ...]
    key: tuple[str, ...]
    null_as: Literal["nil", "empty_element", "absent"]
    fields: tuple[LayoutField, ...]
    groups: tuple[Group, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    loans: str | None = None
    unique: tuple[str, ...] = ()
    parent: str | None = None
    """The record that this one stands in or is appended to; ``on`` are the columns of both views that say which."""
    on: tuple[str, ...] = ()
    many: bool = True
    """Whether several may stand in one parent; ``least`` is how many there must be."""
    least: int = 0
    place: Place = "body"
    adds: tuple[str, ...] = ()
    """Fields that are sums over the book: shares of one record that several buckets give are added up to one."""
    carried: tuple[str, ...] = ()
    """Columns of the view that records inside this one are joined by."""
    also: tuple[str, ...] = ()
    """Other tags under which the record is read."""
    by_column: dict[str, LayoutField] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        self.by_column.update({f.column: f for f in self.fields})

    @property
    def value_fields(self) -> tuple[LayoutField, ...]:
        """Fields that hold a value of the record itself (not segments, groups or fields of groups)."""
        return tuple(f for f in self.fields if not f.is_container and "[]" not in f.segment)

    @property
    def segments(self) -> tuple[LayoutField, ...]:
        """The record's segments in order."""
        return tuple(f for f in self.fields if f.type == "segment")


def read_fields(text: str, record: str, as_of: date | None, formats: Mapping[str, str] | None = None) -> tuple[LayoutField, ...]:
    """The fields of *record* from CSV text, those in force on *as_of* (all where it is None).

    *formats* are how the pack prints dates, months and moments (by type) where a field does not say it itself.
    """
    rows = [r for r in csv.DictReader(text.splitlines()) if r["record"] == record]
    if as_of is not None:
        rows = [r for r in rows if (not r.get("from") or r["from"] <= as_of.isoformat()) and (not r.get("to") or as_of.isoformat() <= r["to"])]
    else:  # of fields that replace one another by date, the last
        last = {(r.get("segment", ""), r["name"]): r for r in rows}
        rows = [r for r in rows if not r.get("to") or last[r.get("segment", ""), r["name"]] is r]
    names = [r["name"] for r in rows if r["type"] not in ("segment", "group")]
    return tuple(_field(row, formats or {}, unique=names.count(row["name"]) == 1) for row in rows)


def _field(row: Mapping[str, str], formats: Mapping[str, str], *, unique: bool) -> LayoutField:
    if row["type"] not in FIELD_TYPES:
        raise RefusedLayout(f"{row['record']}.{row['name']}: type {row['type']!r} is not one of {', '.join(FIELD_TYPES)}")
    if row.get("pii") and row["pii"] not in PERSONAL:
        raise RefusedLayout(f"{row['record']}.{row['name']}: pii {row['pii']!r} is not one of {', '.join(PERSONAL)}")
    segment = row.get("segment", "")
    prefix = segment.replace("[]", "").replace("/", "_")
    return LayoutField(
        record=row["record"],
        segment=segment,
        position=int(row["position"]),
        name=row["name"],
        column=row["name"] if unique or not prefix else f"{prefix}_{row['name']}",
        title_local=row.get("title_local", ""),
        title_en=row.get("title_en", ""),
        type=row["type"],  # type: ignore[arg-type]
        length=_whole(row.get("length")),
        min_length=_whole(row.get("min_length")),
        scale=_whole(row.get("scale")) or 0,
        required=row.get("required") or "O",
        nillable=row.get("nillable") == "yes",
        codes=tuple(c for c in (row.get("codes") or "").split(";") if c),
        listed=row.get("listed") == "yes",
        pattern=row.get("pattern") or None,
        minimum=row.get("minimum") or None,
        maximum=row.get("maximum") or None,
        collapse=row.get("collapse") == "yes",
        pii=row.get("pii") or None,
        present=row.get("present") or None,
        present_rule=row.get("present_rule") or None,
        value=row.get("value") or None,
        condition=row.get("condition", ""),
        certainty=row.get("certainty") or "knowledge",
        start=_whole(row.get("start")),
        format=row.get("format") or formats.get(row["type"], ""),
        rounding=row.get("rounding") or "half_up",  # type: ignore[arg-type]
        ids=_ids(row.get("ids") or ""),
    )


def _ids(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """``missing=20-002;length=10-034+60-001``: by kind the rules that say so, one or several."""
    pairs = (p.partition("=") for p in text.split(";") if p)
    return tuple((kind, tuple(ids.split("+"))) for kind, _, ids in pairs)


def _whole(text: str | None) -> int | None:
    return int(text) if text else None


def read_codes(texts: Iterable[str], public: Mapping[str, Callable[[], Iterable[str]]]) -> dict[str, CodeList]:
    """Code lists by name from CSV texts (list, code, label_local, label_en, certainty).

    *public* are the codes of public standards by list name, which a pack names as ``@external`` and does not repeat.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for text in texts:
        for row in csv.DictReader(text.splitlines()):
            rows.setdefault(row["list"], []).append(row)
    out = {}
    for name, entries in rows.items():
        real = [e for e in entries if not e["code"].startswith("@")]
        out[name] = CodeList(
            name,
            tuple(dict.fromkeys([*(e["code"] for e in real), *(public[name]() if any(e["code"] == "@external" for e in entries) and name in public else ())])),
            {e["code"]: e.get("label_en") or e.get("label_local", "") for e in real},
            frozenset(e["code"] for e in real if e.get("label_en", "").startswith("repealed")),
            is_open=any(e["code"] == "@open" for e in entries),
            is_external=any(e["code"] == "@external" for e in entries),
            warns=any(e.get("certainty") == "knowledge" for e in entries) and not any(e.get("certainty") in ("official", "public_code") for e in entries),
        )
    return out
