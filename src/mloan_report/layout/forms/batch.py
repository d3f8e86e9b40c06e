"""What every form does, and records from the text of their fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, BinaryIO

import polars as pl

from mloan_report.layout.definition import LayoutField, RecordLayout
from mloan_report.layout.records import ABSENT, EMPTY, PARENT, ROWNUM, TOP, VALUE, RecordSet
from mloan_report.layout.structure import StructureDefect
from mloan_report.layout.text import typed_columns

BLOCK = 8_000_000
"""Bytes read at a time."""


@dataclass
class Batch:
    """Whole outermost records of a file, in order, with what stands in them: by kind, numbered from 0 within the batch."""

    records: dict[str, RecordSet] = field(default_factory=dict)
    defects: list[StructureDefect] = field(default_factory=list)


class Form(ABC):
    """One way in which records make a file. ``spec`` is the pack's envelope."""

    at_a_time: int | None = None
    """How many records make a batch, for forms that count them; None = the form's own number."""

    def __init__(self, layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> None:
        self.layouts = {x.name: x for x in layouts}
        self.spec = spec
        self.encoding: str = spec.get("encoding", "utf-8")
        self.line_end: str = spec.get("line_end", "\n")
        self.heads = [x for x in layouts if x.place in ("head", "root")]
        self.feet = [x for x in layouts if x.place == "foot"]
        self.tops = [x for x in layouts if x.place == "body" and x.parent is None]

    def children_of(self, name: str) -> list[RecordLayout]:
        """The kinds that stand directly in *name*, in their order."""
        return [x for x in self.layouts.values() if x.parent == name]

    @abstractmethod
    def texts(self, top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        """The text of each record of *top*, with the records that stand in it and its line end."""

    @abstractmethod
    def head(self, records: Mapping[str, RecordSet]) -> str:
        """What stands before the first outermost record."""

    @abstractmethod
    def foot(self, records: Mapping[str, RecordSet]) -> str:
        """What stands after the last outermost record."""

    @abstractmethod
    def read(self, stream: BinaryIO, file: str = "", line: int = 1, *, whole: bool = True) -> Iterator[Batch]:
        """The records in *stream*, whose first line is *line* of the file. Not *whole*: outermost records alone, without head and foot."""


class Unreadable(Exception):
    """A file that cannot be read on from here: the defect says why."""

    def __init__(self, defect: StructureDefect) -> None:
        super().__init__(defect.detail)
        self.defect = defect


def records_of(layout: RecordLayout, text: pl.DataFrame, lines: pl.Series, file: str, place: Mapping[str, pl.Series] | None = None) -> RecordSet:
    """Records from the text of their fields (null = absent, blank = empty). *place* is ``_parent`` and ``_top`` of records inside others."""
    height = text.height
    longest = text.select(pl.all().str.len_bytes().max()).row(0, named=True)
    filled = {c for c, n in longest.items() if n}  # the others hold no value: not looked at again
    state = text.select([_state(c) if c in filled else _blank_state(c, height, nothing=longest[c] is None) for c in text.columns])
    given = text.select([_given(c) if c in filled else pl.repeat(None, height, dtype=pl.String).alias(c) for c in text.columns])
    numbers = pl.int_range(height, dtype=pl.UInt32, eager=True)
    where = {TOP: numbers} if place is None else dict(place)
    typed = [numbers.alias(ROWNUM), *(s.cast(pl.UInt32).alias(n) for n, s in where.items())]
    typed += typed_columns(layout.value_fields, given)
    files = pl.Series("file", [file], dtype=pl.String).new_from_index(0, height)
    return RecordSet(layout, pl.DataFrame(typed), given, state, {}, lines.cast(pl.UInt32).alias("line"), files)


def _state(c: str) -> pl.Expr:
    return pl.when(pl.col(c).is_null()).then(ABSENT).when(pl.col(c) == "").then(EMPTY).otherwise(VALUE).cast(pl.UInt8).alias(c)


def _blank_state(c: str, height: int, *, nothing: bool) -> pl.Expr:
    if nothing:
        return pl.repeat(ABSENT, height, dtype=pl.UInt8).alias(c)
    return pl.when(pl.col(c).is_null()).then(ABSENT).otherwise(EMPTY).cast(pl.UInt8).alias(c)


def _given(c: str) -> pl.Expr:
    return pl.when(pl.col(c) != "").then(pl.col(c)).alias(c)


@cache
def no_records(layout: RecordLayout) -> RecordSet:
    """An empty set of records of *layout*; made once, for every batch of a file asks for it."""
    text = pl.DataFrame(schema={f.column: pl.String for f in layout.value_fields})
    none = pl.Series("line", [], dtype=pl.UInt32)
    place = {PARENT: none, TOP: none} if layout.parent else None
    return records_of(layout, text, none, "", place)


def decoded(data: bytes, encoding: str, line: int) -> str:
    """*data* as text; :class:`Unreadable` names the line of the first byte that is not of the encoding."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start)
        at = line + data.count(b"\n", 0, error.start)
        raise Unreadable(StructureDefect("encoding", at, None, "", f"is not {encoding.upper()}: byte {error.start - start} of the line")) from None


def fixed_text(layout: RecordLayout, text: pl.Series, where: StructureFinder) -> pl.DataFrame:
    """The fields of records of fixed width, cut out of *text* (one a record, long enough), blanks and zeros that mean nothing taken off."""
    cut = [pl.col("record").str.slice((f.start or 1) - 1, f.length).alias(f.column) for f in layout.value_fields]
    raw = pl.DataFrame([text.alias("record")]).select(cut)
    wrong = raw.select([misplaced(f).any().alias(f.column) for f in layout.value_fields]).row(0, named=True)
    for f in layout.value_fields:
        if wrong[f.column]:
            where.misplaced(f, raw.select(misplaced(f).alias("x"))["x"].arg_true().to_list(), raw[f.column])
    return raw.select([unpadded(f).alias(f.column) for f in layout.value_fields])


class StructureFinder:
    """Gathers defects of records of one kind: their lines and their numbers in the batch."""

    def __init__(self, layout: RecordLayout, lines: pl.Series, defects: list[StructureDefect]) -> None:
        self.layout, self.lines, self.defects = layout, lines, defects

    def misplaced(self, f: LayoutField, rows: Sequence[int], raw: pl.Series) -> None:
        """Fields whose padding is not the layout's. The value is not shown where it is personal."""
        how = "digits only, right aligned, filled with zeros" if padded_left(f) else "blank" if f.type == "blank" else "left aligned, filled with blanks"
        for i in rows:
            shown = "" if f.pii else f" ({raw[i]!r})"
            kind, said = "reserved" if f.type == "blank" else "padding", f"of {self.layout.name} is not {how}{shown}"
            self.defects.append(StructureDefect(kind, int(self.lines[i]), i + 1, f.name, said, self.layout.name))


def padded_left(f: LayoutField) -> bool:
    """Whether a field of fixed width is right aligned and filled with zeros."""
    return f.is_number or f.type in ("digits", "date", "month", "moment")


def misplaced(f: LayoutField) -> pl.Expr:
    """Where the raw text of a field of fixed width is not padded as it should be."""
    raw = pl.col(f.column)
    if f.type == "size":
        return pl.lit(False)  # the form judges it against the record's length
    if f.type == "blank":
        return raw.str.strip_chars(" ") != ""
    if padded_left(f):
        return ~raw.str.contains(rf"^[0-9]{{{f.length}}}$")
    return raw.str.starts_with(" ") & (raw.str.strip_chars(" ") != "")


def unpadded(f: LayoutField) -> pl.Expr:
    """The value of a field of fixed width: without blanks at its end; without leading zeros where it is a number; zeros alone are no date."""
    raw = pl.col(f.column)
    if f.type == "size":
        return raw
    if f.is_number:
        plain = raw.str.strip_chars_start("0")
        return pl.when(raw.str.contains("^0+$")).then(pl.lit("0")).otherwise(plain)
    if f.type in ("digits", "date", "month", "moment"):
        return pl.when(raw.str.contains("^0*$")).then(pl.lit("")).otherwise(raw.str.strip_chars_end(" "))
    return raw.str.strip_chars_end(" ")


def padded_fields(fields: Sequence[LayoutField], text: pl.DataFrame) -> pl.Expr:
    """The texts of *fields* one after another as they stand in a record of fixed width; what no record has is a constant."""
    nulls = text.null_count().row(0, named=True)
    parts: list[pl.Expr] = []
    constant = ""
    for f in fields:
        if f.type == "blank" or nulls[f.column] == text.height:
            constant += ("0" if padded_left(f) else " ") * (f.length or 0)
            continue
        parts += [pl.lit(constant), padded(f)] if constant else [padded(f)]
        constant = ""
    return pl.concat_str([*parts, pl.lit(constant)])


def padded(f: LayoutField) -> pl.Expr:
    """The field's text as it stands in a record of fixed width; too long a text is cut at the field's end only where the layout took it."""
    width = f.length or 0
    text = pl.col(f.column).fill_null("")
    if f.type == "blank":
        return pl.lit(" " * width)
    return text.str.zfill(width) if padded_left(f) else text.str.pad_end(width, " ")
