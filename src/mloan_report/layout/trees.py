"""Records that stand in others: what stands in what, and several batches as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from mloan_report.layout.forms.batch import Batch
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet


def inside(name: str, top: RecordSet, records: Mapping[str, RecordSet], wanted: pl.Series | None = None) -> dict[str, RecordSet]:
    """The records that stand in those of *top* (in those numbered *wanted*), by kind."""
    out: dict[str, RecordSet] = {}
    known = {name}
    for kind, inner in records.items():
        if inner.layout.parent in known:
            known.add(kind)
            out[kind] = inner if wanted is None else inner.filtered(inner.typed[TOP].is_in(wanted.implode()))
    return out


def kept_with_top(records: Mapping[str, RecordSet], kept: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """*kept* in which what stands in another record goes where its outermost record goes."""
    out = dict(kept)
    home: dict[str, str] = {}
    for name, inner in records.items():
        parent = inner.layout.parent
        if parent is None:
            continue
        home[name] = home.get(parent, parent)
        top = records[home[name]]
        good = top.typed[ROWNUM].filter(kept[home[name]])
        out[name] = inner.typed[TOP].is_in(good.implode())
    return out


def joined_batches(batches: Sequence[Batch]) -> Batch:
    """Several batches as one, numbered on."""
    if len(batches) == 1:
        return batches[0]
    out = Batch(defects=[d for b in batches for d in b.defects])
    for name in dict.fromkeys(n for b in batches for n in b.records):
        out.records[name] = joined_kind(name, batches)
    return out


def joined_kind(name: str, batches: Sequence[Batch]) -> RecordSet:
    """The records of one kind in several batches, numbered on as are those they stand in."""
    layout = next(b.records[name].layout for b in batches if name in b.records)
    sets, typed = [], []
    own = parent = top = 0
    for batch in batches:
        mine = batch.records.get(name)
        if mine is not None:
            frame = mine.typed.with_columns(pl.col(ROWNUM) + own)
            outermost = layout.parent is None
            frame = frame.with_columns(pl.col(TOP) + (own if outermost else top)) if TOP in frame.columns else frame
            frame = frame.with_columns(pl.col(PARENT) + parent) if PARENT in frame.columns else frame
            sets.append(mine)
            typed.append(frame)
            own += mine.height
        if layout.parent is not None:
            parent += _height(batch, layout.parent)
            top += _height(batch, _outermost(batch, layout.parent))
    columns = [c for c in typed[0].columns if all(c in t.columns for t in typed)]
    return RecordSet(
        layout,
        pl.concat([t.select(columns) for t in typed]),
        pl.concat([s.text for s in sets]),
        pl.concat([s.state for s in sets]),
        {},
        pl.concat([s.lines for s in sets if s.lines is not None]),
        pl.concat([s.files for s in sets if s.files is not None]),
    )


def _height(batch: Batch, name: str) -> int:
    return batch.records[name].height if name in batch.records else 0


def _outermost(batch: Batch, name: str) -> str:
    while name in batch.records and batch.records[name].layout.parent is not None:
        name = str(batch.records[name].layout.parent)
    return name
