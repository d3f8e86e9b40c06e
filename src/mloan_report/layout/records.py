"""Records from a view: values by SQL, then text columns, then one line of XML a record.

The typed frame of a record has one column a field, ``_row`` (the row of the view) and ``has_<Segment>`` for segments that
appear; groups are frames of their own with ``_row`` of their record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mloan_report.layout.definition import Group, LayoutField, Lookup, RecordLayout, RefusedLayout
from mloan_report.layout.text import empty_typed, to_text, typed_value
from mloan_report.portfolio.sql import Expression, Function, RefusedExpression, compile_sql, evaluate, evaluate_one

ROWNUM = "_record"
PARENT, TOP = "_parent", "_top"
"""The record (its number) that a record stands in, and the outermost one."""
ABSENT, EMPTY, NIL, VALUE, UNREADABLE = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class RecordSet:
    """Records of one kind: ``typed`` values, ``text`` and ``state`` of each field, the frames of its groups.

    ``lines`` are where each record stood in its file (null before it is written), ``links`` the loans a record rests on.
    """

    layout: RecordLayout
    typed: pl.DataFrame
    text: pl.DataFrame
    state: pl.DataFrame
    groups: Mapping[str, RecordSet] = field(default_factory=dict)
    lines: pl.Series | None = None
    files: pl.Series | None = None

    def filtered(self, keep: pl.Series) -> RecordSet:
        """The records (or the rows of a group) where *keep* is true, with their groups."""
        lines = None if self.lines is None else self.lines.filter(keep)
        files = None if self.files is None else self.files.filter(keep)
        return RecordSet(self.layout, self.typed.filter(keep), self.text.filter(keep), self.state.filter(keep), self.groups, lines, files)

    @property
    def height(self) -> int:
        """How many records."""
        return self.typed.height


def make_records(
    layout: RecordLayout,
    view: pl.DataFrame,
    group_views: Mapping[str, pl.DataFrame],
    made: Mapping[str, RecordSet],
    functions: Mapping[str, Function],
) -> RecordSet:
    """The records of *layout* from its view, in the view's order. *made* are the record sets that lookups may ask."""
    frame = _under_parents(layout, view, made[layout.parent]) if layout.parent else view.with_row_index(ROWNUM).with_columns(pl.col(ROWNUM).alias(TOP))
    digits = frame["currency_digits"] if "currency_digits" in frame.columns else pl.Series([2]).new_from_index(0, frame.height)
    counted: list[str] = []
    groups: dict[str, RecordSet] = {}
    for group in layout.groups:
        child = _group_records(layout, group, frame, group_views[group.rows], functions)
        counts = child.typed.group_by(ROWNUM).agg(pl.len().cast(pl.Int64).alias(f"{group.name}_count"))
        frame = frame.join(counts, on=ROWNUM, how="left", maintain_order="left").with_columns(pl.col(f"{group.name}_count").fill_null(0))
        counted.append(f"{group.name}_count")
        groups[group.path] = child
    frame = with_lookups(frame, layout.lookups, made, _constants(view), functions, {})
    values = layout.value_fields
    frame = _with_values(frame, layout.name, values, digits, functions)
    frame = _with_presence(frame, layout, functions)
    groups = {path: _shown_only(child, frame, path) for path, child in groups.items()}
    return record_set(layout, frame, values, groups)


def _under_parents(layout: RecordLayout, view: pl.DataFrame, parents: RecordSet) -> pl.DataFrame:
    """The rows of *view* that a parent was made for, in the parents' order, with the parent's number."""
    keys = parents.typed.select(pl.col(ROWNUM).alias(PARENT), TOP, *(pl.col(f"_on_{c}").alias(c) for c in layout.on))
    joined = view.drop(PARENT, TOP, strict=False).join(keys, on=list(layout.on), how="inner", maintain_order="left")
    return joined.sort(PARENT, *layout.order, nulls_last=True, maintain_order=True).with_row_index(ROWNUM)


def _shown_only(child: RecordSet, parents: pl.DataFrame, path: str) -> RecordSet:
    """A group's rows whose segment appears in their record."""
    flag = f"has_{path.split('/')[0]}"
    if flag not in parents.columns:
        return child
    shown = child.typed[ROWNUM].is_in(parents.filter(pl.col(flag))[ROWNUM].implode())
    return child.filtered(shown)


def _constants(view: pl.DataFrame) -> dict[str, Any]:
    """The pack's settings, as the view carries them."""
    return {c: view[c][0] if view.height else "" for c in view.columns if c.startswith("set_")}


