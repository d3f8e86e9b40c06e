"""The ledger of filings: lists them, and records what was sent, accepted or refused, whole or by record; earlier filings are taken in.

Examples: mloan-report ledger filings.db
mloan-report ledger filings.db --rejected 4 --records refused.csv --actor ana
mloan-report ledger filings.db --import earlier --pack cn_pbc_credit --recipient PBC
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mloan_report.cli.shared import CannotUse, pack_named, settings_of

if TYPE_CHECKING:
    from mloan_report.filing.ledger import Event, State


def command(
    ledger: Annotated[Path, typer.Argument(help="The ledger's file.")],
    sent: Annotated[int | None, typer.Option("--sent", help="The filing of this number was sent.")] = None,
    accepted: Annotated[int | None, typer.Option("--accepted", help="It was accepted.")] = None,
    rejected: Annotated[int | None, typer.Option("--rejected", help="It was refused.")] = None,
    records: Annotated[Path | None, typer.Option("--records", help="Only these records of it: csv with record, key, reason.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who says so; default: the user of the machine.")] = None,
    folder: Annotated[Path | None, typer.Option("--import", help="A folder of filings made before there was a ledger: they count as accepted.")] = None,
    pack: Annotated[str | None, typer.Option("--pack", help="Of this pack only.")] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="To this recipient only.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the pack, for --import: name=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> int:
    from mloan_report.filing.importing import import_filings
    from mloan_report.filing.ledger import SqliteLedger
    from mloan_report.packs import packs

    steps: list[tuple[State, int]] = []
    for action, number in (("sent", sent), ("accepted", accepted), ("rejected", rejected)):
        if number is not None:
            steps.append((action, number))  # type: ignore[arg-type]
    if not ledger.is_file() and folder is None:
        raise CannotUse(f"{ledger} is not there: build --ledger makes it, or --import")
    if records is not None and len(steps) != 1:
        raise CannotUse("--records goes with --accepted or --rejected")
    book = SqliteLedger(ledger)
    if folder is not None:
        if pack is None or recipient is None:
            raise CannotUse("--import needs --pack and --recipient")
        chosen = packs()[pack_named(pack)]
        try:
            values = chosen.settings_for(settings_of(settings or []), {}, need=False)
        except ValueError as error:
            raise CannotUse(str(error)) from None
        import_filings(chosen, folder, book, recipient, values, actor)
    for action, number in steps:
        book.mark(number, action, records=_records(records) if records is not None else None, reason=reason, actor=actor)
    found = book.filings(pack, recipient)
    if as_json:
        rows = [
            {
                "id": f.id,
                "pack": f.pack,
                "recipient": f.recipient,
                "as_of": f.as_of.isoformat(),
                "known_at": f.known_at.isoformat() if f.known_at else None,
                "made_at": f.made_at.isoformat(),
                "digest": f.digest,
                "whole": f.whole,
                "state": f.state,
                "records_refused": f.refused,
                "events": [_event(e) for e in book.events(f.id or 0)],
            }
            for f in found
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for f in found:
        known = f" known {f.known_at}" if f.known_at else ""
        refused = f", {f.refused} records refused" if f.refused else ""
        print(f"{f.id}  {f.pack}  {f.recipient}  as of {f.as_of}{known}  {f.state}{refused}  {f.digest[:12]}")
    if not found:
        print("no filings")
    return 0


def _event(e: Event) -> dict[str, str | None]:
    return {"at": e.at.isoformat(), "actor": e.actor, "action": e.action, "record": e.record, "key": e.key, "reason": e.reason}


def _records(path: Path) -> list[tuple[str, str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise CannotUse(f"{path} cannot be read ({error})") from None
    if rows and not {"record", "key"} <= set(rows[0]):
        raise CannotUse(f"{path} has no columns record and key")
    return [(r["record"], r["key"], r.get("reason") or "") for r in rows]
