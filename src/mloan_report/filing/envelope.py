"""Files around records: one XML document a record kind, or a header line and one record a line.

Writing gives each file's name and content in slices; reading gives records, the file's own facts (header, name) and the
defects of its structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from lxml import etree

from mloan_report.layout import RecordLayout, RecordSet
from mloan_report.layout.structure import StructureDefect
from mloan_report.layout.xml_reader import forbidden_markup, peek, read_document, read_lines
from mloan_report.layout.xsd import document_schema, line_schema
from mloan_report.packs import Pack, packs


@dataclass
class ReadFile:
    """A file as read: its records (None where nothing could be read), facts of name and header, and structure defects."""

    path: Path
    record: str | None
    records: RecordSet | None
    facts: dict[str, Any] = field(default_factory=dict)
    defects: list[StructureDefect] = field(default_factory=list)
    schema_errors: list[tuple[int, str]] = field(default_factory=list)


def document_head(pack: Pack, record: str) -> bytes:
    """What stands before the first record of a document."""
    root, namespace = pack.envelope["root"], pack.envelope["namespace"].format(record=record)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'.encode()


def document_foot(pack: Pack) -> bytes:
    """What stands after the last record of a document."""
    return f"</{pack.envelope['root']}>\n".encode()


def header_values(pack: Pack, record: str, settings: Mapping[str, str | None], made_at: datetime, serial: int, count: int) -> dict[str, Any]:
    """What file names and headers are filled with."""
    templates = pack.envelope.get("templates", {})
    template = templates.get(record, "")
    return {
        **{n: v or "" for n, v in settings.items()},
        "record": record,
        "made_at": made_at,
        "serial": serial,
        "count": count,
        "template": (settings.get(template) or "") if template else "  ",
    }


def recognise(pack: Pack, path: Path) -> str | None:
    """The record kind of a file, by its content first and its name second; None when it is not this pack's."""
    head = peek(path)
    envelope = pack.envelope
    if envelope["kind"] == "composed":
        return "*" if re.search(envelope["sign"].encode(), head) else None
    if envelope["kind"] == "document":
        text = head.decode("utf-8", "replace")
        for layout in pack.records():
            if envelope["namespace"].format(record=layout.name) + '"' in text:
                return layout.name
        if path.stem in {r.name for r in pack.records()} and path.suffix == ".xml":
            return path.stem
        return None
    match = re.match(envelope["header_pattern"].encode(), head.split(b"\n", 1)[0])
    if match and match.group("record").decode() in {r.name for r in pack.records()}:
        return match.group("record").decode()
    named = re.match(envelope["name_pattern"], path.name)
    return named.group("record") if named and named.group("record") in {r.name for r in pack.records()} else None


def read_file(pack: Pack, path: Path, record: str | None) -> ReadFile:
    """One file, whoever made it; nothing escapes as a trace."""
    out = ReadFile(path, record, None)
    layout = next((r for r in pack.records() if r.name == record), None)
    if layout is None:
        out.defects.append(StructureDefect("root", 1, None, path.name, "is not a file of this format"))
        return out
    if pack.envelope["kind"] == "document":
        return _read_document(pack, path, layout, out)
    return _read_lines(pack, path, layout, out)


def _read_document(pack: Pack, path: Path, layout: RecordLayout, out: ReadFile) -> ReadFile:
    if markup := forbidden_markup(peek(path, 65536)):
        out.defects.append(StructureDefect("forbidden", 1, None, markup, "is never read: a file with a DTD or entities is refused"))
        return out
    bad = _not_utf8(path)
    if bad is not None:
        out.defects.append(StructureDefect("encoding", bad, None, "", "is not UTF-8"))
        return out
    envelope = pack.envelope
    reading = read_document(path, layout, envelope["namespace"].format(record=layout.name), envelope["root"], schema_of(pack.id, layout.name))
    out.defects = reading.defects + reading.collector.all_defects()
    out.schema_errors = reading.schema_errors
    out.records = reading.collector.record_set(path.name)
    return out


@cache
def schema_of(pack_id: str, record: str) -> etree.XMLSchema:
    """The schema of a record kind: of its document, or of one of its lines."""
    pack = packs()[pack_id]
    layout = next(r for r in pack.records() if r.name == record)
    root, codes = pack.envelope["root"], dict(pack.codes)
    if pack.envelope["kind"] == "document":
        text = document_schema(layout, pack.envelope["namespace"].format(record=record), root, codes)
    else:
        text = line_schema(layout, root, codes)
    return etree.XMLSchema(etree.fromstring(text))


