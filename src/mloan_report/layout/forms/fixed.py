"""Records of fixed width with a length word in front, a base part and appended segments.

A record is its base (fixed width) and the segments that follow it, each with its tag first and a width of its own. The length
word (RDW) says how long the record is; variable-blocked files have a block word (BDW) before it, which is read and never
written. Records stand one a line, or one after the other by their length words alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.forms.batch import BLOCK, Batch, Form, StructureFinder, Unreadable, decoded, fixed_text, padded_fields, records_of
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet
from mloan_report.layout.structure import StructureDefect

LEAST, MOST = 426, 9999


class FixedForm(Form):
    """``length_word`` names the field that holds a record's length, ``signs`` how head and foot begin after it. ``lenient`` mends and says so;
    ``joined`` lets further heads stand between the records (files of several senders in one); ``pad_to`` is the length of every record
    that is not longer.
    """

    def __init__(self, layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> None:
        super().__init__(layouts, spec)
        self.word: str = spec["length_word"]
        self.lenient: bool = spec.get("lenient", False)
        self.joined: bool = spec.get("joined", False)
        self.pad_to: int = spec.get("pad_to", 0)
        self.base = self.tops[0]
        self.segments = self.children_of(self.base.name)
        self.signs = {x.name: str(spec["signs"][x.name]) for x in (*self.heads, *self.feet)}
        self.width = {x.name: width(x) for x in layouts}

    def texts(self, top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        layout = top.layout
        after_word = [f for f in layout.value_fields if f.name != self.word]
        frame = top.typed.select(ROWNUM).with_columns(top.text.get_columns()).select(ROWNUM, padded_fields(after_word, top.text).alias("body"))
        for child in self.children_of(layout.name):
            inside = records.get(child.name)
            if inside is None or inside.height == 0:
                continue
            rows = pl.DataFrame([inside.typed[PARENT].alias(ROWNUM), *inside.text.get_columns()])
            rows = rows.select(ROWNUM, padded_fields(child.value_fields, inside.text).alias(child.name))
            told = rows.group_by(ROWNUM, maintain_order=True).agg(pl.col(child.name).str.join(""))
            frame = (
                frame.join(told, on=ROWNUM, how="left", maintain_order="left").with_columns(pl.col("body") + pl.col(child.name).fill_null("")).drop(child.name)
            )
        if self.pad_to:
            frame = frame.with_columns(pl.col("body").str.pad_end(self.pad_to - 4, " "))
        word = (pl.col("body").str.len_chars() + 4).cast(pl.String).str.zfill(4)
        return frame.select((word + pl.col("body") + self.line_end).alias("text"))["text"]

    def head(self, records: Mapping[str, RecordSet]) -> str:
        return "".join(t for x in self.heads for t in self.texts(records[x.name], records))

    def foot(self, records: Mapping[str, RecordSet]) -> str:
        return "".join(t for x in self.feet for t in self.texts(records[x.name], records))

    def read(self, stream: BinaryIO, file: str = "", line: int = 1, *, whole: bool = True) -> Iterator[Batch]:
        reading = _Reading(self, file, whole)
        try:
            for data, at in _cut(stream, line, self, reading):
                yield reading.block(data, at)
        except Unreadable as stop:
            yield Batch(defects=[stop.defect])
            return
        yield reading.end()


def width(layout: RecordLayout) -> int:
    """The columns of a record of fixed width."""
    return max(((f.start or 1) + (f.length or 0) - 1 for f in layout.value_fields), default=0)


def _cut(stream: BinaryIO, line: int, form: FixedForm, reading: _Reading) -> Iterator[tuple[list[str], int]]:
    """Records as text, a block's bytes at a time: by line ends where there are any, else by their length words."""
    rest = b""
    by_line: bool | None = None
    while True:
        read = stream.read(BLOCK)
        data = rest + read
        if by_line is None and data:
            by_line = b"\n" in data[: MOST + 2]
            reading.look(data)
        if by_line:
            cut = data.rfind(b"\n") + 1 if read else len(data)
            rest = data[cut:]
            if cut:
                text = decoded(data[:cut], form.encoding, line)
                reading.count_ends(text)
                yield text.removesuffix("\n").split("\n"), line
                line += data.count(b"\n", 0, cut)
        else:
            records, rest = _by_words(data, form, line, reading, final=not read)
            if records:
                yield records, line
                line += len(records)
        if not read:
            return