def _group_records(layout: RecordLayout, group: Group, parents: pl.DataFrame, view: pl.DataFrame, functions: Mapping[str, Function]) -> RecordSet:
    shared: tuple[str, ...] = ("loan_id", "as_of")
    keys = [c for c in shared if c in view.columns and c in parents.columns] or ["party_id"]
    child = parents.select(ROWNUM, *keys, "currency_digits").join(view.drop("currency_digits", strict=False), on=keys, how="inner", maintain_order="left")
    if group.where:
        child = child.filter(evaluate_one(child, compile_sql(group.where, child.columns, functions)).fill_null(False))
    child = child.sort(ROWNUM, *group.order, nulls_last=True)
    fields = tuple(f for f in group.fields if not f.is_container)
    parent_of = child[ROWNUM]
    child = child.drop(ROWNUM).with_row_index(ROWNUM)
    child = _with_values(child, f"{layout.name}/{group.name}", fields, child["currency_digits"], functions)
    inner = RecordLayout(group.name, group.name, group.rows, None, (), (), layout.null_as, group.fields)
    child = _with_presence(child, inner, functions)
    made = record_set(inner, child, fields, {})
    return RecordSet(inner, made.typed.with_columns(parent_of.alias(ROWNUM)), made.text, made.state)


def _with_values(frame: pl.DataFrame, record: str, fields: tuple[LayoutField, ...], digits: pl.Series, functions: Mapping[str, Function]) -> pl.DataFrame:
    """Adds the fields' typed values; a value may use fields of the same record, which then come first."""
    names = {f.column for f in fields}
    waiting = {f.column: f for f in fields if f.value}
    viewed = set(frame.columns)
    done: set[str] = set()
    missing = [f for f in fields if not f.value]
    frame = frame.with_columns([empty_typed(f).extend_constant(None, frame.height) for f in missing]) if missing else frame
    done |= {f.column for f in missing}
    while waiting:
        ready: dict[str, Expression] = {}
        available = (set(frame.columns) - (names - done)) | done
        for column, f in waiting.items():
            own = {column} & viewed  # a value may name the view's column of its own name
            try:
                ready[column] = compile_sql(f.value or "NULL", available | own, functions)
            except RefusedExpression as error:
                if not any(w in str(error) for w in waiting if w != column):
                    raise RefusedLayout(f"{record}.{f.name}: {error}") from None
        if not ready:
            raise RefusedLayout(f"{record}: the values of {', '.join(waiting)} need each other")
        raw = evaluate(frame, {f"__raw_{c}": e for c, e in ready.items()})
        frame = frame.with_columns([_checked(waiting[c], raw[f"__raw_{c}"], digits, record).alias(c) for c in ready])
        done |= set(ready)
        for column in ready:
            del waiting[column]
    return frame


def _checked(field: LayoutField, value: pl.Series, digits: pl.Series, record: str) -> pl.Series:
    kind = value.dtype
    wrong = (
        (field.is_number and not (kind.is_integer() or kind == pl.Null))
        or (field.type in ("date", "month") and kind not in (pl.Date, pl.Null))
        or (field.type == "moment" and not (kind == pl.Null or isinstance(kind, pl.Datetime)))
        or (not field.is_number and field.type not in ("date", "month", "moment") and kind not in (pl.String, pl.Null))
    )
    if wrong:
        raise RefusedLayout(f"{record}.{field.name}: its value is {kind}, which does not fit a field of type {field.type}")
    return typed_value(field, value, digits)


def _with_presence(frame: pl.DataFrame, layout: RecordLayout, functions: Mapping[str, Function]) -> pl.DataFrame:
    wanted = {f"has_{s.name}": s.present for s in layout.segments if s.present}
    wanted |= {f"shows_{f.column}": f.present for f in layout.fields if f.present and not f.is_container and ("[]" not in f.segment or not layout.segments)}
    for name, sql in wanted.items():
        frame = frame.with_columns(evaluate_one(frame, compile_sql(sql or "TRUE", frame.columns, functions)).fill_null(False).alias(name))
    for s in layout.segments:
        if not s.present:
            frame = frame.with_columns(pl.lit(True).alias(f"has_{s.name}"))
    return frame


