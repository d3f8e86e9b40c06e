"""XML in which every value is an attribute: elements in elements, no text, children in a set order.

Written with one element a line. Read as a stream by a parser that never resolves an entity, loads a DTD or touches the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO

import polars as pl
from lxml import etree

from mloan_report.layout.definition import LayoutField, RecordLayout
from mloan_report.layout.forms.batch import BLOCK, Batch, Form, records_of
from mloan_report.layout.forms.plain_attributes import ENCODINGS, plain_batch
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet
from mloan_report.layout.structure import StructureDefect
from mloan_report.layout.xml_reader import forbidden_markup

RECORDS = 20_000
"""Elements gathered as objects before they become a batch."""
LONGEST = 1_000_000
"""Bytes at the end of a block in which the last outermost element is looked for."""


class AttributesForm(Form):
    """``encoding`` is written into the declaration; ``encodings`` are those that may be read (absent: any): a file is read in the one it declares."""

    def __init__(self, layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> None:
        super().__init__(layouts, spec)
        self.root = next(x for x in layouts if x.place == "root")
        self.children = {n: [x for x in layouts if (x.parent or (self.root.name if x.place == "body" else None)) == n] for n in self.layouts}
        self.kinds = {(x.parent or (self.root.name if x.place != "root" else ""), x.root): x for x in layouts}

    def children_of(self, name: str) -> list[RecordLayout]:
        return self.children[name]

    def texts(self, top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        return self._elements(top, records)

    def _elements(self, own: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        frame = own.typed.select(ROWNUM).with_columns(inside=pl.lit(""))
        for child in self.children_of(own.layout.name):
            inner = records.get(child.name)
            if inner is None or inner.height == 0:
                continue
            rows = pl.DataFrame([inner.typed[PARENT].alias(ROWNUM), self._elements(inner, records).alias("t")])
            told = rows.group_by(ROWNUM, maintain_order=True).agg(pl.col("t").str.join(""))
            frame = frame.join(told, on=ROWNUM, how="left", maintain_order="left").with_columns(inside=pl.col("inside") + pl.col("t").fill_null("")).drop("t")
        start = own.typed.select(ROWNUM).with_columns(own.text.get_columns()).with_columns(self._start(own).alias("start"))["start"]
        closed = (
            pl.when(pl.col("inside") == "").then(pl.col("start") + "/>\n").otherwise(pl.col("start") + ">\n" + pl.col("inside") + f"</{own.layout.root}>\n")
        )
        return frame.with_columns(start).select(closed.alias("text"))["text"]

    def _start(self, own: RecordSet) -> pl.Expr:
        """The opening tag without its end: what always stands is put together at once, what may lack by itself."""
        columns = [f.column for f in own.layout.value_fields]
        nulls = own.text.select(columns).null_count().row(0, named=True) if columns else {}
        free = [c for c in (f.column for f in own.layout.value_fields if _may_hold_markup(f)) if nulls[c] < own.height]
        odd = own.text.select([pl.col(c).str.contains(_MARKUP).any() for c in free]).row(0, named=True) if free else {}
        parts: list[pl.Expr] = []
        words = f"<{own.layout.root}"
        for f in own.layout.value_fields:
            if nulls[f.column] == own.height:
                continue
            value = _escaped(pl.col(f.column)) if odd.get(f.column) else pl.col(f.column)
            if nulls[f.column] == 0:
                parts += [pl.lit(f'{words} {f.name}="'), value]
                words = '"'
            else:
                parts += [pl.lit(words), pl.concat_str(pl.lit(f' {f.name}="'), value, pl.lit('"')).fill_null("")]
                words = ""
        return pl.concat_str([*parts, pl.lit(words)])

    def head(self, records: Mapping[str, RecordSet]) -> str:
        root = records[self.root.name]
        start = root.text.select(self._start(root).alias("t"))["t"][0]
        return f'<?xml version="1.0" encoding="{self.encoding.upper()}"?>\n{start}>\n'

    def foot(self, records: Mapping[str, RecordSet]) -> str:
        return f"</{self.root.root}>\n"

    def read(self, stream: BinaryIO, file: str = "", line: int = 1, *, whole: bool = True) -> Iterator[Batch]:
        start = stream.read(4096)
        if markup := forbidden_markup(start.replace(b"\0", b"")):
            yield Batch(defects=[StructureDefect("forbidden", 1, None, markup, "is never read: a file with a DTD or entities is refused")])
            return
        if not whole:
            start = f'<?xml version="1.0" encoding="{self.encoding.upper()}"?><{self.root.root}>'.encode() + start
        elif not start.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \r\n\t").startswith(b"<"):
            yield Batch(defects=[StructureDefect("root", 1, None, self.root.root, "is not there: this is not XML")])
            return
        elif (declared := _declared(start)) not in [e.lower() for e in self.spec.get("encodings", [declared])]:
            yield Batch(defects=[StructureDefect("encoding", 1, None, declared, f"is not an encoding that may be used ({', '.join(self.spec['encodings'])})")])
            return
        encoding = _declared(start)
        if encoding in ENCODINGS and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield from _Blocks(self, stream, file, encoding, line, whole=whole).batches(start)
        else:
            yield from _Reading(self, file, line - 1, whole).batches(_Ahead(start, stream, b"" if whole else f"</{self.root.root}>".encode()))


_ENCODING = re.compile(rb"""^[^<]*<\?xml[^>]*?encoding *= *["']([^"']*)""")


def _declared(start: bytes) -> str:
    """The encoding that the declaration names, in small letters; utf-8 where it names none."""
    found = _ENCODING.match(start.replace(b"\0", b""))
    return found[1].decode("ascii", "replace").lower() if found else "utf-8"


class _Ahead:
    """A stream with bytes before and after it."""

    def __init__(self, start: bytes, stream: BinaryIO, end: bytes) -> None:
        self.parts: list[bytes] = [start]
        self.stream, self.end, self.done = stream, end, False

    def chunks(self) -> Iterator[bytes]:
        yield from self.parts
        while data := self.stream.read(1 << 18):
            yield data
        if self.end:
            yield self.end


class _Blocks:
    """A file read in blocks of whole outermost elements, by columns as long as they are plain, from there on element by element."""

    def __init__(self, form: AttributesForm, stream: BinaryIO, file: str, encoding: str, line: int, *, whole: bool) -> None:
        self.form, self.stream, self.file, self.encoding, self.line, self.whole = form, stream, file, encoding, line, whole
        self.seen: dict[str, int] = {}
        self.at = line
        tops = "|".join(re.escape(x.root) for x in form.children_of(form.root.name))
        self.starts = re.compile(rf"<(?:{tops})(?=[ />])".encode())
        self.ends = re.compile(rf"\s*</{re.escape(form.root.root)}\s*>\s*$".encode())

    def batches(self, start: bytes) -> Iterator[Batch]:
        """The batches; *start* are the first bytes, with the root's tag."""
        root = re.match(rf"(?:\xef\xbb\xbf)?(?:<\?xml[^>]*\?>)?\s*<{re.escape(self.form.root.root)}(?: [^<>]*)?>".encode("latin-1"), start)
        head = self._head(root[0]) if root and not root[0].endswith(b"/>") else None
        if root is None or head is None:
            end = b"" if self.whole else f"</{self.form.root.root}>".encode()
            yield from _Reading(self.form, self.file, self.line - 1, self.whole).batches(_Ahead(start, self.stream, end))
            return
        if self.whole:
            yield head
        self.line += root[0].count(b"\n")
        self.at = self.line
        rest = start[root.end() :]
        while True:
            read = self.stream.read(BLOCK)
            data = rest + read
            cut = len(data) if not read else max((m.start() for m in self.starts.finditer(data, max(0, len(data) - LONGEST))), default=0)
            body = data[:cut] if read or not self.whole else self.ends.sub(b"", data)
            plain = cut and (read or not self.whole or len(body) < len(data))
            batch = plain_batch(self.form, body, self.encoding, self.line, self.file, self._last()) if plain else None
            if batch is None and (cut or not read or len(data) > LONGEST):
                yield from self._by_element(data)
                return
            if batch is not None:
                for name, own in batch.records.items():
                    self.seen[name] = self.seen.get(name, 0) + own.height
                yield batch
            self.line += data.count(b"\n", 0, cut)
            rest = data[cut:]
            if not read:
                yield from self._missing()
                return

    def _missing(self) -> Iterator[Batch]:
        """A batch of what the root should hold and does not."""
        root = self.form.root
        lacking = [x for x in self.form.children_of(root.name) if self.whole and self.seen.get(x.name, 0) < x.least]
        if lacking:
            yield Batch(defects=[StructureDefect("absent_record", self.at, None, x.root, f"is missing inside {root.root}", root.root) for x in lacking])

    def _head(self, root: bytes) -> Batch | None:
        """The root's record; None where it is not plain."""
        reading = _Reading(self.form, self.file, self.line - 1, whole=True)
        found = list(reading.batches(_Ahead(root, BytesIO(), f"</{self.form.root.root}>".encode())))
        return found[0] if len(found) == 1 and not found[0].defects else None

    def _last(self) -> str | None:
        """The kind of outermost record that stood last."""
        tops = [x.name for x in self.form.children_of(self.form.root.name)]
        return next((n for n in reversed(tops) if n in self.seen), None)

    def _by_element(self, data: bytes) -> Iterator[Batch]:
        start = f'<?xml version="1.0" encoding="{self.encoding.upper()}"?><{self.form.root.root}>'.encode()
        reading = _Reading(self.form, self.file, self.line - 1, whole=False)
        reading.seen = {x.name: self.seen[x.name] for x in self.form.children_of(self.form.root.name) if x.name in self.seen}
        yield from reading.batches(_Ahead(start + data, self.stream, b"" if self.whole else f"</{self.form.root.root}>".encode()))


def _top_of(form: AttributesForm, layout: RecordLayout) -> str:
    """The outermost kind, below the root, that records of *layout* stand in."""
    while layout.parent is not None:
        layout = form.layouts[layout.parent]
    return layout.name


class _Reading:
    def __init__(self, form: AttributesForm, file: str, shift: int, whole: bool) -> None:
        self.form, self.file, self.shift, self.whole = form, file, shift, whole
        self.out = Batch()
        self.known = {n: frozenset(f.name for f in x.value_fields) for n, x in form.layouts.items()}
        self.places = {n: {x.name: i for i, x in enumerate(form.children_of(n))} for n in form.layouts}
        self.needed = {n: [x for x in form.children_of(n) if x.least] for n in form.layouts}
        self.top_of = {n: _top_of(form, x) for n, x in form.layouts.items()}
        self._clear()
        self.path: list[tuple[RecordLayout | None, int, dict[str, int]]] = []
        self.gathered = 0
        self.outermost = 0
        self.seen: dict[str, int] = {}  # outermost records before the first that is read here

    def _clear(self) -> None:
        self.rows: dict[str, list[dict[str, str]]] = {n: [] for n in self.form.layouts}
        self.lines: dict[str, list[int]] = {n: [] for n in self.form.layouts}
        self.parents: dict[str, list[int]] = {n: [] for n in self.form.layouts}
        self.tops: dict[str, list[int]] = {n: [] for n in self.form.layouts}

    def batches(self, source: _Ahead) -> Iterator[Batch]:
        parser = etree.XMLPullParser(events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            for data in source.chunks():
                parser.feed(data)
                yield from self._take(parser)
            parser.close()
            yield from self._take(parser)
        except etree.XMLSyntaxError as error:
            yield from self._take(parser)
            self._leave_out_unfinished()
            at = max(1, (error.lineno or 1) + self.shift)
            reason = str(error.msg).split(", line ")[0]
            self.out.defects.append(StructureDefect("unreadable", at, None, "", f"is not well formed: {reason}"))
        yield self._batch()

    def _leave_out_unfinished(self) -> None:
        """What a file breaks off in the midst of is not judged: it would lack what the rest of it says."""
        top, number, _ = self.path[1] if len(self.path) > 1 else (None, -1, None)
        if top is None:
            return
        for name in self.form.layouts:
            if self.top_of[name] == top.name and number in self.tops[name]:
                at = self.tops[name].index(number)
                for kept in (self.rows, self.lines, self.parents, self.tops):
                    del kept[name][at:]

    def _take(self, parser: Any) -> Iterator[Batch]:
        for event, element in parser.read_events():
            if event == "start":
                self._start(element)
                continue
            self._end(element)
            if len(self.path) <= 1:
                element.clear(keep_tail=False)
                parent = element.getparent()
                if parent is not None:
                    while parent[0] is not element:
                        self._tail(parent[0], parent)
                        del parent[0]
                if self.gathered >= (self.form.at_a_time or RECORDS):
                    yield self._batch()

    def _tail(self, element: Any, parent: Any) -> None:
        if element.tail and element.tail.strip():
            self._defect("stray_text", (element.sourceline or 1) + self.shift, str(parent.tag), "has text between its elements")

    def _start(self, element: Any) -> None:
        name = element.tag if isinstance(element.tag, str) else ""
        outer = self.path[-1] if self.path else None
        above = outer[0].name if outer and outer[0] else ""
        layout = self.form.kinds.get((above, name)) if (outer is None or outer[0] is not None) else None
        at = (element.sourceline or 1) + self.shift
        if layout is None:
            if outer is None or outer[0] is not None:
                where = f"inside {outer[0].root}" if outer and outer[0] else "as the root"
                self._defect("root" if outer is None else "unknown", at, name, f"does not belong {where}")
            self.path.append((None, -1, {}))
            return
        if outer and outer[0]:
            self._placed(layout, outer[0], outer[2], at)
        if layout is self.form.root and not self.whole:
            self.path.append((layout, -1, self.seen))
            return
        number = self._add(layout, element, at, outer[1] if outer else -1)
        self.path.append((layout, number, {}))

    def _placed(self, layout: RecordLayout, above: RecordLayout, seen: dict[str, int], at: int) -> None:
        places = self.places[above.name]
        if any(places[n] > places[layout.name] for n in seen):
            self._defect("order", at, layout.root, f"stands out of order inside {above.root}", above.root)
        if layout.name in seen and not layout.many:
            self._defect("twice", at, layout.root, f"stands a second time inside one {above.root}", above.root)
        seen[layout.name] = seen.get(layout.name, 0) + 1

    def _add(self, layout: RecordLayout, element: Any, at: int, parent: int) -> int:
        name = layout.name
        number = len(self.lines[name])
        self.lines[name].append(at)
        self.gathered += 1
        given = dict(element.attrib)
        self.rows[name].append(given)
        if not self.known[name].issuperset(given):
            for attribute in given:
                if attribute not in self.known[name]:
                    self._defect("attribute", at, f"{layout.root}.{attribute}", "is not an attribute of this layout")
        if layout.parent is None:
            self.outermost = number
        self.parents[name].append(parent)
        self.tops[name].append(number if layout.parent is None else self.outermost)
        return number

    def _end(self, element: Any) -> None:
        layout, number, seen = self.path.pop()
        if layout is None:
            return
        if element.text and element.text.strip():
            self._defect("stray_text", (element.sourceline or 1) + self.shift, layout.root, "has text in it")
        for child in element:
            self._tail(child, element)
        if number < 0 and layout is not self.form.root:
            return
        for child in self.needed[layout.name]:
            if seen.get(child.name, 0) < child.least:
                self._defect("absent_record", (element.sourceline or 1) + self.shift, child.root, f"is missing inside {layout.root}", layout.root)

    def _defect(self, kind: str, line: int, element: str, detail: str, inside: str = "") -> None:
        self.out.defects.append(StructureDefect(kind, line, None, element, detail, inside))

    def _batch(self) -> Batch:
        for name, lines in self.lines.items():
            if not lines:
                continue
            layout = self.form.layouts[name]
            columns = {f.column: pl.Series(f.column, [r.get(f.name) for r in self.rows[name]], dtype=pl.String) for f in layout.value_fields}
            text = pl.DataFrame(columns)
            place = None
            if layout.parent is not None:
                place = {PARENT: pl.Series(self.parents[name], dtype=pl.UInt32), TOP: pl.Series(self.tops[name], dtype=pl.UInt32)}
            self.out.records[name] = records_of(layout, text, pl.Series(lines, dtype=pl.UInt32), self.file, place)
        out, self.out = self.out, Batch()
        self._clear()
        self.gathered = 0
        return out


_MARKUP = '[&<>"\t\n\r]'


def _may_hold_markup(f: LayoutField) -> bool:
    return not f.is_number and f.type not in ("date", "month", "digits", "moment")


def _escaped(text: pl.Expr) -> pl.Expr:
    """Text as an attribute's value: markup, quotes, and what a parser would fold to a blank."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\t", "&#9;"), ("\n", "&#10;"), ("\r", "&#13;")):
        text = text.str.replace_all(sign, entity, literal=True)
    return text
