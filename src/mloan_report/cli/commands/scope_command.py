"""Which loans must be filed: each loan in or out, the reason, and the article it rests on.

Example: mloan-report scope cn_pbc_credit book --as-of 2026-10-31
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, Folder, Jobs, KnownAt, day, open_portfolio, optional_day, pack_named, progress, settings_of


def command(
    pack: Annotated[str, typer.Argument(help="The pack's id; see formats.")],
    folder: Folder,
    as_of: AsOf,
    known_at: KnownAt = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the pack: name=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a loan.")] = False,
    jobs: Jobs = None,
) -> int:
    from mloan_report.filing import scope

    name = pack_named(pack)
    portfolio = open_portfolio(folder)
    with progress("working out the scope"):
        rows = scope(name, portfolio, day(as_of), optional_day(known_at), settings_of(settings or []), jobs=jobs).to_dicts()
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for row in rows:
        print(f"{row['loan_id']}  {'in' if row['in_scope'] else 'out: ' + row['reason'] + (' (' + row['source'] + ')' if row['source'] else '')}")
    inside = sum(1 for r in rows if r["in_scope"])
    print(f"{inside} of {len(rows)} loans to be filed")
    return 0
