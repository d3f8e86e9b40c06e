"""What a filing leaves in the ledger, and what it takes from there: keys, fingerprints and facts of records, as ``[ledger]`` of the pack says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl

from mloan_report.filing.ledger import ENTRY, Ledger, LedgerError, Point, SqliteLedger, facts_of
from mloan_report.filing.request import FilingRequest
from mloan_report.layout import RecordLayout, RecordSet
from mloan_report.layout.fingerprint import unit_fingerprints
from mloan_report.layout.records import PARENT, ROWNUM, TOP
from mloan_report.layout.text import from_text
from mloan_report.layout.trees import inside
from mloan_report.packs import Pack
from mloan_report.packs.pack import LedgerSpec, personal_key
from mloan_report.portfolio.sql import condition

Previous = Mapping[str, pl.DataFrame]
"""By kind of record what was last accepted: key, loan_id, print, as_of, and facts as text under their fields' names."""


def opened(ledger: Ledger | str | Path | None) -> Ledger | None:
    """A ledger as it was given, or the one in that file."""
    return SqliteLedger(ledger) if isinstance(ledger, str | Path) else ledger


def previous_of(pack: Pack, ledger: Ledger, recipient: str, request: FilingRequest) -> Previous | None:
    """What *recipient* had accepted before the filing that is asked for; None where nothing was filed yet.

    A filing that holds every record is compared with those of earlier days, so that making it again gives the same; one that
    holds only what is new starts from everything accepted so far, so that nothing is told twice.
    """
    spec = need_spec(pack)
    day = request.as_of - timedelta(days=1) if spec.is_whole(request.settings) else request.as_of
    entries = ledger.accepted(pack.id, recipient, Point(day, request.known_at))
    return told(spec, entries) if entries.height else None


def told(spec: LedgerSpec, entries: pl.DataFrame) -> Previous:
    """*entries* by kind, their facts as columns."""
    return {record: facts_of(entries, record, spec.remember.get(record, ())) for record in spec.keys}


def need_spec(pack: Pack) -> LedgerSpec:
    """What the pack says of the ledger."""
    if pack.ledger is None:
        raise LedgerError(f"{pack.id} does not say what a ledger should keep of its records ([ledger] in pack.toml)")
    return pack.ledger


def entries_of(pack: Pack, records: Mapping[str, RecordSet]) -> pl.DataFrame:
    """An entry for each record that the pack wants remembered (columns of a ledger's entries)."""
    spec = need_spec(pack)
    parts = [_entries(spec, name, records) for name in spec.keys if name in records and records[name].height]
    return pl.concat(parts) if parts else pl.DataFrame(schema=ENTRY)


def _entries(spec: LedgerSpec, name: str, records: Mapping[str, RecordSet]) -> pl.DataFrame:
    own = records[name]
    facts = spec.remember.get(name, ())
    said = pl.Series("facts", [json.dumps(row, ensure_ascii=False) for row in own.text.select(facts).iter_rows(named=True)] if facts else [None] * own.height)
    loan = own.typed["loan_id"] if "loan_id" in own.typed.columns else pl.Series([None] * own.height, dtype=pl.String)
    kind = pl.Series([name]).new_from_index(0, own.height)
    return pl.DataFrame(
        [kind.alias("record"), keys_of(spec, own), prints_of(spec, name, records), loan.cast(pl.String).alias("loan_id"), said.cast(pl.String).alias("facts")]
    ).select([pl.col(c).cast(t) for c, t in ENTRY.items()])


def keys_of(spec: LedgerSpec, own: RecordSet) -> pl.Series:
    """The key of each record; one that holds personal data is kept as its SHA-256, so that the ledger has none."""
    fields = spec.keys[own.layout.name]
    key = own.text.select(pl.concat_str([pl.col(f).fill_null("") for f in fields], separator="|").alias("key"))["key"]
    if not any(own.layout.by_column[f].pii for f in fields):
        return key
    return pl.Series("key", [personal_key(k) for k in key.to_list()], dtype=pl.String)


def prints_of(spec: LedgerSpec, name: str, records: Mapping[str, RecordSet]) -> pl.Series:
    """What each record says, with what stands in it, but for fields that change with every filing."""
    own, inner = _rooted(name, records)
    return unit_fingerprints(_without(own, spec.ignore.get(name, ())), {n: _without(r, spec.ignore.get(n, ())) for n, r in inner.items()}).rename("print")


def _without(own: RecordSet, fields: tuple[str, ...]) -> RecordSet:
    return RecordSet(own.layout, own.typed, own.text.drop(fields, strict=False), own.state, own.groups) if fields else own


