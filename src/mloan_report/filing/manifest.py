"""What was filed, from what, under which rules: the evidence beside the files, with control totals that reconcile."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report import __version__
from mloan_report.filing.bucket import BucketFiled
from mloan_report.filing.joining import JoinedFile
from mloan_report.filing.request import FilingRequest
from mloan_report.filing.slices import SliceVerdict
from mloan_report.model.currency import minor_digits
from mloan_report.model.finding import Finding, Rule
from mloan_report.model.grammar import from_minor
from mloan_report.packs import Pack
from mloan_report.portfolio.buckets import Source

UNEQUAL = Rule(
    "FIL-002",
    "error",
    "Control totals do not reconcile",
    "{name} in {currency}: the portfolio has {portfolio}, the files have {files}.",
    "Each control total is summed over the portfolio and read back from the files; beyond the rounding of the fields they must agree.",
    "Compare the records with the position of the loans; this points to a record that says something else than the book.",
    "filing/manifest",
)
UNRECONCILED = Rule(
    "FIL-003",
    "error",
    "Loans are unaccounted for",
    "{given} loans were given; {filed} filed, {quarantined} quarantined and {out} out of scope make {sum}.",
    "Every loan given is filed, quarantined or out of scope with a reason.",
    "This is a defect of the library: report it.",
    "filing/manifest",
)


def control_totals(pack: Pack, made: Sequence[Mapping[tuple[str, str], tuple[int, int]]], read: Sequence[SliceVerdict]) -> list[dict[str, Any]]:
    """For each control and currency: the portfolio's sum, the same rounded as the field rounds, and what the files say.

    *made* are the sums of the buckets, *read* what was read back from the slices; both add up in whole numbers.
    """
    out = []
    for control in pack.controls:
        for code in sorted({c for sums in made for name, c in sums if name == control.name}):
            digits = minor_digits(code) if control.figure_scale is None else control.figure_scale
            exact, rounded = (sum(sums.get((control.name, code), (0, 0))[i] for sums in made) for i in (0, 1))
            in_files = sum(v.sums.get((control.name, code), 0) for v in read)
            out.append(
                {
                    "name": control.name,
                    "currency": code,
                    "portfolio": str(from_minor(exact, digits)),
                    "portfolio_rounded_as_filed": str(from_minor(rounded, control.scale)),
                    "files": str(from_minor(in_files, control.scale)),
                    "rounding": str(from_minor(rounded, control.scale) - from_minor(exact, digits)),
                    "agrees": rounded == in_files,
                }
            )
    return out


def reconciliation(buckets: Sequence[BucketFiled]) -> dict[str, Any]:
    """Loans given = filed + quarantined + out of scope, with reasons."""
    given, held = sum(b.given for b in buckets), sum(len(b.held) for b in buckets)
    reasons: Counter[str] = Counter()
    for b in buckets:
        reasons.update(b.out_reasons)
    out = sum(reasons.values())
    filed = sum(b.in_scope for b in buckets) - held
    return {
        "loans_given": given,
        "loans_filed": filed,
        "loans_quarantined": held,
        "loans_out_of_scope": out,
        "out_of_scope_reasons": dict(sorted(reasons.items())),
        "quarantine_codes": dict(sorted(Counter(code for b in buckets for codes in b.held.values() for code in codes).items())),
        "reconciles": given == filed + held + out,
    }


def totals_findings(totals: Sequence[Mapping[str, Any]], book: Mapping[str, Any]) -> list[Finding]:
    """Findings where totals do not reconcile."""
    out = [
        UNEQUAL.finding(name=t["name"], currency=t["currency"], portfolio=t["portfolio_rounded_as_filed"], files=t["files"]) for t in totals if not t["agrees"]
    ]
    if not book["reconciles"]:
        total = book["loans_filed"] + book["loans_quarantined"] + book["loans_out_of_scope"]
        out.append(
            UNRECONCILED.finding(
                given=book["loans_given"], filed=book["loans_filed"], quarantined=book["loans_quarantined"], out=book["loans_out_of_scope"], sum=total
            )
        )
    return out


def manifest(
    request: FilingRequest,
    source: Source,
    buckets: Sequence[BucketFiled],
    files: Sequence[JoinedFile],
    totals: Sequence[Mapping[str, Any]],
    book: Mapping[str, Any],
    packed: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest as plain data, in a fixed order; ``out_of_scope`` is empty here and written by :func:`write_manifest`."""
    pack, institution = request.pack, source.institution
    version = pack.version_on(request.as_of)
    run = set().union(*(b.run for b in buckets))
    judged: Counter[str] = Counter()
    not_run: dict[str, str] = {}
    for b in buckets:
        judged.update(b.not_judged)
        not_run |= {rule: why for rule, why in b.not_run.items() if rule not in run}
    held = {loan: codes for b in buckets for loan, codes in b.held.items()}
    return {
        "manifest": 1,
        "library": {"name": "mloan_report", "version": __version__},
        "pack": {
            "id": pack.id,
            "version": version.id if version else None,
            "effective_from": version.effective_from if version else None,
            "law": pack.data["law"],
            "certainty": pack.data["certainty"],
            "status": pack.data["status"],
            "data_sha256": pack_digest(pack),
        },
        "institution": {"name": institution.name, "country": institution.country, "made_up": institution.made_up},
        "as_of": request.as_of.isoformat(),
        "known_at": request.known_at.isoformat() if request.known_at else None,
        "made_at": _stamp(request.made_at),
        "settings": pack.shown_settings(request.settings),
        "regime": next((b.regime for b in buckets if b.regime), None),
        "inputs": [{"file": name, "sha256": sha} for name, sha in sorted(source.digests.items())],
        "adjustments": sorted({str(f.key) for b in buckets for f in b.earlier if f.code == "TAB-021"}),
        "outputs": [
            {"file": f.name, "record": f.record, "records": f.records, "bytes": f.size, "sha256": f.sha256, "packed": packed.get(f.name)} for f in files
        ],
        "loans": dict(book),
        "digest": filing_digest(files),
        "control_totals": list(totals),
        "quarantined": [{"loan_id": loan, "codes": codes} for loan, codes in sorted(held.items())],
        "out_of_scope": [],
        "rules": {"run": len(run), "not_judged": dict(sorted(judged.items())), "not_run": dict(sorted(not_run.items()))},
        "not_packed": "the recipient's packing tool is not public: the files are delivered unpacked" if pack.data.get("packing") and not packed else None,
    }


