"""A composed file judged while it is read, batch by batch: what is kept of it does not grow with the file but for what rules compare across it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.filing.around import head_constants
from mloan_report.filing.composed import totals_of
from mloan_report.filing.ledger import Ledger, Point
from mloan_report.filing.making import check_records
from mloan_report.filing.remembering import Previous, gone_constants, keys_of, need_spec, told, with_previous
from mloan_report.layout import RecordLayout, RecordRule, RecordSet, RuleRun, run_file_rules, run_rules
from mloan_report.layout.forms import Batch, Form
from mloan_report.layout.forms.batch import no_records
from mloan_report.layout.records import PARENT, ROWNUM, TOP
from mloan_report.layout.structure import StructureDefect
from mloan_report.layout.trees import joined_kind
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack


@dataclass
class ComposedRead:
    """What reading gave: findings, how many records there are of each kind, how the rules ran, and what head and foot say."""

    path: Path
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rule_run: RuleRun = field(default_factory=RuleRun)
    around: dict[str, RecordSet] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    as_of: date | None = None


def read_composed(
    pack: Pack, path: Path, known: Mapping[str, Any], settings: Mapping[str, str | None], ledger: Ledger | None = None, recipient: str = ""
) -> ComposedRead:
    """*path* judged by the structure, the layout and the rules of *pack*; nothing escapes as a trace.

    With a *ledger* its records are also compared with what *recipient* accepted of earlier days.
    """
    return _Judging(pack, path, known, settings, ledger, recipient).run()


def batches(pack: Pack, path: Path, settings: Mapping[str, str | None]) -> Iterator[tuple[Form, Batch]]:
    """The batches of the file, by the layout of its own date, which its head says."""
    as_of = date_of(pack, path, settings)
    form = pack.form(as_of, settings)
    with path.open("rb") as stream:
        for batch in form.read(stream, path.name):
            yield form, batch


def date_of(pack: Pack, path: Path, settings: Mapping[str, str | None]) -> date | None:
    """The date that the file's head says; None where the pack has one layout for all, or the head does not say."""
    record, _, column = pack.envelope.get("dated_by", "").partition(".")
    if not record:
        return None
    form = pack.form(None, settings)
    form.at_a_time = 1  # the head is enough
    with path.open("rb") as stream:
        first = next(iter(form.read(stream, path.name)), Batch())
    head = first.records.get(record)
    return head.typed[column][0] if head is not None and head.height else None


