"""Who is one person, and who is one connected group: by identity number and by union of relations."""

from __future__ import annotations

import polars as pl

from mloan_report.portfolio import Portfolio

CONNECTING = ("spouse", "household", "parent", "child", "sibling", "other_family", "controls", "common_control", "actual_controller")
"""Relations that make a connected group (源: 关联方; family, control and common control). A director or partner alone does not."""


def people(portfolio: Portfolio, frame: pl.DataFrame) -> pl.Series:
    """One key a person: borrowers that share an identity number are one; without a number each borrower is one."""
    numbers = (
        portfolio.table("identifiers")
        .filter(pl.col("value").is_not_null() & (pl.col("status").fill_null("current") == "current"))
        .select("party_id", number=pl.concat_str("scheme", pl.lit(":"), pl.col("value").str.replace_all("[- ]", "").str.to_uppercase()))
    )
    shared = numbers.group_by("number").agg(pl.col("party_id").unique().sort()).filter(pl.col("party_id").list.len() > 1)
    union = Union()
    for ids in shared["party_id"].to_list():
        for other in ids[1:]:
            union.join(ids[0], other)
    return frame["borrower_id"].replace(union.roots())


def group_column(portfolio: Portfolio, frame: pl.DataFrame) -> pl.Series:
    """One key a connected group: the union of connecting relations over people."""
    union = Union()
    people_of = dict(zip(frame["borrower_id"].to_list(), people(portfolio, frame).to_list(), strict=True))
    for borrower, person in people_of.items():
        if borrower is not None and person != borrower:
            union.join(borrower, person)
    relations = portfolio.table("relations").filter(pl.col("kind").is_in(CONNECTING))
    for a, b in relations.select("party_id", "related_id").rows():
        union.join(a, b)
    return frame["borrower_id"].replace(union.roots())


class Union:
    """Disjoint sets of ids; the smallest id of a set stands for it, whatever the order of joining."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def root(self, item: str) -> str:
        """The id that stands for *item*'s set."""
        self.parent.setdefault(item, item)
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, a: str, b: str) -> None:
        """Makes one set of the sets of *a* and *b*."""
        first, second = sorted((self.root(a), self.root(b)))
        self.parent[second] = first

    def roots(self) -> dict[str, str]:
        """Every id that is not its own root, with its root."""
        return {item: self.root(item) for item in list(self.parent) if self.root(item) != item}
