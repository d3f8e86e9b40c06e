"""Who is one person, and who is one connected group: by identity number and by union of relations, over the whole book."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mloan_report.portfolio.buckets import Source, columns_of
from mloan_report.portfolio.sameness import plain_number
from mloan_report.portfolio.union import Union

CONNECTING = ("spouse", "household", "parent", "child", "sibling", "other_family", "controls", "common_control", "actual_controller")
"""Relations that make a connected group (源: 关联方; family, control and common control). A director or partner alone does not."""


@dataclass(frozen=True)
class Togetherness:
    """Of every borrower or party that is not alone: the id that stands for its person, and for its connected group (id, root)."""

    people: pl.DataFrame
    groups: pl.DataFrame

    def person_of(self, borrowers: pl.Series) -> pl.Series:
        """One key a person: borrowers that share an identity number are one; without a number each borrower is one."""
        return _rooted(borrowers, self.people)

    def group_of(self, borrowers: pl.Series) -> pl.Series:
        """One key a connected group: the union of connecting relations over people."""
        return _rooted(borrowers, self.groups)


def _rooted(ids: pl.Series, roots: pl.DataFrame) -> pl.Series:
    found = pl.DataFrame({"id": ids}).join(roots, on="id", how="left", maintain_order="left")
    return found.select(pl.coalesce("root", "id").alias(ids.name))[ids.name]


def _frame(union: Union) -> pl.DataFrame:
    roots = union.roots()
    return pl.DataFrame({"id": list(roots), "root": list(roots.values())}, schema={"id": pl.String, "root": pl.String})


def togetherness(source: Source) -> Togetherness:
    """The people and groups of a book. What is held are the numbers and ids of those who are not alone."""
    people, groups = Union(), Union()
    number = pl.concat_str("scheme", pl.lit(":"), plain_number("value"))
    rows = columns_of(source, "identifiers", ("party_id", "scheme", "value", "status")).filter(
        pl.col("value").is_not_null() & (pl.col("status").fill_null("current") == "current")
    )
    numbers = rows.select("party_id", number=number).unique()
    shared = numbers.filter(pl.col("number").is_duplicated()).group_by("number").agg(pl.col("party_id").sort())
    for ids in shared["party_id"].to_list():
        for other in ids[1:]:
            people.join(ids[0], other)
            groups.join(ids[0], other)
    relations = columns_of(source, "relations", ("party_id", "related_id", "kind")).filter(pl.col("kind").is_in(CONNECTING)).drop_nulls()
    for a, b in relations.select("party_id", "related_id").rows():
        groups.join(a, b)
    return Togetherness(_frame(people), _frame(groups))