def read_slice(pack: Pack, path: Path, layout: RecordLayout, head: bytes, data: bytes, foot: bytes, line: int, number: int) -> ReadFile:
    """Whole records of a file, *data*, which begin at *line* with record *number*, read between the file's own *head* and *foot*."""
    out = ReadFile(path, layout.name, None)
    if markup := forbidden_markup(head + data):
        out.defects.append(StructureDefect("forbidden", line, None, markup, "is never read: a file with a DTD or entities is refused"))
        return out
    bad = next((i for i, raw in enumerate(data.split(b"\n"), start=line) if not _is_utf8(raw)), None)
    if bad is not None:
        out.defects.append(StructureDefect("encoding", bad, None, "", "is not UTF-8"))
        return out
    schema = schema_of(pack.id, layout.name)
    if pack.envelope["kind"] == "document":
        namespace = pack.envelope["namespace"].format(record=layout.name)
        reading = read_document(head + data + foot, layout, namespace, pack.envelope["root"], schema)
        shift = line - 1 - head.count(b"\n")
    else:
        body = enumerate(data.removesuffix(b"\n").split(b"\n"), start=line)
        reading = read_lines(body, layout, pack.envelope["root"], schema)
        shift = 0

    def moved(d: StructureDefect) -> StructureDefect:
        return StructureDefect(d.kind, d.line + shift, d.record + number - 1 if d.record else None, d.element, d.detail)

    out.defects = [moved(d) for d in reading.defects + reading.collector.all_defects()]
    out.schema_errors = [(at + shift, why) for at, why in reading.schema_errors]
    reading.collector.lines = [at + shift for at in reading.collector.lines]
    out.records = reading.collector.record_set(path.name)
    return out


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def line_facts(pack: Pack, path: Path, head: bytes, lines: int) -> dict[str, Any]:
    """What name and header say of a file of *lines* records."""
    named = re.match(pack.envelope["name_pattern"] + "$", path.name)
    facts: dict[str, Any] = {f"name_{k}": v for k, v in named.groupdict().items()} if named else {"name_record": None}
    first = head.rstrip(b"\n")
    header = re.match(pack.envelope["header_pattern"] + "$", first.decode("utf-8"))
    facts |= {f"header_{k}": v for k, v in header.groupdict().items()} if header else {"header_record": None}
    return facts | {"header_length": len(first), "lines": lines}


def _not_utf8(path: Path) -> int | None:
    """The line of the first byte that is not UTF-8, or None."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


def _read_lines(pack: Pack, path: Path, layout: RecordLayout, out: ReadFile) -> ReadFile:
    if (bad := _not_utf8(path)) is not None:
        out.defects.append(StructureDefect("encoding", bad, None, "", "is not UTF-8"))
        return out
    with path.open("rb") as stream:
        head = stream.readline()
        body = ((number, raw.rstrip(b"\n")) for number, raw in enumerate(stream, start=2))
        reading = read_lines(body, layout, pack.envelope["root"], schema_of(pack.id, layout.name))
    lines = len(reading.collector.lines) + sum(1 for d in reading.defects if d.kind in ("unreadable", "root", "forbidden"))
    out.facts |= line_facts(pack, path, head, lines)
    out.defects += reading.defects + reading.collector.all_defects()
    out.schema_errors = reading.schema_errors
    out.records = reading.collector.record_set(path.name)
    return out


def joined(parts: list[RecordSet]) -> RecordSet:
    """Several files of one kind as one set of records, row numbers made unique."""
    if len(parts) == 1:
        return parts[0]
    layout = parts[0].layout
    offset, typed, text, state, lines, files = 0, [], [], [], [], []
    groups: dict[str, list[RecordSet]] = {}
    for part in parts:
        typed.append(part.typed.with_columns(pl.col("_record") + offset))
        text.append(part.text)
        state.append(part.state)
        lines.append(part.lines if part.lines is not None else pl.Series([None] * part.height, dtype=pl.UInt32))
        files.append(part.files if part.files is not None else pl.Series([None] * part.height, dtype=pl.String))
        for path, group in part.groups.items():
            groups.setdefault(path, []).append(RecordSet(group.layout, group.typed.with_columns(pl.col("_record") + offset), group.text, group.state))
        offset += part.height
    whole = {
        path: RecordSet(g[0].layout, pl.concat([x.typed for x in g]), pl.concat([x.text for x in g]), pl.concat([x.state for x in g]))
        for path, g in groups.items()
    }
    return RecordSet(layout, pl.concat(typed), pl.concat(text), pl.concat(state), whole, pl.concat(lines), pl.concat(files))
