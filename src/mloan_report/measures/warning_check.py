"""Early warnings on a book: what moved, from what to what, and which loans moved it; and the advice on reporting that follows.

Values are compared unrounded. A ratio that is undefined, now or before, is "not computable" with its reason: it never passes silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.measures.book import ratios_of_book
from mloan_report.measures.classify import classify
from mloan_report.measures.exchange import money_of
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.period import period_ratio_definitions, period_ratios
from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.ratio import RatioValue, ratio_definitions, with_measures
from mloan_report.measures.regime import Regime
from mloan_report.measures.warning import SEVERITIES, Advice, EarlyWarning, WarningSet
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.sql import condition
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule.dates import add_months
from mloan_report.schedule.rounding import EXACT

HISTORY = 12
PERIODS = ("week", "month", "quarter")
TOLD = 10
Group = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Mover:
    """A loan in the figure: its amount in the institution's currency, and whether it was in it a period before."""

    loan_id: str
    amount: Decimal
    is_new: bool


@dataclass(frozen=True)
class WarningResult:
    """A threshold on a date and group: status fired, quiet or not_computable. ``moved`` is what was compared with the level."""

    warning: EarlyWarning
    as_of: date
    group: Mapping[str, str | None]
    status: str
    value: Decimal | None
    before: Decimal | None
    before_on: date | None
    moved: Decimal | None
    reason: str | None = None
    movers: tuple[Mover, ...] = ()

    @property
    def text(self) -> str:
        """The warning in one line: what moved, from what to what."""
        where = " ".join(f"{k}={v or '(none)'}" for k, v in self.group.items())
        place = f" [{where}]" if where else ""
        if self.status == "not_computable":
            return f"{self.warning.id}{place}: not computable: {self.reason}"
        change = "" if self.before is None else f" from {self.before:.4f} on {self.before_on}"
        moved = f"{self.warning.test} {self.moved:.4f}, level {self.warning.level:f}"
        return f"{self.warning.id}{place}: {self.warning.en}: {self.warning.ratio}{change} to {self.value:.4f}; {moved}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text."""

        def text(value: Decimal | None) -> str | None:
            return None if value is None else format(value, "f")

        w = self.warning
        return {
            "id": w.id,
            "title": w.en,
            "title_zh": w.zh,
            "ratio": w.ratio,
            "as_of": self.as_of.isoformat(),
            "group": dict(self.group),
            "status": self.status,
            "severity": w.severity,
            "test": w.test,
            "level": text(w.level),
            "value": text(self.value),
            "before": text(self.before),
            "before_on": self.before_on.isoformat() if self.before_on else None,
            "moved": text(self.moved),
            "reason": self.reason,
            "loans": [{"loan_id": m.loan_id, "amount": text(m.amount), "new": m.is_new} for m in self.movers],
            "source": w.source,
            "certainty": w.certainty,
        }