def _rooted(name: str, records: Mapping[str, RecordSet]) -> tuple[RecordSet, dict[str, RecordSet]]:
    """The records of *name* as outermost ones, and what stands in them numbered so."""
    own = records[name]
    roots = {name: own.typed.select(ROWNUM, _root=ROWNUM)}
    out: dict[str, RecordSet] = {}
    for kind, inner in inside(name, own, records).items():
        parents = roots[str(inner.layout.parent)]
        typed = inner.typed.join(parents, left_on=PARENT, right_on=ROWNUM, how="left", maintain_order="left").with_columns(pl.col("_root").alias(TOP))
        roots[kind] = typed.select(ROWNUM, "_root")
        out[kind] = RecordSet(inner.layout, typed.drop("_root"), inner.text, inner.state)
    if own.layout.parent is None:
        return own, out
    layout = own.layout
    return RecordSet(layout, own.typed.with_columns(pl.col(ROWNUM).alias(TOP)), own.text, own.state), out


def with_previous(pack: Pack, records: dict[str, RecordSet], previous: Previous | None) -> dict[str, RecordSet]:
    """*records* with ``prev_<fact>`` and ``prev_as_of`` beside their values, for rules that compare with what was filed before."""
    if previous is None or pack.ledger is None:
        return records
    out = dict(records)
    for name, facts in pack.ledger.remember.items():
        own, before = records.get(name), previous.get(name)
        if own is None or before is None:
            continue
        keyed = own.typed.select(ROWNUM).with_columns(keys_of(pack.ledger, own))
        joined = keyed.join(_typed(own.layout, before, facts), on="key", how="left", maintain_order="left").drop(ROWNUM, "key")
        out[name] = RecordSet(own.layout, pl.concat([own.typed, joined], how="horizontal"), own.text, own.state, own.groups, own.lines, own.files)
    return out


def _typed(layout: RecordLayout, before: pl.DataFrame, facts: Sequence[str]) -> pl.DataFrame:
    """key, prev_as_of and the facts as ``prev_<fact>``, typed as the fields are."""
    columns = [from_text(layout.by_column[f], before[f].replace("", None)).alias(f"prev_{f}") for f in facts]
    return pl.DataFrame([before["key"], before["as_of"].alias("prev_as_of"), *columns])


def gone_constants(pack: Pack, previous: Previous | None, keys: Mapping[str, pl.Series]) -> dict[str, int]:
    """``previous_gone_<record>``: how many records of the last filing should stand in this one (``stays``), whose *keys* are these, and do not."""
    out: dict[str, int] = {}
    if previous is None or pack.ledger is None:
        return out
    layouts = {x.name: x for x in pack.records()}
    for name, sql in pack.ledger.stays.items():
        before = previous.get(name)
        if before is None:
            continue
        told_before = _typed(layouts[name], before, pack.ledger.remember.get(name, ()))
        stays = told_before.filter(condition(told_before, sql, pack.functions).fill_null(False))["key"]
        out[f"previous_gone_{name}"] = int((~stays.is_in(keys[name].implode())).sum()) if name in keys else stays.len()
    return out


def only_changed(pack: Pack, records: dict[str, RecordSet], previous: Previous | None) -> dict[str, RecordSet]:
    """*records* without those whose content was accepted before (``[ledger] incremental`` names the kind), nor what only they needed."""
    spec = need_spec(pack)
    name = spec.incremental[2] if spec.incremental else None
    if name is None or name not in records:
        return records
    own = records[name]
    before = previous.get(name) if previous else None
    if before is None:
        return records
    mine = pl.DataFrame([keys_of(spec, own), prints_of(spec, name, records).alias("now")])
    same = mine.join(before.select("key", "print"), on="key", how="left", maintain_order="left").select((pl.col("print") == pl.col("now")).fill_null(False))
    return _kept(records, name, ~same.to_series())


def _kept(records: dict[str, RecordSet], name: str, keep: pl.Series) -> dict[str, RecordSet]:
    """*records* with those of *name* that *keep* says, the outermost records they stand in, and what else stands in those."""
    own = records[name]
    out = dict(records)
    kept = own.filtered(keep)
    out[name] = kept
    if own.layout.parent is None:
        for kind, inner in inside(name, own, records).items():
            out[kind] = inner.filtered(inner.typed[TOP].is_in(kept.typed[ROWNUM].implode()))
        return {n: r for n, r in out.items() if r.height}
    tops = kept.typed[TOP].unique()
    outer = own.layout.parent
    while records[outer].layout.parent is not None:
        outer = str(records[outer].layout.parent)
    for kind, inner in {outer: records[outer], **inside(outer, records[outer], records)}.items():
        if kind != name:
            out[kind] = inner.filtered(inner.typed[TOP].is_in(tops.implode()))
    return {n: r for n, r in out.items() if r.height}
