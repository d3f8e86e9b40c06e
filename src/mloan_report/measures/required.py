"""What a provision table requires of the whole book, against what is held; tax tables apart from supervisory ones.

Sums are in minor units by currency: of a table by loan, each loan's parts rounded half up before; of one for the portfolio, rounded once.
A total in the institution's currency converts each sum at the closing rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.measures.classify import classify
from mloan_report.measures.exchange import rate_on
from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.regime import Regime, weaker
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.sql import compile_sql, evaluate_one
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.position.position import Positions
from mloan_report.schedule.rounding import EXACT, to_unit, unit_of


@dataclass(frozen=True)
class Requirement:
    """Required provision of one table, in the institution's currency (major units), and what is held.

    ``by_category``: category → (balance, specific, general). ``held`` and ``adequacy`` are for supervisory tables only. ``reason`` says why
    a figure is None.
    """

    table: str
    title: str
    purpose: str
    source: str
    certainty: str
    as_of: date
    currency: str
    required: Decimal | None
    specific: Decimal | None
    general: Decimal | None
    by_category: dict[str, tuple[Decimal, Decimal, Decimal]] = field(default_factory=dict)
    alternatives: dict[str, Decimal] = field(default_factory=dict)
    held: Decimal | None = None
    shortfall: Decimal | None = None
    adequacy: Decimal | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text."""

        def text(value: Decimal | None) -> str | None:
            return None if value is None else format(value, "f")

        rows = [{"category": c, "balance": text(b), "specific": text(s), "general": text(g)} for c, (b, s, g) in self.by_category.items()]
        return {
            "table": self.table,
            "title": self.title,
            "purpose": self.purpose,
            "as_of": self.as_of.isoformat(),
            "currency": self.currency,
            "required": text(self.required),
            "specific": text(self.specific),
            "general": text(self.general),
            "by_category": rows,
            "alternatives": {name: text(value) for name, value in self.alternatives.items()},
            "held": text(self.held),
            "shortfall": text(self.shortfall),
            "adequacy": text(self.adequacy),
            "reason": self.reason,
            "source": self.source,
            "certainty": self.certainty,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class _RequiredOfBucket:
    source: Source
    as_of: date
    known_at: date | None
    regime: Regime
    tables: tuple[ProvisionTable | None, ...]

    def __call__(self, number: int) -> list[pl.DataFrame]:
        book = self.source.bucket(number)
        positions = work_out(book, self.as_of, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        guests = list(book.guest_loans)
        out = []
        for table in self.tables:
            if table is not None and table.level == "portfolio":
                own = view.filter(~pl.col("loan_id").is_in(guests)) if book.guest_loans else view
                out.append(_alternatives(own, positions, table))
                continue
            done = classify(view, self.regime, book, table, positions=positions, known_at=self.known_at).loans
            done = done.filter(~pl.col("loan_id").is_in(guests)) if book.guest_loans else done
            out.append(_by_category(done))
        return out


def required_provisions(
    source: Source, as_of: date, regime: Regime, tables: Sequence[ProvisionTable | None], known_at: date | None = None, *, jobs: int | None = 1
) -> list[Requirement]:
    """For each table (None: the regime's own rates) what it requires of the book on *as_of*, and what financials say is held."""
    work = _RequiredOfBucket(source, as_of, known_at, regime, tuple(tables))
    parts = list(over_buckets(source, work, range(source.count), jobs))
    return [_requirement(source, as_of, regime, table, pl.concat([p[i] for p in parts])) for i, table in enumerate(tables)]


def _by_category(loans: pl.DataFrame) -> pl.DataFrame:
    live = loans.filter(pl.col("category").is_not_null() | (pl.col("provision_base") > 0))
    return live.group_by("category", "currency_code").agg(
        loans=pl.len().cast(pl.Int64),
        unstated=pl.col("provision").is_null().sum().cast(pl.Int64),
        why=pl.col("provision_reason").filter(pl.col("provision").is_null()).first(),
        balance=pl.col("provision_base").cast(pl.Int128).sum(),
        specific=pl.col("provision_specific").cast(pl.Int128).sum(),
        general=pl.col("provision_general").cast(pl.Int128).sum(),
    )


def _alternatives(view: pl.DataFrame, positions: Positions, table: ProvisionTable) -> pl.DataFrame:
    codes = view.select("loan_id", "as_of", "currency_code")
    rows = []
    for name, parts in table.alternatives:
        for part in parts:
            frame = view
            if part.from_days is not None:
                late = pl.col("days") >= part.from_days
                late = late & (pl.col("days") <= part.to_days) if part.to_days is not None else late
                frame = positions.arrears.filter(late).join(codes, on=["loan_id", "as_of"], how="inner")
            base = evaluate_one(frame, compile_sql(part.base, frame.columns)).fill_null(0).cast(pl.Int64)
            sums = frame.select("currency_code", base=base.cast(pl.Int128)).group_by("currency_code").agg(pl.col("base").sum())
            rows.append(sums.with_columns(name=pl.lit(name), pct=pl.lit(part.pct, pl.Int64)))
    return pl.concat(rows)


def _requirement(source: Source, as_of: date, regime: Regime, table: ProvisionTable | None, sums: pl.DataFrame) -> Requirement:
    home = source.institution.currency_code
    money = _Money(source, as_of, home)
    certainty = table.certainty if table else weaker([regime.certainty, regime.rate_certainty])
    base: dict[str, Any] = {
        "table": table.id if table else regime.id,
        "title": table.en if table else regime.en,
        "purpose": table.purpose if table else "regulatory",
        "source": table.source if table else regime.source,
        "certainty": certainty,
        "as_of": as_of,
        "currency": home,
    }
    try:
        found = _portfolio_level(sums, money) if table and table.level == "portfolio" else _loan_level(sums, money)
    except _NoRate as why:
        return Requirement(**base, required=None, specific=None, general=None, reason=str(why))
    return _against_held(Requirement(**base, **found, warnings=tuple(money.used)), source, as_of)


def _loan_level(sums: pl.DataFrame, money: _Money) -> dict[str, Any]:
    by_category: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    open_loans, why = 0, None
    for row in sums.sort("category", nulls_last=True).iter_rows(named=True):
        name = row["category"] or "not classified"
        before = by_category.get(name, (Decimal(0), Decimal(0), Decimal(0)))
        amounts = (money.of(row[c] or 0, row["currency_code"]) for c in ("balance", "specific", "general"))
        by_category[name] = tuple(a + b for a, b in zip(before, amounts, strict=True))  # type: ignore[assignment]
        open_loans += row["unstated"]
        why = why or row["why"]
    if open_loans:
        reason = f"{open_loans} loans have no provision: {why}"
        return {"required": None, "specific": None, "general": None, "by_category": by_category, "reason": reason}
    specific = sum((s for _, s, _ in by_category.values()), Decimal(0))
    general = sum((g for _, _, g in by_category.values()), Decimal(0))
    return {"required": specific + general, "specific": specific, "general": general, "by_category": by_category}


def _portfolio_level(sums: pl.DataFrame, money: _Money) -> dict[str, Any]:
    """Each alternative's parts of whole sums, rounded once, half up to the minor unit."""
    found: dict[str, Decimal] = {}
    for name, code, pct, base in sums.group_by("name", "currency_code", "pct", maintain_order=True).agg(pl.col("base").sum()).rows():
        found[name] = found.get(name, Decimal(0)) + EXACT.multiply(money.of(base, code), Decimal(pct).scaleb(-9))
    rounded = {name: to_unit(amount, unit_of(money.home), "half_up") for name, amount in found.items()}
    return {"required": max(rounded.values(), default=Decimal(0)), "specific": None, "general": None, "alternatives": rounded}


def _against_held(found: Requirement, source: Source, as_of: date) -> Requirement:
    if found.purpose != "regulatory":
        return found
    rows = source.bucket(0).table("financials")
    rows = rows.filter((pl.col("as_of") == as_of) & pl.col("provision_balance").is_not_null() & (pl.col("scope").fill_null("solo") == "solo"))
    if rows.height == 0:
        return replace(found, reason=found.reason or f"financials has no provision_balance of {as_of}")
    held = from_minor(rows["provision_balance"][-1], minor_digits(rows["currency_code"][-1]))
    if rows["currency_code"][-1] != found.currency:
        return replace(found, reason=f"provision_balance is in {rows['currency_code'][-1]}, not in {found.currency}")
    if found.required is None:
        return replace(found, held=held)
    adequacy = EXACT.divide(held, found.required) if found.required else None
    reason = found.reason or (None if found.required else "nothing is required: adequacy is undefined")
    return replace(found, held=held, shortfall=max(found.required - held, Decimal(0)), adequacy=adequacy, reason=reason)


class _NoRate(Exception):
    """A currency of the book that no exchange rate leads to the institution's."""


class _Money:
    """Sums of any currency in the institution's, at the closing rate; ``used`` lists the rates."""

    def __init__(self, source: Source, as_of: date, home: str) -> None:
        self.book, self.as_of, self.home = source.bucket(0), as_of, home
        self.used: list[str] = []

    def of(self, minor: int, code: str) -> Decimal:
        rate = rate_on(self.book, code, self.home, self.as_of)
        if rate is None:
            raise _NoRate(f"no exchange rate from {code} to {self.home} on or before {self.as_of}")
        said = f"{code}/{self.home} {rate:f} of {self.as_of} or before"
        if code != self.home and said not in self.used:
            self.used.append(said)
        return EXACT.multiply(from_minor(minor, minor_digits(code)), rate)
