"""Records that are sums over the whole book: each bucket gives its share of them, and the shares are added up into the file.

A kind of record whose ``adds`` name the fields that are sums stands once for each value of its order columns, in whatever
buckets its loans are; so do the records that stand in it, one in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mloan_report.filing.around import filing_constants
from mloan_report.filing.composed import totals_of, unit_texts
from mloan_report.filing.making import Filing, check_records
from mloan_report.filing.parts import Part
from mloan_report.filing.request import FilingRequest
from mloan_report.layout import RecordLayout, RecordSet
from mloan_report.layout.fingerprint import unit_fingerprints
from mloan_report.layout.forms import Form
from mloan_report.layout.records import PARENT, ROWNUM, TOP, record_set
from mloan_report.layout.trees import inside
from mloan_report.model.finding import Finding

CURRENCY = "_currency"


def summed_kinds(records: Mapping[str, RecordSet]) -> dict[str, list[str]]:
    """The kinds of *records* that are sums, with the kinds that stand in each."""
    return {n: list(inside(n, r, records)) for n, r in records.items() if r.layout.adds}


def write_shares(filing: Filing, own: Mapping[str, RecordSet], folder: Path, number: int) -> dict[str, Path]:
    """What a bucket gives to each sum, a file by kind: the records' typed values, and the currency of the loans in them."""
    out: dict[str, Path] = {}
    currency = filing.request.portfolio.table("loans").select(_loan="loan_id", **{CURRENCY: "currency_code"}).unique("_loan", keep="first")
    for name, inner in summed_kinds(own).items():
        rows = own[name].typed.with_columns(_loan=pl.col("_links").list.first())
        frames = {name: rows.join(currency, on="_loan", how="left", maintain_order="left").drop("_loan")} | {n: own[n].typed for n in inner}
        for kind, frame in frames.items():
            if frame.height:
                out[kind] = folder / f"{kind}-{number:05d}.share.parquet"
                frame.write_parquet(out[kind], compression="lz4")
    return out


@dataclass
class AddedUp:
    """The sums of all buckets: a part for each outermost kind, their totals, what layout and rules find in them, and the kinds."""

    parts: dict[str, Part] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


def add_up(request: FilingRequest, shares: Sequence[Mapping[str, Path]], folder: Path) -> AddedUp:
    """The *shares* of all buckets, in order of buckets, as records of the file; their texts are written into *folder*."""
    pack = request.pack
    out = AddedUp()
    layouts = {x.name: x for x in pack.records(request.as_of)}
    form = pack.form(request.as_of, request.settings)
    made: dict[str, RecordSet] = {}
    for layout in layouts.values():
        frames = [pl.read_parquet(s[layout.name]) for s in shares if layout.name in s]
        if layout.adds and frames:
            made |= _tree(layout, frames, [x for x in layouts.values() if x.parent == layout.name], shares)
            currency = _by_order(layout, frames).agg(pl.col(CURRENCY).first()).sort(_order(layout))[CURRENCY]
            out.parts[layout.name] = _written(form, layout.name, made, currency, folder)
    if made:
        out.kinds = set(made)
        made_up = {t.name for t in pack.totals if t.made_from}
        out.totals = {n: v for n, v in totals_of(pack, made).items() if n not in made_up}
        rules = [r for r in pack.rules if r.records and {*r.records, *r.others} <= out.kinds]
        out.findings, _ = check_records(pack, made, filing_constants(request), {}, as_of=request.as_of, rules=rules)
    return out


def _order(layout: RecordLayout) -> list[str]:
    return [f"_on_{c}" for c in layout.order]


def _by_order(layout: RecordLayout, frames: Sequence[pl.DataFrame]) -> pl.dataframe.group_by.GroupBy:
    return pl.concat(frames, how="vertical_relaxed").group_by(_order(layout), maintain_order=True)


def _tree(layout: RecordLayout, frames: Sequence[pl.DataFrame], inner: Sequence[RecordLayout], shares: Sequence[Mapping[str, Path]]) -> dict[str, RecordSet]:
    """The outermost records, each once, and what stands in them."""
    order = _order(layout)
    top = _by_order(layout, frames).agg(_sums(layout, layout.adds, frames[0])).sort(order).with_row_index(ROWNUM).with_columns(pl.col(ROWNUM).alias(TOP))
    out = {layout.name: record_set(layout, top.rename(dict(zip(order, layout.order, strict=True))))}
    for x in inner:
        owned = []
        for share in shares:
            if x.name in share:
                own, parents = pl.read_parquet(share[x.name]), pl.read_parquet(share[layout.name], columns=[ROWNUM, *order])
                owned.append(own.drop(ROWNUM, TOP).join(parents, left_on=PARENT, right_on=ROWNUM, how="left", maintain_order="left").drop(PARENT))
        if not owned:
            continue
        numbers = [c.column for c in x.value_fields if c.is_number]
        added = pl.concat(owned, how="vertical_relaxed").group_by(order, maintain_order=True).agg(_sums(x, numbers, owned[0]))
        placed = added.join(top.select(pl.col(ROWNUM).alias(PARENT), TOP, *order), on=order, how="left", maintain_order="left")
        out[x.name] = record_set(x, placed.sort(PARENT).drop(order).with_row_index(ROWNUM))
    return out


def _sums(layout: RecordLayout, adds: Sequence[str], frame: pl.DataFrame) -> list[pl.Expr]:
    """Sums that are nothing where every share is nothing; what is no sum is the same in all shares."""
    out = [pl.when(pl.col(c).count() > 0).then(pl.col(c).sum()).alias(c) if c in adds else pl.col(c).first() for c in (f.column for f in layout.value_fields)]
    return [*out, pl.col("_links").list.explode().unique(maintain_order=True)] if "_links" in frame.columns else out


def _written(form: Form, name: str, made: Mapping[str, RecordSet], currency: pl.Series, folder: Path) -> Part:
    part = Part(-1, folder / f"{name}-sum.part", folder / f"{name}-sum.parquet", made[name].height)
    rows, start = [], 0
    with part.text.open("wb") as stream:
        for unit in unit_texts(form, made[name], made):
            texts = [t.encode(form.encoding) for t in unit.texts]
            stream.write(b"".join(texts))
            sizes = pl.Series("size", [len(t) for t in texts], dtype=pl.UInt32)
            none = pl.lit(None, pl.String)
            about = pl.DataFrame([sizes, unit_fingerprints(unit.top, unit.inner), currency.slice(start, len(texts)).alias("currency")])
            rows.append(about.with_columns(entity=none, loan_id=none))
            start += len(texts)
    pl.concat(rows).write_parquet(part.aside, compression="lz4")
    return part
