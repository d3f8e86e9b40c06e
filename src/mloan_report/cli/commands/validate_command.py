"""Checks a portfolio: shape, keys, identity, dates, amounts, status against figures; and its data quality by column.

Example: mloan-report validate book --select KEY,AMT --output json --report findings.json
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from mloan_report.cli.shared import (
    AsOfOptional,
    CannotUse,
    Folder,
    Jobs,
    KnownAt,
    Lang,
    Output,
    Report,
    check_form,
    check_language,
    open_portfolio,
    optional_day,
    progress,
    say_not_run,
    show_findings,
    status_of,
)


def command(
    folder: Folder,
    as_of: AsOfOptional = None,
    known_at: KnownAt = None,
    select: Annotated[str, typer.Option("--select", help="Only rules whose id begins so, separated by commas.")] = "",
    ignore: Annotated[str, typer.Option("--ignore", help="No rules whose id begins so, separated by commas.")] = "",
    settings: Annotated[
        Path | None, typer.Option("--settings", help="TOML file with [severity]: id prefix = error, warning or information; select and ignore lists.")
    ] = None,
    quality: Annotated[Path | None, typer.Option("--quality", help="Write accuracy and completeness by column to this JSON file.")] = None,
    output: Output = "text",
    report: Report = None,
    lang: Lang = "en",
    jobs: Jobs = None,
) -> int:
    from mloan_report.checks import data_quality
    from mloan_report.filing import validate

    check_form(output)
    check_language(lang)
    chosen = _settings(settings)
    portfolio = open_portfolio(folder)
    with progress("checking"):
        checked = validate(
            portfolio,
            optional_day(as_of, "--as-of"),
            optional_day(known_at),
            select=_words(select) or chosen.get("select", []),
            ignore=_words(ignore) or chosen.get("ignore", []),
            severities=chosen.get("severity", {}),
            jobs=jobs,
        )
    columns = data_quality(checked.counts, checked.findings)
    if quality is not None:
        quality.write_text(json.dumps([c.as_dict() for c in columns], ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    show_findings(checked.findings, output, report, lang)
    if output == "text" and report is None:
        given = sum(c.given for c in columns)
        wrong = sum(c.errors for c in columns)
        needed = [c for c in columns if c.required]
        rows, filled = sum(c.rows for c in needed), sum(c.given for c in needed)
        print(f"data quality: {given - wrong} of {given} values without an error finding; {filled} of {rows} required values given")
    say_not_run(checked.not_run)
    return status_of(checked.findings)


def _words(text: str) -> list[str]:
    return [w.strip() for w in text.split(",") if w.strip()]


def _settings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotUse(f"{path} cannot be read: {error}") from None
    bad = [v for v in data.get("severity", {}).values() if v not in ("error", "warning", "information")]
    if bad:
        raise CannotUse(f"{path}: severity {bad[0]!r} is not error, warning or information")
    return data
