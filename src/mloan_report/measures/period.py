"""Ratios of a period: flows between two dates, averages of stocks, and the lender's income and cost.

A figure of a period is one of figures.csv. The period runs from the end of the opening day to the end of the closing day. Amounts are summed
by currency in whole minor units; stocks convert at the rate of their own date, flows at the mean of the opening and closing rates; the result
names the rates. A ratio is divided once, in Decimal, and shown to 15 places; undefined is None with the reason.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from mloan_report.measures.data_folder import toml_files
from mloan_report.measures.defaults import first_defaults
from mloan_report.measures.exchange import rate_on
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.ratio import PLACES, Ratio, RatioValue
from mloan_report.measures.regime import CERTAINTIES, RefusedRegime
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.rounding import percent_of
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.position.position import Positions
from mloan_report.schedule.rounding import EXACT

OPENING_STOCKS = ("portfolio_opening", "overdue_principal_opening", "performing_opening_balance")
OFFICERS = "officers_average"
INCOME = ("interest_income", "fee_income", "operating_expense", "funding_expense", "impairment_expense")
AVERAGES = ("ends", "months")


@dataclass(frozen=True)
class Figure:
    """A figure of a period: kind is money, count or input; ``grouped`` whether it can be worked out by group."""

    name: str
    kind: str
    grouped: bool
    definition: str


@cache
def figures() -> dict[str, Figure]:
    """The figures there are (data: figures.csv)."""
    text = files("mloan_report.measures").joinpath("figures.csv").read_text(encoding="utf-8")
    return {r["name"]: Figure(r["name"], r["kind"], r["grouped"] == "yes", r["definition"]) for r in csv.DictReader(text.splitlines())}


@cache
def period_ratio_definitions() -> dict[str, Ratio]:
    """Every ratio of a period that comes with the library, by id."""
    found: dict[str, Ratio] = {}
    for name, data in toml_files("period_ratios"):
        for raw in data["ratio"]:
            ratio = parse_period_ratio(raw, name)
            if ratio.id in found:
                raise RefusedRegime(f"{name}: ratio {ratio.id} stands twice")
            found[ratio.id] = ratio
    return found


@dataclass(frozen=True)
class PeriodRatio(Ratio):
    """A ratio of a period; ``deflate`` names the input by which the value is made real."""

    deflate: str | None = None

    @property
    def formula(self) -> str:
        """The definition in words of the figures."""
        words = f"{_words(self.numerator)} / {_words(self.denominator)}"
        return f"({words} - {self.deflate}) / (1 + {self.deflate})" if self.deflate else words


def _words(spec: Mapping[str, Any]) -> str:
    if "product" in spec:
        return "(" + " x ".join(spec["product"]) + ")"
    plus, minus = " + ".join(spec["add"]), " - ".join(spec.get("subtract", []))
    text = f"{plus} - {minus}" if minus else plus
    return text if len(spec["add"]) + len(spec.get("subtract", [])) == 1 else f"({text})"


def parse_period_ratio(data: Mapping[str, Any], file: str) -> PeriodRatio:
    """A definition from its data; refused without titles, source, a known certainty, or with a figure that is none."""
    for name in ("id", "en", "zh", "numerator", "denominator", "source", "certainty"):
        if not data.get(name):
            raise RefusedRegime(f"{file}: {data.get('id', 'a ratio')}: {name} is missing")
    if data["certainty"] not in CERTAINTIES:
        raise RefusedRegime(f"{file}: {data['id']}: certainty {data['certainty']!r} is not known")
    for spec in (data["numerator"], data["denominator"]):
        for name in (*spec.get("add", ()), *spec.get("subtract", ()), *spec.get("product", ())):
            if name not in figures():
                raise RefusedRegime(f"{file}: {data['id']}: {name!r} is not a figure; there are {', '.join(figures())}")
    return PeriodRatio(
        data["id"],
        data["en"],
        data["zh"],
        data["numerator"],
        data["denominator"],
        (),
        data["source"],
        data["certainty"],
        data.get("note"),
        1,
        data.get("deflate"),
    )


def period_ratios(
    source: Source,
    opening: date,
    closing: date,
    known_at: date | None = None,
    *,
    by: Sequence[str] = (),
    only: Sequence[str] | None = None,
    average: str = "ends",
    inputs: Mapping[str, Decimal] | None = None,
    annualise: bool = False,
    jobs: int | None = 1,
) -> list[RatioValue]:
    """All ratios of the period from the end of *opening* to the end of *closing*.

    *average*: ``ends`` (opening + closing) / 2, or ``months`` over all month ends between. *inputs* by name of figures.csv. *annualise*
    multiplies flow ratios over an average stock by 365 / days. KeyError for a *by* that is no column; ValueError for dates or words that
    make no period.
    """
    if opening >= closing:
        raise ValueError(f"the opening {opening} is not before the closing {closing}")
    if average not in AVERAGES:
        raise ValueError(f"average {average} is not one of {', '.join(AVERAGES)}")
    unknown = [n for n in inputs or {} if figures().get(n, Figure("", "", False, "")).kind != "input"]
    if unknown:
        raise ValueError(f"there is no input {unknown[0]}; there are {', '.join(f.name for f in figures().values() if f.kind == 'input')}")
    points = _points(opening, closing) if average == "months" else [opening, closing]
    together = togetherness(source)
    work = _PeriodBucket(source, opening, closing, tuple(points), known_at, together, tuple(by))
    parts = list(over_buckets(source, work, range(source.count), jobs))
    sums = pl.concat([p[0] for p in parts]).group_by(*by, "figure", "on", "currency", maintain_order=True).agg(pl.col("value").sum())
    shared = pl.concat([p[1] for p in parts]).unique()
    period = _Period(source, opening, closing, tuple(points), tuple(by), sums, shared, dict(inputs or {}), annualise)
    wanted = [r for r in period_ratio_definitions().values() if only is None or r.id in only]
    return [period.value(r, key) for r in wanted for key in period.groups()]


def _points(opening: date, closing: date) -> list[date]:
    """The opening, every month end after it, and the closing."""
    out, day = [opening], opening
    while True:
        first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1) if (day + timedelta(days=1)).day == 1 else first - timedelta(days=1)
        if end >= closing:
            return [*out, closing]
        out.append(end)
        day = end


@dataclass(frozen=True)
class _PeriodBucket:
    source: Source
    opening: date
    closing: date
    points: tuple[date, ...]
    known_at: date | None
    together: Togetherness
    by: tuple[str, ...]

    def __call__(self, number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        book = self.source.bucket(number)
        worked = {day: work_out(book, day, self.known_at, history_months=0) for day in self.points}
        views = {day: self._view(book, positions) for day, positions in worked.items()}
        start, end = views[self.opening], views[self.closing]
        frames = [self._stock("portfolio", views[day], day) for day in self.points]
        frames += [self._amount("par_30_closing", end.filter(pl.col("days_past_due") > 30), "own_on_book_principal", self.closing)]
        frames += [self._amount("overdue_principal_opening", start, "overdue_principal", self.opening)]
        frames += self._differences(start, end)
        frames += self._collections(book, worked[self.closing], end)
        frames += self._defaults(book, worked, start)
        people = [self._people(views[day], day) for day in (self.opening, self.closing)]
        return pl.concat([*frames, *(lone for lone, _ in people)]), pl.concat([shared for _, shared in people])

    def _view(self, book: Portfolio, positions: Positions) -> pl.DataFrame:
        view = loan_view(book, positions, self.known_at)
        for column in self.by:
            if column not in view.columns:
                raise KeyError(column)
        return view.filter(~pl.col("loan_id").is_in(list(book.guest_loans))) if book.guest_loans else view

    def _rows(self, name: str, frame: pl.DataFrame, value: pl.Expr, on: date, currency: str | None = "currency_code") -> pl.DataFrame:
        code = pl.col(currency) if currency else pl.lit(None, pl.String)
        keyed = frame.with_columns(*[pl.col(c).cast(pl.String) for c in self.by], currency=code, value=value.fill_null(0).cast(pl.Int128))
        return keyed.group_by(*self.by, "currency").agg(pl.col("value").sum()).select(*self.by, "currency", "value", figure=pl.lit(name), on=pl.lit(on))

    def _amount(self, name: str, frame: pl.DataFrame, column: str, on: date) -> pl.DataFrame:
        return self._rows(name, frame, pl.col(column), on)

    def _stock(self, name: str, view: pl.DataFrame, on: date) -> pl.DataFrame:
        return self._amount(name, view.filter(pl.col("own_on_book_principal") > 0), "own_on_book_principal", on)

    def _differences(self, start: pl.DataFrame, end: pl.DataFrame) -> list[pl.DataFrame]:
        """Flows as differences of what had happened up to each end."""
        columns = {
            "written_off": "written_off_principal",
            "recovered": "recovered_after_write_off",
            "interest_received": "interest_paid",
            "fees_received": "fees_paid",
            "penalty_received": "penalty_paid",
            "principal_collected": "principal_paid",
        }
        before = start.select("loan_id", *[pl.col(c).alias(f"{c}_before") for c in columns.values()])
        both = end.join(before, on="loan_id", how="left")
        share = pl.col("own_share_pct")
        out = []
        for name, c in columns.items():
            change = pl.col(c).fill_null(0) - pl.col(f"{c}_before").fill_null(0)
            own = pl.when(share == 100 * 10**7).then(change).otherwise(percent_of(change, share)) if name in ("written_off", "recovered") else change
            out.append(self._rows(name, both, own, self.closing))
        own = pl.when(share == 100 * 10**7).then(pl.col("written_off_principal")).otherwise(percent_of(pl.col("written_off_principal"), share))
        out.append(self._rows("written_off_to_date", end, own, self.closing))
        out.append(self._amount("recovered_to_date", end, "recovered_after_write_off", self.closing))
        return out

    def _collections(self, book: Portfolio, positions: Positions, end: pl.DataFrame) -> list[pl.DataFrame]:
        """Principal due in the period, and what was collected of instalments not due by its end."""
        groups = end.select("loan_id", "currency_code", *[c for c in self.by if c != "currency_code"])
        items = positions.items.filter("is_instalment").join(groups, on="loan_id", how="inner")
        due = items.filter((pl.col("due_on") > self.opening) & (pl.col("due_on") <= self.closing))
        paid = items.group_by("loan_id").agg(scheduled=pl.col("principal_paid").filter(pl.col("due_on") <= self.closing).sum())
        last = end.select("loan_id", "principal_paid").join(paid, on="loan_id", how="left")
        last = last.with_columns(ahead=(pl.col("principal_paid") - pl.col("scheduled").fill_null(0)).clip(lower_bound=0))
        early = last.join(groups, on="loan_id", how="inner").join(self._ahead_at_opening(book), on="loan_id", how="left")
        ahead = (pl.col("ahead") - pl.col("ahead_before").fill_null(0)).clip(lower_bound=0)
        return [self._amount("principal_due", due, "principal", self.closing), self._rows("principal_prepaid", early, ahead, self.closing)]

    def _ahead_at_opening(self, book: Portfolio) -> pl.DataFrame:
        positions = work_out(book, self.opening, self.known_at, history_months=0)
        items = positions.items.filter("is_instalment")
        # Ahead of the closing, not of the opening: what was paid before for later dues is no prepayment of this period.
        paid = items.group_by("loan_id").agg(scheduled=pl.col("principal_paid").filter(pl.col("due_on") <= self.closing).sum())
        loans = positions.loans.select("loan_id", "principal_paid").join(paid, on="loan_id", how="left")
        return loans.select("loan_id", ahead_before=(pl.col("principal_paid") - pl.col("scheduled").fill_null(0)).clip(lower_bound=0))

    def _defaults(self, book: Portfolio, worked: Mapping[date, Positions], start: pl.DataFrame) -> list[pl.DataFrame]:
        before = first_defaults(worked[self.opening], book).select("loan_id")
        after = first_defaults(worked[self.closing], book).select("loan_id", "default_on")
        performing = start.filter(pl.col("own_on_book_principal") > 0).join(before, on="loan_id", how="anti")
        fell = performing.join(after.filter(pl.col("default_on") > self.opening), on="loan_id", how="semi")
        one = pl.lit(1, pl.Int64)
        return [
            self._amount("performing_opening_balance", performing, "own_on_book_principal", self.opening),
            self._amount("performing_defaulted_balance", fell, "own_on_book_principal", self.opening),
            self._rows("performing_opening_count", performing, one, self.opening, None),
            self._rows("performing_defaulted_count", fell, one, self.opening, None),
        ]

    def _people(self, view: pl.DataFrame, on: date) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Persons who have one borrower id, counted; those who have several, by name, so that another bucket does not count them again."""
        live = view.filter(pl.col("own_on_book_principal") > 0)
        live = live.with_columns(person=self.together.person_of(live["borrower_id"]))
        several = live["person"].is_in(self.together.people["root"].implode()) if live.height else pl.Series([], dtype=pl.Boolean)
        keys = [pl.col(c).cast(pl.String) for c in self.by]
        lone = live.filter(~several).select(*keys, "person").unique()
        counted = self._rows("borrowers", lone, pl.lit(1, pl.Int64), on, None)
        return counted, live.filter(several).select(*keys, "person", on=pl.lit(on)).unique()


