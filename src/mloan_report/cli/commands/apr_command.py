"""The annual rate of cash flows by one convention, with its kind and how it was found; null and why where there is none.

Example: mloan-report apr --convention eu --flows flows.csv --json
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mloan_report.cli.shared import CannotUse, day, number

if TYPE_CHECKING:
    from mloan_report.schedule import Flow


def command(
    convention: Annotated[str, typer.Option("--convention", help="us_reg_z, eu, uk, rbi_microfinance, cn_irr, cn_simple or xirr.")],
    flows: Annotated[Path, typer.Option("--flows", help="csv of on,amount: advances positive, payments negative (or the other way round).")],
    unit_period: Annotated[str | None, typer.Option("--unit-period", help="monthly, weekly ...; default: the interval the flows repeat.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object; figures are strings.")] = False,
) -> int:
    from mloan_report.schedule import annual_rate, simple_annual_rate

    given = _read(flows)
    try:
        found = simple_annual_rate(given) if convention == "cn_simple" else annual_rate(given, convention, unit_period)
    except ValueError as e:
        raise CannotUse(str(e)) from None
    shown = {
        "convention": found.convention,
        "kind": found.kind,
        "rate_pct": None if found.rate_pct is None else f"{found.rate_pct:f}",
        "unit_period": found.unit_period,
        "periodic_rate_pct": None if found.periodic_rate_pct is None else f"{found.periodic_rate_pct:f}",
        "how": found.how,
        "source": found.source,
        "certainty": found.certainty,
        "reason": found.reason,
        "warnings": list(found.warnings),
    }
    if as_json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    print(f"{shown['rate_pct']} % {found.kind} ({convention})" if found.rate_pct is not None else f"undefined: {found.reason}")
    for name in ("unit_period", "how", "source", "certainty"):
        if shown[name]:
            print(f"  {name}: {shown[name]}")
    for warning in found.warnings:
        print(f"  warning: {warning}")
    return 0


def _read(path: Path) -> list[Flow]:
    from mloan_report.schedule import Flow

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if reader.fieldnames is None or not {"on", "amount"} <= set(reader.fieldnames):
                raise CannotUse(f"--flows {path} needs the columns on and amount")
            return [
                Flow(
                    day((row["on"] or "").strip(), f"--flows {path} line {line} on"),
                    number(f"--flows {path} line {line} amount", (row["amount"] or "").strip()),
                )
                for line, row in enumerate(reader, start=2)
            ]
    except (OSError, UnicodeDecodeError) as e:
        raise CannotUse(f"--flows {path} cannot be read: {e}") from None
