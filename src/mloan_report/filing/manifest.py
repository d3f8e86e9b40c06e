"""What was filed, from what, under which rules: the evidence beside the files, with control totals that reconcile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report import __version__
from mloan_report.filing.envelope import WrittenFile
from mloan_report.filing.making import Filing
from mloan_report.layout import RecordSet
from mloan_report.model.currency import minor_digits
from mloan_report.model.finding import Finding, Rule
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio.sql import compile_sql, evaluate_one

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


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def control_totals(filing: Filing, read: Mapping[str, RecordSet]) -> list[dict[str, Any]]:
    """For each control and currency: the portfolio's sum, the same rounded as the field rounds, and what the files say."""
    out = []
    view = filing.views.view("loan")
    for control in filing.request.pack.controls:
        figures = view.select("loan_id", "currency_code").with_columns(
            evaluate_one(view, compile_sql(control.figure, view.columns, filing.request.pack.functions)).fill_null(0).cast(pl.Int64).alias("figure")
        )
        made = filing.records.get(control.record)
        filed_loans = made.typed.select("loan_id").unique() if made is not None and "loan_id" in made.typed.columns else figures.select("loan_id").head(0)
        mine = figures.join(filed_loans, on="loan_id", how="semi")
        theirs = read.get(control.record)
        currencies = sorted(mine["currency_code"].unique().to_list())
        by_row = _field_by_currency(control.field, theirs, made, figures)
        for code in currencies:
            digits = minor_digits(code) if control.figure_scale is None else control.figure_scale
            exact = mine.filter(pl.col("currency_code") == code)["figure"].cast(pl.Int128).sum()
            rounded = sum(_rounded(v, digits, control.scale) for v in mine.filter(pl.col("currency_code") == code)["figure"].to_list())
            in_files = by_row.get(code, 0)
            out.append(
                {
                    "name": control.name,
                    "currency": code,
                    "portfolio": str(from_minor(int(exact), digits)),
                    "portfolio_rounded_as_filed": str(from_minor(rounded, control.scale)),
                    "files": str(from_minor(in_files, control.scale)),
                    "rounding": str(from_minor(rounded, control.scale) - from_minor(int(exact), digits)),
                    "agrees": rounded == in_files,
                }
            )
    return out


def _rounded(value: int, digits: int, scale: int) -> int:
    if scale >= digits:
        return value * int(10 ** (scale - digits))
    unit = int(10 ** (digits - scale))
    return (abs(value) * 2 + unit) // (2 * unit) * (1 if value >= 0 else -1)


def _field_by_currency(field: str, theirs: RecordSet | None, made: RecordSet | None, figures: pl.DataFrame) -> dict[str, int]:
    """Sums of the field as read back, by the currency of the loan that each record (in order) was made from."""
    if theirs is None or made is None or theirs.height != made.height:
        return {}
    value = evaluate_one(theirs.typed, compile_sql(field, theirs.typed.columns)).fill_null(0)
    loans = made.typed.select("loan_id").with_columns(value=value)
    code = figures.select("loan_id", "currency_code").unique("loan_id")
    sums = loans.join(code, on="loan_id", how="left").group_by("currency_code").agg(pl.col("value").sum())
    return {c: int(v) for c, v in sums.rows()}


def reconciliation(filing: Filing) -> dict[str, Any]:
    """Loans given = filed + quarantined + out of scope, with reasons."""
    scope = filing.scope
    given = filing.request.portfolio.table("loans").height
    out = scope.filter(~pl.col("in_scope"))
    reasons = dict(sorted(out.group_by("reason").len().rows()))
    held = len(filing.quarantined)
    filed = scope.filter("in_scope").height - held
    return {
        "loans_given": given,
        "loans_filed": filed,
        "loans_quarantined": held,
        "loans_out_of_scope": out.height,
        "out_of_scope_reasons": reasons,
        "quarantine_codes": _codes(filing.quarantined),
        "reconciles": given == filed + held + out.height,
    }


def _codes(held: Mapping[str, Sequence[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for codes in held.values():
        for code in codes:
            counts[code] = counts.get(code, 0) + 1
    return dict(sorted(counts.items()))


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
    filing: Filing,
    files: Sequence[WrittenFile],
    folder: Path,
    totals: Sequence[Mapping[str, Any]],
    book: Mapping[str, Any],
    packed: Mapping[str, str],
) -> dict[str, Any]:
    """The manifest as plain data, in a fixed order."""
    request = filing.request
    pack, portfolio = request.pack, request.portfolio
    version = pack.version_on(request.as_of)
    classified = filing.views.classified
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
        "institution": {"name": portfolio.institution.name, "country": portfolio.institution.country, "made_up": portfolio.institution.made_up},
        "as_of": request.as_of.isoformat(),
        "known_at": request.known_at.isoformat() if request.known_at else None,
        "made_at": _stamp(request.made_at),
        "settings": dict(sorted(request.settings.items())),
        "regime": {"id": classified.regime.id, "certainty": classified.regime.certainty, "source": classified.regime.source} if classified else None,
        "inputs": [{"file": name, "sha256": sha} for name, sha in sorted(portfolio.digests.items())],
        "adjustments": [f.key for f in portfolio.findings if f.code == "TAB-021"],
        "outputs": [
            {"file": f.name, "record": f.record, "records": f.records, "bytes": f.size, "sha256": digest(folder / f.name), "packed": packed.get(f.name)}
            for f in files
        ],
        "loans": dict(book),
        "control_totals": list(totals),
        "quarantined": [{"loan_id": loan, "codes": codes} for loan, codes in sorted(filing.quarantined.items())],
        "out_of_scope": [
            {"loan_id": loan, "reason": reason, "source": source}
            for loan, reason, source in filing.scope.filter(~pl.col("in_scope")).select("loan_id", "reason", "source").sort("loan_id").rows()
        ],
        "rules": {
            "run": len(filing.rule_run.run),
            "not_judged": dict(sorted(filing.rule_run.not_judged.items())),
            "not_run": dict(sorted(filing.rule_run.not_run.items())),
        },
        "not_packed": "the recipient's packing tool is not public: the files are delivered unpacked" if pack.data.get("packing") and not packed else None,
    }


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
