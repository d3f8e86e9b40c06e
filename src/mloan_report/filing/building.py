"""Build: a filing made, written beside its final place, read back, proved, and only then put there whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as dataclasses_replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from mloan_report.checks import Checked, finding_as_dict
from mloan_report.filing.across import keys_across
from mloan_report.filing.adding import AddedUp, add_up
from mloan_report.filing.bucket import BucketFiled, FileBucket
from mloan_report.filing.composed import head_and_foot, path_of
from mloan_report.filing.importing import import_filings
from mloan_report.filing.joining import JoinedFile, JoinKind, unit_runs, write_composed
from mloan_report.filing.ledger import ENTRY, Filing, Ledger, SqliteLedger
from mloan_report.filing.making import Outside
from mloan_report.filing.manifest import control_totals, filing_digest, manifest, reconciliation, to_json, totals_findings, write_manifest
from mloan_report.filing.remembering import gone_constants, need_spec, opened, previous_of
from mloan_report.filing.request import FilingRequest, clock, constants
from mloan_report.filing.slices import SliceVerdict, VerifySlice
from mloan_report.model.finding import Finding, Rule, has_errors
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import Portfolio, UnusableInput
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.workers import over_buckets, shared_out

NOTHING = Rule(
    "FIL-004",
    "error",
    "Nothing to file",
    "No record falls due for {pack} on {as_of}.",
    "An empty filing would say that there are no loans.",
    "Look at scope: it gives the reason for each loan.",
    "filing/build",
)


@dataclass
class BuildResult:
    """What a build gave. ``folder`` is None when it was refused; ``findings`` are all there are, in what is filed or not;
    ``held`` the loans left out for errors, with the codes.
    """

    folder: Path | None
    findings: list[Finding]
    files: list[JoinedFile] = field(default_factory=list)
    held: dict[str, list[str]] = field(default_factory=dict)
    ledger_id: int | None = None
    """The filing's number in the ledger."""

    @property
    def refused(self) -> bool:
        """Whether nothing was filed."""
        return self.folder is None

    @property
    def quarantined(self) -> int:
        """How many loans were left out for errors."""
        return len(self.held)

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest as it was written; None when the build was refused."""
        return None if self.folder is None else json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))


def request_for(
    pack: Pack | str,
    portfolio: Source,
    as_of: date,
    *,
    known_at: date | None = None,
    settings: Mapping[str, str] | None = None,
    made_at: datetime | None = None,
    need_settings: bool = True,
) -> FilingRequest:
    """A request with the settings worked out: given, else the institution's, else the defaults. Of a book in buckets it has no rows yet: one
    is put in with :func:`dataclasses.replace`.

    Without *need_settings* a required setting that nobody gave stays empty: what a newcomer's gaps and scope start from.
    """
    chosen = packs().get(pack) if isinstance(pack, str) else pack
    if chosen is None:
        raise UnusableInput(f"there is no pack {pack}; installed are {', '.join(packs())}")
    if chosen.version_on(as_of) is None:
        raise UnusableInput(f"{chosen.id} has no version in force on {as_of}")
    given = {n: v for n, v in portfolio.institution.packs.get(chosen.id, {}).items() if not isinstance(v, dict | list)}
    try:
        values = chosen.settings_for(dict(settings or {}), given, need=need_settings)
    except ValueError as error:
        raise UnusableInput(str(error)) from None
    dated = chosen.hook("settings_on")
    values = dated(values, as_of) if dated else values
    zone = ZoneInfo(portfolio.institution.time_zone)
    book = portfolio if isinstance(portfolio, Portfolio) else Portfolio(portfolio.institution, {})
    return FilingRequest(chosen, book, as_of, known_at, values, (made_at or clock()).astimezone(zone))


def recipient_of(request: FilingRequest) -> str:
    """Whom a filing goes to: the setting that the pack names, else the regulator."""
    spec = request.pack.ledger
    named = request.settings.get(spec.recipient) if spec and spec.recipient else None
    return named or str(request.pack.data["regulator"])


def folder_of_earlier(request: FilingRequest) -> str | None:
    """The folder of earlier filings that a setting of the pack names (``[ledger] folder``), for who has no ledger yet."""
    setting = request.pack.data.get("ledger", {}).get("folder")
    return request.settings.get(setting) if setting else None


def build(
    pack: Pack | str,
    portfolio: Source,
    as_of: date,
    out: str | Path,
    *,
    known_at: date | None = None,
    settings: Mapping[str, str] | None = None,
    quarantine: bool = False,
    replace: bool = False,
    made_at: datetime | None = None,
    packing: Any = None,
    jobs: int | None = None,
    verify: bool = True,
    ledger: Ledger | str | Path | None = None,
    recipient: str | None = None,
    actor: str | None = None,
) -> BuildResult:
    """Builds the filing of *portfolio* for *pack* into the folder *out*, by up to *jobs* processes (default: the cores).

    *portfolio* is one held whole, or a book in buckets: the bytes are the same for any number of buckets and jobs. Nothing
    stands at *out* unless the whole filing is good. Raises :class:`UnusableInput` when *out* exists and is not empty
    (unless *replace*: then it is swapped whole), or when pack, settings or date cannot be used. ``verify=False`` is for
    measuring: what it makes is not proved and stays in no folder. With a *ledger* (or the path of one) the filing starts from
    what *recipient* (default: the pack's setting, else its regulator) accepted before, and is entered as a draft by *actor*.
    """
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise UnusableInput(f"{target} exists and is not a folder")
    if target.exists() and any(target.iterdir()) and not replace:
        raise UnusableInput(f"{target} exists and is not empty: choose another folder, or give --replace to swap it whole")
    request = request_for(pack, portfolio, as_of, known_at=known_at, settings=settings, made_at=made_at)
    book = opened(ledger)
    to = recipient or recipient_of(request)
    if book is None and (earlier := folder_of_earlier(request)) is not None:
        told_before = SqliteLedger(":memory:")
        import_filings(request.pack, earlier, told_before, to, request.settings)
        request = dataclasses_replace(request, previous=previous_of(request.pack, told_before, to, request))
    if book is not None:
        request = dataclasses_replace(request, previous=previous_of(request.pack, book, to, request))
    target.parent.mkdir(parents=True, exist_ok=True)
    work, parts = (Path(tempfile.mkdtemp(prefix=f".{target.name}.{what}.", dir=target.parent)) for what in ("files", "parts"))
    try:
        return _Build(request, portfolio, work, parts, target, quarantine, packing, jobs, verify, book, to, actor).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(parts, ignore_errors=True)


@dataclass
class _Build:
    request: FilingRequest
    source: Source
    work: Path
    parts: Path
    target: Path
    quarantine: bool
    packing: Any
    jobs: int | None
    verify: bool
    ledger: Ledger | None
    recipient: str
    actor: str | None
    twice: dict[int, list[Finding]] = field(default_factory=dict)
    around: list[Finding] = field(default_factory=list)
    sums: AddedUp = field(default_factory=AddedUp)

    def run(self) -> BuildResult:
        filed = self._file({n: Outside() for n in range(self.source.count)})
        if self.quarantine:
            filed = self._settle_quarantine(filed)
        files, dropped = self._joined(filed)
        for n, b in filed.items():
            for rule, record, number in b.not_judged_shared:
                if number not in dropped.get((n, record), ()):
                    b.not_judged[rule] = b.not_judged.get(rule, 0) + 1
        findings = self._findings(filed, dropped)
        held = {loan: codes for n in sorted(filed) for loan, codes in filed[n].held.items()}
        if self._blocked(findings, filed):
            return BuildResult(None, findings, held=held)
        if not files:
            return BuildResult(None, [*findings, NOTHING.finding(pack=self.request.pack.id, as_of=self.request.as_of.isoformat())], held=held)
        if not self.verify:
            return BuildResult(None, findings, files, held)
        verdicts = self._verdicts(files)
        totals = control_totals(self.request.pack, [filed[n].totals for n in sorted(filed)], verdicts)
        book = reconciliation(list(filed.values()))
        proof = [*_distinct(f for v in verdicts for f in v.findings if f.severity == "error"), *totals_findings(totals, book)]
        if proof:
            return BuildResult(None, [*findings, *proof], held=held)
        self._write(filed, files, findings, totals, book)
        return BuildResult(self.target, findings, files, held, self._drafted(filed, files))

    def _drafted(self, filed: Mapping[int, BucketFiled], files: list[JoinedFile]) -> int | None:
        """Enters the filing into the ledger and gives its number there."""
        if self.ledger is None:
            return None
        r = self.request
        filing = Filing(r.pack.id, self.recipient, filing_digest(files), r.as_of, r.known_at, r.made_at, need_spec(r.pack).is_whole(r.settings))
        return self.ledger.draft(filing, self._entries(filed), self.actor)

    def _entries(self, filed: Mapping[int, BucketFiled]) -> pl.DataFrame:
        """What the buckets leave for the ledger, each record once."""
        parts = [pl.read_parquet(path) for n in sorted(filed) if (path := filed[n].entries) is not None]
        whole = pl.concat([pl.DataFrame(schema=ENTRY), *parts])
        return whole.unique(["record", "key"], keep="last", maintain_order=True)

    def _file(self, asks: Mapping[int, Outside]) -> dict[int, BucketFiled]:
        r = self.request
        remembers = self.ledger is not None or r.previous is not None
        work = FileBucket(self.source, r.pack, r.as_of, r.known_at, r.settings, r.made_at, self.quarantine, self.parts, r.previous, remembers)
        return dict(zip(asks, over_buckets(self.source, work, list(asks.items()), self.jobs), strict=True))

    def _settle_quarantine(self, filed: dict[int, BucketFiled]) -> dict[int, BucketFiled]:
        """Files again the buckets whose guests are at fault or held where they have their home, until none changes."""
        asked: dict[int, Outside] = dict.fromkeys(filed, Outside())
        for _ in range(12):
            wanted = self._from_outside(filed)
            changed = {n: o for n, o in wanted.items() if o != asked[n]}
            if not changed:
                return filed
            asked |= changed
            filed |= self._file(changed)
        return filed

    def _from_outside(self, filed: Mapping[int, BucketFiled]) -> dict[int, Outside]:
        errors: dict[str, dict[int, list[Finding]]] = {}
        held: dict[str, tuple[str, ...]] = {}
        for b in filed.values():
            held |= {loan: tuple(codes) for loan, codes in b.held.items()}
            for f in b.earlier:
                if f.severity == "error" and f.table and f.row is not None:
                    errors.setdefault(f.table, {}).setdefault(f.row, []).append(f)
        twice = self._twice(filed)
        out = {}
        for n, b in filed.items():
            found = tuple(f for table in sorted(b.guest_rows) for row in sorted(b.guest_rows[table] & errors.get(table, {}).keys()) for f in errors[table][row])
            ours = {loan: held[loan] for loan in sorted(b.guest_loans) if loan in held}
            ours |= {str(f.loan_id): (f.code,) for f in twice.get(n, []) if f.loan_id and f.severity == "error"}
            out[n] = Outside(found, ours)
        return out

    def _twice(self, filed: Mapping[int, BucketFiled]) -> dict[int, list[Finding]]:
        return keys_across(self.request.pack, [filed[n] for n in sorted(filed)], constants(self.request)) if self.source.count > 1 else {}

    def _joined(self, filed: Mapping[int, BucketFiled]) -> tuple[list[JoinedFile], dict[tuple[int, str], set[int]]]:
        r = self.request
        if not self.quarantine and any(b.refused for b in filed.values()):
            return [], {}
        self.twice = self._twice(filed)
        if r.pack.is_composed:
            return self._joined_composed(filed)
        by_kind = [tuple(filed[n].parts[x.name] for n in sorted(filed) if x.name in filed[n].parts) for x in r.pack.records(r.as_of)]
        kinds = [parts for parts in by_kind if parts]
        work = JoinKind(r.pack, self.work, r.settings, r.made_at)
        out: list[JoinedFile] = []
        dropped: dict[tuple[int, str], set[int]] = {}
        size = sum(p.text.stat().st_size for parts in kinds for p in parts)
        for parts, (files, again) in zip(kinds, shared_out(work, kinds, self.jobs, lambda p: p[0].text.name, size), strict=True):
            record = parts[0].text.name.rpartition("-")[0]
            out += files
            dropped |= {(bucket, record): set(rows) for bucket, rows in again.items()}
        return out, dropped

    def _joined_composed(self, filed: Mapping[int, BucketFiled]) -> tuple[list[JoinedFile], dict[tuple[int, str], set[int]]]:
        r = self.request
        tops = [x.name for x in r.pack.records(r.as_of) if x.place == "body" and x.parent is None]
        parts = {name: [filed[n].parts[name] for n in sorted(filed) if name in filed[n].parts] for name in tops}
        self.sums = add_up(r, [filed[n].shares for n in sorted(filed)], self.parts)
        parts |= {name: [part] for name, part in self.sums.parts.items()}
        kinds = [unit_runs(name, own) for name, own in parts.items() if own]
        dropped = {(bucket, k.record): set(rows) for k in kinds for bucket, rows in k.dropped.items()}
        if not sum(k.units for k in kinds):
            return [], dropped
        totals = {t.name: sum(b.file_totals.get(t.name, 0) for b in filed.values()) + self.sums.totals.get(t.name, 0) for t in r.pack.totals}
        for t in r.pack.totals:
            totals[t.name] -= sum(len(rows) for (_, record), rows in dropped.items() if record == t.record)
        entries = self._entries(filed)
        keys = {str(name): rows["key"] for (name,), rows in entries.partition_by("record", as_dict=True).items()}
        around = head_and_foot(r, self.source.institution, totals, gone_constants(r.pack, r.previous, keys))
        self.around = around.findings
        for b in filed.values():
            b.run |= around.rule_run.run  # rules of head and foot run here and in no bucket
        return [write_composed(path_of(self.work, around.name), around.head, around.foot, kinds)], dropped

    def _findings(self, filed: Mapping[int, BucketFiled], dropped: Mapping[tuple[int, str], set[int]]) -> list[Finding]:
        earlier = Checked([f for n in sorted(filed) for f in filed[n].earlier], {}).in_order().findings
        made: list[Finding] = []
        for n in sorted(filed):
            gone = {record: rows for (bucket, record), rows in dropped.items() if bucket == n}
            made += [f for f in self._of_bucket(filed[n]) if int(f.args.get("record_no", 0)) - 1 not in gone.get(f.table or "", ())]
            made += self.twice.get(n, [])
        made += self.sums.findings
        order = {r.name: i for i, r in enumerate(self.request.pack.records(self.request.as_of))}
        made.sort(key=lambda f: (order.get(f.table or "", -1), f.code))  # stable: in a kind and rule, in order of records
        return [*earlier, *_distinct(made), *self.around]

    def _of_bucket(self, bucket: BucketFiled) -> list[Finding]:
        """What was found in a bucket, its shares of sums apart: those are judged again when they are added up."""
        return [f for f in bucket.findings if f.table not in self.sums.kinds]

    def _blocked(self, findings: list[Finding], filed: Mapping[int, BucketFiled]) -> bool:
        made = [f for n in sorted(filed) for f in self._of_bucket(filed[n])] + [f for fs in self.twice.values() for f in fs] + self.sums.findings + self.around
        if self.quarantine:
            return has_errors(made) or any(_unplaced(b.earlier) for b in filed.values())
        return has_errors(findings) or has_errors(made)

    def _verdicts(self, files: list[JoinedFile]) -> list[SliceVerdict]:
        work = VerifySlice(self.request.pack, {f.name: f.records for f in files}, self.request.as_of, self.request.settings)
        slices = [s for f in files for s in f.slices]
        size = sum(s.size for s in slices)
        return list(shared_out(work, slices, self.jobs, lambda s: f"{s.path.name} from record {s.first_record}", size))

    def _write(
        self, filed: Mapping[int, BucketFiled], files: list[JoinedFile], findings: list[Finding], totals: list[dict[str, Any]], book: dict[str, Any]
    ) -> None:
        packed = _pack_files(self.packing, files, self.work)
        out = [filed[n].out_of_scope for n in sorted(filed)]
        data = manifest(self.request, self.source, [filed[n] for n in sorted(filed)], files, totals, book, packed)
        (self.work / "findings.json").write_text(to_json([finding_as_dict(f) for f in findings]), encoding="utf-8")
        write_manifest(data, out, self.work / "manifest.json")
        _settle(self.work, self.target)


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """*findings* without what several buckets or slices say of one and the same thing."""
    seen: set[tuple[Any, ...]] = set()
    out = []
    for f in findings:
        key = (f.code, f.table, f.key, f.field, f.value, f.file, f.row, f.loan_id, f.message)
        if key not in seen:
            seen.add(key)
            out.append(f)
    return out


def _unplaced(findings: Iterable[Finding]) -> bool:
    """Errors that no row can be named for (a table missing, a file that cannot be read): quarantine cannot help."""
    return any(f.severity == "error" and f.row is None and f.loan_id is None and not f.loans for f in findings)


def _pack_files(packing: Any, files: list[JoinedFile], work: Path) -> dict[str, str]:
    """Calls the user's packing hook: (path of a file, destination folder) → the packed file."""
    if packing is None:
        return {}
    packed = {}
    for f in files:
        made = Path(packing(work / f.name, work))
        if not made.is_file() or made.parent != work:
            raise UnusableInput(f"the packing hook gave {made}, which is not a file in the filing's folder")
        packed[f.name] = made.name
    return packed


def _settle(work: Path, target: Path) -> None:
    """Puts the finished folder at its place: every file synced, then one rename."""
    for path in sorted(work.iterdir()):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    work.chmod(0o755)
    old = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        os.rename(target, old / target.name)
    os.rename(work, target)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