class _Judging:
    def __init__(self, pack: Pack, path: Path, known: Mapping[str, Any], settings: Mapping[str, str | None], ledger: Ledger | None, recipient: str) -> None:
        self.ledger, self.recipient = ledger, recipient
        self.previous: Previous | None = None
        self.keys: dict[str, list[pl.Series]] = {}
        self.pack, self.path, self.known, self.settings = pack, path, dict(known), settings
        self.out = ComposedRead(path)
        self.out.as_of = date_of(pack, path, settings)
        self.layouts = {x.name: x for x in pack.records(self.out.as_of)}
        self.around = {n for n, x in self.layouts.items() if x.place != "body"}
        rules = [r for r in pack.rules if (r.violated_if or r.unique or r.refers_to or not r.offline) and r.in_force(self.out.as_of)]
        self.at_end = [r for r in rules if set(r.records) <= self.around and not r.is_of_file]
        rest = [r for r in rules if not set(r.records) <= self.around and not r.is_of_file]
        self.across = [r for r in rest if _looks_across(r, self.layouts)]
        self.local = [r for r in rest if not _looks_across(r, self.layouts)]
        self.needed = _columns_needed(self.across, self.layouts)
        self.narrow: list[Batch] = []

    def run(self) -> ComposedRead:
        out = self.out
        self.known |= {"file_name": self.path.name}
        with ThreadPoolExecutor(1) as reader:  # the next batch is read while this one is judged
            ahead = batches(self.pack, self.path, self.settings)
            waiting = reader.submit(next, ahead, None)
            while (read := waiting.result()) is not None:
                waiting = reader.submit(next, ahead, None)
                self._take(read[1])
        self.known |= gone_constants(self.pack, self.previous, {n: pl.concat(parts) for n, parts in self.keys.items()})
        self.known |= head_constants(out.around) | {f"total_{n}": v for n, v in out.totals.items()}
        for t in self.pack.totals:
            self.known.setdefault(f"total_{t.name}", 0)
        if out.around:
            found, run = check_records(self.pack, out.around, self._named(self.at_end), {}, as_of=out.as_of, rules=self.at_end)
            out.findings += found
            _add(out.rule_run, run)
        of_file = run_file_rules(self.pack.rules, self._named([r for r in self.pack.rules if r.is_of_file]), self.pack.functions, self.path.name)
        out.findings += of_file.findings
        _add(out.rule_run, of_file)
        self._run_across()
        if not any(out.counts.get(x.name) for x in self.layouts.values() if x.place == "body"):
            out.findings += defect_findings(self.pack, self.path, [StructureDefect("no_records", 1, None, "", "holds no record")])
        for rule in list(out.rule_run.not_run):
            if rule in out.rule_run.run:
                del out.rule_run.not_run[rule]
        if self.known.get("set_phases") == "official":
            self._stop_after_phase()
        return out

    def _stop_after_phase(self) -> None:
        """As the recipient does it: after a phase with errors the later ones are not run."""
        phases = {r.id: r.phase for r in self.pack.rules}
        failed = min((phases.get(f.code, 0) for f in self.out.findings if f.severity == "error"), default=None)
        if failed is None:
            return
        self.out.findings = [f for f in self.out.findings if phases.get(f.code, 0) <= failed]
        later = {rule for rule, phase in phases.items() if phase > failed}
        self.out.rule_run.not_run |= dict.fromkeys(sorted(later), "an earlier phase has errors")
        self.out.rule_run.run -= later

    def _take(self, batch: Batch) -> None:
        out = self.out
        out.findings += defect_findings(self.pack, self.path, batch.defects)
        for name, records in batch.records.items():
            out.counts[name] = out.counts.get(name, 0) + records.height
            if name in self.around:
                out.around.setdefault(name, records)
        self.known |= head_constants(out.around)
        body = {n: r for n, r in batch.records.items() if n not in self.around}
        if not body:
            return
        for name, value in totals_of(self.pack, body).items():
            out.totals[name] = out.totals.get(name, 0) + value
        if self.ledger is not None and self.previous is None:
            self._remember(self.ledger)
        body = with_previous(self.pack, body, self.previous)
        if self.previous is not None:
            for name in need_spec(self.pack).stays:
                if name in body:
                    self.keys.setdefault(name, []).append(keys_of(need_spec(self.pack), body[name]))
        found, run = check_records(self.pack, body, self._named(self.local), {}, as_of=out.as_of, rules=self.local)
        out.findings += found
        _add(out.rule_run, run)
        self.narrow.append(Batch({n: _narrowed(body[n], columns) for n, columns in self.needed.items() if n in body}))

    def _remember(self, ledger: Ledger) -> None:
        """What was accepted before the day of this file, which ``[ledger] file_date`` says (record.field of its head)."""
        record, _, column = self.pack.data.get("ledger", {}).get("file_date", "").partition(".")
        head = self.out.around.get(record)
        day = head.typed[column][0] if head is not None and head.height else self.out.as_of or self.known.get("as_of")
        if day is None:
            return
        entries = ledger.accepted(self.pack.id, self.recipient, Point(day - timedelta(days=1)))
        if entries.height:
            self.previous = told(need_spec(self.pack), entries)
            self.known["previous_filing"] = entries["as_of"].max()

    def _named(self, rules: Sequence[RecordRule]) -> dict[str, Any]:
        """The constants, with None for those of a head that the file lacks, so that what needs them is not run."""
        words = set(chain.from_iterable(_said_elsewhere(f"{r.violated_if} {r.when}") for r in rules))
        return {**dict.fromkeys(words), **self.known}

    def _run_across(self) -> None:
        if not self.across or not self.narrow:
            return
        names = dict.fromkeys(n for b in self.narrow for n in b.records)
        whole = {n: joined_kind(n, self.narrow) for n in names}
        none = {n: no_records(x) for n, x in self.layouts.items() if n not in whole}
        run = run_rules(self.across, {**none, **whole}, self._named(self.across), self.pack.functions, {})
        self.out.findings += run.findings
        _add(self.out.rule_run, run)


