"""Finished files judged, whoever made them: schema, structure, layout and rules."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mloan_report.filing.envelope import ReadFile, joined
from mloan_report.filing.foreign import read_foreign
from mloan_report.filing.making import check_records
from mloan_report.layout import RecordSet, RuleRun
from mloan_report.model.finding import Finding, Rule
from mloan_report.packs import Pack

DIFFERENT = Rule(
    "FIL-001",
    "error",
    "A file does not say what was made",
    "{file}: {detail}.",
    "Every file is read back after it is written; it must hold the records that were made, and nothing else.",
    "This is a defect of the library: report it with the file's record kind and the library's version.",
    "filing/verification",
)


@dataclass
class Verdict:
    """What reading files gave: findings, the records read by kind, and how the rules ran."""

    findings: list[Finding] = field(default_factory=list)
    records: dict[str, RecordSet] = field(default_factory=dict)
    files: list[ReadFile] = field(default_factory=list)
    rule_run: RuleRun = field(default_factory=RuleRun)


def judge(pack: Pack, files: Sequence[tuple[Path, str | None]], known: Mapping[str, Any], missing: Mapping[str, str], jobs: int | None = 1) -> Verdict:
    """Reads *files* (path, record kind), large ones by up to *jobs* processes, and judges them together by structure, schema, layout
    and rules.
    """
    out = Verdict()
    parts: dict[str, list[RecordSet]] = {}
    for path, record in files:
        read = read_foreign(pack, path, record, jobs)
        out.files.append(read)
        out.findings.extend(structure_findings(pack, read))
        out.findings.extend(own_checks(pack, read))
        if read.records is not None and read.records.height:
            parts.setdefault(read.records.layout.name, []).append(read.records)
        out.findings.extend(schema_findings(pack, read))
    out.records = {name: joined(sets) for name, sets in parts.items()}
    rule_findings, out.rule_run = check_records(pack, out.records, known, missing)
    out.findings.extend(rule_findings)
    out.findings = _without_echoes(out.findings, out.records)
    return out


def _without_echoes(findings: Sequence[Finding], records: Mapping[str, RecordSet]) -> list[Finding]:
    """*findings* without what the schema says of an element that a finding of its own in the same record says better."""
    starts: dict[tuple[str | None, str], list[int]] = {}
    names: dict[str, dict[str, str]] = {}
    for name, r in records.items():
        names[name] = {f.column: f.name for f in r.layout.fields}
        for file, line in zip(r.files.to_list() if r.files is not None else [], r.lines.to_list() if r.lines is not None else [], strict=False):
            starts.setdefault((file, name), []).append(line)

    def record_of(f: Finding) -> tuple[str | None, str | None, int]:
        return f.file, f.table, bisect_right(starts.get((f.file, f.table or ""), []), f.row or 0)

    def element_of(f: Finding) -> str:
        return names.get(f.table or "", {}).get(f.field or "", f.field or "").rpartition("/")[2]

    said = {(record_of(f), element_of(f)) for f in findings if f.severity == "error" and not f.args.get("by_schema")}
    return [f for f in findings if not f.args.get("by_schema") or not said & {(record_of(f), e) for e in (element_of(f), *_expected(f))}]


def _expected(f: Finding) -> list[str]:
    """The elements that a schema's message misses."""
    found = re.search(r"Expected is (?:one of )?\( ([^)]*) \)", str(f.args.get("detail", "")))
    return [name.strip() for name in found[1].split(",")] if found else []


def structure_findings(pack: Pack, read: ReadFile) -> list[Finding]:
    """What is not where the layout says."""
    out = []
    for d in read.defects:
        kind = d.kind if d.kind in pack.layout_codes.codes else "structure" if "structure" in pack.layout_codes.codes else "unknown"
        rule = pack.layout_codes.rule(kind)
        what = f"{d.element} {d.detail}".strip()
        out.append(
            rule.finding(
                table=read.record,
                file=read.path.name,
                row=d.line,
                field=d.element or None,
                key=f"record {d.record}" if d.record else None,
                detail=what if kind in ("root", "unreadable", "forbidden", "encoding", "no_records") else d.detail,
                name=d.element,
                record=read.record,
            )
        )
    return out


def own_checks(pack: Pack, read: ReadFile) -> list[Finding]:
    """What the pack's own code finds in a file as such."""
    hook = pack.hook("check_file")
    return list(hook(pack, read)) if hook else []


def schema_findings(pack: Pack, read: ReadFile) -> list[Finding]:
    """What the schema refuses."""
    rule = pack.layout_codes.rule("schema")
    return [
        rule.finding(
            table=read.record,
            file=read.path.name,
            row=line,
            field=_element_of(text),
            name=_element_of(text) or "",
            detail=text,
            key=f"line {line}",
            by_schema=True,
            record=read.record,
        )
        for line, text in read.schema_errors
    ]


def _element_of(text: str) -> str | None:
    start = text.find("Element '")
    if start < 0:
        return None
    return text[start + 9 : text.find("'", start + 9)].rpartition("}")[2]
