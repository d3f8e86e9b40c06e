"""Keys of records that must stand once, over all buckets: only their hashes are held; where two meet, the rule looks again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from mloan_report.filing.bucket import BucketFiled
from mloan_report.filing.composed import read_units
from mloan_report.filing.envelope import document_foot, document_head, joined, read_slice
from mloan_report.filing.parts import Part
from mloan_report.layout import RecordSet, run_rules
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack


def keys_across(pack: Pack, buckets: Sequence[BucketFiled], known: Mapping[str, Any]) -> dict[int, list[Finding]]:
    """What the pack's rules of unique keys find between buckets: findings by the bucket of the later record."""
    out: dict[int, list[Finding]] = {}
    for layout in pack.records(known["as_of"] if pack.is_composed else None):
        parts = [b.parts[layout.name] for b in buckets if layout.name in b.parts]
        rules = [r for r in pack.rules if r.unique and not r.group and layout.name in r.records]
        if len(parts) < 2 or not rules:
            continue
        for rule in rules:
            hits = _meeting(parts, f"unique {rule.id}")
            if hits.height == 0:
                continue
            records, places = _read(pack, layout.name, parts, hits, known)
            run = run_rules([replace(rule, records=(layout.name,))], {layout.name: records}, known, pack.functions, {})
            for f in run.findings:
                bucket, number, loan = places[int(f.args["record_no"]) - 1]
                found = replace(f, loan_id=loan, file=None, row=None, args={**f.args, "record_no": number + 1})
                out.setdefault(bucket, []).append(found)
    return out


def _meeting(parts: Sequence[Part], column: str) -> pl.DataFrame:
    """part (its place in *parts*), row: the records whose hash stands in several parts; a shared entity counts once."""
    hashes = [pl.read_parquet(p.aside, columns=[column, "entity"]).with_row_index("row").with_columns(part=pl.lit(i, pl.UInt32)) for i, p in enumerate(parts)]
    rows = pl.concat(hashes).drop_nulls(column)
    rows = rows.filter(pl.col("entity").is_null() | ~pl.col("entity").is_duplicated() | pl.col("entity").is_first_distinct())
    several = rows.group_by(column).agg(n=pl.col("part").n_unique()).filter(pl.col("n") > 1)
    return rows.join(several, on=column, how="semi").select("part", "row").sort("part", "row")


def _read(pack: Pack, record: str, parts: Sequence[Part], hits: pl.DataFrame, known: Mapping[str, Any]) -> tuple[RecordSet, list[tuple[int, int, str | None]]]:
    layout = next(r for r in pack.records() if r.name == record)
    document = pack.envelope["kind"] == "document"
    head, foot = (document_head(pack, record), document_foot(pack)) if document else (b"", b"")
    sets: list[RecordSet] = []
    places: list[tuple[int, int, str | None]] = []
    for (i,), rows in hits.partition_by("part", as_dict=True, maintain_order=True).items():
        part = parts[int(i)]
        beside = pl.read_parquet(part.aside, columns=["size", "loan_id"])
        sizes = beside["size"].cast(pl.Int64)
        starts = sizes.cum_sum() - sizes
        data = b""
        with part.text.open("rb") as stream:
            for row in rows["row"].to_list():
                stream.seek(int(starts[row]))
                data += stream.read(int(sizes[row]))
                places.append((part.bucket, row, beside["loan_id"][row]))
        if pack.is_composed:
            settings = {n: known.get(f"set_{n}") for n in pack.settings}
            records = read_units(pack, known["as_of"], settings, data, part.text.name, 1)[0].records.get(record)
        else:
            records = read_slice(pack, part.text, layout, head, data, foot, 1, 1).records
        assert records is not None
        sets.append(records)
    return joined(sets), places
