"""Checking finished files, whoever made them: the pack is found from content and name, files are judged together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from mloan_report.filing.composed_reading import defect_findings, read_composed
from mloan_report.filing.envelope import recognise
from mloan_report.filing.ledger import Ledger
from mloan_report.filing.remembering import opened
from mloan_report.filing.request import today
from mloan_report.filing.verification import judge
from mloan_report.layout import RuleRun
from mloan_report.layout.structure import StructureDefect
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import UnusableInput


@dataclass
class CheckResult:
    """What a check of files gave. ``records`` counts them by kind; ``rule_run`` says what was not judged and not run."""

    pack: str
    files: list[str]
    findings: list[Finding]
    records: dict[str, int] = field(default_factory=dict)
    rule_run: RuleRun = field(default_factory=RuleRun)


def check_files(
    paths: Sequence[str | Path],
    pack_id: str | None = None,
    as_of: date | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    ledger: Ledger | str | Path | None = None,
    recipient: str | None = None,
    jobs: int | None = 1,
) -> CheckResult:
    """Checks files (or the files of a folder) together by their pack's structure, schema, layout and rules.

    A manifest beside them tells date and settings (*settings* go before it); without one, rules that need the date are
    listed as not run. With a *ledger*, a composed file is also compared with what its *recipient* accepted before. Raises
    :class:`UnusableInput` for a path that is not there, or where no installed pack knows the files.
    """
    files = _files_of(paths)
    chosen = _pack_of(files, pack_id)
    named = [(path, recognise(chosen, path)) for path in files]
    known = _known(chosen, files, as_of, settings or {})
    if chosen.is_composed:
        to = recipient or str(known.get(f"set_{chosen.ledger.recipient}") if chosen.ledger and chosen.ledger.recipient else "") or str(chosen.data["regulator"])
        return _check_composed(chosen, named, known, opened(ledger), to)
    given = {record for _, record in named if record}
    missing = {} if _is_whole(chosen, files) else {r.name: "the file was not given" for r in chosen.records() if r.name not in given}
    verdict = judge(chosen, named, known, missing, jobs)
    return CheckResult(chosen.id, [p.name for p in files], verdict.findings, {name: r.height for name, r in verdict.records.items()}, verdict.rule_run)


def _check_composed(pack: Pack, named: Sequence[tuple[Path, str | None]], known: Mapping[str, Any], ledger: Ledger | None, recipient: str) -> CheckResult:
    """Each file by itself: it holds a whole filing."""
    out = CheckResult(pack.id, [p.name for p, _ in named], [])
    settings = {n.removeprefix("set_"): v for n, v in known.items() if n.startswith("set_")}
    for path, record in named:
        if record is None:
            empty = path.stat().st_size == 0 and "empty_file" in pack.layout_codes.codes
            what = ("empty_file", "is empty") if empty else ("root", "is not a file of this format")
            out.findings += defect_findings(pack, path, [StructureDefect(what[0], 1, None, path.name, what[1])])
            continue
        read = read_composed(pack, path, known, settings, ledger, recipient)
        out.findings += read.findings
        for name, count in read.counts.items():
            out.records[name] = out.records.get(name, 0) + count
        out.rule_run.not_judged |= read.rule_run.not_judged
        out.rule_run.not_run |= read.rule_run.not_run
        out.rule_run.run |= read.rule_run.run
    return out


def _files_of(paths: Sequence[str | Path]) -> list[Path]:
    out: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name not in ("manifest.json", "findings.json") and not p.name.startswith("."))
            if not inside:
                raise UnusableInput(f"{path} holds no file to check")
            out += inside
        elif path.is_file():
            out.append(path)
        else:
            raise UnusableInput(f"{path} is not there")
    return out


def _pack_of(files: Sequence[Path], pack_id: str | None) -> Pack:
    if pack_id is not None:
        if pack_id not in packs():
            raise UnusableInput(f"there is no pack {pack_id}; installed are {', '.join(packs())}")
        return packs()[pack_id]
    for path in files:
        for candidate in packs().values():
            if recognise(candidate, path) is not None:
                return candidate
    raise UnusableInput(f"no installed pack knows {files[0].name}: name one with --pack ({', '.join(packs())})")


def _manifest_beside(files: Sequence[Path]) -> dict[str, Any] | None:
    for folder in {p.parent for p in files}:
        path = folder / "manifest.json"
        if path.is_file():
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError):
                return None
            return data if isinstance(data, dict) else None
    return None


def _known(pack: Pack, files: Sequence[Path], as_of: date | None, given: Mapping[str, str]) -> dict[str, Any]:
    data = _manifest_beside(files)
    try:
        settings = pack.settings_for(given, {}, need=False)
    except ValueError as error:
        raise UnusableInput(str(error)) from None
    if data and data.get("pack", {}).get("id") == pack.id:
        as_of = as_of or date.fromisoformat(data["as_of"])
        settings |= {n: v for n, v in data.get("settings", {}).items() if n in pack.settings and n not in given and not pack.settings[n].secret}
    return {"as_of": as_of, "today": today(pack.time_zone), "previous_filing": None, **{f"set_{n}": v for n, v in settings.items()}}


def _is_whole(pack: Pack, files: Sequence[Path]) -> bool:
    """Whether the files are all of a filing, as its manifest lists them: then a kind without a file has no records."""
    data = _manifest_beside(files)
    if not data or data.get("pack", {}).get("id") != pack.id:
        return False
    return {o["file"] for o in data.get("outputs", [])} <= {p.name for p in files}
