"""Provision tables as dated data: rates by category, general and specific kept apart, each with its own base."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from mloan_report.measures.regime import CERTAINTIES, RefusedRegime


@dataclass(frozen=True)
class ProvisionTable:
    """Rates in 10^-7 percent; ``general`` is added to every loan's specific rate; ``base`` is SQL over the loan view."""

    id: str
    en: str
    local: str | None
    source: str
    certainty: str
    effective_from: str
    regimes: tuple[str, ...]
    base: str
    general: int
    specific: tuple[tuple[str, int], ...]
    note: str | None

    def rates(self) -> dict[str, int]:
        """The specific rate by category."""
        return dict(self.specific)


@cache
def provision_tables() -> dict[str, ProvisionTable]:
    """Every provision table that comes with the library, by id."""
    found = {}
    for entry in sorted(files("mloan_report.measures").joinpath("provisions").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            table = parse_provisions(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
            found[table.id] = table
    return found


def parse_provisions(data: dict[str, Any], file: str) -> ProvisionTable:
    """A table from its data; refused without a source, a certainty or a rate."""
    for name in ("id", "en", "source", "certainty", "effective_from", "regimes", "base", "specific_pct"):
        if not data.get(name):
            raise RefusedRegime(f"{file}: {name} is missing")
    if data["certainty"] not in CERTAINTIES:
        raise RefusedRegime(f"{file}: certainty {data['certainty']!r} is not known")
    scaled = tuple((str(code), int(Decimal(rate) * 10**7)) for code, rate in data["specific_pct"].items())
    return ProvisionTable(
        data["id"],
        data["en"],
        data.get("zh"),
        data["source"],
        data["certainty"],
        data["effective_from"],
        tuple(data["regimes"]),
        data["base"],
        int(Decimal(data.get("general_pct", "0")) * 10**7),
        scaled,
        data.get("note"),
    )
