"""Segments that begin with their tag and stand one behind the other, between a head and a foot of fixed width.

Each field is followed by a separator, so that a tag follows the last separator of the segment before; whether line ends stand
between segments, how many separators end one, and whether an outer segment is repeated for each inner one, ``variants`` of the
envelope say (a setting chooses one). Reading takes any of them and says where a file differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.forms.batch import BLOCK, Batch, Form, StructureFinder, Unreadable, decoded, fixed_text, padded, records_of
from mloan_report.layout.forms.fixed import width
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet
from mloan_report.layout.structure import StructureDefect


class TaggedForm(Form):
    """``separator``; ``trailing``: separators more than fields at a segment's end; ``break``: what stands after an outermost record;
    ``head_break``, ``foot_break``, ``final``: what stands after the head, before and after the foot; ``repeat``: an outer segment is
    written again before each of its last kind of inner ones. A line feed in what stands between is the envelope's ``line_end``.
    """

    def __init__(self, layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> None:
        super().__init__(layouts, spec)
        self.separator: str = spec["separator"]
        self.trailing: int = spec.get("trailing", 0)
        self.accepted: tuple[int, ...] = tuple(spec.get("trailing_accepted", (self.trailing,)))
        self.repeat: bool = spec.get("repeat", False)
        self.breaks = {n: str(spec.get(n, "")).replace("\n", self.line_end) for n in ("break", "head_break", "foot_break", "final")}
        self.outer = self.tops[0]
        self.inner = self.children_of(self.outer.name)
        self.body = {x.name: x for x in (self.outer, *self.inner)}
        self.starts = re.compile(rf"(?:^|(?<=[{re.escape(self.separator)}\n]))(?=(?:{'|'.join(map(re.escape, self.body))}){re.escape(self.separator)})")

    def texts(self, top: RecordSet, records: Mapping[str, RecordSet]) -> pl.Series:
        frame = top.typed.select(ROWNUM).with_columns(self._segments(top).alias("outer"), pl.lit("").alias("text"))
        last = self.inner[-1].name if self.repeat else None
        frame = frame.with_columns(text=pl.col("outer"))
        for child in self.inner:
            inside = records.get(child.name)
            if inside is None or inside.height == 0:
                continue
            rows = pl.DataFrame([inside.typed[PARENT].alias(ROWNUM), self._segments(inside).alias("own")])
            if child.name == last:
                ahead = rows.join(frame.select(ROWNUM, ahead="text"), on=ROWNUM, how="left", maintain_order="left")
                joined = ahead.select(ROWNUM, own=pl.col("ahead") + pl.col("own") + self.breaks["break"]).group_by(ROWNUM, maintain_order=True)
                told = joined.agg(pl.col("own").str.join(""))
                frame = frame.join(told, on=ROWNUM, how="left", maintain_order="left").with_columns(
                    text=pl.coalesce("own", pl.col("text") + self.breaks["break"])
                )
                return frame["text"]
            told = rows.group_by(ROWNUM, maintain_order=True).agg(pl.col("own").str.join(""))
            frame = frame.join(told, on=ROWNUM, how="left", maintain_order="left").with_columns(text=pl.col("text") + pl.col("own").fill_null("")).drop("own")
        return frame.select((pl.col("text") + self.breaks["break"]).alias("text"))["text"]

    def _segments(self, records: RecordSet) -> pl.Series:
        fields = [pl.col(f.column).fill_null("") for f in records.layout.value_fields]
        return records.text.select((pl.concat_str(fields, separator=self.separator) + self.separator * self.trailing).alias("t"))["t"]

    def head(self, records: Mapping[str, RecordSet]) -> str:
        return "".join(self._fixed(records[x.name]) for x in self.heads) + self.breaks["head_break"]

    def foot(self, records: Mapping[str, RecordSet]) -> str:
        return self.breaks["foot_break"] + "".join(self._fixed(records[x.name]) for x in self.feet) + self.breaks["final"]

    def _fixed(self, records: RecordSet) -> str:
        return str(records.text.select(pl.concat_str([padded(f) for f in records.layout.value_fields]).alias("t"))["t"][0])

    def read(self, stream: BinaryIO, file: str = "", line: int = 1, *, whole: bool = True) -> Iterator[Batch]:
        reading = _Reading(self, file)
        try:
            rest = ""
            if whole:
                first = stream.read(width(self.heads[0]) + 2)
                out, rest = reading.head(decoded(first, self.encoding, line), line)
                yield out
                line += decoded(first, self.encoding, line)[: len(first) - len(rest)].count("\n")
            while True:
                read = stream.read(BLOCK)
                text = rest + decoded(read, self.encoding, line)
                foot = ""
                if not read:
                    text, foot = reading.without_foot(text) if whole else (text, "")
                cut = len(text) if not read else self._last_start(text)
                if cut:
                    yield reading.block(text[:cut], line)
                    line += text.count("\n", 0, cut)
                rest = text[cut:]
                if not read:
                    if whole:
                        yield reading.foot(foot, line)
                    return
        except Unreadable as stop:
            yield Batch(defects=[stop.defect])

    def _last_start(self, text: str) -> int:
        """Where the last outermost record begins: what is before it is whole."""
        at = max(text.rfind(f"{before}{self.outer.name}{self.separator}") + len(before) for before in (self.separator, "\n"))
        return at if at > 1 else 0


class _Reading:
    def __init__(self, form: TaggedForm, file: str) -> None:
        self.form, self.file = form, file
        self.variant: int | None = None  # separators at a segment's end beyond its fields, as the file's first segments have them

    def head(self, text: str, line: int) -> tuple[Batch, str]:
        """The head record, and what follows it."""
        layout = self.form.heads[0]
        size = width(layout)
        out = Batch()
        if not text.startswith(layout.name):
            raise Unreadable(StructureDefect("root", line, None, layout.name, "does not stand first: this is not a file of the format"))
        end = re.search(r"[\r\n]", text[:size])
        at = end.start() if end else size
        if at < size:
            out.defects.append(StructureDefect("cut_short", line, 1, layout.name, f"has {at} of {size} characters"))
        own = pl.Series([text[:at].ljust(size)])
        lines = pl.Series([line], dtype=pl.UInt32)
        finder = StructureFinder(layout, lines, out.defects)
        out.records[layout.name] = records_of(layout, fixed_text(layout, own, finder), lines, self.file)
        return out, text[at:]

    def without_foot(self, text: str) -> tuple[str, str]:
        """The text before the foot, and the foot; blank where it is missing."""
        sign = self.form.feet[0].name
        at = max(text.rfind("\n" + sign) + 1, text.rfind(self.form.separator + sign) + 1)
        if text.startswith(sign):
            at = max(at, 0)
            return text[:at], text[at:]
        return (text[:at], text[at:]) if at > 0 else (text, "")

    def foot(self, text: str, line: int) -> Batch:
        layout = self.form.feet[0]
        out = Batch()
        if not text:
            out.defects.append(StructureDefect("foot", line, None, layout.name, "is missing: the file stops before its end"))
            return out
        own = text.rstrip("\r\n")
        size = width(layout)
        if len(own) != size:
            out.defects.append(StructureDefect("foot" if len(own) < size else "after_foot", line, None, layout.name, f"has {len(own)} of {size} characters"))
        lines = pl.Series([line], dtype=pl.UInt32)
        finder = StructureFinder(layout, lines, out.defects)
        out.records[layout.name] = records_of(layout, fixed_text(layout, pl.Series([own.ljust(size)[:size]]), finder), lines, self.file)
        return out

    def block(self, text: str, line: int) -> Batch:
        out = Batch()
        segments, numbers = self._segments(text, line, out)
        if segments.len() == 0:
            return out
        tags = segments.str.split_exact(self.form.separator, 1).struct.field("field_0")
        frame = pl.DataFrame({"text": segments, "line": numbers, "tag": tags})
        frame = self._placed(frame, out)
        if self.form.repeat or self.form.spec.get("repeat_accepted"):
            frame = self._once(frame)
        for layout in self.form.body.values():
            rows = frame.filter(pl.col("tag") == layout.name)
            if rows.height:
                self._take(layout, rows, out)
        return out

    def _segments(self, text: str, line: int, out: Batch) -> tuple[pl.Series, pl.Series]:
        pieces = self._pieces(text)
        before = pieces.str.count_matches("\n").cum_sum().shift(1, fill_value=0)
        frame = pl.DataFrame({"own": pieces.str.strip_chars_end("\r\n"), "line": (line + before).cast(pl.UInt32)}).filter(pl.col("own") != "")
        known = (
            frame["own"].str.extract(f"^([^{re.escape(self.form.separator)}]*){re.escape(self.form.separator)}", 1).is_in(list(self.form.body)).fill_null(False)
        )
        for own, begins in frame.filter(~known).iter_rows():
            out.defects.append(StructureDefect("unknown", begins, None, own[:6], "is not a segment of the format; it is not read"))
        frame = frame.filter(known)
        return frame["own"].alias("text"), frame["line"]

    def _pieces(self, text: str) -> pl.Series:
        """*text* cut before each segment."""
        if "\0" in text:
            return pl.Series(self.form.starts.split(text), dtype=pl.String)
        separator = re.escape(self.form.separator)
        start = rf"(^|[\n{separator}])({'|'.join(map(re.escape, self.form.body))}){separator}"
        marked = pl.Series([text])
        for _ in range(2):  # a segment's separator may be what stands before the next one's sign
            marked = marked.str.replace_all(start, f"${{1}}\0${{2}}{self.form.separator}")
        return marked.str.split("\0").explode()

    def _placed(self, frame: pl.DataFrame, out: Batch) -> pl.DataFrame:
        """Each segment with the outermost record before it (``top``); inner ones before any, missing and repeated ones are reported."""
        frame = frame.with_columns(top=(pl.col("tag") == self.form.outer.name).cast(pl.Int64).cum_sum() - 1)
        for row in frame.filter(pl.col("top") < 0).iter_rows(named=True):
            out.defects.append(StructureDefect("order", row["line"], None, row["tag"], f"stands before any {self.form.outer.name}; it is not read"))
        frame = frame.filter(pl.col("top") >= 0)
        first = frame.group_by("top", maintain_order=True).agg(pl.col("line").first(), *(pl.col("tag").eq(x.name).sum().alias(x.name) for x in self.form.inner))
        for x in self.form.inner:
            for row in first.filter(pl.col(x.name) < x.least).iter_rows(named=True):
                out.defects.append(StructureDefect("absent_record", row["line"], row["top"] + 1, x.name, f"is missing after {self.form.outer.name}"))
            if not x.many:
                for row in first.filter(pl.col(x.name) > 1).iter_rows(named=True):
                    out.defects.append(
                        StructureDefect("twice", row["line"], row["top"] + 1, x.name, f"stands {row[x.name]} times after one {self.form.outer.name}")
                    )
        if self.form.repeat:  # each of the last kind has its own outer segment
            last = self.form.inner[-1]
            for row in first.filter(pl.col(last.name) > 1).iter_rows(named=True):
                detail = f"stands {row[last.name]} times after one {self.form.outer.name}, which is to be repeated before each"
                out.defects.append(StructureDefect("order", row["line"], row["top"] + 1, last.name, detail))
        places = {n: i for i, n in enumerate(self.form.body)}
        ordered = frame.with_columns(place=pl.col("tag").replace_strict(places, return_dtype=pl.Int64))
        late = ordered.filter(pl.col("place") < pl.col("place").shift(1).over("top"))
        for row in late.filter(pl.col("tag") != self.form.outer.name).iter_rows(named=True):
            out.defects.append(StructureDefect("order", row["line"], row["top"] + 1, row["tag"], "stands out of order"))
        return frame

    def _once(self, frame: pl.DataFrame) -> pl.DataFrame:
        """An outer segment that is repeated word for word right after itself, and what else repeats, is one record."""
        last = self.form.inner[-1].name
        ahead = frame.filter(pl.col("tag") != last)
        said = ahead.group_by("top", maintain_order=True).agg(pl.col("text").str.join("\n").alias("said"))
        said = said.with_columns(same=(pl.col("said") == pl.col("said").shift(1)).fill_null(False))
        said = said.with_columns(new=(~pl.col("same")).cast(pl.Int64).cum_sum() - 1)
        joined = frame.join(said.select("top", "same", "new"), on="top", how="left", maintain_order="left")
        return joined.filter(~pl.col("same") | (pl.col("tag") == last)).with_columns(top=pl.col("new")).drop("same", "new")

    def _take(self, layout: RecordLayout, rows: pl.DataFrame, out: Batch) -> None:
        form = self.form
        fields = layout.value_fields
        counts = rows["text"].str.count_matches(form.separator, literal=True).cast(pl.Int64) - (len(fields) - 1)
        if self.variant is None:
            seen = counts.filter(counts.is_in(list(form.accepted)))
            self.variant = int(seen[0]) if seen.len() else None
            if self.variant not in (None, form.trailing):
                detail = f"ends with {self.variant} separators more than fields; the variant asked for has {form.trailing}"
                out.defects.append(StructureDefect("variant", int(rows["line"][0]), None, layout.name, detail))
        expected = form.trailing if self.variant is None else self.variant
        wrong = counts != expected
        tops = rows.select(n=pl.col("top").cast(pl.UInt32))["n"]
        for i in wrong.arg_true().to_list():
            detail = f"has {len(fields) - 1 + counts[i]} separators instead of {len(fields) - 1 + expected}; the segment is not read"
            out.defects.append(StructureDefect("columns", int(rows["line"][i]), int(tops[i]) + 1, layout.name, detail))
        rows = rows.with_columns(tops.alias("n"))
        if layout is not form.outer:
            rows = rows.filter(~wrong)
        if rows.height == 0:
            return
        parts = rows["text"].str.split(form.separator)
        beyond = parts.list.slice(len(fields)).list.join("") != ""
        for i in (beyond & (parts.list.len() == len(fields) + expected)).fill_null(False).arg_true().to_list():
            detail = "holds a value after its last field"
            out.defects.append(StructureDefect("columns", int(rows["line"][i]), int(rows["n"][i]) + 1, layout.name, detail))
        text = pl.DataFrame([parts.list.get(i, null_on_oob=True).fill_null("").alias(f.column) for i, f in enumerate(fields)])
        place = None if layout is form.outer else {PARENT: rows["n"], TOP: rows["n"]}
        out.records[layout.name] = records_of(layout, text, rows["line"], self.file, place)