@dataclass
class _Period:
    source: Source
    opening: date
    closing: date
    points: tuple[date, ...]
    by: tuple[str, ...]
    sums: pl.DataFrame
    shared: pl.DataFrame
    inputs: dict[str, Decimal]
    annualise: bool
    used: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = self.source.bucket(0)
        self.home = self.source.institution.currency_code

    def groups(self) -> list[tuple[str | None, ...]]:
        return self.sums.select(self.by).unique().sort(self.by, nulls_last=True).rows() if self.by else [()]

    def value(self, ratio: Ratio, key: tuple[str | None, ...]) -> RatioValue:
        self.used = {f"period {self.opening} to {self.closing}": None}
        if "portfolio_average" in (*ratio.numerator.get("add", ()), *ratio.denominator.get("add", ())):
            self.used[f"average over {len(self.points)} points"] = None
        group = dict(zip(self.by, key, strict=True))
        try:
            top, bottom = self._total(ratio.numerator, key), self._total(ratio.denominator, key)
            if bottom <= 0:
                why = "the denominator is 0" if bottom == 0 else "the denominator is negative"
                return RatioValue(ratio, self.closing, group, None, top, bottom, self._currency(ratio), why, tuple(self.used))
            exact = EXACT.divide(top, bottom)
            if self.annualise and "portfolio_average" in ratio.denominator.get("add", ()):
                days = (self.closing - self.opening).days
                exact = EXACT.divide(exact * 365, Decimal(days))
                self.used[f"annualised: x 365 / {days}"] = None
            if isinstance(ratio, PeriodRatio) and ratio.deflate:
                inflation = self._input(ratio.deflate)
                exact = EXACT.divide(exact - inflation, 1 + inflation)
        except _Missing as why:
            return RatioValue(ratio, self.closing, group, None, None, None, None, str(why), tuple(self.used))
        return RatioValue(ratio, self.closing, group, exact.quantize(PLACES, ROUND_HALF_UP, EXACT), top, bottom, self._currency(ratio), None, tuple(self.used))

    def _currency(self, ratio: Ratio) -> str | None:
        first = next(iter(ratio.numerator.get("add", ())))
        return self.home if figures()[first].kind == "money" else None

    def _total(self, spec: Mapping[str, Any], key: tuple[str | None, ...]) -> Decimal:
        if "product" in spec:
            out = Decimal(1)
            for name in spec["product"]:
                out = EXACT.multiply(out, self._figure(name, key))
            return out
        plus = sum((self._figure(n, key) for n in spec["add"]), Decimal(0))
        return plus - sum((self._figure(n, key) for n in spec.get("subtract", ())), Decimal(0))

    def _figure(self, name: str, key: tuple[str | None, ...]) -> Decimal:
        figure = figures()[name]
        if figure.kind == "input":
            return self._input(name)
        if key and not figure.grouped:
            raise _Missing("a figure of the whole institution has no groups")
        if name in INCOME:
            return self._income(name)
        if name == OFFICERS:
            return (self._financial("credit_officers", self.opening) + self._financial("credit_officers", self.closing)) / 2
        if name == "portfolio_average":
            return EXACT.divide(sum((self._sum("portfolio", key, d) for d in self.points), Decimal(0)), Decimal(len(self.points)))
        if name.startswith("portfolio_"):
            return self._sum("portfolio", key, self.opening if name.endswith("opening") else self.closing)
        if name == "borrowers_average":
            return (self._people(key, self.opening) + self._people(key, self.closing)) / 2
        if name.startswith("borrowers_"):
            return self._people(key, self.opening if name.endswith("opening") else self.closing)
        return self._sum(name, key, None)

    def _sum(self, name: str, key: tuple[str | None, ...], on: date | None) -> Decimal:
        rows = self.sums.filter(pl.col("figure") == name)
        rows = rows.filter(pl.col("on") == on) if on is not None else rows
        for column, value in zip(self.by, key, strict=True):
            rows = rows.filter(pl.col(column).eq_missing(pl.lit(value)))
        total = Decimal(0)
        for code, day, value in rows.select("currency", "on", "value").rows():
            if code is None:
                total += value
                continue
            flow = on is None and day == self.closing and not name.endswith(("_closing", "_to_date"))
            total += EXACT.multiply(from_minor(value, minor_digits(code)), self._mean_rate(code) if flow else self._rate(code, day))
        return total

    def _people(self, key: tuple[str | None, ...], on: date) -> Decimal:
        rows = self.shared.filter(pl.col("on") == on)
        for column, value in zip(self.by, key, strict=True):
            rows = rows.filter(pl.col(column).eq_missing(pl.lit(value)))
        return self._sum("borrowers", key, on) + rows.height

    def _rate(self, code: str, on: date) -> Decimal:
        rate = rate_on(self.book, code, self.home, on)
        if rate is None:
            raise _Missing(f"no exchange rate from {code} to {self.home} on or before {on}")
        if code != self.home:
            self.used[f"{code}/{self.home} {rate:f} on {on}"] = None
        return rate

    def _mean_rate(self, code: str) -> Decimal:
        return Decimal(1) if code == self.home else (self._rate(code, self.opening) + self._rate(code, self.closing)) / 2

    def _input(self, name: str) -> Decimal:
        if name not in self.inputs:
            raise _Missing(f"needs the input {name}")
        self.used[f"{name} = {self.inputs[name]:f}"] = None
        return self.inputs[name]

    def _income(self, column: str) -> Decimal:
        """Figures of income and cost run from 1 January: the period's are the closing's less the opening's of the same year."""
        if self.opening == date(self.closing.year - 1, 12, 31):
            return self._financial(column, self.closing)
        if self.opening.year == self.closing.year:
            return self._financial(column, self.closing) - self._financial(column, self.opening)
        if self.closing.year - self.opening.year == 1:
            year_end = self._financial(column, date(self.opening.year, 12, 31))
            return self._financial(column, self.closing) + year_end - self._financial(column, self.opening)
        raise _Missing("income and cost over more than two calendar years are not added up")

    def _financial(self, column: str, on: date) -> Decimal:
        rows = self.book.table("financials").filter((pl.col("as_of") == on) & pl.col(column).is_not_null() & (pl.col("scope").fill_null("solo") == "solo"))
        if rows.height == 0:
            raise _Missing(f"financials has no {column} of {on}")
        if column == "credit_officers":
            return Decimal(int(rows[column][-1]))
        code = rows["currency_code"][-1]
        return EXACT.multiply(from_minor(rows[column][-1], minor_digits(code)), self._rate(code, on))


class _Missing(Exception):
    """An input that is not there: the ratio is undefined for this reason."""
