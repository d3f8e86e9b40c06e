"""What the commands share: dates, portfolios, how findings are shown, progress on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mloan_report.model.finding import Finding
    from mloan_report.portfolio.buckets import Source

AsOf = Annotated[str, typer.Option("--as-of", help="The date, YYYY-MM-DD: the end of that day.")]
AsOfOptional = Annotated[str | None, typer.Option("--as-of", help="The date, YYYY-MM-DD; default: the latest date in the data.")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="Only what was booked by this date; default: all that is booked.")]
Output = Annotated[str, typer.Option("--output", help="Form of the findings: text, json or csv.")]
Report = Annotated[Path | None, typer.Option("--report", help="Write the findings to this file instead of standard output.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of messages: en, zh_CN, es, pt_BR; what is not translated stays English.")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Worker processes; default: the cores there are, never more than buckets.", min=1)]
RegimeName = Annotated[str | None, typer.Option("--regime", help="The regime's id, or a file of your own; default: the policy's.")]
ProvisionsName = Annotated[str | None, typer.Option("--provisions", help="The provision table's id; default: the policy's.")]
AllowExpired = Annotated[bool, typer.Option("--allow-expired", help="Use a regime that is not in force on the date.")]
AllowUncertain = Annotated[bool, typer.Option("--allow-uncertain", help="Use a regime, or segments of one, of certainty knowledge_low.")]
Folder = Annotated[Path, typer.Argument(help="A portfolio: institution.toml and one csv or parquet file a table; or one laid out by partition.")]


NAMED = 8
"""Rules named of those that were not run for one reason."""


class CannotUse(Exception):
    """The call or an input cannot be used: exit status 2, one line."""


def day(text: str, option: str = "--as-of") -> date:
    """A date from the command line."""
    from mloan_report.model.grammar import parse_date

    try:
        return parse_date(text)
    except ValueError:
        raise CannotUse(f"{option} {text!r} is not a date as YYYY-MM-DD") from None


def optional_day(text: str | None, option: str = "--known-at") -> date | None:
    """A date, or None where the option was not given."""
    return None if text is None else day(text, option)


def number(option: str, text: str) -> Decimal:
    """A plain decimal from the command line."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise CannotUse(f"{option} {text!r} is not a number such as 12000.00")
    return value


def moment(text: str | None) -> datetime | None:
    """A time stamp with its offset, from --made-at."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise CannotUse(f"--made-at {text!r} is not a time stamp as 2026-11-01T09:00:00+08:00") from None
    if value.tzinfo is None:
        raise CannotUse(f"--made-at {text!r} has no offset from UTC: write 2026-11-01T09:00:00+08:00")
    return value


def open_portfolio(folder: Path) -> Source:
    """The book in the folder, whole or in its buckets, with what it takes to read it said on a terminal."""
    from mloan_report.portfolio.buckets import open_book

    with progress(f"reading {folder}"):
        return open_book(folder)


def show_findings(findings: Sequence[Finding], output: str, report: Path | None, lang: str) -> None:
    """Writes the findings in *output* form to *report* or standard output."""
    from mloan_report.checks.outputs import output_forms, writer
    from mloan_report.locale import translated

    if output not in output_forms():
        raise CannotUse(f"--output {output!r} is not one of {', '.join(output_forms())}")
    text = writer(output)(translated(findings, lang))
    if report is not None:
        report.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def check_language(lang: str) -> str:
    """The language's catalog name; zh and pt are accepted."""
    from mloan_report.locale import catalog_name

    try:
        return catalog_name(lang)
    except KeyError:
        raise CannotUse(f"--lang {lang!r} is not one of en, zh_CN, es, pt_BR") from None


def check_form(output: str) -> None:
    """Refuses an unknown form before any work is done."""
    from mloan_report.checks.outputs import output_forms

    if output not in output_forms():
        raise CannotUse(f"--output {output!r} is not one of {', '.join(output_forms())}")


def status_of(findings: Sequence[Finding]) -> int:
    """The exit status that findings ask for."""
    return 1 if any(f.severity == "error" for f in findings) else 0


def say_not_run(not_run: Mapping[str, str]) -> None:
    """Rules that were not run, one line a reason on standard error: all where they are few, else the first and how many more."""
    by_reason: dict[str, list[str]] = {}
    for rule, why in not_run.items():
        by_reason.setdefault(why, []).append(rule)
    for why, rules in by_reason.items():
        more = f" and {len(rules) - NAMED} more" if len(rules) > NAMED + 1 else ""
        named = rules[:NAMED] if more else rules
        print(f"not run: {', '.join(named)}{more}: {why}", file=sys.stderr)


def pack_named(name: str) -> str:
    """A pack's id, or an error that lists those installed."""
    from mloan_report.packs import packs

    if name not in packs():
        raise CannotUse(f"there is no pack {name}; installed are {', '.join(packs())}")
    return name


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """``--set name=value`` options."""
    out = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise CannotUse(f"--set {pair!r} is not name=value")
        out[name] = value
    return out


@contextmanager
def progress(what: str) -> Iterator[None]:
    """A spinner with *what* is being done, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
