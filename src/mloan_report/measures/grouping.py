"""Who is one person, and who is one connected group: by identity number and by union of relations, over the whole book."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import polars as pl

from mloan_report.portfolio.buckets import Source, columns_of
from mloan_report.portfolio.sameness import plain_number
from mloan_report.portfolio.union import Union


@cache
def related_kinds(what: str) -> frozenset[str]:
    """The kinds of relations that connect a group, control, or make one household: *what* is a column of relations.csv."""
    text = files("mloan_report.measures").joinpath("relations.csv").read_text(encoding="utf-8")
    return frozenset(row["kind"] for row in csv.DictReader(text.splitlines()) if row[what] == "yes")


@dataclass(frozen=True)
class Togetherness:
    """Of every borrower or party that is not alone: the id that stands for its person, its connected group, its household and the parties
    under one control (frames of id, root); and family ties (pairs of ids).
    """

    people: pl.DataFrame
    groups: pl.DataFrame
    households: pl.DataFrame
    controlled: pl.DataFrame
    family: tuple[tuple[str, str], ...] = ()

    def person_of(self, borrowers: pl.Series) -> pl.Series:
        """One key a person: borrowers that share an identity number are one; without a number each borrower is one."""
        return _rooted(borrowers, self.people)

    def group_of(self, borrowers: pl.Series) -> pl.Series:
        """One key a connected group: the union of connecting relations over people."""
        return _rooted(borrowers, self.groups)

    def household_of(self, borrowers: pl.Series) -> pl.Series:
        """One key a household: one household_id, spouses, and relations of kind household; else the person alone."""
        return _rooted(borrowers, self.households)

    def related_to(self) -> dict[str, frozenset[str]]:
        """For each person that has related parties, all of them: those under the same control, and, one step of family away, the family
        of anyone among them with what that family controls. Keys and members are keys of control (:meth:`control_of`).
        """
        ties: dict[str, set[str]] = {}
        ends = pl.DataFrame(self.family, schema={"a": pl.String, "b": pl.String}, orient="row")
        for a, b in zip(_rooted(ends["a"], self.controlled), _rooted(ends["b"], self.controlled), strict=True):
            if a != b:
                ties.setdefault(a, set()).add(b)
                ties.setdefault(b, set()).add(a)
        return {key: frozenset(others) for key, others in ties.items()}

    def control_of(self, borrowers: pl.Series) -> pl.Series:
        """One key for all under one control (a person alone is one)."""
        return _rooted(borrowers, self.controlled)


def _rooted(ids: pl.Series, roots: pl.DataFrame) -> pl.Series:
    found = pl.DataFrame({"id": ids}).join(roots, on="id", how="left", maintain_order="left")
    return found.select(pl.coalesce("root", "id").alias(ids.name))[ids.name]


def _frame(union: Union) -> pl.DataFrame:
    roots = union.roots()
    return pl.DataFrame({"id": list(roots), "root": list(roots.values())}, schema={"id": pl.String, "root": pl.String})


def togetherness(source: Source) -> Togetherness:
    """The people and groups of a book. What is held are the numbers and ids of those who are not alone."""
    people, groups, households, controlled = Union(), Union(), Union(), Union()
    number = pl.concat_str("scheme", pl.lit(":"), plain_number("value"))
    rows = columns_of(source, "identifiers", ("party_id", "scheme", "value", "status")).filter(
        pl.col("value").is_not_null() & (pl.col("status").fill_null("current") == "current")
    )
    numbers = rows.select("party_id", number=number).unique()
    shared = numbers.filter(pl.col("number").is_duplicated()).group_by("number").agg(pl.col("party_id").sort())
    for ids in shared["party_id"].to_list():
        for other in ids[1:]:
            for union in (people, groups, households, controlled):
                union.join(ids[0], other)
    relations = columns_of(source, "relations", ("party_id", "related_id", "kind")).filter(pl.col("kind").is_in(related_kinds("connects"))).drop_nulls()
    family = []
    for a, b, kind in relations.select("party_id", "related_id", "kind").rows():
        groups.join(a, b)
        if kind in related_kinds("one_household"):
            households.join(a, b)
        if kind in related_kinds("controls"):
            controlled.join(a, b)
        else:
            family.append((a, b))
    for ids in _sharing_household(source):
        for other in ids[1:]:
            households.join(ids[0], other)
    return Togetherness(_frame(people), _frame(groups), _frame(households), _frame(controlled), tuple(family))


def _sharing_household(source: Source) -> list[list[str]]:
    members = columns_of(source, "borrowers", ("borrower_id", "household_id")).drop_nulls()
    shared = members.filter(pl.col("household_id").is_duplicated()).group_by("household_id").agg(pl.col("borrower_id").sort())
    return shared["borrower_id"].to_list()