def filing_digest(files: Sequence[JoinedFile]) -> str:
    """One SHA-256 for what was filed: over the names and digests of the files."""
    told = "".join(f"{f.name} {f.sha256}\n" for f in sorted(files, key=lambda f: f.name))
    return hashlib.sha256(told.encode()).hexdigest()


def write_manifest(data: Mapping[str, Any], out_of_scope: Sequence[Path], path: Path) -> None:
    """Writes the manifest; the loans out of scope go in from their own files, a bucket at a time."""
    before, mark, after = to_json(data).partition('  "out_of_scope": []')
    with path.open("w", encoding="utf-8") as stream:
        stream.write(before + mark.removesuffix("]"))
        first = True
        for part in out_of_scope:
            for row in pl.read_parquet(part).iter_rows(named=True):
                entry = json.dumps(row, ensure_ascii=False, indent=2).replace("\n", "\n    ")
                stream.write(f"{'' if first else ','}\n    {entry}")
                first = False
        stream.write(("" if first else "\n  ") + "]" + after)


def pack_digest(pack: Any) -> str:
    """SHA-256 over the pack's data files, in order of name: which rules were applied."""
    whole = hashlib.sha256()

    def walk(folder: Any, prefix: str) -> None:
        for entry in sorted(folder.iterdir(), key=lambda e: e.name):
            name = f"{prefix}{entry.name}"
            if entry.is_dir():
                if entry.name not in ("__pycache__", "examples"):
                    walk(entry, name + "/")
            elif name.endswith((".toml", ".csv", ".py")):
                whole.update(name.encode() + b"\0" + entry.read_bytes() + b"\0")

    walk(pack.folder, "")
    return whole.hexdigest()


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def to_json(data: Any) -> str:
    """JSON as it is written into a filing: two spaces, keys in their order, a final line end."""
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"
