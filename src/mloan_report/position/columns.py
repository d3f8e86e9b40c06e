"""The columns of a position: name, type, titles and definition; the one place that lists them."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple

import polars as pl

_TYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "day": pl.Date(),
    "amount": pl.Int64(),
    "days": pl.Int64(),
    "count": pl.Int64(),
    "percent": pl.Int64(),
    "list": pl.List(pl.Int64()),
}


class PositionColumn(NamedTuple):
    """One column: kind is text, day, amount (minor units), days, count, percent (10^-7) or list."""

    name: str
    kind: str
    title_en: str
    title_zh: str
    definition: str


def position_columns() -> list[PositionColumn]:
    """The columns in their order (data: columns.csv)."""
    text = files("mloan_report.position").joinpath("columns.csv").read_text(encoding="utf-8")
    return [PositionColumn(**row) for row in csv.DictReader(text.splitlines())]


POSITION_COLUMNS = position_columns()
POSITION_SCHEMA: dict[str, pl.DataType] = {c.name: _TYPES[c.kind] for c in POSITION_COLUMNS}