def _by_words(data: bytes, form: FixedForm, line: int, reading: _Reading, *, final: bool) -> tuple[list[str], bytes]:
    """Records that stand one after the other: each as long as its length word says."""
    out: list[str] = []
    at = 0
    while at + 8 <= len(data):
        skip = 4 if reading.blocked and data[at + 4 : at + 8].isdigit() and data[at + 8 : at + 9] != b"T" else 0
        word = data[at + skip : at + skip + 4]
        size = int(word) if word.isdigit() else 0
        if not LEAST <= size <= MOST:
            detail = f"{_said(word.decode('latin-1'))}, not between {LEAST:04d} and {MOST}: nothing after it is read"
            raise Unreadable(StructureDefect("length_range", line + len(out), None, form.word, detail))
        if at + skip + size > len(data):
            break
        out.append(decoded(data[at : at + skip + size], form.encoding, line))
        at += skip + size
    rest = data[at:]
    if final and rest.strip(b"\r\n \x1a"):
        raise Unreadable(StructureDefect("cut_short", line + len(out), None, "", f"stops after {len(rest)} bytes of a record"))
    return out, rest


def _said(word: str) -> str:
    """What a length word says; anything but digits may be part of a name and is not shown."""
    return f"says {word!r}" if word.isascii() and word.isdigit() else "is not four digits"


def _tag(text: str) -> str:
    """A segment's tag as it may be shown: anything else may be part of a name."""
    return f" ({text!r})" if re.fullmatch("[A-Z][0-9]", text) else ""


@dataclass
class _Lines:
    text: pl.Series
    numbers: pl.Series


