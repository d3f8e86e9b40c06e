"""Build: a filing made, written beside its final place, read back, proved, and only then put there whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mloan_report.checks import finding_as_dict
from mloan_report.filing.envelope import WrittenFile, write_files
from mloan_report.filing.making import Filing, FilingRequest, constants, make_filing
from mloan_report.filing.manifest import control_totals, manifest, reconciliation, to_json, totals_findings
from mloan_report.filing.validation import validate
from mloan_report.filing.verification import judge, same_records
from mloan_report.model.finding import Finding, Rule, has_errors
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import Portfolio, UnusableInput
from mloan_report.position import work_out

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
    """What a build gave. ``folder`` is None when it was refused; ``findings`` are all there are, in what is filed or not."""

    folder: Path | None
    findings: list[Finding]
    manifest: dict[str, Any] | None
    filing: Filing
    files: list[WrittenFile] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether nothing was filed."""
        return self.folder is None

    @property
    def quarantined(self) -> int:
        """How many loans were left out for errors."""
        return len(self.filing.quarantined)


def request_for(
    pack: Pack | str,
    portfolio: Portfolio,
    as_of: date,
    *,
    known_at: date | None = None,
    settings: Mapping[str, str] | None = None,
    made_at: datetime | None = None,
    need_settings: bool = True,
) -> FilingRequest:
    """A request with the settings worked out: given, else the institution's, else the defaults.

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
    zone = ZoneInfo(portfolio.institution.time_zone)
    return FilingRequest(chosen, portfolio, as_of, known_at, values, (made_at or _clock()).astimezone(zone))


def build(
    pack: Pack | str,
    portfolio: Portfolio,
    as_of: date,
    out: str | Path,
    *,
    known_at: date | None = None,
    settings: Mapping[str, str] | None = None,
    quarantine: bool = False,
    replace: bool = False,
    made_at: datetime | None = None,
    packing: Any = None,
) -> BuildResult:
    """Builds the filing of *portfolio* for *pack* into the folder *out*.

    Nothing stands at *out* unless the whole filing is good. Raises :class:`UnusableInput` when *out* exists and is not empty
    (unless *replace*: then it is swapped whole), or when pack, settings or date cannot be used.
    """
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise UnusableInput(f"{target} exists and is not a folder")
    if target.exists() and any(target.iterdir()) and not replace:
        raise UnusableInput(f"{target} exists and is not empty: choose another folder, or give --replace to swap it whole")
    request = request_for(pack, portfolio, as_of, known_at=known_at, settings=settings, made_at=made_at)
    everyone = work_out(portfolio, as_of, known_at)
    earlier = validate(portfolio, as_of, known_at, positions=everyone).findings
    filing = make_filing(request, earlier, quarantine=quarantine, everyone=everyone)
    findings = [*earlier, *filing.findings]
    blocking = filing.findings if quarantine else findings
    if has_errors(blocking) or (quarantine and _unplaced(earlier)):
        return BuildResult(None, findings, None, filing)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        return _write(filing, findings, work, target, packing)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _unplaced(findings: list[Finding]) -> bool:
    """Errors that no row can be named for (a table missing, a file that cannot be read): quarantine cannot help."""
    return any(f.severity == "error" and f.row is None and f.loan_id is None and not f.loans for f in findings)


def _write(filing: Filing, findings: list[Finding], work: Path, target: Path, packing: Any) -> BuildResult:
    request = filing.request
    files = write_files(request.pack, filing.records, work, request.settings, request.made_at)
    if not files:
        return BuildResult(None, [*findings, NOTHING.finding(pack=request.pack.id, as_of=request.as_of.isoformat())], None, filing)
    verdict = judge(request.pack, [(work / f.name, f.record) for f in files], constants(request), {})
    totals = control_totals(filing, verdict.records)
    book = reconciliation(filing)
    proof = [*(f for f in verdict.findings if f.severity == "error"), *same_records(filing.records, verdict.records), *totals_findings(totals, book)]
    if proof:
        return BuildResult(None, [*findings, *proof], None, filing)
    packed = _pack_files(packing, files, work)
    data = manifest(filing, files, work, totals, book, packed)
    (work / "findings.json").write_text(to_json([finding_as_dict(f) for f in findings]), encoding="utf-8")
    (work / "manifest.json").write_text(to_json(data), encoding="utf-8")
    _settle(work, target)
    return BuildResult(target, findings, data, filing, files)


def _pack_files(packing: Any, files: list[WrittenFile], work: Path) -> dict[str, str]:
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


def _clock() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