def record_set(
    layout: RecordLayout, frame: pl.DataFrame, fields: tuple[LayoutField, ...] | None = None, groups: Mapping[str, RecordSet] | None = None
) -> RecordSet:
    """Records of the typed values in *frame*, which has their numbers and the columns that records inside them are joined by."""
    fields, groups = fields or layout.value_fields, groups or {}
    text = frame.select([to_text(f, f.column).alias(f.column) for f in fields])
    states = []
    null_state = NIL if layout.null_as == "nil" else EMPTY if layout.null_as == "empty_element" else ABSENT
    for f in fields:
        shown = pl.lit(True)
        segment = f.segment.split("/")[0]
        if segment and f"has_{segment}" in frame.columns:
            shown = shown & pl.col(f"has_{segment}")
        if f"shows_{f.column}" in frame.columns:
            shown = shown & pl.col(f"shows_{f.column}")
        states.append(
            pl.when(~shown)
            .then(pl.lit(ABSENT, pl.UInt8))
            .when(pl.col(f.column).is_null())
            .then(pl.lit(null_state, pl.UInt8))
            .otherwise(pl.lit(VALUE, pl.UInt8))
            .alias(f.column)
        )
    state = frame.select(states)
    shown_only = {f.column: pl.when(state[f.column] == VALUE) for f in fields}
    text = text.with_columns([when.then(pl.col(c)).alias(c) for c, when in shown_only.items()])
    extra = [c for c in frame.columns if c.startswith("has_")] + [f"{g.name}_count" for g in layout.groups]
    links = [c for c in ("loan_id", "party_id", "collateral_id", "_links") if c in frame.columns]
    place = [c for c in (PARENT, TOP) if c in frame.columns]
    carried = [pl.col(c).alias(f"_on_{c}") for c in layout.carried]
    typed = frame.select([ROWNUM, *place, *carried, *links, *extra, *(f.column for f in fields)])
    typed = typed.with_columns([when.then(pl.col(c)).alias(c) for c, when in shown_only.items()])
    return RecordSet(layout, typed, text, state, groups)


def with_lookups(
    frame: pl.DataFrame,
    lookups: Sequence[Lookup],
    made: Mapping[str, RecordSet],
    constants: Mapping[str, Any],
    functions: Mapping[str, Function],
    kept: dict[Any, pl.DataFrame],
) -> pl.DataFrame:
    """*frame* with the lookups' columns: null (SUM, MIN, MAX, FIRST) or 0 (COUNT) where the other record has no row.

    *kept* holds what was worked out of the other records, for lookups that ask the same under another name.
    """
    found: dict[Any, pl.Series] = {}
    columns = []
    for lookup in lookups:
        key = (lookup.record, lookup.on, lookup.their, lookup.value, lookup.where)
        if key not in found:
            found[key] = _lookup(frame, lookup, made, constants, functions, kept)
        columns.append(found[key].alias(lookup.name))
    return frame.with_columns(columns) if columns else frame


def _lookup(
    frame: pl.DataFrame,
    lookup: Lookup,
    made: Mapping[str, RecordSet],
    constants: Mapping[str, Any],
    functions: Mapping[str, Function],
    kept: dict[Any, pl.DataFrame],
) -> pl.Series:
    counts = lookup.value.startswith("COUNT(")
    if counts and (made[lookup.record].height == 0 or any(frame[c].null_count() == frame.height for c in lookup.on)):
        return pl.Series([0], dtype=pl.Int64).new_from_index(0, frame.height)
    key = (lookup.record, lookup.their, lookup.value, lookup.where)
    if key not in kept:
        sums = _looked_up(lookup, made[lookup.record].typed, constants, functions)
        kept[key] = sums.select(pl.col("_sum"), *(pl.col(c).alias(f"_on{i}") for i, c in enumerate(lookup.their)))
    keys = frame.select(pl.col(c).alias(f"_on{i}") for i, c in enumerate(lookup.on))  # the keys alone: a join copies every column
    found = keys.join(kept[key], on=keys.columns, how="left", maintain_order="left")["_sum"]
    return found.fill_null(0) if counts else found


def _looked_up(lookup: Lookup, theirs: pl.DataFrame, constants: Mapping[str, Any], functions: Mapping[str, Function]) -> pl.DataFrame:
    """By the other records' key: ``_sum``, the lookup's aggregate."""
    if lookup.where:
        asked = compile_sql(lookup.where, {*theirs.columns, *constants}, functions)
        named = theirs.with_columns([pl.lit(constants[n]).alias(n) for n in sorted(asked.columns - set(theirs.columns))])
        theirs = theirs.filter(evaluate_one(named, asked).fill_null(False))
    verb, _, rest = lookup.value.partition("(")
    inner = rest.strip().removesuffix(")").strip()
    if verb == "COUNT":
        return theirs.group_by(lookup.their, maintain_order=True).agg(pl.len().cast(pl.Int64).alias("_sum"))
    theirs = theirs.with_columns(evaluate_one(theirs, compile_sql(inner, theirs.columns, functions)).alias("_v"))
    column = pl.col("_v")
    aggregate = {"SUM": column.sum(), "MIN": column.min(), "MAX": column.max(), "FIRST": column.first()}[verb]
    return theirs.group_by(lookup.their, maintain_order=True).agg(aggregate.alias("_sum"))
