"""One portfolio filed to every installed pack: what could be filed, and for each pack what the data lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from mloan_report.filing.building import BuildResult, build
from mloan_report.filing.gap_report import GapReport, gaps
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import UnusableInput
from mloan_report.portfolio.buckets import Source


@dataclass(frozen=True)
class Outcome:
    """What came of one pack: the filing (None where it could not be asked for), the gaps, or the reason in words."""

    pack: str
    result: BuildResult | None
    gaps: GapReport | None
    reason: str | None

    @property
    def filed(self) -> bool:
        """Whether there is a filing."""
        return self.result is not None and not self.result.refused

    def as_dict(self) -> dict[str, Any]:
        """Plain data: loans filed, left out and out of scope, the gaps, and why nothing was filed where nothing was."""
        out: dict[str, Any] = {"pack": self.pack, "filed": self.filed, "reason": self.reason}
        if self.result is not None and self.result.manifest is not None:
            book = self.result.manifest["loans"]
            out["loans"] = {k: book[k] for k in ("loans_given", "loans_filed", "loans_quarantined", "loans_out_of_scope", "out_of_scope_reasons")}
            out["files"] = [f.name for f in self.result.files]
        if self.gaps is not None:
            out["gaps"] = [g.as_dict() for g in self.gaps.gaps]
            out["settings_missing"] = dict(self.gaps.settings)
            out["unmapped"] = dict(self.gaps.unmapped)
        return out


def file_everywhere(
    portfolio: Source,
    as_of: date,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, str]] | None = None,
    made_at: datetime | None = None,
    jobs: int | None = 1,
) -> list[Outcome]:
    """Files *portfolio* to every installed pack (or those named in *only*), each into its folder of *out*, loans with errors left out.

    *settings* are by pack, before those of the institution. No pack stops another: what cannot be filed has its reason, and each has its gaps.
    """
    chosen = [p for p in packs().values() if not only or p.id in only]
    return [_one(p, portfolio, as_of, Path(out) / p.id, dict((settings or {}).get(p.id, {})), made_at, jobs) for p in chosen]


def _one(pack: Pack, portfolio: Source, as_of: date, out: Path, settings: dict[str, str], made_at: datetime | None, jobs: int | None) -> Outcome:
    try:
        lacks = gaps(pack, portfolio, as_of, settings, jobs=jobs)
    except UnusableInput as error:
        return Outcome(pack.id, None, None, str(error))
    try:
        result = build(pack, portfolio, as_of, out, settings=settings, quarantine=True, made_at=made_at, jobs=jobs)
    except UnusableInput as error:
        return Outcome(pack.id, None, lacks, str(error))
    if not result.refused:
        return Outcome(pack.id, result, lacks, None)
    errors = [f for f in result.findings if f.severity == "error"]
    return Outcome(pack.id, result, lacks, f"{len(errors)} error findings, the first: {errors[0].message}" if errors else "refused")
