"""Ratios of one date: definitions as data, sums in integers, one division at the end.

A ratio file has ``[[ratio]]`` tables: id, titles, numerator, denominator (a sum, a count, the largest of a grouping, squares,
or a figure of the lender's financials), what it needs, source and certainty. Sums are taken by currency in 128-bit integers
and converted at the closing rate of the date; the division is in Decimal with 40 digits; a value is shown rounded half up to
15 places. Undefined is None with the reason, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Any

import polars as pl

from mloan_report.measures.classify import Classified
from mloan_report.measures.data_files import definitions, require
from mloan_report.measures.exchange import rate_on
from mloan_report.measures.grouping import Togetherness, togetherness
from mloan_report.measures.regime import Regime
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.rounding import percent_of
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one

_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
PLACES = Decimal(1).scaleb(-15)
WHOLE_DEFINITION = ("id", "en", "zh", "numerator", "denominator", "source", "certainty")
_WIDEST = 2**127
"""What a sum of squares must stay below to be taken in 128 bits."""
WHOLE: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Ratio:
    """A definition."""

    id: str
    en: str
    zh: str
    numerator: Mapping[str, Any]
    denominator: Mapping[str, Any]
    needs: tuple[str, ...]
    source: str
    certainty: str
    note: str | None
    scale: int = 1

    @property
    def formula(self) -> str:
        """The definition in words of the data."""
        times = f" x {self.scale}" if self.scale != 1 else ""
        return f"{_words(self.numerator)} / {_words(self.denominator)}{times}"


@dataclass(frozen=True)
class RatioValue:
    """A ratio of a date, for the book or one group of it. ``value`` is None where it is undefined, and ``reason`` says why.

    Numerator and denominator are in major units of ``currency`` (counts and squared sums have none).
    """

    ratio: Ratio
    as_of: date
    group: Mapping[str, str | None]
    value: Decimal | None
    numerator: Decimal | None
    denominator: Decimal | None
    currency: str | None
    reason: str | None = None
    warnings: tuple[str, ...] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text, exact."""
        return {
            "id": self.ratio.id,
            "title": self.ratio.en,
            "title_zh": self.ratio.zh,
            "as_of": self.as_of.isoformat(),
            "group": dict(self.group),
            "value": None if self.value is None else format(self.value, "f"),
            "numerator": None if self.numerator is None else format(self.numerator, "f"),
            "denominator": None if self.denominator is None else format(self.denominator, "f"),
            "currency": self.currency,
            "definition": self.ratio.formula,
            "source": self.ratio.source,
            "certainty": self.ratio.certainty,
            "reason": self.reason,
            "warnings": list(self.warnings),
        }


@cache
def ratio_definitions() -> dict[str, Ratio]:
    """Every ratio that comes with the library, by id."""
    return definitions("ratios", "ratio", parse_ratio)


def parse_ratio(data: Mapping[str, Any], file: str) -> Ratio:
    """A definition from its data; refused without titles, source or a known certainty."""
    require(data, WHOLE_DEFINITION, f"{file}: ratio {data.get('id', '?')}")
    return Ratio(
        data["id"],
        data["en"],
        data["zh"],
        data["numerator"],
        data["denominator"],
        tuple(data.get("needs", ())),
        data["source"],
        data["certainty"],
        data.get("note"),
        data.get("scale", 1),
    )


