"""Regimes as dated data: what one says, and the ones that come with the library.

A regime is one file in measures/regimes (or a user's own): who issued it, from when, how days are counted, its segments with bands by kind
of security, its categories, triggers, contagion, cures, and what the lender's own rating may do. :mod:`regime_file` reads and refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

CERTAINTIES = ("official", "secondary", "public_code", "knowledge", "knowledge_low")
BELOW_FIRST_BAND = "performing"
"""The category of a loan below the first band of a regime that states only its bad classes: performing, class not stated."""


class RefusedRegime(ValueError):
    """A regime, provision table, limit, warning or ratio file that cannot be relied on; the message names the file and the reason."""


@dataclass(frozen=True)
class Band:
    """What is counted (inclusive, by the regime's method) that makes a category; its rate, or the ends of a range, in percent.

    ``secured_pct`` is the rate of the part covered by collateral where the regime splits a balance; ``provision_pct`` that of the rest.
    ``certainty`` stands where it is not the segment's.
    """

    code: str
    start: int
    end: int | None
    provision_pct: Decimal | None = None
    provision_low: Decimal | None = None
    provision_high: Decimal | None = None
    secured_pct: Decimal | None = None
    certainty: str | None = None

    @property
    def text(self) -> str:
        """The band as read: ``31-60`` or ``over 180``."""
        return f"over {self.start - 1}" if self.end is None else f"{self.start}-{self.end}" if self.end != self.start else f"{self.start}"

    @property
    def rate(self) -> Decimal | None:
        """The rate to provide at: of a range, its upper end, so that no provision is too low."""
        return self.provision_pct if self.provision_pct is not None else self.provision_high


@dataclass(frozen=True)
class Security:
    """Bands for loans of some guarantee modes."""

    name: str
    guarantee_modes: tuple[str, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Segment:
    """Loans to which a set of bands applies; ``applies`` is SQL over the loan view. Dates bound it where bands changed under one name."""

    name: str
    applies: str
    certainty: str
    rate_certainty: str | None
    securities: tuple[Security, ...]
    effective_from: str | None = None
    effective_to: str | None = None

    def in_force(self, on: date) -> bool:
        """Whether the segment's bands hold on that day."""
        return within(on, self.effective_from, self.effective_to)


@dataclass(frozen=True)
class Category:
    """A category, from best to worst by ``rank``; ``npl`` is None where the regime does not say whether it is non-performing.

    ``provision_pct`` is the rate of a category that a judgement or event makes, without a band of its own.
    """

    code: str
    en: str
    local: str
    npl: bool | None
    rank: int
    provision_pct: Decimal | None = None


@dataclass(frozen=True)
class Trigger:
    """An event that puts a loan in a category at least; ``when`` is SQL over the loan view."""

    at_least: str
    when: str
    reason: str
    source: str
    certainty: str


@dataclass(frozen=True)
class Contagion:
    """How a person's other debts weigh on a loan.

    - ``worst_of_person``: the worst category among the person's loans here.
    - ``non_performing_share``: above ``above_pct`` of the debts here non-performing: all are at least ``at_least``.
    - ``overdue_share_everywhere``: above ``above_pct`` of the debts here and elsewhere overdue more than ``days_over`` days.
    - ``worst_elsewhere``: the worst category that other lenders report (external_debts.category), where it is one of the regime's.
    """

    kind: str
    applies: str
    reason: str
    source: str
    certainty: str
    above_pct: Decimal | None = None
    at_least: str | None = None
    days_over: int | None = None
    min_share_pct: Decimal | None = None


@dataclass(frozen=True)
class Cure:
    """A loan that stood in one of ``categories`` when last classified stays there until ``until`` (SQL over the loan view) holds."""

    categories: tuple[str, ...]
    until: str
    reason: str
    source: str
    certainty: str


@dataclass(frozen=True)
class Improvement:
    """Where a regime lets the lender's rating be better than the band: the categories, and when."""

    categories: tuple[str, ...]
    when: str
    reason: str
    source: str
    certainty: str


@dataclass(frozen=True)
class GeneralProvision:
    """A general provision beside the specific one: percent of ``base`` (SQL; ``provision_specific`` may be named) of some categories."""

    pct: Decimal
    base: str
    categories: tuple[str, ...]
    source: str
    certainty: str


@dataclass(frozen=True)
class Materiality:
    """Both thresholds that past-due money must exceed for its days to count: an amount (by product class) and a share of the exposure."""

    amount_retail: Decimal
    amount_other: Decimal
    currency_code: str
    share_pct: Decimal
    retail: str
    source: str


@dataclass(frozen=True)
class Setting:
    """A whole number of the regime that a user may set; ``default`` is ours."""

    name: str
    default: int
    value: int
    meaning: str


@dataclass(frozen=True)
class Regime:
    """A classification regime in force for a time."""

    id: str
    country: str
    en: str
    local: str | None
    source: str
    certainty: str
    rate_certainty: str | None
    instrument_certainty: str
    effective_from: str | None
    effective_to: str | None
    unit: str
    dpd_method: str
    days: str
    counts_in: str
    segments: tuple[Segment, ...]
    categories: tuple[Category, ...]
    triggers: tuple[Trigger, ...] = ()
    contagion: tuple[Contagion, ...] = ()
    cures: tuple[Cure, ...] = ()
    improvements: tuple[Improvement, ...] = ()
    special_mention: tuple[str, ...] = ()
    npa_by: tuple[str, ...] = ()
    npa_from: int | None = None
    provision_base: str | None = None
    provision_base_note: str | None = None
    general: GeneralProvision | None = None
    materiality: Materiality | None = None
    near_edge_days: int | None = None
    settings: tuple[Setting, ...] = ()
    note: str | None = None

    def category(self, code: str) -> Category:
        """The category with *code*; KeyError when the regime has none."""
        for c in self.categories:
            if c.code == code:
                return c
        raise KeyError(code)

    def in_force(self, on: date) -> bool:
        """Whether *on* lies within its dates; a partial date means its first day (from) or last day (to), an unknown one no bound."""
        return within(on, self.effective_from, self.effective_to)

    @property
    def has_own_rates(self) -> bool:
        """Whether its bands carry provision rates."""
        return any(b.rate is not None for s in self.segments for x in s.securities for b in x.bands)

    @property
    def marks_npl(self) -> bool:
        """Whether it says which categories are non-performing."""
        return any(c.npl for c in self.categories)

    def without_uncertain(self) -> Regime | None:
        """The regime without segments whose edges may be wrong (knowledge_low), which are for those who ask for them; None where none is left."""
        kept = tuple(s for s in self.segments if s.certainty != "knowledge_low")
        return replace(self, segments=kept) if kept and self.certainty != "knowledge_low" else None

    def counting_as_npl(self, codes: Iterable[str]) -> Regime:
        """The regime with categories that it leaves open counted as non-performing. ValueError for one that it does not leave open."""
        wanted = set(codes)
        closed = [c.code for c in self.categories if c.code in wanted and c.npl is not None]
        unknown = wanted - {c.code for c in self.categories}
        if unknown or closed:
            left = ", ".join(c.code for c in self.categories if c.npl is None) or "no category"
            raise ValueError(f"{self.id} leaves {left} open, not {', '.join(sorted(unknown) + closed)}")
        return replace(self, categories=tuple(replace(c, npl=True) if c.code in wanted else c for c in self.categories))


def within(on: date, start: str | None, end: str | None) -> bool:
    """Whether *on* lies between partial dates (2007, 2025-10, 2023-07-01), both inclusive; None is no bound."""
    return (start is None or first_day(start) <= on) and (end is None or on <= last_day(end))


def first_day(text: str) -> date:
    """The first day of a partial date."""
    parts = [int(p) for p in text.split("-")]
    return date(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1)


def last_day(text: str) -> date:
    """The last day of a partial date."""
    parts = [int(p) for p in text.split("-")]
    if len(parts) == 3:
        return date(*parts)
    year, month = (parts[0], parts[1]) if len(parts) == 2 else (parts[0], 12)
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def weaker(certainties: Iterable[str | None]) -> str:
    """The weakest of some marks of certainty."""
    return max((c for c in certainties if c), key=CERTAINTIES.index, default="official")


Settings = Mapping[str, int]
