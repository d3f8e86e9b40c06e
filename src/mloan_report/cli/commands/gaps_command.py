"""What a portfolio lacks for a pack: each required fact, its columns, how much is filled, how many records would fail.

Example: mloan-report gaps sv_ssf_ctri book
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import AsOfOptional, Folder, Jobs, open_portfolio, optional_day, pack_named, progress, settings_of


def command(
    pack: Annotated[str, typer.Argument(help="The pack's id; see formats.")],
    folder: Folder,
    as_of: AsOfOptional = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the pack: name=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="An object with the gaps.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write to this file.")] = None,
    jobs: Jobs = None,
) -> int:
    from mloan_report.filing import gaps

    name = pack_named(pack)
    portfolio = open_portfolio(folder)
    with progress("making the records"):
        found = gaps(name, portfolio, optional_day(as_of, "--as-of"), settings_of(settings or []), jobs=jobs)
    if as_json:
        text = json.dumps(
            {
                "pack": name,
                "as_of": found.as_of.isoformat(),
                "records": dict(found.records),
                "gaps": [g.as_dict() for g in found.gaps],
                "unmapped": dict(found.unmapped),
                "settings": dict(found.settings),
            },
            ensure_ascii=False,
            indent=2,
        )
    else:
        lines = [f"as of {found.as_of}; records that would be made: " + (", ".join(f"{n} {c}" for n, c in found.records.items()) or "none")]
        for g in found.gaps:
            columns = ", ".join(g.columns) or "a setting or a value of the pack"
            rejected = f"{g.rejected} records would be rejected ({', '.join(g.codes) or 'no rule'})"
            lines.append(f"{g.record}.{g.field}: {g.filled} of {g.needed} filled, {rejected}; from {columns}")
            if g.condition:
                lines.append(f"    {g.title}: {g.condition}")
        lines += [f"no code for {value}: {count} times" for value, count in found.unmapped.items()]
        lines += [f"setting {name} is missing: {meaning}" for name, meaning in found.settings.items()]
        lines.append(f"{len(found.gaps)} gaps")
        text = "\n".join(lines)
    if report is not None:
        report.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 1 if any(g.rejected for g in found.gaps) or found.unmapped or found.settings else 0