def ratios(
    view: pl.DataFrame,
    portfolio: Portfolio,
    as_of: date,
    classified: Classified | None = None,
    by: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> list[RatioValue]:
    """All ratios of one date over the loans on the books, for the whole book or for each group of *by* columns.

    *by* names columns of the loan view; KeyError when there is none of that name.
    """
    regime = classified.regime if classified else None
    sums = ratio_sums(view, portfolio, togetherness(portfolio), regime, classified, by, only)
    return ratios_of_sums(sums, portfolio, as_of, regime, by, only)


@dataclass
class RatioSums:
    """What ratios are worked out from: sums in whole numbers, which add up over any parts of a book.

    ``groups`` are the groups there are; ``frames`` by figure: the *by* columns, key (where a figure goes by person, region ...),
    currency and value (128 bits); ``provided`` whether any loan has a provision.
    """

    groups: pl.DataFrame
    frames: dict[str, pl.DataFrame]
    provided: bool
    _by_group: dict[str, dict[tuple[Any, ...], pl.DataFrame]] = field(default_factory=dict)

    def of_group(self, name: str, by: Sequence[str], key: tuple[Any, ...]) -> pl.DataFrame:
        """The sums *name* of one group: a frame is taken apart once, not filtered for each ratio and group."""
        if not by:
            return self.frames[name]
        if name not in self._by_group:
            self._by_group[name] = self.frames[name].partition_by(by, as_dict=True)
        found = self._by_group[name].get(key)
        return self.frames[name].clear() if found is None else found

    @staticmethod
    def merged(parts: Sequence[RatioSums]) -> RatioSums:
        """The sums of all parts of a book, each key summed once."""
        first = parts[0]
        frames = {name: _summed(pl.concat([p.frames[name] for p in parts])) for name in first.frames} if len(parts) > 1 else first.frames
        groups = pl.concat([p.groups for p in parts]).unique(maintain_order=True)
        return RatioSums(groups, frames, any(p.provided for p in parts))


def ratio_sums(
    view: pl.DataFrame,
    portfolio: Portfolio,
    together: Togetherness,
    regime: Regime | None,
    classified: Classified | None,
    by: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> RatioSums:
    """The sums of the loans of *view* that have their home in *portfolio*. KeyError for a *by* that is no column."""
    book = _book(view, portfolio, together, classified, by)
    frames = {}
    for ratio in _chosen(only):
        if _lacks(ratio, regime) is not None:
            continue
        for spec in (ratio.numerator, ratio.denominator):
            if {"financials", "previous_year_end"} & set(spec):
                continue
            name = _name(spec)
            if name not in frames:
                frames[name] = _sums_of(spec, book, by)
    provided = classified is not None and classified.loans["provision"].null_count() < classified.loans.height
    return RatioSums(book.select(by).unique(maintain_order=True) if by else pl.DataFrame(), frames, provided)


def ratios_of_sums(
    sums: RatioSums, portfolio: Portfolio, as_of: date, regime: Regime | None, by: Sequence[str] = (), only: Sequence[str] | None = None
) -> list[RatioValue]:
    """The ratios of a book's *sums*; exchange rates and the lender's financials are *portfolio*'s."""
    out = []
    for ratio in _chosen(only):
        out.extend(_Calculation(ratio, sums, portfolio, as_of, regime, tuple(by)).values())
    return out


def _chosen(only: Sequence[str] | None) -> list[Ratio]:
    return [r for r in ratio_definitions().values() if only is None or r.id in only]


def _lacks(ratio: Ratio, regime: Regime | None) -> str | None:
    if "npl" in ratio.needs and (regime is None or not regime.marks_npl):
        return "needs a regime that says which categories are non-performing" if regime else "needs a regime (option or policy)"
    if "special_mention" in ratio.needs and (regime is None or not regime.special_mention):
        return "needs a regime with a special-mention category"
    if "provision" in ratio.needs and regime is None:
        return "needs a regime and a provision table"
    return None


def _name(spec: Mapping[str, Any]) -> str:
    """One name for the figures that rest on the same sums: the largest, squares and totals of a column share them."""
    verb = next(v for v in ("count", "sql", "sum", "square_of_sum", "largest", "squares") if v in spec)
    kind = {"square_of_sum": "sum", "largest": "keyed", "squares": "keyed"}.get(verb, verb)
    return repr((kind, spec[verb], spec.get("by"), spec.get("where")))


def _book(view: pl.DataFrame, portfolio: Portfolio, together: Togetherness, classified: Classified | None, by: Sequence[str]) -> pl.DataFrame:
    for column in by:
        if column not in view.columns:
            raise KeyError(column)
    return with_measures(view, portfolio, together, classified)


def with_measures(view: pl.DataFrame, portfolio: Portfolio, together: Togetherness, classified: Classified | None) -> pl.DataFrame:
    """The loans on the books that have their home in *portfolio*, with what ratios ask beyond the loan view: category, npl, person, group."""
    book = view.filter(pl.col("own_on_book_principal") > 0)
    if portfolio.guest_loans:
        book = book.filter(~pl.col("loan_id").is_in(list(portfolio.guest_loans)))
    if classified is not None:
        chosen = classified.loans.select("loan_id", "as_of", "category", "npl", "provision")
        special = list(classified.regime.special_mention)
        book = book.join(chosen, on=["loan_id", "as_of"], how="left", maintain_order="left").with_columns(
            npl=pl.col("npl").fill_null(False), special_mention=pl.col("category").is_in(special).fill_null(False)
        )
    share = pl.col("own_share_pct")
    book = book.with_columns(
        own_overdue_principal=pl.when(share == 100 * 10**7).then("overdue_principal").otherwise(percent_of(pl.col("overdue_principal"), share))
    )
    return book.with_columns(person=together.person_of(book["borrower_id"]), group=together.group_of(book["borrower_id"]))


def _sums_of(spec: Mapping[str, Any], book: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    rows = book.filter(condition(book, spec["where"]).fill_null(False)) if "where" in spec else book
    one = pl.lit(1, pl.Int64)
    if "count" in spec:
        value, key = one, pl.lit(None, pl.String)
    elif "sql" in spec:
        value, key = pl.lit(evaluate_one(rows, compile_sql(spec["sql"], rows.columns))), pl.lit(None, pl.String)
    else:
        amount = next(spec[verb] for verb in ("sum", "largest", "squares", "square_of_sum") if verb in spec)
        value = pl.col(amount)
        key = pl.col(spec["by"]).cast(pl.String) if "by" in spec else pl.lit(None, pl.String)
    return _summed(
        rows.with_columns(key=key, currency="currency_code", value=value.fill_null(0).cast(pl.Int128)).select(*by, "key", "currency", "value"), rows=True
    )


def _summed(frame: pl.DataFrame, *, rows: bool = False) -> pl.DataFrame:
    """One row a group, key and currency; ``loans`` counts the rows."""
    keys = [c for c in frame.columns if c not in ("value", "loans")]
    count = pl.len().cast(pl.Int64) if rows else pl.col("loans").sum()
    return frame.group_by(keys, maintain_order=True).agg(pl.col("value").sum(), loans=count)


@dataclass
class _Calculation:
    ratio: Ratio
    sums: RatioSums
    portfolio: Portfolio
    as_of: date
    regime: Regime | None
    by: tuple[str, ...]
    warnings: list[str] = field(default_factory=list)

    def values(self) -> list[RatioValue]:
        missing = self._missing()
        groups: list[tuple[Any, ...]] = self.sums.groups.sort(self.by, nulls_last=True).rows() if self.by else [()]
        out = []
        for key in groups:
            group = dict(zip(self.by, (None if k is None else str(k) for k in key), strict=True))
            if missing:
                out.append(self._undefined(group, missing))
                continue
            try:
                out.append(self._value(group, key))
            except _Unknown as reason:
                out.append(self._undefined(group, str(reason)))
        return out

    def _missing(self) -> str | None:
        if (why := _lacks(self.ratio, self.regime)) is not None:
            return why
        if "provision" in self.ratio.needs and not self.sums.provided:
            return "needs a regime and a provision table"
        if "relations" in self.ratio.needs and not self.portfolio.has("relations"):
            return "the portfolio has no relations: connected groups are not known"
        if self.by and {"net_assets", "financials"} & set(self.ratio.needs):
            return "a figure of the whole institution has no groups"
        return None

    def _value(self, group: Mapping[str, str | None], key: tuple[Any, ...]) -> RatioValue:
        numerator, unit = self._figure(self.ratio.numerator, key)
        denominator, _ = self._figure(self.ratio.denominator, key)
        currency = self.portfolio.institution.currency_code if unit == "money" else None
        if denominator <= 0:
            why = "the denominator is 0" if denominator == 0 else "the denominator is negative"
            if "net_assets" in self.ratio.needs:
                why += ": with net assets of 0 or less any balance breaches a limit"
            return RatioValue(self.ratio, self.as_of, group, None, numerator, denominator, currency, why, tuple(self.warnings))
        value = _EXACT.divide(numerator * self.ratio.scale, denominator).quantize(PLACES, ROUND_HALF_UP, _EXACT)
        return RatioValue(self.ratio, self.as_of, group, value, numerator, denominator, currency, None, tuple(self.warnings))

    def _undefined(self, group: Mapping[str, str | None], reason: str) -> RatioValue:
        return RatioValue(self.ratio, self.as_of, group, None, None, None, None, reason, tuple(self.warnings))

    def _figure(self, spec: Mapping[str, Any], key: tuple[Any, ...]) -> tuple[Decimal, str]:
        if "financials" in spec or "previous_year_end" in spec:
            return self._financial(spec), "money"
        rows = self.sums.of_group(_name(spec), self.by, key)
        if "count" in spec:
            return Decimal(int(rows["value"].sum())), "count"
        if "sum" in spec or "sql" in spec:
            return self._money(rows), "money"
        one = rows["currency"].unique().to_list()
        if "largest" in spec:
            if len(one) == 1:
                largest = int(rows["value"].top_k(spec["top"]).sum())
                return _EXACT.multiply(from_minor(largest, minor_digits(one[0])), self._rate(one[0])), "money"
            amounts = sorted(self._by(rows).values(), reverse=True)
            return sum(amounts[: spec["top"]], start=Decimal(0)), "money"
        if "squares" in spec:
            unknown = int(rows.filter(pl.col("key").is_null())["loans"].sum())
            if unknown:
                raise _Unknown(f"{unknown} loans have no {spec['by']}: their share cannot be placed")
            if len(one) == 1 and int(rows.select(pl.col("value").abs().max()).item()) ** 2 * rows.height < _WIDEST:
                squares = int((rows["value"] * rows["value"]).sum())
                unit = _EXACT.multiply(from_minor(1, minor_digits(one[0])), self._rate(one[0]))
                return _EXACT.multiply(Decimal(squares), _EXACT.multiply(unit, unit)), "none"
            return sum((_EXACT.multiply(v, v) for v in self._by(rows).values()), start=Decimal(0)), "none"
        total = self._money(rows)
        return _EXACT.multiply(total, total), "none"

    def _money(self, rows: pl.DataFrame) -> Decimal:
        """The sum in the institution's currency; each currency is summed exactly and converted at the closing rate."""
        total = Decimal(0)
        for code, minor in rows.group_by("currency").agg(pl.col("value").sum()).sort("currency").rows():
            total = _EXACT.add(total, _EXACT.multiply(from_minor(minor, minor_digits(code)), self._rate(code)))
        return total

    def _by(self, rows: pl.DataFrame) -> dict[str, Decimal]:
        out: dict[str, Decimal] = {}
        for key, code, minor in rows.select("key", "currency", "value").rows():
            money = _EXACT.multiply(from_minor(minor, minor_digits(code)), self._rate(code))
            out[key] = _EXACT.add(out.get(key, Decimal(0)), money)
        return out

    def _rate(self, code: str) -> Decimal:
        home = self.portfolio.institution.currency_code
        if code == home:
            return Decimal(1)
        rate = rate_on(self.portfolio, code, home, self.as_of)
        if rate is None:
            raise _Unknown(f"no exchange rate from {code} to {home} on or before {self.as_of}")
        used = f"{code}/{home} {rate:f} of {self.as_of} or before"
        if used not in self.warnings:
            self.warnings.append(used)
        return rate

    def _financial(self, spec: Mapping[str, Any]) -> Decimal:
        on, column = (date(self.as_of.year - 1, 12, 31), spec["previous_year_end"]) if "previous_year_end" in spec else (self.as_of, spec["financials"])
        rows = self.portfolio.table("financials").filter((pl.col("as_of") == on) & pl.col(column).is_not_null() & (pl.col("scope").fill_null("solo") == "solo"))
        if rows.height == 0:
            raise _Unknown(f"financials has no {column} of {on}")
        code = rows["currency_code"][-1]
        return _EXACT.multiply(from_minor(rows[column][-1], minor_digits(code)), self._rate(code))


class _Unknown(Exception):
    """An input that is not there: the ratio is undefined for this reason."""


def _words(spec: Mapping[str, Any]) -> str:
    where = f" where {spec['where']}" if "where" in spec else ""
    for verb in ("sum", "sql", "financials", "previous_year_end", "square_of_sum"):
        if verb in spec:
            return (
                {
                    "sum": "sum of ",
                    "sql": "sum of ",
                    "financials": "financials.",
                    "previous_year_end": "previous year end's ",
                    "square_of_sum": "square of the sum of ",
                }[verb]
                + str(spec[verb])
                + where
            )
    if "count" in spec:
        return "number of loans" + where
    if "largest" in spec:
        return f"the {spec['top']} largest {spec['largest']} by {spec['by']}"
    return f"sum of squares of {spec['squares']} by {spec['by']}"