@dataclass(frozen=True)
class Advised:
    """An advice that applies: what to do about reporting, by when, and which warnings ask for it."""

    advice: Advice
    due_on: date
    because: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a calendar."""
        a = self.advice
        return {"action": a.action, "title": a.en, "title_zh": a.zh, "due_on": self.due_on.isoformat(), "because": list(self.because), "source": a.source}


@dataclass
class Warned:
    """Everything a set says of a date: results, advice, and how many groups were too small to be judged."""

    results: list[WarningResult]
    advice: list[Advised]
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def fired(self) -> list[WarningResult]:
        """The results that fired, worst first."""
        return sorted((r for r in self.results if r.status == "fired"), key=lambda r: -SEVERITIES.index(r.warning.severity))


def check_warnings(
    source: Source,
    as_of: date,
    rules: WarningSet,
    known_at: date | None = None,
    *,
    regime: Regime | None = None,
    provisions: ProvisionTable | None = None,
    period: str = "month",
    jobs: int | None = 1,
) -> Warned:
    """Every warning of *rules* on *as_of*, against the period before and up to 12 before that. KeyError for a grouping that is no column."""
    if period not in PERIODS:
        raise ValueError(f"period {period} is not one of {', '.join(PERIODS)}")
    history: dict[tuple[str, ...], dict[date, dict[str, dict[Group, RatioValue]]]] = {}
    for by in sorted({w.by for w in rules.warnings}):
        mine = [w for w in rules.warnings if w.by == by]
        far = HISTORY if any(w.test == "deviations" for w in mine) else 1 if any(w.test.startswith("change") for w in mine) else 0
        only = sorted({w.ratio for w in mine})
        history[by] = {}
        for day in _days(as_of, period, far):
            of_date = ratios_of_book(source, day, regime, provisions, known_at, by, [r for r in only if r in ratio_definitions()], jobs=jobs)
            asked = [r for r in only if r in period_ratio_definitions()]
            opening = _days(day, period, 1)[1]
            of_period = period_ratios(source, opening, day, known_at, by=by, only=asked, jobs=jobs) if asked else []
            history[by][day] = _by_group([*of_date, *of_period])
    warned = Warned([], [])
    for w in rules.warnings:
        for group, now in history[w.by][as_of].get(w.ratio, {}).items():
            if w.min_share and (share := _share(w, group, history[w.by][as_of])) is not None and share < w.min_share:
                warned.passed_over[w.id] = warned.passed_over.get(w.id, 0) + 1
                continue
            warned.results.append(_judged(w, group, now, history[w.by], as_of, period))
    warned.results = _with_movers(warned.results, source, as_of, _days(as_of, period, 1)[1], known_at, regime, provisions, jobs)
    warned.advice = _advised(rules, warned.fired, as_of)
    return warned


def _days(as_of: date, period: str, count: int) -> list[date]:
    """as_of and the ends of *count* periods before it; a month end stays one."""
    at_end = (as_of + timedelta(days=1)).day == 1
    if period == "week":
        return [as_of - timedelta(weeks=k) for k in range(count + 1)]
    step = 1 if period == "month" else 3
    return [add_months(as_of, -step * k, 31 if at_end else None) for k in range(count + 1)]


def _by_group(values: Sequence[RatioValue]) -> dict[str, dict[Group, RatioValue]]:
    out: dict[str, dict[Group, RatioValue]] = {}
    for v in values:
        out.setdefault(v.ratio.id, {})[tuple(v.group.items())] = v
    return out


def _share(w: EarlyWarning, group: Group, now: Mapping[str, dict[Group, RatioValue]]) -> Decimal | None:
    """The group's part of the ratio's denominator over all groups."""
    bottoms = {g: v.denominator or Decimal(0) for g, v in now[w.ratio].items()}
    whole = sum(bottoms.values(), Decimal(0))
    return EXACT.divide(bottoms[group], whole) if whole > 0 else None


def _judged(w: EarlyWarning, group: Group, now: RatioValue, history: Mapping[date, Any], as_of: date, period: str) -> WarningResult:
    days = [d for d in sorted(history, reverse=True) if d < as_of]
    earlier = [history[d].get(w.ratio, {}).get(group) for d in days]
    before = _exact(earlier[0]) if earlier else None
    before_on = days[0] if days else None

    def result(status: str, moved: Decimal | None, reason: str | None = None) -> WarningResult:
        return WarningResult(w, as_of, dict(group), status, value, before, before_on if before is not None else None, moved, reason)

    value = _exact(now)
    if value is None:
        return result("not_computable", None, now.reason or "undefined")
    if w.test in ("above", "below"):
        fired = value > w.level if w.test == "above" else value < w.level
        return result("fired" if fired else "quiet", value)
    sign = -1 if w.falls else 1
    if w.test == "deviations":
        known = [x for x in map(_exact, earlier[:HISTORY]) if x is not None]
        if len(known) < w.min_periods:
            return result("not_computable", None, f"{len(known)} earlier periods have a value, {w.min_periods} are needed")
        mean = EXACT.divide(sum(known, Decimal(0)), Decimal(len(known)))
        spread = EXACT.sqrt(EXACT.divide(sum(((x - mean) ** 2 for x in known), Decimal(0)), Decimal(len(known) - 1)))
        if spread == 0:
            if value == mean:
                return result("quiet", Decimal(0))
            return result("not_computable", None, "the earlier periods are all alike: there is no deviation to measure by")
        moved = EXACT.divide((value - mean) * sign, spread)
        return result("fired" if moved > w.level else "quiet", moved)
    if before is None:
        why = (earlier[0].reason if earlier and earlier[0] is not None else None) or "the group had no loans"
        return result("not_computable", None, f"no value a {period} before: {why}")
    if w.test == "change_percent":
        if before == 0:
            return result("not_computable", None, "the value before is 0: a change in percent is undefined") if value else result("quiet", Decimal(0))
        moved = EXACT.divide((value - before) * sign, before)
    else:
        moved = (value - before) * sign
    return result("fired" if moved > w.level else "quiet", moved)


def _exact(value: RatioValue | None) -> Decimal | None:
    if value is None or value.value is None or value.numerator is None or not value.denominator:
        return None
    return EXACT.divide(value.numerator * value.ratio.scale, value.denominator)


def _advised(rules: WarningSet, fired: Sequence[WarningResult], as_of: date) -> list[Advised]:
    out = []
    for advice in rules.advice:
        grave = [r for r in fired if SEVERITIES.index(r.warning.severity) >= SEVERITIES.index(advice.severity)]
        if len(grave) >= advice.count:
            out.append(Advised(advice, as_of + timedelta(days=advice.due_days), tuple(sorted({r.warning.id for r in grave}))))
    return out


def _with_movers(
    results: list[WarningResult],
    source: Source,
    as_of: date,
    before: date,
    known_at: date | None,
    regime: Regime | None,
    provisions: ProvisionTable | None,
    jobs: int | None,
) -> list[WarningResult]:
    """The largest loans in the figures that fired, those that were not in them a period before first."""
    asked = tuple((i, r.warning.ratio, tuple(r.group.items())) for i, r in enumerate(results) if r.status == "fired" and _of_loans(r.warning.ratio))
    if not asked:
        return results
    work = _MoverBucket(source, as_of, before, known_at, regime, provisions, togetherness(source), asked)
    rows = pl.concat(list(over_buckets(source, work, range(source.count), jobs)))
    book, home, found = source.bucket(0), source.institution.currency_code, list(results)
    for i, _, _ in asked:
        mine = rows.filter(pl.col("result") == i)
        movers = []
        for loan, code, minor, was in mine.select("loan_id", "currency_code", "amount", "was").rows():
            movers.append(Mover(loan, money_of(book, minor, code, home, as_of), not was))
        movers.sort(key=lambda m: (not m.is_new, -m.amount, m.loan_id))
        r = found[i]
        found[i] = WarningResult(r.warning, r.as_of, r.group, r.status, r.value, r.before, r.before_on, r.moved, r.reason, tuple(movers[:TOLD]))
    return found


def _of_loans(ratio_id: str) -> bool:
    """Whether the numerator is a sum over the loans of a date, so that some of them make it."""
    ratio = ratio_definitions().get(ratio_id)
    return ratio is not None and bool({"sum", "count", "largest"} & set(ratio.numerator))


@dataclass(frozen=True)
class _MoverBucket:
    source: Source
    as_of: date
    before: date
    known_at: date | None
    regime: Regime | None
    provisions: ProvisionTable | None
    together: Togetherness
    asked: tuple[tuple[int, str, Group], ...]

    def __call__(self, number: int) -> pl.DataFrame:
        now, then = self._at(number, self.as_of), self._at(number, self.before)
        out = []
        for i, ratio_id, group in self.asked:
            spec = ratio_definitions()[ratio_id].numerator
            rows, earlier = (self._in_figure(frame, spec, group) for frame in (now, then))
            amount = next((spec[v] for v in ("sum", "largest") if v in spec), "own_on_book_principal")
            top = rows.with_columns(was=pl.col("loan_id").is_in(earlier["loan_id"].implode())).sort(pl.col("was"), pl.col(amount), descending=[False, True])
            out.append(top.head(TOLD).select("loan_id", "currency_code", "was", amount=pl.col(amount).fill_null(0).cast(pl.Int64), result=pl.lit(i)))
        return pl.concat(out)

    def _at(self, number: int, day: date) -> pl.DataFrame:
        book = self.source.bucket(number)
        positions = work_out(book, day, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        classified = classify(view, self.regime, book, self.provisions, positions=positions, known_at=self.known_at) if self.regime else None
        return with_measures(view, book, self.together, classified)

    def _in_figure(self, frame: pl.DataFrame, spec: Mapping[str, Any], group: Group) -> pl.DataFrame:
        rows = frame.filter(condition(frame, spec["where"]).fill_null(False)) if "where" in spec else frame
        for column, value in group:
            rows = rows.filter(pl.col(column).cast(pl.String).eq_missing(pl.lit(value)))
        return rows
