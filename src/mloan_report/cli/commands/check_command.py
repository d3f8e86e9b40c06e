"""Checks finished files, whoever made them; several files or a folder are judged together.

Example: mloan-report check filing --output json
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import (
    AsOfOptional,
    Jobs,
    Lang,
    Output,
    Report,
    check_form,
    check_language,
    optional_day,
    pack_named,
    progress,
    say_not_run,
    settings_of,
    show_findings,
    status_of,
)


def command(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    pack: Annotated[str | None, typer.Option("--pack", help="The pack; default: found from content and name.")] = None,
    as_of: AsOfOptional = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the pack: name=value.")] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="The ledger of filings: compare with what was accepted before.")] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="By whom; default: the pack's setting, else its regulator.")] = None,
    output: Output = "text",
    report: Report = None,
    lang: Lang = "en",
    jobs: Jobs = None,
) -> int:
    from mloan_report.filing import check_files

    check_form(output)
    check_language(lang)
    name = pack_named(pack) if pack else None
    with progress("checking"):
        result = check_files(files, name, optional_day(as_of, "--as-of"), settings_of(settings or []), ledger=ledger, recipient=recipient, jobs=jobs)
    show_findings(result.findings, output, report, lang)
    print(f"{result.pack}: " + (", ".join(f"{n} {c}" for n, c in result.records.items()) or "no record could be read"), file=sys.stderr)
    for rule, count in result.rule_run.not_judged.items():
        print(f"not judged: {rule} on {count} records", file=sys.stderr)
    say_not_run(result.rule_run.not_run)
    return status_of(result.findings)
