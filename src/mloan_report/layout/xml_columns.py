"""Records that a schema has proved, read into columns from their text: about 0.15 µs a field.

For the plain form only: one record a line, every record with the same elements in the same order, no markup but elements and
nil attributes. Anything else is answered with None, and the reader of elements takes it.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.records import EMPTY, NIL, ROWNUM, VALUE, RecordSet
from mloan_report.layout.text import from_text

_NIL = ' xsi:nil="true"/>'


def plain_records(data: str, layout: RecordLayout, count: int, typed: tuple[str, ...] = ()) -> RecordSet | None:
    """The *count* records in *data*, each on its own line; the columns *typed* typed as well. None where the form is not plain."""
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
    texts, states = [], []
    for i, (name, column) in enumerate(names, start=1):
        token = opening.gather_every(len(names) + 1, i)
        value = token.str.strip_prefix(f"{name}>")
        is_value = token.str.starts_with(f"{name}>")
        if not is_value.all():
            nil = token == f"{name}{_NIL}"
            if not (is_value | nil).all():
                return None
            value = pl.select(pl.when(is_value).then(value)).to_series()
        plain = _unescaped(value)
        if plain is None:
            return None
        given = (plain != "").fill_null(False)
        texts.append(pl.select(pl.when(given).then(plain)).to_series().alias(column))
        state = pl.when(given).then(VALUE).when(plain.is_null()).then(NIL).otherwise(EMPTY).cast(pl.UInt8)
        states.append(pl.select(state.alias(column)).to_series())
    text = pl.DataFrame(texts).select([f.column for f in layout.fields if not f.is_container])
    numbers = pl.int_range(count, dtype=pl.UInt32, eager=True).alias(ROWNUM)
    by_column = {f.column: f for f in layout.fields}
    return RecordSet(layout, pl.DataFrame([numbers, *(from_text(by_column[c], text[c]).alias(c) for c in typed)]), text, pl.DataFrame(states))


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


def _unescaped(text: pl.Series) -> pl.Series | None:
    """*text* with its entities resolved; None where there is one that writers here do not use."""
    if not text.str.contains("&", literal=True).any():
        return text
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&#13;", "\r")):
        text = text.str.replace_all(entity, sign, literal=True)
    rest = text.str.replace_all("&amp;", "", literal=True)
    if rest.str.contains("&", literal=True).any():
        return None
    return text.str.replace_all("&amp;", "&", literal=True)
