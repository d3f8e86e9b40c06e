"""The portfolio: the institution and its tables as typed frames, with where each row came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import polars as pl

from mloan_report.model import CORE, Institution, table_models
from mloan_report.model.currency import minor_digits
from mloan_report.model.finding import Finding
from mloan_report.portfolio.typing import empty_frame

ENTITY_TABLES = ("loans", "borrowers", "parties", "branches", "facilities", "collateral")
"""Tables of what other tables name by its id."""


@dataclass(frozen=True)
class Portfolio:
    """A loan book: ``institution`` and ``tables`` (typed frames by table name).

    ``findings`` are what reading found; ``files`` the file of each table; ``digests`` the SHA-256 of each file read;
    ``extra`` tables that a pack declares, typed by the pack.

    One bucket of a larger book also knows ``guest_rows`` (the rows, by table, that have their home elsewhere), ``shared``
    (ids of people and collateral that several buckets name) and of the whole book its ``currencies`` and ``paid_days``.
    """

    institution: Institution
    tables: Mapping[str, pl.DataFrame]
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    guest_rows: Mapping[str, frozenset[int]] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    currencies: tuple[str, ...] = ()
    paid_days: tuple[date, ...] | None = None

    @property
    def count(self) -> int:
        """Buckets: a portfolio held whole is one."""
        return 1

    def bucket(self, number: int) -> Portfolio:
        """The bucket of that number: itself."""
        if number != 0:
            raise IndexError(number)
        return self

    @cached_property
    def guest_loans(self) -> frozenset[str]:
        """Loans whose home is another bucket: of an id that stands twice, the first row says which."""
        rows = self.guest_rows.get("loans", frozenset())
        if not rows:
            return frozenset()
        first = self.table("loans").unique("loan_id", keep="first", maintain_order=True)
        return frozenset(first.filter(pl.col("_row").is_in(list(rows)))["loan_id"].drop_nulls().to_list())

    def days_paid(self) -> pl.Series:
        """The days on which anything was paid, in the whole book."""
        return self.table("repayments")["paid_on"] if self.paid_days is None else pl.Series("paid_on", list(self.paid_days), dtype=pl.Date)

    def table(self, name: str) -> pl.DataFrame:
        """The frame of *name*; an empty one with the right schema where the portfolio has none."""
        if name in self.tables:
            return self.tables[name]
        return empty_frame(table_models()[name])

    def has(self, name: str) -> bool:
        """Whether the table was given, even without rows."""
        return name in self.tables

    def with_table(self, name: str, frame: pl.DataFrame) -> Portfolio:
        """The same portfolio with one table replaced."""
        return replace(self, tables={**self.tables, name: frame})

    @cached_property
    def each_once(self) -> Portfolio:
        """The same portfolio in which a loan, a person or a thing that stands several times stands once, as its first row says.

        That it stands several times is a finding of the checks; sums and joins must not take it for several.
        """
        doubled = {}
        for name in ENTITY_TABLES:
            frame = self.tables.get(name)
            if frame is not None and frame[key := table_models()[name].KEY[0]].drop_nulls().is_duplicated().any():
                doubled[name] = frame.filter(pl.col(key).is_null() | pl.col(key).is_first_distinct())
        return replace(self, tables={**self.tables, **doubled}) if doubled else self

    @property
    def digits(self) -> dict[str, int]:
        """Minor digits of each currency that a loan has."""
        codes = self.currencies or self.table("loans")["currency_code"].drop_nulls().unique().to_list()
        return {code: minor_digits(code) for code in [*codes, self.institution.currency_code]}

    def latest_date(self) -> date | None:
        """The latest date on which anything happened: the default as_of of ``gaps``."""
        dates = [
            self.table(table)[column].max()
            for table, column in (("loans", "disbursed_on"), ("repayments", "paid_on"), ("loans", "status_on"), ("write_offs", "written_off_on"))
        ]
        known = [d for d in dates if isinstance(d, date)]
        return max(known, default=None)


def is_core(name: str) -> bool:
    """Whether *name* is one of the tables that make a portfolio."""
    return name in CORE
