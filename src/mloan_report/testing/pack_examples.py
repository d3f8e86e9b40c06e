"""A composed pack's own examples: good files, and each rule broken once (``examples/bad.csv``); see docs/composed-files.md."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.filing.composed import totals_of
from mloan_report.filing.composed_reading import date_of
from mloan_report.layout import RecordSet
from mloan_report.layout.forms import Batch, Form
from mloan_report.layout.text import typed_columns
from mloan_report.layout.trees import inside, joined_batches
from mloan_report.packs import Pack, packs
from mloan_report.portfolio.sql import RefusedExpression, compile_sql, evaluate_one


@dataclass(frozen=True)
class Spoiling:
    """One line of bad.csv: *action* on *file* (at *line*, *field*, with *value*) brings *code*."""

    pack: str
    number: int
    code: str
    file: str
    line: int | None
    action: str
    field: str
    value: str
    settings: Mapping[str, str]
    note: str

    @property
    def also(self) -> set[str]:
        """Other codes that the same mutation brings."""
        found = re.search(r"\balso: ([^;]*)", self.note)
        return {c.strip() for c in found[1].split(",")} if found else set()


def examples_of(pack: Pack) -> dict[str, bytes]:
    """The good files by name."""
    folder = pack.folder.joinpath("examples")
    if not folder.is_dir():
        return {}
    known = ("bad.csv", "not_run.csv", "README.md", "settings.csv")
    return {e.name: e.read_bytes() for e in sorted(folder.iterdir(), key=lambda e: e.name) if e.is_file() and e.name not in known}


def example_settings(pack: Pack, file: str) -> dict[str, str]:
    """The settings that an example is to be read under (``examples/settings.csv``: file, settings)."""
    path = pack.folder.joinpath("examples", "settings.csv")
    if not path.is_file():
        return {}
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return _pairs(next((r["settings"] for r in rows if r["file"] == file), ""))


def spoilings_of(pack: Pack) -> list[Spoiling]:
    """The lines of bad.csv."""
    path = pack.folder.joinpath("examples", "bad.csv")
    if not path.is_file():
        return []
    out = []
    for n, r in enumerate(csv.DictReader(path.read_text(encoding="utf-8").splitlines()), start=2):
        line = int(r["line"]) if r["line"] else None
        out.append(Spoiling(pack.id, n, r["code"], r["file"], line, r["action"], r["field"], r["value"], _pairs(r["settings"]), r.get("note") or ""))
    return out


def not_run_of(pack: Pack) -> dict[str, str]:
    """The rules that no file alone can break, with the reason."""
    path = pack.folder.joinpath("examples", "not_run.csv")
    if not path.is_file():
        return {}
    return {r["code"]: r["reason"] for r in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}


def _pairs(text: str) -> dict[str, str]:
    return {k.strip(): v for k, _, v in (p.partition("=") for p in text.split(";") if p.strip())}


def spoilt(row: Spoiling) -> tuple[str, bytes]:
    """The name and the content of the spoilt file."""
    pack = packs()[row.pack]
    data = examples_of(pack)[row.file]
    if row.action == "name":
        return row.value, data
    if row.action == "settings":
        return row.file, data
    if row.action == "set":
        return row.file, _set(pack, [row])
    if row.action == "truncate":
        return row.file, data[: int(row.value)]
    if row.action == "replace":
        old, sign, new = (_raw(t) for t in re.split("(=>)", row.value, maxsplit=1))
        assert sign, f"{row.pack} bad.csv {row.number}: replace wants old=>new"
        if row.line is None:
            assert old in data, f"{row.pack} bad.csv {row.number}: {row.file} does not hold {old!r}"
            return row.file, data.replace(old, new, 1)
        lines = data.split(b"\n")
        assert old in lines[row.line - 1], f"{row.pack} bad.csv {row.number}: line {row.line} does not hold {old!r}"
        lines[row.line - 1] = lines[row.line - 1].replace(old, new, 1)
        return row.file, b"\n".join(lines)
    lines = data.split(b"\n")
    at = (row.line or 1) - 1
    if row.action == "remove":
        del lines[at]
    elif row.action == "repeat":
        lines.insert(at, lines[at])
    elif row.action == "insert":
        lines.insert(at, _raw(row.value) + (b"\r" if lines[at].endswith(b"\r") else b""))
    else:
        raise ValueError(f"{row.pack} bad.csv {row.number}: there is no action {row.action!r}")
    return row.file, b"\n".join(lines)


def _raw(text: str) -> bytes:
    """Text with \\xNN, \\r, \\n and \\t meant as the bytes."""
    out = re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text).replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")
    return out.encode("latin-1" if "\\x" in text else "utf-8")


@cache
def _read(pack_id: str, file: str) -> tuple[Form, Batch, Mapping[str, str | None]]:
    pack = packs()[pack_id]
    settings = pack.settings_for(example_settings(pack, file), {}, need=False)
    data = examples_of(pack)[file]
    form = pack.form(_date(pack, data, file, settings), settings)
    return form, joined_batches(list(form.read(BytesIO(data), file))), settings


def _date(pack: Pack, data: bytes, file: str, settings: Mapping[str, str | None]) -> date | None:
    if not pack.envelope.get("dated_by"):
        return None
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(data)
        return date_of(pack, path, settings)


def together(rows: Sequence[Spoiling]) -> list[list[Spoiling]]:
    """Rows gathered into runs that spoil one file, under the same settings, at once: those that set fields of records on different lines,
    or on one line different fields, where each brings nothing but its own code. The note ``alone`` or ``own line`` forbids it.
    """
    runs: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[list[Spoiling]]] = {}
    out: list[list[Spoiling]] = []
    for row in rows:
        if row.action != "set" or "alone" in row.note:
            out.append([row])
            continue
        mine = runs.setdefault((row.pack, row.file, tuple(sorted(row.settings.items()))), [])
        run = next((r for r in mine if all(_apart(row, x) for x in r)), None)
        if run is None:
            run = []
            mine.append(run)
            out.append(run)
        run.append(row)
    return out


def _apart(one: Spoiling, other: Spoiling) -> bool:
    """Whether two rows can spoil a file together without hiding each other."""
    if one.line != other.line:
        return True
    by_line = "own line" in one.note or "own line" in other.note
    return not by_line and not one.also and not other.also and one.code != other.code and not set(one.field.split("|")) & set(other.field.split("|"))


def spoilt_together(rows: Sequence[Spoiling]) -> tuple[str, bytes]:
    """The name and the content of the file that all of *rows* spoil (several: all set fields)."""
    return spoilt(rows[0]) if len(rows) == 1 else (rows[0].file, _set(packs()[rows[0].pack], rows))


def _set(pack: Pack, rows: Sequence[Spoiling]) -> bytes:
    form, batch, settings = _read(rows[0].pack, rows[0].file)
    records = dict(batch.records)
    edited: set[str] = set()
    for row in rows:
        for place, value in zip(row.field.split("|"), row.value.split("|") if row.value else [""], strict=True):
            kind, number, column = _place(row, place, records)
            own = records[kind]
            text = None if value == "@absent" else "" if value == "@empty" else value
            changed = own.text[column].to_list()
            changed[number] = text
            edited_text = own.text.with_columns(pl.Series(column, changed, dtype=pl.String))
            records[kind] = RecordSet(own.layout, own.typed, edited_text, own.state, {}, own.lines, own.files)
            edited.add(kind)
    return written(pack, form, records, settings, right_totals=not any(records[k].layout.place != "body" for k in edited))


def _place(row: Spoiling, place: str, records: Mapping[str, RecordSet]) -> tuple[str, int, str]:
    """The record kind, its number in the batch, and the column of ``[kind[#n].]field`` at the row's line."""
    named, dot, column = place.rpartition(".")
    kind, _, nth = named.partition("#")
    for name, own in records.items():
        if (dot and name != kind) or own.lines is None:
            continue
        at = (own.lines == row.line).arg_true().to_list()
        if len(at) >= int(nth or 1) and column in own.text.columns:
            return name, at[int(nth or 1) - 1], column
    raise AssertionError(f"{row.pack} bad.csv {row.number}: no record with {place} at line {row.line} of {row.file}")


def written(pack: Pack, form: Form, records: Mapping[str, RecordSet], settings: Mapping[str, str | None], *, right_totals: bool) -> bytes:
    """The file of *records*, its head and foot stating the totals of what it holds."""
    body = {n: r for n, r in records.items() if r.layout.place == "body"}
    around = {n: r for n, r in records.items() if r.layout.place != "body"}
    if right_totals:
        retyped = {n: _retyped(r) for n, r in body.items()}
        totals = totals_of(pack, retyped)
        around = {n: _with_totals(pack, r, totals, settings) for n, r in around.items()}
    text = form.head(around)
    for top in form.tops:
        if top.name in body:
            text += form.texts(body[top.name], inside(top.name, body[top.name], body)).str.join("").item()
    return (text + form.foot(around)).encode(form.encoding)


def _retyped(own: RecordSet) -> RecordSet:
    columns = typed_columns(own.layout.value_fields, own.text.select([pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in own.text.columns]))
    return RecordSet(own.layout, own.typed.with_columns(columns), own.text, own.state, {}, own.lines, own.files)


def _with_totals(pack: Pack, own: RecordSet, totals: Mapping[str, int], settings: Mapping[str, str | None]) -> RecordSet:
    known: dict[str, Any] = {f"total_{n}": v for n, v in totals.items()} | {f"set_{n}": v or "" for n, v in settings.items()}
    frame = pl.DataFrame([known])
    text = own.text
    for f in own.layout.value_fields:
        if f.value and "total_" in f.value and own.height:
            try:
                value = evaluate_one(frame, compile_sql(f.value, frame.columns, pack.functions))[0]
            except RefusedExpression:
                continue
            text = text.with_columns(pl.when(pl.lit(True)).then(pl.lit(None if value is None else str(value), pl.String)).alias(f.column))
    return RecordSet(own.layout, own.typed, text, own.state, {}, own.lines, own.files)
