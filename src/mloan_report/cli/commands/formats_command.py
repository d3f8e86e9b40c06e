"""The packs installed: id, country, regulator, layout, versions with effective dates, certainty.

Example: mloan-report formats --json
"""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False) -> int:
    from mloan_report.packs import packs

    rows = [
        {
            "id": p.id,
            "country": p.country,
            "regulator": p.data["regulator"],
            "title": p.title,
            "layout": p.envelope["kind"],
            "versions": [
                {"id": v.id, "effective_from": v.effective_from, "effective_to": v.effective_to, "cadence": v.cadence, "deadline": v.deadline}
                for v in p.versions
            ],
            "certainty": p.data["certainty"],
            "status": p.data["status"],
        }
        for p in packs().values()
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for row in rows:
        print(f"{row['id']}  {row['country']}  {row['title']}")
        print(f"    {row['regulator']}; layout {row['layout']}; certainty {row['certainty']}")
        print(f"    {row['status']}")
        for v in row["versions"]:
            print(f"    version {v['id']} from {v['effective_from']}{' to ' + v['effective_to'] if v['effective_to'] else ''}, {v['cadence']}")
    return 0
