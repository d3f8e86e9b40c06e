"""Two regimes side by side on one book: how many loans stand where, and which are non-performing under one only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

NOT_CLASSIFIED = "not classified"


@dataclass
class Comparison:
    """Of two regimes: ``counts`` of loans by (category of one, category of the other), and ``differences``, one row a loan that is
    non-performing, or classified at all, under one of them only.
    """

    one: str
    other: str
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    parts: list[pl.DataFrame] = field(default_factory=list)

    def take(self, frame: pl.DataFrame) -> None:
        """The next classified loans, of all regimes."""
        a, b = (frame.filter(pl.col("regime") == r) for r in (self.one, self.other))
        keep = ["loan_id", "days", "category", "npl", "provision", "reasons", "not_classified"]
        both = a.select("loan_id", "borrower_id", "currency_code", "as_of", *[pl.col(c).alias(f"{c}_1") for c in keep[1:]]).join(
            b.select("loan_id", *[pl.col(c).alias(f"{c}_2") for c in keep[1:]]), on="loan_id", how="inner", maintain_order="left"
        )
        pairs = both.select(pl.col("category_1").fill_null(NOT_CLASSIFIED), pl.col("category_2").fill_null(NOT_CLASSIFIED))
        self.counts.update({(x, y): n for x, y, n in pairs.group_by("category_1", "category_2").len().rows()})
        npl = pl.col("npl_1").fill_null(False) != pl.col("npl_2").fill_null(False)
        covered = pl.col("category_1").is_null() != pl.col("category_2").is_null()
        self.parts.append(both.filter(npl | covered))

    @property
    def differences(self) -> pl.DataFrame:
        """The loans that differ; ``_1`` are columns of the first regime, ``_2`` of the second."""
        return pl.concat(self.parts) if self.parts else pl.DataFrame()

    def lines(self) -> list[str]:
        """The counts as text, one line a pair of categories."""
        return [f"{self.one} {x} / {self.other} {y}: {n}" for (x, y), n in sorted(self.counts.items())]
