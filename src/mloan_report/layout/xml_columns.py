"""Records that a schema has proved, read into columns from their text: about 0.15 µs a field.

For the plain form only: one record a line, every record with the same elements in the same order, no markup but elements and
nil attributes. Anything else is answered with None, and the reader of elements takes it.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.records import EMPTY, NIL, ROWNUM, VALUE, RecordSet
from mloan_report.layout.text import typed_columns

_NIL = ' xsi:nil="true"/>'


def plain_records(data: str, layout: RecordLayout, count: int, typed: tuple[str, ...] = ()) -> RecordSet | None:
    """The *count* records in *data*, each on its own line: the text of all fields, value and state of those in *typed*. None where
    the form is not plain.
    """
    if layout.segments or layout.groups or "<!" in data or "<?" in data:
        return None
    lines = pl.Series("line", [data.removesuffix("\n")]).str.split("\n").explode()
    if lines.len() != count:
        return None
    tokens = lines.str.split("<").explode()
    opening = tokens.filter((tokens != "") & ~tokens.str.starts_with("/"))
    names = _names(layout, opening)
    if names is None or opening.len() != count * (len(names) + 1) or not (opening.gather_every(len(names) + 1) == f"{layout.root}>").all():
        return None
    step = len(names) + 1
    table = pl.DataFrame([opening.gather_every(step, i).alias(column) for i, (_, column) in enumerate(names, start=1)])
    if not all(table.select([_is_plain(name, column).all() for name, column in names]).row(0)):
        return None
    values = {column: pl.when(pl.col(column).str.starts_with(f"{name}>")).then(pl.col(column).str.strip_prefix(f"{name}>")) for name, column in names}
    if "&" in data:
        table = table.select([_unescaped(values[f.column]).alias(f.column) for f in layout.fields if not f.is_container])
        if any(table.select(pl.all().str.contains("\x00", literal=True).any()).row(0)):
            return None
    else:
        table = table.select([values[f.column].alias(f.column) for f in layout.fields if not f.is_container])
    text = table.select([pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in table.columns])
    state = table.select([pl.when(pl.col(c).is_null()).then(NIL).when(pl.col(c) == "").then(EMPTY).otherwise(VALUE).cast(pl.UInt8).alias(c) for c in typed])
    numbers = pl.int_range(count, dtype=pl.UInt32, eager=True).alias(ROWNUM)
    by_column = {f.column: f for f in layout.fields}
    return RecordSet(layout, pl.DataFrame([numbers, *typed_columns([by_column[c] for c in typed], text)]), text, state)


def _is_plain(name: str, column: str) -> pl.Expr:
    """Whether a token is the element of its column, with text or nil."""
    return pl.col(column).str.starts_with(f"{name}>") | (pl.col(column) == f"{name}{_NIL}")


def _names(layout: RecordLayout, opening: pl.Series) -> list[tuple[str, str]] | None:
    """The elements of the first record in their order, each with its column; None where one is not of the layout or missing."""
    columns = _columns(layout)
    found: list[tuple[str, str]] = []
    for token in opening.slice(1, len(columns)).to_list():
        name = token.partition(">")[0].removesuffix(_NIL[:-1])
        if name not in columns:
            return None
        found.append((name, columns[name]))
    return found if len({n for n, _ in found}) == len(columns) else None


@cache
def _columns(layout: RecordLayout) -> dict[str, str]:
    return {f.name: f.column for f in layout.fields if not f.is_container}


def _unescaped(text: pl.Expr) -> pl.Expr:
    """*text* with its entities resolved; one that writers here do not use leaves a NUL, which no XML text holds."""
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&#13;", "\r")):
        text = text.str.replace_all(entity, sign, literal=True)
    return text.str.replace_all("&amp;", "\x01", literal=True).str.replace_all("&", "\x00", literal=True).str.replace_all("\x01", "&", literal=True)
