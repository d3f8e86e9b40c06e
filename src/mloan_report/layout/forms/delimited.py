"""One record a line, fields between separators; with or without quotes, a line of names, or a tag that says the kind.

Without quotes a value may hold neither the separator nor a line end. With quotes they are those of RFC 4180: a value that
holds a separator, a quote or a line end stands in quotes, and a quote in it is doubled.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.forms.batch import BLOCK, Batch, Form, Unreadable, decoded, records_of
from mloan_report.layout.records import RecordSet
from mloan_report.layout.structure import StructureDefect

BOM = b"\xef\xbb\xbf"


class DelimitedForm(Form):
    """``separator``; ``quoted``; ``plain_text``: control characters and blanks around a value are defects (``control``, ``blanks``);
    ``names``: the first line has the column names, else each line begins with its kind.
    """

    def __init__(self, layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> None:
        super().__init__(layouts, spec)
        self.separator: str = spec["separator"]
        self.quoted: bool = spec.get("quoted", False)
        self.names: bool = spec.get("names", False)
        self.plain_text: bool = spec.get("plain_text", False)
        self.tags = {tag: x for x in layouts for tag in (x.name, *x.also)}

    def texts(self, top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        columns = [pl.col(f.column).fill_null("") for f in top.layout.value_fields]
        if self.quoted:
            columns = [self._quoted(c) for c in columns]
        return top.text.select((pl.concat_str(columns, separator=self.separator) + self.line_end).alias("text"))["text"]

    def _quoted(self, text: pl.Expr) -> pl.Expr:
        needs = text.str.contains(f'[{self.separator}"\r\n]')
        return pl.when(needs).then(pl.lit('"') + text.str.replace_all('"', '""', literal=True) + pl.lit('"')).otherwise(text)

    def head(self, records: Mapping[str, RecordSet]) -> str:
        if self.names:
            return self.separator.join(f.name for f in self.tops[0].value_fields) + self.line_end
        return "".join(t for x in self.heads for t in self.texts(records[x.name], records))

    def foot(self, records: Mapping[str, RecordSet]) -> str:
        return "".join(t for x in self.feet for t in self.texts(records[x.name], records))

    def read(self, stream: BinaryIO, file: str = "", line: int = 1, *, whole: bool = True) -> Iterator[Batch]:
        reading = _Reading(self, file, whole)
        try:
            for data, at in self._blocks(stream, line):
                yield reading.block(data, at)
        except Unreadable as stop:
            yield Batch(defects=[stop.defect])
            return
        yield reading.end()

    def _blocks(self, stream: BinaryIO, line: int) -> Iterator[tuple[bytes, int]]:
        """Whole lines, about a block's bytes at a time; a line end inside quotes ends no line. Of one kind of record the first block
        is smaller, so that judging it need not wait long.
        """
        rest = b""
        size = BLOCK // 8 if self.names else BLOCK
        while True:
            read = stream.read(size)
            size = BLOCK
            data = rest + read
            if not read:
                if data:
                    yield data, line
                return
            cut = data.rfind(b"\n") + 1
            while self.quoted and cut and data.count(b'"', 0, cut) % 2:
                cut = data.rfind(b"\n", 0, cut - 1) + 1
            rest = data[cut:]
            if cut:
                yield data[:cut], line
                line += data.count(b"\n", 0, cut)


class _Reading:
    """One pass over a file: what came before decides what may come next."""

    def __init__(self, form: DelimitedForm, file: str, whole: bool) -> None:
        self.form, self.file, self.whole = form, file, whole
        self.first = True
        self.order: list[str] | None = None
        self.foot_at: int | None = None
        self.head_seen = False
        self.last = 0
        self.well: dict[int, re.Pattern[bytes]] = {}

    def _line_of(self, fields: int) -> re.Pattern[bytes]:
        """A line of so many values, each bare, or whole in quotes."""
        if fields not in self.well:
            separator = re.escape(self.form.separator)
            value = f'(?:[^"{separator}]*|"(?:[^"]|"")*")'
            self.well[fields] = re.compile(f"{value}(?:{separator}{value}){{{fields - 1}}}\r?".encode())
        return self.well[fields]

    def block(self, data: bytes, line: int) -> Batch:
        out = Batch()
        if self.first and data.startswith(BOM):
            out.defects.append(StructureDefect("bom", 1, None, "", "begins with a byte-order mark"))
            data = data[len(BOM) :]
        if self._plainly(data, line, out):
            return out
        text = decoded(data, self.form.encoding, line)
        lines, numbers = self._lines(text, line, out)
        if self.first:
            self.first = False
            if self.form.names and self.whole:
                self._take_names(lines[0] if lines.len() else "", out)
                lines, numbers = lines.slice(1), numbers.slice(1)
        self.last = line + text.count("\n")
        self._ends(lines, numbers, out)
        lines = lines.str.strip_suffix("\r")
        if self.form.plain_text:
            self._letters(lines, numbers, out)
        blank = lines == ""
        if blank.any():
            out.defects += [StructureDefect("empty_line", int(n), None, "", "is an empty line") for n in numbers.filter(blank).to_list()]
            lines, numbers = lines.filter(~blank), numbers.filter(~blank)
        if self.form.names:
            self._take(self.form.tops[0], lines, numbers, out)
        else:
            self._by_tag(lines, numbers, out)
        return out

    def _plainly(self, data: bytes, line: int, out: Batch) -> bool:
        """Takes a block whole where each line is one row, of the right count of fields and well quoted; nothing is taken where that is not plain."""
        form = self.form
        if not form.names or form.plain_text or form.encoding.lower() not in ("utf-8", "utf8") or form.line_end not in ("\r\n", "\n"):
            return False
        layout = form.tops[0]
        wanted = [f.name for f in layout.value_fields]
        if self.first and self.whole:
            head, _, data = data.partition(b"\n")
            if not data or head.removesuffix(b"\r") != form.separator.join(wanted).encode():
                return False
            if "strict_line_end" in form.spec and head.endswith(b"\r") != (form.line_end == "\r\n"):
                return False
            line += 1
        rows = data.count(b"\n") + (not data.endswith(b"\n"))
        returns = data.count(b"\r") if b"\r" in data else 0
        ends = data.count(b"\r\n") if returns else 0
        if returns != ends or data.startswith((b"\n", b"\r")) or data.count(b'"') > rows:
            return False
        if len(wanted) == 1 and (b"\n\n" in data or b"\n\r\n" in data):
            return False  # an empty line; of more columns it lacks separators
        if "strict_line_end" in form.spec and ends != (rows if form.line_end == "\r\n" else 0):
            return False
        names = self.order or wanted
        separator = form.separator.encode()
        expected = rows * (len(names) - 1)
        found = data.count(separator)
        well = self._line_of(len(names))
        for held in _lines_with_quotes(data):
            if not form.quoted or not well.fullmatch(held):
                return False
            found -= held.count(separator) - (len(names) - 1)
        if found != expected:
            return False
        try:
            table = _read_csv(data, names, form.separator, quoted=form.quoted)
        except pl.exceptions.PolarsError:
            return False  # a line with more fields, while another has fewer; or letters that are none
        if table.height != rows:
            return False
        numbers = pl.int_range(line, line + rows, dtype=pl.UInt32, eager=True)
        text = table.select([pl.col(f.name).alias(f.column) for f in layout.value_fields])
        out.records[layout.name] = records_of(layout, text, numbers, self.file)
        self.last = line + rows
        if self.first:
            self.first, self.head_seen = False, True
        return True

    def end(self) -> Batch:
        out = Batch()
        if self.whole and self.form.feet and self.foot_at is None:
            out.defects.append(StructureDefect("foot", self.last, None, self.form.feet[0].name, "is missing: the file stops before its end"))
        if self.whole and self.form.heads and not self.head_seen:
            out.defects.append(StructureDefect("root", 1, None, self.form.heads[0].name, "does not stand first"))
        return out

    def _lines(self, text: str, line: int, out: Batch) -> tuple[pl.Series, pl.Series]:
        lines = pl.Series("line", [text.removesuffix("\n")]).str.split("\n").explode() if text else pl.Series("line", [], dtype=pl.String)
        numbers = pl.int_range(line, line + lines.len(), dtype=pl.UInt32, eager=True)
        if self.form.quoted and '"' in text and (odd := (lines.str.count_matches('"', literal=True) % 2 == 1)).any():
            return self._joined(lines, numbers, odd, out)
        return lines, numbers

    def _joined(self, lines: pl.Series, numbers: pl.Series, odd: pl.Series, batch: Batch) -> tuple[pl.Series, pl.Series]:
        """Lines that a quoted line end divides, put together again."""
        opened = odd.cum_sum() % 2 == 1  # a quote is open after the line
        inside = opened.shift(1, fill_value=False)
        if opened[-1]:
            at = int(numbers.filter(~inside & opened)[-1])
            batch.defects.append(StructureDefect("quote", at, None, "", "opens a quote that is never closed; what follows is read as one value"))
        several = inside | opened
        parts = pl.DataFrame({"line": lines, "n": numbers, "own": (~inside).cum_sum()}).filter(several)
        whole = parts.group_by("own", maintain_order=True).agg(pl.col("line").str.join("\n"), pl.col("n").first())
        both = pl.concat([pl.DataFrame({"line": lines, "n": numbers}).filter(~several), whole.select("line", "n")]).sort("n")
        return both["line"], both["n"]

    def _ends(self, lines: pl.Series, numbers: pl.Series, out: Batch) -> None:
        wanted = self.form.line_end == "\r\n"
        if "strict_line_end" not in self.form.spec:
            return
        other = lines.str.ends_with("\r") != wanted
        if other.any():
            at = int(numbers.filter(other)[0])
            out.defects.append(StructureDefect("line_end", at, None, "", f"{int(other.sum())} lines do not end with {'CR LF' if wanted else 'LF'}"))

    def _letters(self, lines: pl.Series, numbers: pl.Series, out: Batch) -> None:
        """Characters that print nothing, and values with blanks around them."""
        s = re.escape(self.form.separator)
        found = (("control", r"[\x00-\x1f\x7f]", "holds a control character"), ("blanks", f"(^|{s}) | ({s}|$)", "holds a value with blanks around it"))
        for kind, pattern, words in found:
            hits = lines.str.contains(pattern)
            if hits.any():
                out.defects += [StructureDefect(kind, int(n), None, "", words) for n in numbers.filter(hits).to_list()]

    def _take_names(self, first: str, out: Batch) -> None:
        layout = self.form.tops[0]
        wanted = [f.name for f in layout.value_fields]
        given = _cells(first.removesuffix("\r"), self.form.separator)
        self.head_seen = True
        if given == wanted:
            return
        self.order = given
        if repeated := sorted({n for n in given if given.count(n) > 1}):
            raise Unreadable(StructureDefect("names", 1, None, repeated[0], f"the column {', '.join(repeated)} is named twice"))
        missing = [n for n in wanted if n not in given]
        extra = [n for n in given if n not in wanted]
        if missing:
            raise Unreadable(StructureDefect("names", 1, None, missing[0], f"has no column {', '.join(missing)}"))
        if extra:
            out.defects.append(StructureDefect("names", 1, None, extra[0], f"has columns that are not of the format: {', '.join(extra)}"))
        else:
            out.defects.append(StructureDefect("names_order", 1, None, "", "has the columns in another order"))

    def _by_tag(self, lines: pl.Series, numbers: pl.Series, out: Batch) -> None:
        tags = lines.str.split_exact(self.form.separator, 1).struct.field("field_0")
        kinds = tags.replace_strict({t: x.name for t, x in self.form.tags.items()}, default=None, return_dtype=pl.String)
        for i in kinds.is_null().arg_true().to_list():
            out.defects.append(
                StructureDefect("unknown", int(numbers[i]), None, str(tags[i])[:20], "is not a kind of record of this format; the line is not read")
            )
        if self.whole:
            self._places(kinds, numbers, out)
        for layout in self.form.layouts.values():
            mine = kinds == layout.name
            if mine.any():
                self._take(layout, lines.filter(mine), numbers.filter(mine), out)

    def _places(self, kinds: pl.Series, numbers: pl.Series, out: Batch) -> None:
        heads, feet = {x.name for x in self.form.heads}, {x.name for x in self.form.feet}
        for i in kinds.is_in(list(heads | feet)).fill_null(False).arg_true().to_list():
            at, kind = int(numbers[i]), str(kinds[i])
            if kind in heads:
                if self.head_seen:
                    out.defects.append(StructureDefect("twice", at, None, kind, "stands a second time"))
                elif at != 1:
                    out.defects.append(StructureDefect("root", at, None, kind, "does not stand first"))
                self.head_seen = True
            elif self.foot_at is not None:
                out.defects.append(StructureDefect("twice", at, None, kind, "stands a second time"))
            else:
                self.foot_at = at
        if self.foot_at is not None and numbers.len() and int(numbers[-1]) > self.foot_at:
            out.defects.append(StructureDefect("after_foot", self.foot_at + 1, None, "", f"stands after the {self.form.feet[0].name} record"))

    def _take(self, layout: RecordLayout, lines: pl.Series, numbers: pl.Series, out: Batch) -> None:
        fields = layout.value_fields
        width = len(self.order) if self.order is not None else len(fields)
        counts = self._fields_in(lines)
        wrong = counts != width
        if wrong.any():
            for i in wrong.arg_true().to_list():
                detail = f"has {counts[i]} fields instead of {width}"
                out.defects.append(StructureDefect("columns", int(numbers[i]), None, layout.name, detail))
            lines, numbers = lines.filter(~wrong), numbers.filter(~wrong)
        if lines.len() == 0:
            return
        names = self.order or [f.name for f in fields]
        table = self._table(lines, names)
        text = table.select([pl.col(f.name).alias(f.column) for f in fields])
        out.records[layout.name] = records_of(layout, text, numbers, self.file)

    def _fields_in(self, lines: pl.Series) -> pl.Series:
        counts = lines.str.count_matches(self.form.separator, literal=True).cast(pl.Int64) + 1
        if not self.form.quoted:
            return counts
        held = lines.str.contains('"', literal=True)
        if not held.any():
            return counts
        some = lines.filter(held)
        exact = some.str.replace_all('"(?:[^"]|"")*"', "").str.count_matches(self.form.separator, literal=True).cast(pl.Int64) + 1
        bad = ~self._well_quoted(some)
        if bad.any():
            exact = exact.scatter(bad.arg_true(), [len(_cells(t, self.form.separator)) for t in some.filter(bad).to_list()])
        return counts.scatter(held.arg_true(), exact)

    def _well_quoted(self, lines: pl.Series) -> pl.Series:
        """Lines whose every value stands bare without a quote, or in quotes with inner ones doubled."""
        value = f'(?:[^"{self.form.separator}]*|"(?:[^"]|"")*")'
        return lines.str.contains(f"^{value}(?:{self.form.separator}{value})*$")

    def _table(self, lines: pl.Series, names: Sequence[str]) -> pl.DataFrame:
        if not self.form.quoted:
            return self._parsed(lines, names, quoted=False)
        held = lines.str.contains('"', literal=True)
        if not held.any():
            return self._parsed(lines, names, quoted=False)
        well = self._well_quoted(lines)
        if well.all():
            return self._parsed(lines, names, quoted=True)
        rows = [_cells(t, self.form.separator) for t in lines.filter(~well).to_list()]
        odd = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row").with_columns(_at=(~well).arg_true())
        good = self._parsed(lines.filter(well), names, quoted=True).with_columns(_at=well.arg_true())
        return pl.concat([good, odd]).sort("_at").drop("_at")

    def _parsed(self, lines: pl.Series, names: Sequence[str], *, quoted: bool) -> pl.DataFrame:
        if lines.len() == 0:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        read = _read_csv(lines.str.join("\n").item().encode("utf-8"), names, self.form.separator, quoted=quoted)
        if read.height != lines.len():
            raise RuntimeError(f"{lines.len()} lines were parsed into {read.height} rows")
        return read


def _cells(text: str, separator: str) -> list[str]:
    """The cells of one row; cut at every separator where the quotes make no sense at all."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:
        return text.split(separator)


def _lines_with_quotes(data: bytes) -> Iterator[bytes]:
    at = data.find(b'"')
    while at >= 0:
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield data[data.rfind(b"\n", 0, at) + 1 : end]
        at = data.find(b'"', end)


def _read_csv(data: bytes, names: Sequence[str], separator: str, *, quoted: bool) -> pl.DataFrame:
    return pl.read_csv(
        data,
        has_header=False,
        separator=separator,
        quote_char='"' if quoted else None,
        infer_schema=False,
        empty_string_is_null=False,
        new_columns=list(names),
    )
