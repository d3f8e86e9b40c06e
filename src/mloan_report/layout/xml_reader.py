"""XML read back into records, streaming: text, state and line of every field, defects of structure as they are met.

Parsers never resolve entities, load a DTD or touch the network. One record's defect never hides the next record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import polars as pl
from lxml import etree

from mloan_report.layout.definition import LayoutField, RecordLayout
from mloan_report.layout.records import ABSENT, EMPTY, NIL, ROWNUM, VALUE, RecordSet
from mloan_report.layout.structure import StructureDefect
from mloan_report.layout.text import folded, typed_columns

XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
CHUNK = 20_000
"""Records gathered as objects before they become a frame."""
_DOCTYPE = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)


@dataclass
class RecordCollector:
    """Gathers the records of one kind, column by column."""

    layout: RecordLayout
    ordered: bool
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    states: dict[str, list[int]] = field(default_factory=dict)
    has: dict[str, list[bool]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    defects: list[StructureDefect] = field(default_factory=list)
    children: dict[str, RecordCollector] = field(default_factory=dict)
    parents: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for f in self.layout.fields:
            if f.is_container:
                continue
            if "[]" not in f.segment or not self.layout.segments:
                self.texts[f.column] = []
                self.states[f.column] = []
        for segment in self.layout.segments:
            self.has[segment.name] = []
        for group in self.layout.groups:
            inner = RecordLayout(group.name, group.name, group.rows, None, (), (), self.layout.null_as, group.fields)
            self.children[group.path] = RecordCollector(inner, self.ordered)
        self._by_segment = {name: _Names(self.layout, name) for name in ("", *self.has)}
        self._chunks: list[tuple[pl.DataFrame, pl.DataFrame]] = []
        self._orders: dict[tuple[str, ...], list[tuple[list[str | None], list[int]]]] = {}

    def _gather(self) -> None:
        """Moves the lists into frames: a text in a frame takes a fraction of what it takes as an object."""
        text = pl.DataFrame(self.texts, schema=dict.fromkeys(self.texts, pl.String))
        self._chunks.append((text, pl.DataFrame(self.states, schema=dict.fromkeys(self.states, pl.UInt8))))
        for column in self.texts:
            self.texts[column].clear()
            self.states[column].clear()

    def add_valid(self, element: Any, line: int) -> None:
        """Takes a record without segments that a schema proved: every field once, no text between, in any order."""
        if self.lines and len(self.lines) % CHUNK == 0:
            self._gather()
        self.lines.append(line)
        tags = tuple([child.tag for child in element])
        order = self._orders.get(tags)
        if order is None:
            columns = [self._by_segment[""].column.get(tag.rpartition("}")[2], "") for tag in tags]
            # An element that the layout has not: the schema is about to refuse the document, and these are thrown away.
            order = self._orders[tags] = [(self.texts.get(c, []), self.states.get(c, [])) for c in columns]
        for child, (texts, states) in zip(element, order, strict=True):
            text = child.text
            texts.append(text)
            states.append(VALUE if text else NIL if child.get(XSI_NIL) in ("true", "1") else EMPTY)

    def add(self, element: Any, line: int) -> None:
        """Takes one record element."""
        number = len(self.lines) + 1
        if self.lines and len(self.lines) % CHUNK == 0:
            self._gather()
        self.lines.append(line)
        for column in self.texts:
            self.texts[column].append(None)
            self.states[column].append(ABSENT)
        for name in self.has:
            self.has[name].append(False)
        if self.layout.segments:
            self._add_segments(element, number, line)
        else:
            self._add_fields(element, "", number, line)

    def _add_segments(self, element: Any, number: int, line: int) -> None:
        known = list(self.has)
        last = -1
        for child in element:
            name = _local(child)
            at = child.sourceline or line
            if name not in self.has:
                self._defect("unknown", at, number, name, "is not a segment of the record")
                continue
            if self.has[name][-1]:
                self._defect("twice", at, number, name, "stands twice")
                continue
            if known.index(name) < last:
                self._defect("order", at, number, name, "stands out of order")
            last = max(last, known.index(name))
            self.has[name][-1] = True
            if len(child) == 0:
                self._defect("empty_segment", at, number, name, "has no item in it")
            self._add_fields(child, name, number, line)
        if (element.text or "").strip():
            self._defect("stray_text", line, number, self.layout.root, "has text between its segments")

    def _add_fields(self, element: Any, segment: str, number: int, line: int) -> None:
        names = self._by_segment[segment]
        last = -1
        for child in element:
            name = _local(child)
            at = child.sourceline or line
            path = f"{segment}/{name}" if segment else name
            if path in self.children:
                collector = self.children[path]
                collector.parents.append(number - 1)
                collector.add(child, at)
                last = names.position.get(name, last)
                continue
            column = names.column.get(name)
            if column is None:
                self._defect("unknown", at, number, name, "is not an element of the record")
                continue
            if self.states[column][-1] != ABSENT:
                self._defect("twice", at, number, name, "stands twice")
                continue
            if self.ordered and names.position[name] < last:
                self._defect("order", at, number, name, "stands out of order")
            last = max(last, names.position[name])
            self._take(child, column, number, at)
            tail = child.tail
            if tail and tail.strip():
                self._defect("stray_text", at, number, name, "is followed by text")

    def _take(self, child: Any, column: str, number: int, line: int) -> None:
        text = child.text
        if len(child):
            self._defect("unknown", line, number, _local(child[0]), f"stands inside {_local(child)}")
        nil = child.get(XSI_NIL)
        if nil in ("true", "1"):
            if text:
                self._defect("nil_content", line, number, _local(child), "is nil and has content")
            self.states[column][-1] = NIL
        elif text is None or text == "":
            self.states[column][-1] = EMPTY
        else:
            self.states[column][-1] = VALUE
            self.texts[column][-1] = text
        for attribute in child.attrib:
            if attribute != XSI_NIL:
                self._defect("unknown", line, number, f"{_local(child)}@{attribute}", "is not an attribute of the format")

    def _defect(self, kind: str, line: int, record: int, element: str, detail: str) -> None:
        self.defects.append(StructureDefect(kind, line, record, element, detail))

    def all_defects(self) -> list[StructureDefect]:
        """The record's own defects and those inside its groups."""
        out = list(self.defects)
        for child in self.children.values():
            for d in child.all_defects():
                parent = child.parents[d.record - 1] + 1 if d.record else None
                out.append(StructureDefect(d.kind, d.line, parent, d.element, d.detail))
        return sorted(out, key=lambda d: (d.line, d.record or 0))

    def record_set(self, file: str = "") -> RecordSet:
        """What was gathered, typed."""
        fields = [f for f in self.layout.fields if not f.is_container and f.column in self.texts]
        self._gather()
        text, state = (pl.concat(part) for part in zip(*self._chunks, strict=True))
        text = text.with_columns([folded(pl.col(f.column)).alias(f.column) for f in fields if _collapses(f)])
        rows = self.parents if self.parents else list(range(len(self.lines)))
        base: list[pl.Series] = [pl.Series(ROWNUM, rows, dtype=pl.UInt32)]
        base += [pl.Series(f"has_{n}", v, dtype=pl.Boolean) for n, v in self.has.items()]
        typed = pl.DataFrame([*base, *typed_columns(fields, text)])
        for path, child in self.children.items():
            group = next(g for g in self.layout.groups if g.path == path)
            counts = (
                pl.DataFrame({ROWNUM: child.parents}, schema={ROWNUM: pl.UInt32}).group_by(ROWNUM).agg(pl.len().cast(pl.Int64).alias(f"{group.name}_count"))
            )
            typed = typed.join(counts, on=ROWNUM, how="left", maintain_order="left").with_columns(pl.col(f"{group.name}_count").fill_null(0))
        groups = {path: child.record_set(file) for path, child in self.children.items()}
        lines = pl.Series("line", self.lines, dtype=pl.UInt32)
        return RecordSet(self.layout, typed, text, state, groups, lines, pl.Series("file", [file], dtype=pl.String).new_from_index(0, len(self.lines)))


