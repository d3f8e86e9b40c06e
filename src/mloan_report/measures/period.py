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

from mloan_report.measures.data_files import definitions, one_of, require
from mloan_report.measures.defaults import first_defaults
from mloan_report.measures.exchange import rate_on
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.ratio import PLACES, WHOLE_DEFINITION, Ratio, RatioValue
from mloan_report.measures.regime import RefusedRegime
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.position.position import Positions
from mloan_report.schedule.rounding import EXACT

AVERAGES = ("ends", "months")
EVENTS = ("opening", "closing", "average", "flow", "to_date", "due", "average_of_financials", "year_to_date", "given")


@dataclass(frozen=True)
class Figure:
    """A figure of a period: kind is money, count or input; ``grouped`` whether it can be worked out by group.

    ``at``: a sum at the opening, the closing or their average; a flow (closing less opening of a figure that only grows); to_date; due in
    the period; of financials, averaged or since 1 January; or given. ``value`` and ``where`` are SQL over the loan view, ``persons``, or a
    column of financials.
    """

    name: str
    kind: str
    grouped: bool
    at: str
    value: str
    where: str
    definition: str


@cache
def figures() -> dict[str, Figure]:
    """The figures there are (data: figures.csv)."""
    text = files("mloan_report.measures").joinpath("figures.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {r["name"]: _figure(r) for r in rows}


def _figure(row: Mapping[str, str]) -> Figure:
    at = one_of(row["at"], EVENTS, f"figures.csv: {row['name']}: at")
    return Figure(row["name"], row["kind"], row["grouped"] == "yes", at, row["value"], row["where"], row["definition"])


@cache
def period_ratio_definitions() -> dict[str, PeriodRatio]:
    """Every ratio of a period that comes with the library, by id."""
    return definitions("period_ratios", "ratio", parse_period_ratio)


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
    where = f"{file}: ratio {data.get('id', '?')}"
    require(data, WHOLE_DEFINITION, where)
    require(data["numerator"], ("add",), f"{where}: numerator")
    for spec in (data["numerator"], data["denominator"]):
        for name in (*spec.get("add", ()), *spec.get("subtract", ()), *spec.get("product", ())):
            if name not in figures():
                raise RefusedRegime(f"{where}: {name!r} is not a figure; there are {', '.join(figures())}")
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
    given = [f.name for f in figures().values() if f.kind == "input"]
    if unknown := set(inputs or {}) - set(given):
        raise ValueError(f"there is no input {sorted(unknown)[0]}; there are {', '.join(given)}")
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
        ends = {day: work_out(book, day, self.known_at, history_months=0) for day in (self.opening, self.closing)}
        start, end = (self._view(book, ends[day]) for day in (self.opening, self.closing))
        start = self._with_default(start, book, ends)
        start, end = self._with_ahead(start, ends[self.opening]), self._with_ahead(end, ends[self.closing])
        between = [day for day in self.points if day not in ends]
        stocks = {self.opening: start, self.closing: end} | {day: self._view(book, work_out(book, day, self.known_at, history_months=0)) for day in between}
        before = self._shares_of(start, end)
        frames = []
        for f in figures().values():
            if f.value == "persons" or f.at in ("average_of_financials", "year_to_date", "given"):
                continue
            if f.at in ("opening", "closing"):
                frames.append(self._sums(f, start if f.at == "opening" else end, self.opening if f.at == "opening" else self.closing))
            elif f.at == "average":
                frames += [self._sums(f, stocks[day], day) for day in self.points]
            elif f.at == "to_date":
                frames.append(self._sums(f, end, self.closing))
            elif f.at == "flow":
                frames += [self._sums(f, end, self.closing), self._sums(f, before, self.closing, sign=-1)]
            else:
                frames.append(self._sums(f, self._due(ends[self.closing], end), self.closing))
        people = [self._people(view, day) for view, day in ((start, self.opening), (end, self.closing))]
        return pl.concat([*frames, *(lone for lone, _ in people)]), pl.concat([shared for _, shared in people])

    def _view(self, book: Portfolio, positions: Positions) -> pl.DataFrame:
        view = loan_view(book, positions, self.known_at)
        for column in self.by:
            if column not in view.columns:
                raise KeyError(column)
        return view.filter(~pl.col("loan_id").is_in(list(book.guest_loans))) if book.guest_loans else view

    def _sums(self, f: Figure, frame: pl.DataFrame, on: date, sign: int = 1) -> pl.DataFrame:
        """The figure's sums by group and currency (a count has none)."""
        rows = frame.filter(condition(frame, f.where).fill_null(False)) if f.where else frame
        value = pl.lit(1) if f.value == "1" else pl.lit(evaluate_one(rows, compile_sql(f.value, rows.columns)))
        code = pl.col("currency_code") if f.kind == "money" else pl.lit(None, pl.String)
        return self._grouped(f.name, rows, value.fill_null(0).cast(pl.Int128) * pl.lit(sign, pl.Int64), code, on)

    def _grouped(self, name: str, rows: pl.DataFrame, value: pl.Expr, code: pl.Expr, on: date) -> pl.DataFrame:
        keyed = rows.with_columns(*[pl.col(c).cast(pl.String) for c in self.by], currency=code, value=value.cast(pl.Int128))
        return keyed.group_by(*self.by, "currency").agg(pl.col("value").sum()).select(*self.by, "currency", "value", figure=pl.lit(name), on=pl.lit(on))

    def _shares_of(self, start: pl.DataFrame, end: pl.DataFrame) -> pl.DataFrame:
        """The opening's figures with the closing's share and groups, so that a flow is what moved and not what was sold or regrouped."""
        kept = ["loan_id", "own_share_pct", *self.by]
        return start.drop([c for c in dict.fromkeys(kept) if c != "loan_id"]).join(
            end.select(list(dict.fromkeys(kept))), on="loan_id", how="inner", maintain_order="left"
        )

    def _with_default(self, start: pl.DataFrame, book: Portfolio, ends: Mapping[date, Positions]) -> pl.DataFrame:
        """in_default at the opening, and whether a loan defaults by the closing."""
        fell = first_defaults(ends[self.closing], book).filter(pl.col("default_on") > self.opening)["loan_id"]
        was = first_defaults(ends[self.opening], book)["loan_id"]
        return start.with_columns(in_default=pl.col("loan_id").is_in(was.implode()), defaults_by_closing=pl.col("loan_id").is_in(fell.implode()))

    def _with_ahead(self, view: pl.DataFrame, positions: Positions) -> pl.DataFrame:
        """principal_paid_ahead: what is paid of instalments that fall due after the closing."""
        items = positions.items.filter(pl.col("is_instalment") & (pl.col("due_on") <= self.closing))
        scheduled = items.group_by("loan_id").agg(_scheduled=pl.col("principal_paid").sum())
        ahead = (pl.col("principal_paid") - pl.col("_scheduled").fill_null(0)).clip(lower_bound=0)
        return view.join(scheduled, on="loan_id", how="left", maintain_order="left").with_columns(principal_paid_ahead=ahead).drop("_scheduled")

    def _due(self, positions: Positions, end: pl.DataFrame) -> pl.DataFrame:
        """Instalments of the period, with the groups and shares of their loans."""
        columns = list(dict.fromkeys(["loan_id", "currency_code", "own_share_pct", *self.by]))
        items = positions.items.filter(pl.col("is_instalment") & (pl.col("due_on") > self.opening) & (pl.col("due_on") <= self.closing))
        return items.select("loan_id", "principal").join(end.select(columns), on="loan_id", how="inner")

    def _people(self, view: pl.DataFrame, on: date) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Persons who have one borrower id, counted; those who have several, by name, so that another bucket does not count them again."""
        live = view.filter(pl.col("own_on_book_principal") > 0)
        live = live.with_columns(person=self.together.person_of(live["borrower_id"]))
        several = live["person"].is_in(self.together.people["root"].implode()) if live.height else pl.Series([], dtype=pl.Boolean)
        keys = [pl.col(c).cast(pl.String) for c in self.by]
        lone = live.filter(~several).select(*keys, "person").unique()
        counted = self._grouped("persons", lone, pl.lit(1), pl.lit(None, pl.String), on)
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
        ends = {"opening": [self.opening], "average": [self.opening, self.closing]}.get(figure.at, [self.closing])
        if figure.at == "year_to_date":
            return self._income(figure.value)
        if figure.at == "average_of_financials":
            return (self._financial(figure.value, self.opening) + self._financial(figure.value, self.closing)) / 2
        if figure.value == "persons":
            return EXACT.divide(sum((self._people(key, day) for day in ends), Decimal(0)), Decimal(len(ends)))
        if figure.at == "average":
            return EXACT.divide(self._sum(figure, key), Decimal(len(self.points)))
        return self._sum(figure, key)

    def _sum(self, figure: Figure, key: tuple[str | None, ...]) -> Decimal:
        """The figure's sums in the institution's currency: a flow at the mean rate of the period, anything else at that of its day."""
        total = Decimal(0)
        for code, day, value in self._of_group(self.sums.filter(pl.col("figure") == figure.name), key).select("currency", "on", "value").rows():
            if code is None:
                total += value
                continue
            rate = self._mean_rate(code) if figure.at in ("flow", "due") else self._rate(code, day)
            total += EXACT.multiply(from_minor(value, minor_digits(code)), rate)
        return total

    def _of_group(self, rows: pl.DataFrame, key: tuple[str | None, ...]) -> pl.DataFrame:
        for column, value in zip(self.by, key, strict=True):
            rows = rows.filter(pl.col(column).eq_missing(pl.lit(value)))
        return rows

    def _people(self, key: tuple[str | None, ...], on: date) -> Decimal:
        lone = self._of_group(self.sums.filter((pl.col("figure") == "persons") & (pl.col("on") == on)), key)["value"].sum()
        return Decimal(int(lone)) + self._of_group(self.shared.filter(pl.col("on") == on), key).height

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
