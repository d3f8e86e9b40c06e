"""A written file proved in slices: whole records, by several processes, each reading its own stretch of the file once.

Every slice is read between the file's own head and foot, so that a file whose slices are all good is good: its schema, its
structure, and that each record says what was made (by its fingerprint). The rules of the pack were judged on the records that
were made; a record that is read back the same gets the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
from lxml import etree

from mloan_report.filing.composed import read_units
from mloan_report.filing.envelope import ReadFile, line_facts, read_slice, schema_of
from mloan_report.filing.joining import Slice
from mloan_report.filing.verification import DIFFERENT, own_checks, schema_findings, structure_findings
from mloan_report.layout import RecordLayout, RecordSet
from mloan_report.layout.fingerprint import fingerprints, unit_fingerprints
from mloan_report.layout.records import TOP
from mloan_report.layout.trees import inside
from mloan_report.layout.xml_columns import plain_records
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack
from mloan_report.packs.pack import Control
from mloan_report.portfolio.sql import compile_sql, evaluate_one

CHUNK = 6_000_000
"""Bytes parsed at a time."""


@dataclass
class SliceVerdict:
    """What a slice gave: how many records were read, findings, and what its fields add up to by control and currency."""

    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    sums: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifySlice:
    """Verifies one slice, ready to be sent to a worker. ``lines`` are the records of each file, by name."""

    pack: Pack
    lines: dict[str, int]
    as_of: date
    settings: Mapping[str, str | None]

    def __call__(self, piece: Slice) -> SliceVerdict:
        return _Verification(self, piece).verdict()


class _Verification:
    def __init__(self, work: VerifySlice, piece: Slice) -> None:
        self.work, self.pack, self.piece, self.lines = work, work.pack, piece, work.lines[piece.path.name]
        self.layout: RecordLayout = next(r for r in self.pack.records(work.as_of if self.pack.is_composed else None) if r.name == piece.record)
        self.controls = [c for c in self.pack.controls if c.record == piece.record]
        self.out = SliceVerdict()

    def verdict(self) -> SliceVerdict:
        take = self._units if self.pack.is_composed else self._chunk
        with self.piece.path.open("rb") as stream:
            head = stream.read(self.piece.head)
            stream.seek(-self.piece.foot, 2) if self.piece.foot else stream.seek(0, 2)
            foot = stream.read(self.piece.foot)
            stream.seek(self.piece.offset)
            line, number = self.piece.first_line, self.piece.first_record
            for aside in _chunks(self.piece):
                data = stream.read(int(aside["size"].sum()))
                take(head, data, foot, aside, line, number)
                line, number = line + data.count(b"\n"), number + aside.height
        return self.out

    def _chunk(self, head: bytes, data: bytes, foot: bytes, aside: pl.DataFrame, line: int, number: int) -> None:
        records = self._proved(head, data, foot, aside.height) if self.pack.envelope["kind"] == "document" else None
        if records is None:
            read = read_slice(self.pack, self.piece.path, self.layout, head, data, foot, line, number)
            self._report(read, head)
            if read.records is None:
                return
            records = read.records
        self.out.records += records.height
        if records.height != aside.height:
            self._differs(f"{aside.height} records were made and {records.height} read back from line {line}")
            return
        wrong = (fingerprints(records) != aside["fingerprint"]).arg_true()
        for i in wrong.head(100).to_list():
            self._differs(f"record {number + i} read back differs from the one made")
        for control in self.controls:
            self._add(control, records, aside)

    def _units(self, head: bytes, data: bytes, foot: bytes, aside: pl.DataFrame, line: int, number: int) -> None:
        """Units of a composed file: read back they must be what was made, and written again they must be the same bytes."""
        batch, form = read_units(self.pack, self.work.as_of, self.work.settings, data, self.piece.path.name, line)
        for d in batch.defects:
            self._differs(f"line {d.line}: {d.element} {d.detail}")
        top = batch.records.get(self.piece.record)
        if top is None or top.height != aside.height:
            self._differs(f"{aside.height} records of {self.piece.record} were made and {top.height if top else 0} read back from line {line}")
            return
        self.out.records += top.height
        inner = inside(top.layout.name, top, batch.records)
        wrong = (unit_fingerprints(top, inner) != aside["fingerprint"]).arg_true()
        for i in wrong.head(100).to_list():
            self._differs(f"{self.piece.record} record {number + i} read back differs from the one made")
        if form.texts(top, inner).str.join("").item().encode(form.encoding) != data:
            self._differs(f"{self.piece.record} records from line {line} on, written again from what was read, are other bytes")
        for control in self.pack.controls:
            if control.record in (top.layout.name, *inner):
                self._add_inside(control, batch.records[control.record], aside)

    def _add_inside(self, control: Control, records: RecordSet, aside: pl.DataFrame) -> None:
        rows = records.typed
        codes = aside["currency"].gather(rows[TOP])
        value = evaluate_one(rows, compile_sql(control.field, rows.columns, self.pack.functions)).fill_null(0)
        frame = pl.DataFrame({"c": codes, "v": value})
        if control.where:
            frame = frame.filter(evaluate_one(rows, compile_sql(control.where, rows.columns, self.pack.functions)).fill_null(False))
        for code, total in frame.group_by("c").agg(pl.col("v").cast(pl.Int128).sum()).rows():
            key = (control.name, str(code))
            self.out.sums[key] = self.out.sums.get(key, 0) + int(total)

    def _proved(self, head: bytes, data: bytes, foot: bytes, count: int) -> RecordSet | None:
        """The records, where the schema takes them and their form is plain; None where the slow way must say what is wrong."""
        try:
            text = data.decode("utf-8")
            root = etree.fromstring(head + data + foot, _parser())
        except (UnicodeDecodeError, etree.XMLSyntaxError):
            return None
        if len(root) != count or not schema_of(self.pack.id, self.layout.name).validate(root):
            return None
        return plain_records(text, self.layout, count, tuple({c for control in self.controls for c in _columns(control, self.layout)}))

    def _add(self, control: Control, records: RecordSet, aside: pl.DataFrame) -> None:
        value = evaluate_one(records.typed, compile_sql(control.field, records.typed.columns)).fill_null(0)
        sums = pl.DataFrame({"c": aside["currency"], "v": value}).group_by("c").agg(pl.col("v").cast(pl.Int128).sum())
        for code, total in sums.rows():
            key = (control.name, str(code))
            self.out.sums[key] = self.out.sums.get(key, 0) + int(total)

    def _report(self, read: ReadFile, head: bytes) -> None:
        if self.pack.envelope["kind"] != "document":
            read.facts |= line_facts(self.pack, self.piece.path, head, self.lines)
        self.out.findings += [*structure_findings(self.pack, read), *own_checks(self.pack, read), *schema_findings(self.pack, read)]

    def _differs(self, detail: str) -> None:
        self.out.findings.append(DIFFERENT.finding(file=self.piece.path.name, detail=detail))


def _columns(control: Control, layout: RecordLayout) -> list[str]:
    return sorted(compile_sql(control.field, [f.column for f in layout.fields]).columns)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=False, remove_pis=False, collect_ids=False)


def _chunks(piece: Slice) -> Iterator[pl.DataFrame]:
    """The aside rows of the slice, about a chunk's bytes at a time."""
    rows = pl.concat([_aside(path).slice(first, count) for path, first, count in piece.aside])
    while rows.height:
        fits = max(1, int((rows["size"].cast(pl.Int64).cum_sum() <= CHUNK).sum()))
        yield rows.head(fits)
        rows = rows.slice(fits)


def _aside(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, columns=["size", "fingerprint", "currency"])