class _Names:
    def __init__(self, layout: RecordLayout, segment: str) -> None:
        inside = [f for f in layout.fields if f.segment == segment or (not layout.segments and "[]" in f.segment)]
        self.column = {f.name: f.column for f in inside if not f.is_container}
        self.position = {f.name: i for i, f in enumerate(inside)}


def _collapses(f: LayoutField) -> bool:
    """Whether blanks around the value mean nothing: XSD's numbers and dates, and text whose layout says so."""
    return f.collapse or (not f.segment and (f.is_number or f.type == "date"))


def _local(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else "#" + type(element).__name__


def forbidden_markup(head: bytes) -> str | None:
    """The kind of markup that is never read (a DTD or an entity), or None."""
    found = _DOCTYPE.search(head)
    return found.group().decode() if found else None


@dataclass
class Reading:
    """What reading gave: the records, defects of structure, and (line, reason) of what the schema refuses."""

    collector: RecordCollector
    defects: list[StructureDefect] = field(default_factory=list)
    schema_errors: list[tuple[int, str]] = field(default_factory=list)


def read_document(source: Path | bytes, layout: RecordLayout, namespace: str, root: str, schema: etree.XMLSchema) -> Reading:
    """One document of *root* holding records, read as a stream and validated while it is parsed.

    Only a document that does not fit is read a second time, record by record, to say what is wrong where.
    """
    want_root = f"{{{namespace}}}{root}" if namespace else root
    want_record = f"{{{namespace}}}{layout.root}" if namespace else layout.root
    out = Reading(RecordCollector(layout, ordered=False))
    try:
        for element, line in _records(source, want_root, schema, []):
            out.collector.add_valid(element, line)
        if out.collector.lines:
            return out
        refused = (1, "the document holds no record")
    except etree.XMLSyntaxError as error:
        refused = (error.lineno or 1, error.msg or str(error))
    out = Reading(RecordCollector(layout, ordered=False))
    line = 1
    try:
        for element, line in _records(source, want_root, None, out.defects):
            if element.tag == want_record:
                out.collector.add(element, line)
                out.schema_errors += _reasons(element, line, root, namespace, schema)
            else:
                out.defects.append(
                    StructureDefect("unknown", line, len(out.collector.lines) + 1, str(element.tag), f"is not a record; it should be {want_record}")
                )
            if (element.tail or "").strip():
                out.defects.append(StructureDefect("stray_text", line, len(out.collector.lines), _local(element), "is followed by text"))
    except etree.XMLSyntaxError as error:
        out.defects.append(StructureDefect("unreadable", error.lineno or line, None, "", _reason(error)))
    if not out.collector.lines and not out.defects:
        out.defects.append(StructureDefect("no_records", 1, None, root, "holds no record"))
    if not out.defects and not out.schema_errors:
        out.schema_errors.append(refused)
    return out


class _StopsEarly(etree.XMLSyntaxError):
    def __init__(self, why: str) -> None:
        super().__init__(why, cast(Any, 0), 0, 0)  # type: ignore[call-arg]


def _records(source: Path | bytes, want_root: str, schema: etree.XMLSchema | None, defects: list[StructureDefect]) -> Iterator[tuple[Any, int]]:
    """The root's children and their lines, each forgotten when the next is asked for."""
    depth = line = 0
    started = False
    options: dict[str, Any] = {
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "huge_tree": False,
        "remove_comments": True,
        "remove_pis": True,
    }
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        for event, element in etree.iterparse(stream, events=("start", "end"), schema=schema, **options):
            if event == "start":
                started = True
                depth += 1
                if depth == 1 and element.tag != want_root:
                    defects.append(StructureDefect("root", element.sourceline or 1, None, str(element.tag), f"is the root; it should be {want_root}"))
                if depth == 1 and (element.text or "").strip():
                    defects.append(StructureDefect("stray_text", element.sourceline or 1, None, _local(element), "has text before its first record"))
                if depth == 2:
                    line = element.sourceline or 0
                continue
            depth -= 1
            if depth == 1:
                yield element, line
                parent = element.getparent()
                element.clear(keep_tail=False)
                if parent is not None:
                    while parent[0] is not element:
                        del parent[0]
    if depth or not started:  # a parser that validates says nothing of a document that stops early
        raise _StopsEarly("the document stops before its end")


def _reasons(record: Any, line: int, root: str, namespace: str, schema: etree.XMLSchema) -> list[tuple[int, str]]:
    """Why a record does not fit, each with its line; nothing if it does."""
    alone = etree.Element(f"{{{namespace}}}{root}" if namespace else root)
    alone.append(deepcopy(record))
    if schema.validate(alone):
        return []
    return [(entry.line or line, entry.message.replace("{" + namespace + "}", "")) for entry in cast(Any, schema.error_log)]


def read_lines(lines: Iterator[tuple[int, bytes]], layout: RecordLayout, root: str, schema: etree.XMLSchema) -> Reading:
    """One small XML document a line (line numbers as given): *root* with one child, the record."""
    out = Reading(RecordCollector(layout, ordered=True))
    collector, defects = out.collector, out.defects
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True)
    for at, raw in lines:
        number = len(collector.lines) + 1
        if not raw.strip():
            defects.append(StructureDefect("unreadable", at, number, "", "an empty line"))
            continue
        if markup := forbidden_markup(raw):
            defects.append(StructureDefect("forbidden", at, number, markup, "is never read"))
            continue
        if raw.startswith((b"\xef\xbb\xbf", b"<?xml")):
            defects.append(StructureDefect("declaration", at, number, "", "begins with a byte-order mark or an XML declaration"))
        try:
            document = etree.fromstring(raw.removeprefix(b"\xef\xbb\xbf"), parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            defects.append(StructureDefect("unreadable", at, number, "", _reason(error)))
            continue
        if document.tag != root or len(document) != 1 or document[0].tag != layout.root:
            inside = str(document[0].tag) if len(document) else ""
            defects.append(StructureDefect("root", at, number, f"{document.tag}/{inside}", f"should be {root}/{layout.root}"))
            continue
        before = len(collector.defects)
        collector.add(document[0], at)
        collector.defects[before:] = [StructureDefect(d.kind, at, d.record, d.element, d.detail) for d in collector.defects[before:]]
        if not schema.validate(document):
            out.schema_errors.extend((at, entry.message) for entry in cast(Any, schema.error_log))
    if not collector.lines and not defects:
        defects.append(StructureDefect("no_records", 1, None, root, "holds no record"))
    return out


def _reason(error: Exception) -> str:
    text = str(error)
    return "an entity is not expanded" if "Entity" in text and "not defined" in text else text.split(" (")[0]


def peek(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(size)
