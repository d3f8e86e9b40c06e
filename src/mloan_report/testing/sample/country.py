"""What differs by country in a made-up portfolio: names, numbers, places, codes, rates, the institution.

A country is a module in ``countries/`` with a ``COUNTRY``; nothing else names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

Row = dict[str, str]


@dataclass(frozen=True)
class Country:
    """A country of the sample: how people and codes are made up there."""

    code: str
    currency: str
    regime: str
    scale: int
    """Amounts are those of a book in dollars times this."""
    zone: str
    institution: str
    """institution.toml."""
    branches: tuple[tuple[str, str], ...]
    """District and region of the two branches."""
    purpose: tuple[str, str] = ("01", "lender")
    """Code and scheme of the loans' purpose."""
    industry: tuple[str, str] = ("F", "lender")
    use_region: str | None = None
    category_late: str = "3"
    """The category of a loan 120 days late in the regime, and that before a restructuring."""
    category_before: str = "2"
    category_first: str = "1"
    funding_source: str = "1"
    pledged_to: str | None = None
    numbered: tuple[str, ...] = ()
    """Columns of the packs' own tables whose number goes on from copy to copy of a large book."""
    settings: str = ""
    """Settings that :func:`add_identities` writes for real loans."""

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """Name and place columns of a person, and identifier rows without party_id."""
        raise LookupError(self.code)

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """The same for a company."""
        raise LookupError(self.code)

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """The identity number *value* as it would be for another number and birth date."""
        raise LookupError(self.code)

    def collateral(self, book: SampleBook, collateral_id: str, kind: str) -> None:
        """Rows that a pack of the country wants beside a collateral."""

    def finish(self, book: SampleBook, as_of: date) -> None:
        """The last touch on a whole book: columns and side tables that only this country's packs ask for."""


def country_for(code: str) -> Country:
    """The country by its ISO code; KeyError when there is no sample for it."""
    return countries()[code]


@cache
def countries() -> dict[str, Country]:
    """Every country of the sample by its ISO code."""
    import mloan_report.testing.sample.countries as folder

    found = [import_module(f"{folder.__name__}.{m.name}").COUNTRY for m in iter_modules(folder.__path__)]
    return {c.code: c for c in sorted(found, key=lambda c: c.code)}
