"""What differs by country in a made-up portfolio: names, numbers, places, codes, rates, the institution."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random

Row = dict[str, str]


@dataclass(frozen=True)
class Country:
    """A country of the sample: how people and codes are made up there."""

    code: str
    currency: str
    regime: str
    scale: int

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """Name and place columns of a person, and identifier rows without party_id."""
        raise LookupError(self.code)

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """The same for a company."""
        raise LookupError(self.code)

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """The identity number *value* as it would be for another number and birth date."""
        raise LookupError(self.code)


def country_for(code: str) -> Country:
    """The country by its ISO code; KeyError when there is no sample for it."""
    from mloan_report.testing.sample.china import China
    from mloan_report.testing.sample.salvador import Salvador

    return {"CN": China(), "SV": Salvador()}[code]
