"""Files one portfolio to every installed pack, each into its own folder, with the gaps of each.

Example: mloan-report file-everywhere book --as-of 2026-10-31 --out filings
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOf, CannotUse, Folder, Jobs, day, moment, open_portfolio, pack_named, progress


def command(
    folder: Folder,
    as_of: AsOf,
    out: Annotated[Path, typer.Option("--out", help="A folder, new or empty: one folder a pack goes into it.")],
    only: Annotated[list[str] | None, typer.Option("--pack", help="This pack (again for more); default: every installed one.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of a pack: pack.name=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, one a pack.")] = False,
    made_at: Annotated[str | None, typer.Option("--made-at", help="When it is made, with offset; default: the clock, or SOURCE_DATE_EPOCH.")] = None,
    jobs: Jobs = None,
) -> int:
    from mloan_report.filing import file_everywhere

    named = [pack_named(p) for p in only or []]
    by_pack: dict[str, dict[str, str]] = {}
    for pair in settings or []:
        place, sign, value = pair.partition("=")
        pack, dot, name = place.partition(".")
        if not sign or not dot:
            raise CannotUse(f"--set {pair!r} is not pack.name=value")
        by_pack.setdefault(pack_named(pack), {})[name] = value
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CannotUse(f"{out} exists and is not an empty folder")
    when, made = day(as_of), moment(made_at)
    portfolio = open_portfolio(folder)
    with progress("filing to every pack"):
        outcomes = file_everywhere(portfolio, when, out, only=named, settings=by_pack, made_at=made, jobs=jobs)
    if as_json:
        print(json.dumps([o.as_dict() for o in outcomes], ensure_ascii=False, indent=2))
        return 0 if any(o.filed for o in outcomes) else 1
    for o in outcomes:
        data = o.as_dict()
        if o.filed:
            book = data["loans"]
            print(f"{o.pack}: {book['loans_filed']} loans filed, {book['loans_quarantined']} left out for errors, {book['loans_out_of_scope']} out of scope")
        else:
            print(f"{o.pack}: not filed: {o.reason}")
        for g in (o.gaps.gaps if o.gaps else ())[:10]:
            print(f"    gap {g.record}.{g.field}: {g.filled} of {g.needed} filled; from {', '.join(g.columns) or 'a setting'}")
        for name, meaning in (o.gaps.settings if o.gaps else {}).items():
            print(f"    setting {name} is missing: {meaning}")
    return 0 if any(o.filed for o in outcomes) else 1
