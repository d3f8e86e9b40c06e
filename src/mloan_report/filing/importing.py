"""Filings made before there was a ledger, taken into one: their files are read, and count as accepted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from mloan_report.filing.composed_reading import batches
from mloan_report.filing.envelope import read_file, recognise
from mloan_report.filing.ledger import Filing, Ledger
from mloan_report.filing.remembering import entries_of, need_spec
from mloan_report.layout import RecordSet
from mloan_report.layout.trees import joined_batches
from mloan_report.packs import Pack
from mloan_report.portfolio import UnusableInput


def import_filings(
    pack: Pack, folder: str | Path, ledger: Ledger, recipient: str, settings: Mapping[str, str | None] | None = None, actor: str | None = None
) -> list[int]:
    """Every earlier filing in *folder* and the folders in it, as filings that *recipient* accepted; their numbers.

    The files of one folder are one filing; where the pack's filings never hold every record, each file is one. The value date is
    that of the manifest beside them, else the newest date that ``[ledger] dated_by`` finds in their records. :class:`UnusableInput`
    for a folder that is not there and for a file that cannot be read.
    """
    source = Path(folder)
    if not source.is_dir():
        raise UnusableInput(f"{source} is not a folder of earlier filings")
    values = settings or pack.settings_for({}, {}, need=False)
    out = []
    for paths in _filings(pack, source, values):
        records = _read(pack, paths, values)
        if not records:
            continue
        digest = hashlib.sha256("".join(f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}\n" for p in paths).encode()).hexdigest()
        as_of, known_at = _dates(pack, paths, records)
        made = datetime.fromtimestamp(max(p.stat().st_mtime for p in paths), UTC)
        filing = Filing(pack.id, recipient, digest, as_of, known_at, made, need_spec(pack).is_whole(values))
        entries = entries_of(pack, records).unique(["record", "key"], keep="last", maintain_order=True)
        number = ledger.draft(filing, entries, actor)
        ledger.mark(number, "sent", actor=actor, reason="imported")
        ledger.mark(number, "accepted", actor=actor, reason="imported")
        out.append(number)
    return out


def _filings(pack: Pack, source: Path, settings: Mapping[str, str | None]) -> Iterator[list[Path]]:
    paths = sorted(p for p in source.rglob("*") if p.is_file() and p.suffix != ".json" and recognise(pack, p) is not None)
    if not need_spec(pack).is_whole(settings):
        yield from ([p] for p in paths)
        return
    for parent in sorted({p.parent for p in paths}):
        yield [p for p in paths if p.parent == parent]


def _read(pack: Pack, paths: Sequence[Path], settings: Mapping[str, str | None]) -> dict[str, RecordSet]:
    out: dict[str, RecordSet] = {}
    for path in paths:
        if pack.is_composed:
            read = joined_batches([b for _, b in batches(pack, path, settings)])
            defects, records = read.defects, read.records
        else:
            file = read_file(pack, path, recognise(pack, path))
            defects, records = file.defects, {file.records.layout.name: file.records} if file.records is not None else {}
        bad = [d for d in defects if d.kind in ("unreadable", "encoding", "forbidden", "root")]
        if bad:
            raise UnusableInput(f"{path}, line {bad[0].line}: the earlier filing cannot be read ({bad[0].element} {bad[0].detail})")
        out |= {n: r for n, r in records.items() if r.height}
    return out


def _dates(pack: Pack, paths: Sequence[Path], records: Mapping[str, RecordSet]) -> tuple[date, date | None]:
    beside = paths[0].parent / "manifest.json"
    if beside.is_file():
        data = json.loads(beside.read_text(encoding="utf-8"))
        if data.get("pack", {}).get("id") == pack.id:
            return date.fromisoformat(data["as_of"]), date.fromisoformat(data["known_at"]) if data.get("known_at") else None
    named: Mapping[str, str] = pack.data["ledger"].get("dated_by", {})
    days = [records[r].typed[f].max() for r, f in named.items() if r in records]
    found = pl.Series([d for d in days if d is not None], dtype=pl.Date).max()
    if not isinstance(found, date):
        raise UnusableInput(f"{paths[0]}: nothing says of which day the filing is (no manifest beside it)")
    return found, None
