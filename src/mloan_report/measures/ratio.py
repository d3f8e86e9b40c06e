"""Ratios of one date: definitions as data, sums in integers, one division at the end.

A ratio file has ``[[ratio]]`` tables: id, titles, numerator, denominator (a sum, a count, the largest of a grouping, squares,
or a figure of the lender's financials), what it needs, source and certainty. Sums are taken by currency in 128-bit integers
and converted at the closing rate of the date; the division is in Decimal with 40 digits; a value is shown rounded half up to
15 places. Undefined is None with the reason, never 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from mloan_report.measures.classify import Classified
from mloan_report.measures.grouping import group_column, people
from mloan_report.measures.regime import CERTAINTIES, RefusedRegime
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.rounding import percent_of
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one

_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
PLACES = Decimal(1).scaleb(-15)
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

    @property
    def formula(self) -> str:
        """The definition in words of the data."""
        return f"{_words(self.numerator)} / {_words(self.denominator)}"


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
    found: dict[str, Ratio] = {}
    for entry in sorted(files("mloan_report.measures").joinpath("ratios").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            for data in tomllib.loads(entry.read_text(encoding="utf-8"))["ratio"]:
                ratio = parse_ratio(data, entry.name)
                if ratio.id in found:
                    raise RefusedRegime(f"{entry.name}: ratio {ratio.id} stands twice")
                found[ratio.id] = ratio
    return found


def parse_ratio(data: Mapping[str, Any], file: str) -> Ratio:
    """A definition from its data; refused without titles, source or a known certainty."""
    for name in ("id", "en", "zh", "numerator", "denominator", "source", "certainty"):
        if not data.get(name):
            raise RefusedRegime(f"{file}: {data.get('id', 'a ratio')}: {name} is missing")
    if data["certainty"] not in CERTAINTIES:
        raise RefusedRegime(f"{file}: {data['id']}: certainty {data['certainty']!r} is not known")
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
    book = _book(view, portfolio, classified, by)
    definitions = [r for r in ratio_definitions().values() if only is None or r.id in only]
    out = []
    for ratio in definitions:
        out.extend(_Calculation(ratio, book, portfolio, as_of, classified, tuple(by)).values())
    return out


def _book(view: pl.DataFrame, portfolio: Portfolio, classified: Classified | None, by: Sequence[str]) -> pl.DataFrame:
    for column in by:
        if column not in view.columns:
            raise KeyError(column)
    book = view.filter(pl.col("own_on_book_principal") > 0)
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
    return book.with_columns(person=people(portfolio, book), group=group_column(portfolio, book))


@dataclass
class _Calculation:
    ratio: Ratio
    book: pl.DataFrame
    portfolio: Portfolio
    as_of: date
    classified: Classified | None
    by: tuple[str, ...]
    warnings: list[str] = field(default_factory=list)

    def values(self) -> list[RatioValue]:
        missing = self._missing()
        groups: list[tuple[Any, ...]] = self.book.select(self.by).unique(maintain_order=True).sort(self.by, nulls_last=True).rows() if self.by else [()]
        out = []
        for key in groups:
            group = dict(zip(self.by, (None if k is None else str(k) for k in key), strict=True))
            if missing:
                out.append(self._undefined(group, missing))
                continue
            rows = self.book
            for column, value in zip(self.by, key, strict=True):
                rows = rows.filter(pl.col(column).eq_missing(pl.lit(value)))
            try:
                out.append(self._value(group, rows))
            except _Unknown as reason:
                out.append(self._undefined(group, str(reason)))
        return out

    def _missing(self) -> str | None:
        if "npl" in self.ratio.needs and (self.classified is None or not self.classified.regime.marks_npl):
            return "needs a regime that says which categories are non-performing" if self.classified else "needs a regime (option or policy)"
        if "special_mention" in self.ratio.needs and (self.classified is None or not self.classified.regime.special_mention):
            return "needs a regime with a special-mention category"
        if "provision" in self.ratio.needs and (self.classified is None or self.classified.loans["provision"].null_count() == self.classified.loans.height):
            return "needs a regime and a provision table"
        if "relations" in self.ratio.needs and not self.portfolio.has("relations"):
            return "the portfolio has no relations: connected groups are not known"
        if self.by and {"net_assets", "financials"} & set(self.ratio.needs):
            return "a figure of the whole institution has no groups"
        return None

    def _value(self, group: Mapping[str, str | None], rows: pl.DataFrame) -> RatioValue:
        numerator, unit = self._figure(self.ratio.numerator, rows)
        denominator, _ = self._figure(self.ratio.denominator, rows)
        currency = self.portfolio.institution.currency_code if unit == "money" else None
        if denominator <= 0:
            why = "the denominator is 0" if denominator == 0 else "the denominator is negative"
            if "net_assets" in self.ratio.needs:
                why += ": with net assets of 0 or less any balance breaches a limit"
            return RatioValue(self.ratio, self.as_of, group, None, numerator, denominator, currency, why, tuple(self.warnings))
        value = _EXACT.divide(numerator, denominator).quantize(PLACES, ROUND_HALF_UP, _EXACT)
        return RatioValue(self.ratio, self.as_of, group, value, numerator, denominator, currency, None, tuple(self.warnings))

    def _undefined(self, group: Mapping[str, str | None], reason: str) -> RatioValue:
        return RatioValue(self.ratio, self.as_of, group, None, None, None, None, reason, tuple(self.warnings))

    def _figure(self, spec: Mapping[str, Any], rows: pl.DataFrame) -> tuple[Decimal, str]:
        if "where" in spec:
            rows = rows.filter(condition(rows, spec["where"]).fill_null(False))
        if "count" in spec:
            return Decimal(rows.height), "count"
        if "sum" in spec:
            return self._money(rows.select("currency_code", value=pl.col(spec["sum"]).fill_null(0))), "money"
        if "sql" in spec:
            value = evaluate_one(rows, compile_sql(spec["sql"], rows.columns))
            return self._money(rows.select("currency_code").with_columns(value=value.fill_null(0).cast(pl.Int64))), "money"
        if "largest" in spec:
            amounts = sorted(self._by(rows, spec["largest"], spec["by"]).values(), reverse=True)
            return sum(amounts[: spec["top"]], start=Decimal(0)), "money"
        if "squares" in spec:
            unknown = rows[spec["by"]].null_count()
            if unknown:
                raise _Unknown(f"{unknown} loans have no {spec['by']}: their share cannot be placed")
            return sum((_EXACT.multiply(v, v) for v in self._by(rows, spec["squares"], spec["by"]).values()), start=Decimal(0)), "none"
        if "square_of_sum" in spec:
            total = self._money(rows.select("currency_code", value=pl.col(spec["square_of_sum"])))
            return _EXACT.multiply(total, total), "none"
        return self._financial(spec), "money"

    def _money(self, rows: pl.DataFrame) -> Decimal:
        """The sum in the institution's currency; each currency is summed exactly and converted at the closing rate."""
        total = Decimal(0)
        for code, minor in rows.group_by("currency_code").agg(pl.col("value").cast(pl.Int128).sum()).sort("currency_code").rows():
            total = _EXACT.add(total, _EXACT.multiply(from_minor(minor, minor_digits(code)), self._rate(code)))
        return total

    def _by(self, rows: pl.DataFrame, amount: str, column: str) -> dict[str, Decimal]:
        sums = rows.group_by(pl.col(column).alias("key"), "currency_code").agg(pl.col(amount).cast(pl.Int128).sum().alias("value"))
        out: dict[str, Decimal] = {}
        for key, code, minor in sums.rows():
            money = _EXACT.multiply(from_minor(minor, minor_digits(code)), self._rate(code))
            out[key] = _EXACT.add(out.get(key, Decimal(0)), money)
        return out

    def _rate(self, code: str) -> Decimal:
        home = self.portfolio.institution.currency_code
        if code == home:
            return Decimal(1)
        rows = (
            self.portfolio.table("exchange_rates")
            .filter((pl.col("currency_code") == code) & (pl.col("to_currency_code") == home) & (pl.col("as_of") <= self.as_of))
            .sort("as_of")
        )
        if rows.height == 0:
            raise _Unknown(f"no exchange rate from {code} to {home} on or before {self.as_of}")
        used = f"{code}/{home} {rows['rate'][-1]} of {rows['as_of'][-1]}"
        if used not in self.warnings:
            self.warnings.append(used)
        return Decimal(rows["rate"][-1])

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