@cache
def _said_elsewhere(condition: str) -> frozenset[str]:
    """The names in a condition of what stands in the head, the totals or an earlier filing."""
    return frozenset(re.findall(r"\b(?:head|total|previous)_[A-Za-z0-9_]*", condition))


def _looks_across(rule: RecordRule, layouts: Mapping[str, RecordLayout]) -> bool:
    """Whether a rule looks at more than one unit of the file."""
    if rule.unique or rule.refers_to:
        return True
    return any(not {*x.on, *x.their} <= {PARENT, TOP, ROWNUM} for x in rule.lookups)


def _columns_needed(rules: Sequence[RecordRule], layouts: Mapping[str, RecordLayout]) -> dict[str, set[str]]:
    """The columns of each kind that rules across the file name."""
    out: dict[str, set[str]] = {}
    for rule in rules:
        said = [rule.violated_if or "", rule.when or "", " ".join((*rule.fields, *rule.unique))]
        others: list[tuple[str, str]] = []
        for x in rule.lookups:
            said.append(" ".join(x.on))
            others.append((x.record, " ".join((*x.their, x.value, x.where or ""))))
        if rule.refers_to:
            said.append(" ".join(rule.refers_to.on))
            others.append((rule.refers_to.record, " ".join((*rule.refers_to.their, rule.refers_to.where or ""))))
        for name in rule.records:
            others.append((name, " ".join(said)))
        for name, text in others:
            layout = layouts.get(name)
            if layout is not None:
                words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)) | set(layout.key)
                out.setdefault(name, set()).update(f.column for f in layout.value_fields if f.column in words)
                while layout.parent:  # records that others stand in are numbered along with them
                    layout = layouts[layout.parent]
                    out.setdefault(layout.name, set()).update(layout.key)
    return out


def _narrowed(records: RecordSet, columns: set[str]) -> RecordSet:
    kept = [c for c in records.text.columns if c in columns]
    place = [c for c in (ROWNUM, PARENT, TOP) if c in records.typed.columns]
    return RecordSet(
        records.layout, records.typed.select(*place, *kept), records.text.select(kept), records.state.select(kept), {}, records.lines, records.files
    )


def _add(whole: RuleRun, part: RuleRun) -> None:
    for rule, count in part.not_judged.items():
        whole.not_judged[rule] = whole.not_judged.get(rule, 0) + count
    whole.not_run |= part.not_run
    whole.run |= part.run


def defect_findings(pack: Pack, path: Path, defects: Sequence[StructureDefect]) -> list[Finding]:
    """Defects of structure as findings under the pack's own codes."""
    out = []
    for d in defects:
        codes = pack.layout_codes.codes
        # a regulator may tell a second head from a second foot, and an element by what it stands in
        kind = next((k for k in (f"{d.kind} {d.inside}", f"{d.kind}.{d.element}", d.kind, "structure") if k in codes), "unknown")
        out.append(
            pack.layout_codes.rule(kind).finding(
                file=path.name,
                row=d.line,
                field=d.element or None,
                key=f"line {d.line}",
                detail=f"{d.element} {d.detail}".strip(),
                name=d.element,
                record=d.inside or d.element,
            )
        )
    return out