class _Reading:
    """One pass over a file: length words, the place of head and foot, the segments after each base."""

    def __init__(self, form: FixedForm, file: str, whole: bool) -> None:
        self.form, self.file, self.whole = form, file, whole
        self.blocked = False
        self.ends = {"CR LF": 0, "LF": 0}
        self.head_seen = False
        self.foot_at: int | None = None
        self.last = 0
        self.first = True

    def look(self, data: bytes) -> None:
        """Whether block words stand before the length words; a packed file is refused."""
        sign = next(iter(self.form.signs.values()), "").encode()
        if data[8 : 8 + len(sign)] == sign:
            self.blocked = True
        elif data[2:4] == b"\0\0":
            raise Unreadable(StructureDefect("packed", 1, None, self.form.word, "is binary: a packed file, which is not read; ask for the character format"))

    def count_ends(self, text: str) -> None:
        pairs = text.count("\r\n")
        self.ends["CR LF"] += pairs
        self.ends["LF"] += text.count("\n") - pairs

    def block(self, records: list[str], line: int) -> Batch:
        out = Batch()
        text = pl.Series("line", [r.removesuffix("\r") for r in records], dtype=pl.String)
        numbers = pl.int_range(line, line + text.len(), dtype=pl.UInt32, eager=True)
        self.last = line + text.len() - 1
        empty = text.str.strip_chars(" \x1a") == ""
        out.defects += [StructureDefect("empty_line", int(n), None, "", "is empty") for n in numbers.filter(empty).to_list()]
        text, numbers = text.filter(~empty), numbers.filter(~empty)
        if text.len() == 0:
            return out
        text = self._without_block_words(text, numbers, out)
        text, numbers = self._by_their_words(text, numbers, out)
        kinds = self._kinds(text)
        if self.whole:
            self._places(kinds, numbers, out)
        for layout in (*self.form.heads, self.form.base, *self.form.feet):
            mine = kinds == layout.name
            if mine.any():
                self._take(layout, _Lines(text.filter(mine), numbers.filter(mine)), out)
        return out

    def end(self) -> Batch:
        out = Batch()
        lenient = self.form.lenient
        if self.whole and not self.head_seen:
            said = "is missing: read without it" if lenient else "does not stand first"
            out.defects.append(StructureDefect("mended" if lenient else "root", 1, None, self.form.heads[0].name, said))
        if self.whole and self.foot_at is None:
            said = "is missing: read without it" if lenient else "is missing: the file stops before its end"
            out.defects.append(StructureDefect("mended" if lenient else "foot", self.last, None, self.form.feet[0].name, said))
        lf, crlf = self.ends["LF"], self.ends["CR LF"]
        if self.whole and (lf or not crlf):
            said = f"{lf} records end with LF and {crlf} with CR LF" if lf else "no line ends between the records"
            out.defects.append(StructureDefect("line_end", 1, None, "", said))
        return out

    def _without_block_words(self, text: pl.Series, numbers: pl.Series, out: Batch) -> pl.Series:
        if not self.blocked:
            return text
        has = text.str.contains(r"^[0-9]{8}") & ~text.str.slice(4).str.starts_with(next((self.form.signs[x.name] for x in self.form.feet), ""))
        block = text.str.slice(0, 4).cast(pl.Int64, strict=False)
        word = text.str.slice(4, 4).cast(pl.Int64, strict=False)
        wrong = has & (block != word + 4).fill_null(True)
        out.defects += [
            StructureDefect("block_word", int(numbers[i]), None, "", f"is {block[i]}, not {self.form.word} + 4 = {(word[i] or 0) + 4}")
            for i in wrong.arg_true().to_list()
        ]
        return pl.select(pl.when(has).then(text.str.slice(4)).otherwise(text)).to_series()

    def _by_their_words(self, text: pl.Series, numbers: pl.Series, out: Batch) -> tuple[pl.Series, pl.Series]:
        """Each record's length word against its length; a record too short for its base is reported, and read where *lenient*."""
        form, least = self.form, self.form.width[self.form.base.name]
        if form.lenient:
            text = self._mended(text, numbers, out)
        size = text.str.len_chars().cast(pl.Int64)
        word = text.str.slice(0, 4)
        stated = pl.select(pl.when(word.str.contains("^[0-9]{4}$")).then(word)).to_series().cast(pl.Int64, strict=False)
        wrong = (stated != size).fill_null(True)
        for i in wrong.arg_true().to_list():
            detail = f"{_said(word[i])}, the record has {size[i]} characters"
            possible = stated[i] is not None and LEAST <= stated[i] <= MOST
            out.defects.append(StructureDefect("length_word" if possible else "length_range", int(numbers[i]), None, form.word, detail))
        short = size < least
        for i in short.arg_true().to_list():
            out.defects.append(StructureDefect("cut_short", int(numbers[i]), None, "", f"has {size[i]} of {least} characters; the record is not read"))
        return text.filter(~short), numbers.filter(~short)

    def _mended(self, text: pl.Series, numbers: pl.Series, out: Batch) -> pl.Series:
        form, least = self.form, self.form.width[self.form.base.name]
        signs = list(form.signs.values())
        bare = text.str.contains("^(?:" + "|".join(re.escape(s) for s in signs) + ")") | text.str.contains(r"^1[0-9]{15}")
        mended = pl.select(pl.when(bare).then(pl.lit("0000") + text).otherwise(text)).to_series()
        size = mended.str.len_chars().cast(pl.Int64)
        mended = pl.select(pl.when(size < least).then(mended.str.pad_end(least, " ")).otherwise(mended)).to_series()
        right = mended.str.len_chars().cast(pl.String).str.zfill(4)
        other = mended.str.slice(0, 4) != right
        for i in (bare | (size < least) | other).arg_true().to_list():
            what = (
                "has no length word"
                if bare[i]
                else f"has {size[i]} of {least} characters, filled with blanks"
                if size[i] < least
                else f"{_said(mended[i][:4])}, read by line"
            )
            out.defects.append(StructureDefect("mended", int(numbers[i]), None, form.word, what))
        return pl.select(right + mended.str.slice(4)).to_series()

    def _kinds(self, text: pl.Series) -> pl.Series:
        kind: pl.Expr = pl.lit(self.form.base.name)
        for name, sign in self.form.signs.items():
            kind = pl.when(pl.col("t").str.slice(4).str.starts_with(sign)).then(pl.lit(name)).otherwise(kind)
        return pl.DataFrame({"t": text}).select(kind.alias("k"))["k"]

    def _places(self, kinds: pl.Series, numbers: pl.Series, out: Batch) -> None:
        heads, feet = {x.name for x in self.form.heads}, {x.name for x in self.form.feet}
        for i in kinds.is_in(list(heads | feet)).arg_true().to_list():
            at, kind = int(numbers[i]), str(kinds[i])
            if kind in heads:
                if self.head_seen:
                    if not self.form.joined:
                        out.defects.append(StructureDefect("root", at, None, kind, "stands a second time"))
                elif not (self.first and i == 0):
                    out.defects.append(StructureDefect("root", at, None, kind, "does not stand first"))
                self.head_seen = True
            elif self.foot_at is not None:
                out.defects.append(StructureDefect("foot", at, None, kind, "stands a second time"))
            else:
                self.foot_at = at
        self.first = False
        if self.foot_at is not None and int(numbers[-1]) > self.foot_at:
            out.defects.append(StructureDefect("after_foot", self.foot_at + 1, None, "", f"stands after the {self.form.feet[0].name}"))

    def _take(self, layout: RecordLayout, lines: _Lines, out: Batch) -> None:
        finder = StructureFinder(layout, lines.numbers, out.defects)
        base = fixed_text(layout, lines.text.str.slice(0, self.form.width[layout.name]), finder)
        out.records[layout.name] = records_of(layout, base, lines.numbers, self.file)
        if layout is self.form.base:
            self._segments(lines, out)

    def _segments(self, lines: _Lines, out: Batch) -> None:
        """Takes the segments off the rest of each record, one after the other."""
        form = self.form
        places = {x.name: i for i, x in enumerate(form.segments)}
        found: dict[str, list[pl.DataFrame]] = {}
        left = pl.DataFrame(
            {
                "rest": lines.text.str.slice(form.width[form.base.name]),
                "parent": pl.int_range(lines.text.len(), dtype=pl.UInt32, eager=True),
                "line": lines.numbers,
                "last": pl.Series([-1]).new_from_index(0, lines.text.len()),
                "at": pl.Series([form.width[form.base.name] + 1]).new_from_index(0, lines.text.len()),
            }
        ).filter(pl.col("rest").str.strip_chars(" ") != "")
        while left.height:
            tag = left["rest"].str.slice(0, 2)
            unknown = ~tag.is_in(list(places))
            for row in left.filter(unknown).iter_rows(named=True):
                detail = f"at column {row['at']} is no segment's tag{_tag(row['rest'][:2])}; the rest of the record is not read"
                out.defects.append(StructureDefect("unknown", row["line"], row["parent"] + 1, "", detail))
            left = left.filter(~unknown).with_columns(
                place=tag.filter(~unknown).replace_strict(places, return_dtype=pl.Int64),
                size=tag.filter(~unknown).replace_strict({n: form.width[n] for n in places}, return_dtype=pl.Int64),
            )
            if left.height == 0:
                break
            for row in left.filter(pl.col("place") < pl.col("last")).iter_rows(named=True):
                out.defects.append(StructureDefect("order", row["line"], row["parent"] + 1, row["rest"][:2], "stands out of order"))
            short = pl.col("rest").str.len_chars() < pl.col("size")
            for row in left.filter(short).iter_rows(named=True):
                detail = f"has {len(row['rest'])} of {row['size']} characters at column {row['at']}"
                out.defects.append(StructureDefect("mended" if form.lenient else "cut_short", row["line"], row["parent"] + 1, row["rest"][:2], detail))
            if form.lenient:
                left = left.with_columns(rest=pl.when(short).then(pl.col("rest").str.pad_end(200, " ")).otherwise(pl.col("rest")))
            else:
                left = left.filter(~short)
            for (tag_name,), rows in left.with_columns(tag=pl.col("rest").str.slice(0, 2)).partition_by("tag", as_dict=True, maintain_order=True).items():
                found.setdefault(str(tag_name), []).append(rows.with_columns(own=pl.col("rest").str.slice(0, form.width[str(tag_name)])))
            left = left.with_columns(rest=pl.col("rest").str.slice(pl.col("size")), last=pl.col("place"), at=pl.col("at") + pl.col("size")).drop(
                "place", "size"
            )
            left = left.filter(pl.col("rest").str.strip_chars(" ") != "")
        for layout in form.segments:
            if layout.name in found:
                self._segment(layout, pl.concat(found[layout.name]).sort("parent", maintain_order=True), out)

    def _segment(self, layout: RecordLayout, rows: pl.DataFrame, out: Batch) -> None:
        holder = ~rows["own"].str.slice(2).str.contains("[A-Za-z1-9]")
        for row in rows.filter(holder).iter_rows(named=True):
            out.defects.append(StructureDefect("placeholder", row["line"], row["parent"] + 1, layout.name, "holds nothing and is not read"))
        rows = rows.filter(~holder)
        if rows.height == 0:
            return
        if not layout.many:
            again = ~rows["parent"].is_first_distinct()
            for row in rows.filter(again).iter_rows(named=True):
                out.defects.append(StructureDefect("twice", row["line"], row["parent"] + 1, layout.name, "stands a second time in the record"))
            rows = rows.filter(~again)
        finder = StructureFinder(layout, rows["line"], out.defects)
        text = fixed_text(layout, rows["own"], finder)
        out.records[layout.name] = records_of(layout, text, rows["line"], self.file, {PARENT: rows["parent"], TOP: rows["parent"]})
