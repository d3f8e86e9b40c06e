"""Builds a filing, verified: a folder with the regulator's files, manifest.json and findings.json, or nothing at all.

Example: mloan-report build cn_pbc_credit book --as-of 2026-10-31 --out filing --quarantine
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import (
    AsOf,
    CannotUse,
    Folder,
    Jobs,
    KnownAt,
    Lang,
    Output,
    Report,
    check_form,
    check_language,
    day,
    moment,
    open_portfolio,
    optional_day,
    pack_named,
    progress,
    settings_of,
    show_findings,
)


def command(
    pack: Annotated[str, typer.Argument(help="The pack's id; see formats.")],
    folder: Folder,
    as_of: AsOf,
    out: Annotated[Path, typer.Option("--out", help="The filing's folder; must be new or empty unless --replace.")],
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Leave loans with errors out, listed with reasons, instead of refusing.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Swap an existing folder, whole.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the pack: name=value.")] = None,
    made_at: Annotated[str | None, typer.Option("--made-at", help="When it is made, with offset; default: the clock, or SOURCE_DATE_EPOCH.")] = None,
    jobs: Jobs = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="The ledger of filings: start from what was accepted, and enter this one as a draft.")] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="Whom it goes to; default: the pack's setting, else its regulator.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who makes it; default: the user of the machine.")] = None,
    known_at: KnownAt = None,
    output: Output = "text",
    report: Report = None,
    lang: Lang = "en",
) -> int:
    from mloan_report.filing import build

    check_form(output)
    check_language(lang)
    name = pack_named(pack)
    when, known, made, given = day(as_of), optional_day(known_at), moment(made_at), settings_of(settings or [])
    if report is not None and report.resolve().is_relative_to(out.resolve()):
        raise CannotUse("--report lies inside --out: a filing holds nothing but its own files")
    portfolio = open_portfolio(folder)
    with progress("building"):
        result = build(
            name,
            portfolio,
            when,
            out,
            known_at=known,
            settings=given,
            quarantine=quarantine,
            replace=replace,
            made_at=made,
            jobs=jobs,
            ledger=ledger,
            recipient=recipient,
            actor=actor,
        )
    if result.refused or report is not None:
        show_findings(result.findings, output, report, lang)
    if result.refused:
        errors = sum(1 for f in result.findings if f.severity == "error")
        print(f"not built: {errors} error findings; nothing was written to {out}", file=sys.stderr)
        return 1
    assert result.manifest is not None
    book = result.manifest["loans"]
    records = sum(f.records for f in result.files)
    print(f"{result.folder}: {records} records in {len(result.files)} files; {book['loans_filed']} loans filed, ", end="")
    print(f"{book['loans_quarantined']} quarantined, {book['loans_out_of_scope']} out of scope")
    if result.ledger_id is not None:
        print(f"entered as filing {result.ledger_id} in {ledger}: say ledger {ledger} --sent {result.ledger_id} when it is sent", file=sys.stderr)
    if result.quarantined:
        print(f"{result.quarantined} loans with errors were left out: see quarantined in {result.folder}/manifest.json", file=sys.stderr)
    return 0
