"""Rules judged on the combinations of values that records hold, not on every record: most fields are codes, which come again and again.

A rule that no combination breaks, and that could judge them all, is broken by no record. Any other is judged record by record.
Combinations that broke nothing are remembered: the next records that hold only such are good without another look.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import prod

import polars as pl

from mloan_report.portfolio.sql import Expression, with_stages

Judged = tuple[Expression, Expression | None]
"""The condition that breaks a rule, and when it applies."""
LONG = 4_000
"""Records from which on it pays."""
FEW = 500
"""Different values that a column of codes or days has at most, in the first records."""
MANY = 600
"""Combinations that columns looked at together may have there."""
REMEMBERED = 5_000
"""Combinations remembered of columns that are looked at together."""
KINDS = 40
"""Kinds of record of which this is remembered."""


@dataclass
class _Group:
    """Columns that are looked at together, the rules that look at no others, and the marks of the combinations that broke none of them."""

    columns: list[str]
    rules: list[int] = field(default_factory=list)
    good: pl.DataFrame = field(default_factory=pl.DataFrame)
    schema: pl.Schema | None = None


def quiet(frame: pl.DataFrame, rules: Mapping[int, Judged], known: Hashable) -> tuple[set[int], dict[str, pl.Series]]:
    """Those of *rules* (by number) of which the combinations of values in *frame* say that no row breaks them; and the values of some columns.

    *known* names the rules: for the same rules columns are put together once, from the first records seen.
    """
    if frame.height < LONG:
        return set(), {}
    if known not in _GROUPS:
        if len(_GROUPS) >= KINDS:
            _GROUPS.clear()
        _GROUPS[known] = _grouped(frame.head(LONG), {k: _columns(e) for k, e in rules.items()})
    out: set[int] = set()
    values: dict[str, pl.Series] = {}
    for group in _GROUPS[known]:
        combinations, marks = _different(frame.select(group.columns))
        if combinations.height <= frame.height // 4:
            out |= _unbroken(group, combinations, marks, rules)
            values |= {c: combinations[c] for c in group.columns}
    return out, values


def _different(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each combination once, and the two hashes that it is known by. Where one hash takes two combinations for one the other tells it,
    and they are told apart by what they hold.
    """
    marks = _marks(rows)
    first = marks["a"].arg_unique()
    if first.len() == marks["b"].n_unique():
        return rows[first], marks[first]
    rows = rows.unique()
    return rows, _marks(rows)


def _marks(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"a": rows.hash_rows(1), "b": rows.hash_rows(2)})


_GROUPS: dict[Hashable, list[_Group]] = {}


def _columns(rule: Judged) -> frozenset[str]:
    broken, applies = rule
    return broken.columns | (applies.columns if applies else frozenset())


def _grouped(sample: pl.DataFrame, asked: Mapping[int, frozenset[str]]) -> list[_Group]:
    """Columns that have few combinations, each with its rules; a small set of columns goes with a larger one where that stays so."""
    counts = sample.select([pl.col(c).n_unique() for c in sorted(frozenset().union(*asked.values()))]).row(0, named=True) if asked else {}
    few = {c for c, n in counts.items() if n <= FEW}
    groups: list[tuple[set[str], list[int]]] = []
    for columns in sorted({c for c in asked.values() if c and c <= few}, key=lambda c: (-len(c), sorted(c))):
        home = next((g for g in groups if columns <= g[0] or _most(g[0] | columns, counts) <= MANY), None)
        if home is None:
            if _most(columns, counts) > MANY and sample.select(sorted(columns)).n_unique() > MANY:
                continue
            home = (set(), [])
            groups.append(home)
        home[0].update(columns)
        home[1].extend(k for k, c in asked.items() if c == columns)
    return [_Group(sorted(columns), keys) for columns, keys in groups]


def _most(columns: set[str] | frozenset[str], counts: Mapping[str, int]) -> int:
    """How many combinations there can be at most."""
    return prod(counts[c] for c in columns)


def _unbroken(group: _Group, combinations: pl.DataFrame, marks: pl.DataFrame, rules: Mapping[int, Judged]) -> set[int]:
    """The rules of the group that no combination breaks."""
    if group.schema != combinations.schema:
        group.schema, group.good = combinations.schema, marks.clear()
    new = marks.join(group.good.with_columns(known=True), on=["a", "b"], how="left", maintain_order="left")["known"].is_null()
    combinations, marks = combinations.filter(new), marks.filter(new)
    if combinations.height == 0:
        return set(group.rules)
    try:
        said = verdicts(combinations, {k: rules[k] for k in group.rules})
    except NotACondition:
        return set()  # it is refused where rules are judged record by record
    broken = said.fill_null(True)
    fine = marks.filter(~broken.select(pl.any_horizontal(pl.all())).to_series())
    group.good = fine if group.good.height + fine.height > REMEMBERED else pl.concat([group.good, fine])
    return {int(k) for k, hit in broken.select(pl.all().any()).row(0, named=True).items() if not hit}


class NotACondition(ValueError):
    """A rule (by number) whose expression is neither true nor false."""

    def __init__(self, rule: int, dtype: pl.DataType) -> None:
        super().__init__(f"{dtype}, not a condition")
        self.rule = rule


def verdicts(frame: pl.DataFrame, rules: Mapping[int, Judged], values: Mapping[str, pl.Series] | None = None) -> pl.DataFrame:
    """Whether each row breaks each of *rules*, a column a rule, named by its number: false where it does not apply, null where that cannot be judged.

    *values* are what some columns hold. Raises :class:`NotACondition`.
    """
    staged = with_stages(frame, (e for pair in rules.values() for e in pair if e is not None), values)
    rows = pl.int_range(pl.len()).alias("__row")  # so that constants are as long as the frame
    try:
        each = [_verdict(broken.expr, None if applies is None else applies.expr).alias(str(k)) for k, (broken, applies) in rules.items()]
        said = staged.select(rows, *each)
        said.drop_in_place("__row")
    except pl.exceptions.PolarsError:
        said = None  # a condition that is none
    if said is None or any(t != pl.Boolean for t in said.dtypes):
        said = pl.concat([_one_verdict(staged.with_columns(rows), k, *pair) for k, pair in rules.items()], how="horizontal")
    return said


def _verdict(broken: pl.Expr, applies: pl.Expr | None) -> pl.Expr:
    return broken if applies is None else pl.when(applies).then(broken).otherwise(False)


def _one_verdict(staged: pl.DataFrame, rule: int, broken: Expression, applies: Expression | None) -> pl.DataFrame:
    """What one rule says, with conditions of which nothing is known (columns of nothing but nulls) taken as such."""
    parts = {"broken": broken.expr} | ({"applies": applies.expr} if applies is not None else {})
    found = staged.select("__row", **parts)
    for name in parts:
        if found.schema[name] not in (pl.Boolean, pl.Null):
            raise NotACondition(rule, found.schema[name])
    said = _verdict(pl.col("broken").cast(pl.Boolean), pl.col("applies").cast(pl.Boolean) if applies is not None else None)
    return found.select(said.alias(str(rule)))
