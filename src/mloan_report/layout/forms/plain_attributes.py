"""Blocks of whole outermost elements read by columns, where they are written plainly; where they are not, the reader goes element by element.

Plain is: well formed, no comments, every tag on one line, attributes in double quotes and known, elements in their places and their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl
from lxml import etree

from mloan_report.layout.definition import RecordLayout
from mloan_report.layout.forms.batch import Batch, records_of
from mloan_report.layout.records import PARENT, TOP

if TYPE_CHECKING:
    from mloan_report.layout.forms.attributes import AttributesForm

ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&#9;": "\t", "&#10;": "\n", "&#13;": "\r", "&amp;": "&"}
_ENTITY = re.compile("&(?:lt|gt|quot|apos|amp|#9|#10|#13);")


def plain_batch(form: AttributesForm, data: bytes, encoding: str, line: int, file: str, last: str | None) -> Batch | None:
    """The records in *data*, whose first line is *line*; None where they are not plain. *last* is the kind of outermost record before them."""
    document = _document(data, encoding)
    if document is None:
        return None
    text = data.decode(encoding)
    tags = _tags(text, line)
    if tags is None or tags.height != _count(document, ".//*"):
        return None
    rows = _placed(form, tags, last)
    if rows is None:
        return None
    entities = "&" in text
    if entities and text.count("&") != len(_ENTITY.findall(text)):
        return None
    out = Batch()
    told = 0
    for layout in form.layouts.values():
        own = rows.filter(pl.col("kind") == layout.name)
        if own.height:
            values = _values(layout, own["tag"], entities=entities)
            told += sum(own.height - n for n in values.null_count().row(0))
            place = {PARENT: own["parent"], TOP: own["top"]} if layout.parent else None
            out.records[layout.name] = records_of(layout, values, own["line"], file, place)
    return out if told == _count(document, ".//@*") else None


def _document(data: bytes, encoding: str) -> etree._Element | None:
    """*data* parsed; None where it is not well formed or holds more than tags."""
    if any(sign in data for sign in (b"<!", b"<?", b"\t")):
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, collect_ids=False)
    try:
        root = etree.fromstring(b'<?xml version="1.0" encoding="' + encoding.encode() + b'"?><all>' + data + b"</all>", parser)
    except etree.XMLSyntaxError:
        return None
    return root if root.xpath("normalize-space(string(.))") == "" else None


def _count(document: etree._Element, path: str) -> int:
    found = document.xpath(f"count({path})")
    assert isinstance(found, float)
    return int(found)


def _tags(text: str, line: int) -> pl.DataFrame | None:
    """The opening tags: tag, name, line and depth; None where one goes over several lines."""
    pieces = pl.DataFrame({"piece": [text]}).select(pl.col("piece").str.split("<").explode())
    frame = pieces.with_columns(
        tag=pl.col("piece").str.strip_chars_end(" \r\n"),
        line=(line + pl.col("piece").str.count_matches("\n").cum_sum().shift(1, fill_value=0)).cast(pl.UInt32),
    ).slice(1)
    closing = pl.col("tag").str.starts_with("/")
    frame = frame.with_columns(
        name=pl.col("tag").str.extract("^([^ />]+)"),
        step=pl.when(closing).then(-1).when(pl.col("tag").str.ends_with("/>")).then(0).otherwise(1).cast(pl.Int32),
    )
    folded = frame.select(pl.col("tag").str.contains("[\r\n]").any()).item()
    depth = pl.col("step").cum_sum() - pl.max_horizontal("step", 0)
    return None if folded else frame.with_columns(depth=depth).filter(~closing).select("tag", "name", "line", "depth")


def _placed(form: AttributesForm, tags: pl.DataFrame, last: str | None) -> pl.DataFrame | None:
    """The tags with kind, and number of the parent and of the outermost record within their kinds; None where one is not in its place."""
    names = {f"{above} {name}": layout.name for (above, name), layout in form.kinds.items()}
    places = {x.name: i for n in form.layouts for i, x in enumerate(form.children_of(n))}
    rows = tags.with_row_index("row").with_columns(kind=pl.lit(None, pl.String), above=pl.lit(None, pl.UInt32))
    for depth in range(int(rows["depth"].max() or 0) + 1):  # type: ignore[arg-type]
        own = pl.col("depth") == depth
        outer = pl.col("depth") == depth - 1
        inside = pl.lit(form.root.name) if depth == 0 else pl.when(outer).then("kind").forward_fill()
        known = pl.format("{} {}", inside, pl.col("name")).replace_strict(names, default=None, return_dtype=pl.String)
        rows = rows.with_columns(
            kind=pl.when(own).then(known).otherwise("kind"),
            above=pl.when(own & (depth > 0)).then(pl.when(outer).then("row").forward_fill()).otherwise("above"),
        )
    if rows["kind"].null_count():
        return None
    rows = rows.with_columns(number=(pl.int_range(pl.len()).over("kind")).cast(pl.UInt32), place=pl.col("kind").replace_strict(places, return_dtype=pl.Int32))
    rows = rows.with_columns(parent=pl.col("number").gather(pl.col("above").fill_null(0)), top=pl.when(pl.col("depth") == 0).then("number").forward_fill())
    return rows if _in_order(form, rows, places, last) else None


def _in_order(form: AttributesForm, rows: pl.DataFrame, places: Mapping[str, int], last: str | None) -> bool:
    late = rows.select((pl.col("place") < pl.col("place").shift(1).over("above")).any()).item()
    if late or (last is not None and rows.height and int(rows["place"][0]) < places[last]):
        return False
    counts = {str(k): n for (k,), n in rows.partition_by("kind", as_dict=True).items()}
    for layout in form.layouts.values():
        own = counts.get(layout.name)
        if layout.parent is None and own is not None and not layout.many:
            return False  # whether it stands twice may show in another block only
        if layout.parent is None or (layout.many and not layout.least):
            continue
        each = own.group_by("above").len()["len"] if own is not None else pl.Series([], dtype=pl.UInt32)
        if not layout.many and each.len() and int(each.max()) > 1:  # type: ignore[arg-type]
            return False
        parents = counts[layout.parent].height if layout.parent in counts else 0
        if layout.least and (each.len() < parents or (each.len() and int(each.min()) < layout.least)):  # type: ignore[arg-type]
            return False
    return True


def _values(layout: RecordLayout, tags: pl.Series, *, entities: bool) -> pl.DataFrame:
    tag = pl.col("tag")
    values = pl.DataFrame([tags]).select([tag.str.extract(f' {re.escape(f.name)}="([^"]*)"', 1).alias(f.column) for f in layout.value_fields])
    if entities:
        for entity, sign in _ENTITIES.items():
            values = values.with_columns(pl.all().str.replace_all(entity, sign, literal=True))
    return values
