"""A written filing, proved: each file is read back once and judged as if somebody else had made it.

Schema, structure, rules, and the same records as were made: what differs is our defect and fails the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from lxml import etree

from mloan_report.filing.envelope import ReadFile, joined, read_file
from mloan_report.filing.making import check_records
from mloan_report.layout import RecordSet, RuleRun
from mloan_report.layout.xsd import document_schema, explain_document, is_valid_document, line_schema
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


def judge(pack: Pack, files: Sequence[tuple[Path, str | None]], known: Mapping[str, Any], missing: Mapping[str, str]) -> Verdict:
    """Reads *files* (path, record kind) and judges them together by structure, schema, layout and rules."""
    out = Verdict()
    parts: dict[str, list[RecordSet]] = {}
    for path, record in files:
        read = read_file(pack, path, record)
        out.files.append(read)
        out.findings.extend(_structure_findings(pack, read))
        out.findings.extend(_own_checks(pack, read))
        if read.records is not None and read.records.height:
            parts.setdefault(read.records.layout.name, []).append(read.records)
        out.findings.extend(_schema_findings(pack, read))
    out.records = {name: joined(sets) for name, sets in parts.items()}
    rule_findings, out.rule_run = check_records(pack, out.records, known, missing)
    out.findings.extend(rule_findings)
    seen = {(f.file, f.row, f.field) for f in out.findings if f.severity == "error" and f.code != pack.layout_codes.codes.get("schema")}
    schema = pack.layout_codes.codes.get("schema")
    if seen:
        out.findings = [f for f in out.findings if not (f.code == schema and f.args.get("by_schema") and _explained(f, out.findings))]
    return out


def _explained(schema_finding: Finding, findings: Sequence[Finding]) -> bool:
    """Whether what the schema says of an element is said already by a finding of its own in the same record."""
    return any(
        f.file == schema_finding.file
        and f.severity == "error"
        and not f.args.get("by_schema")
        and (f.field == schema_finding.field or schema_finding.field is None)
        for f in findings
    )


def same_records(made: Mapping[str, RecordSet], read: Mapping[str, RecordSet]) -> list[Finding]:
    """Findings where what was read back differs from what was made."""
    out = []
    for name, records in made.items():
        if name not in read:
            out.append(DIFFERENT.finding(file=name, detail="no record was read back"))
        elif records.height != read[name].height:
            out.append(DIFFERENT.finding(file=name, detail=f"{records.height} records were made and {read[name].height} read back"))
        elif not _same(records, read[name]):
            out.append(DIFFERENT.finding(file=name, detail="a record read back differs from the one made"))
    return out


def _same(made: RecordSet, read: RecordSet) -> bool:
    columns = [c for c in made.text.columns if not made.layout.by_column[c].collapse] if made.layout.by_column else made.text.columns
    return made.text.select(columns).fill_null("").equals(read.text.select(columns).fill_null("")) and all(
        made.groups[p].text.fill_null("").equals(read.groups[p].text.fill_null("")) for p in made.groups
    )


def _structure_findings(pack: Pack, read: ReadFile) -> list[Finding]:
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


def _own_checks(pack: Pack, read: ReadFile) -> list[Finding]:
    hook = pack.hook("check_file")
    return list(hook(pack, read)) if hook else []


@cache
def _document_schema(pack_id: str, record: str) -> etree.XMLSchema:
    from mloan_report.packs import packs

    pack = packs()[pack_id]
    layout = next(r for r in pack.records() if r.name == record)
    text = document_schema(layout, pack.envelope["namespace"].format(record=record), pack.envelope["root"], dict(pack.codes))
    return etree.XMLSchema(etree.fromstring(text))


@cache
def _line_schema(pack_id: str, record: str) -> etree.XMLSchema:
    from mloan_report.packs import packs

    pack = packs()[pack_id]
    layout = next(r for r in pack.records() if r.name == record)
    return etree.XMLSchema(etree.fromstring(line_schema(layout, pack.envelope["root"], dict(pack.codes))))


def _schema_findings(pack: Pack, read: ReadFile) -> list[Finding]:
    if read.records is None or any(d.kind in ("forbidden", "encoding", "unreadable") for d in read.defects):
        return []
    rule = pack.layout_codes.rule("schema")
    if pack.envelope["kind"] == "document":
        schema = _document_schema(pack.id, read.records.layout.name)
        if is_valid_document(read.path, schema):
            return []
        reasons = explain_document(read.path, schema)
    else:
        reasons = _invalid_lines(pack, read)
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
        for line, text in reasons
    ]


def _element_of(text: str) -> str | None:
    start = text.find("Element '")
    if start < 0:
        return None
    return text[start + 9 : text.find("'", start + 9)].rpartition("}")[2]


def _invalid_lines(pack: Pack, read: ReadFile) -> list[tuple[int, str]]:
    assert read.records is not None
    schema = _line_schema(pack.id, read.records.layout.name)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    out: list[tuple[int, str]] = []
    with read.path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1 or not raw.strip() or len(out) >= 200:
                continue
            try:
                document = etree.fromstring(raw.rstrip(b"\n"), parser)
            except etree.XMLSyntaxError:
                continue
            if not schema.validate(document):
                out.extend((number, e.message) for e in cast(Any, schema.error_log))
    return out
