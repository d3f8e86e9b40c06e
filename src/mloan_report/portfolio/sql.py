"""The gate before SQL: expressions in data files, refused where they are unsafe or silently wrong, then compiled.

``pl.sql_expr`` opens files while parsing, wraps narrow integers, divides into floats and broadcasts aggregates. So an
expression is read word by word first: only listed functions, whole numbers, known columns, and our own macros
(``DAYS(a, b)`` = a - b in days, ``MONTHS(a, b)`` = completed months from b to a, ``HALF_UP(n, d)`` = n / d rounded half
up, ``ADD_DAYS(d, n)``, ``ADD_MONTHS(d, n)``), whose integers are 64 bits wide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from mloan_report.portfolio.rounding import half_up, percent_of

Function = Callable[..., pl.Expr]

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>'(?:[^']|'')*')|(?P<quoted>"[^"]*")|(?P<number>[0-9]+(?:\.[0-9]*)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op><>|!=|<=|>=|\|\||[-+*%=<>(),])|(?P<bad>.)""",
    re.VERBOSE,
)
_KEYWORDS = {
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "TRUE",
    "FALSE",
    "DISTINCT",
    "FROM",
    "LIKE",
    "DATE",
    "AS",
    "VARCHAR",
    "BIGINT",
}
_FUNCTIONS = {
    "COALESCE",
    "NULLIF",
    "GREATEST",
    "LEAST",
    "ABS",
    "SUBSTR",
    "LEFT",
    "RIGHT",
    "UPPER",
    "LOWER",
    "TRIM",
    "REPLACE",
    "REGEXP_LIKE",
    "STARTS_WITH",
    "STRFTIME",
    "CAST",
}


class RefusedExpression(ValueError):
    """An expression that the gate does not let through; the message says which word and why."""


@dataclass(frozen=True, eq=False)
class Stage:
    """An intermediate column: an expression over columns of lower levels; over *column* alone where it is named.

    The name says what it is, so that expressions evaluated together share the stages they have in common. In a process two
    stages are the same only if they are one: what is remembered of one holds for no other.
    """

    name: str
    level: int
    expr: pl.Expr
    column: str | None


@dataclass(frozen=True)
class Expression:
    """A compiled expression: intermediate columns, then the expression over them. Both look at one row at a time."""

    sql: str
    stages: tuple[Stage, ...]
    expr: pl.Expr
    columns: frozenset[str]


def compile_sql(sql: str, columns: Iterable[str], functions: Mapping[str, Function] | None = None) -> Expression:
    """*sql* over *columns*, ready to evaluate. *functions* adds macros by upper-case name.

    Raises :class:`RefusedExpression` for anything that is not on the lists.
    """
    key = (sql, frozenset(columns), tuple((functions or {}).items()))
    found = _COMPILED.get(key)
    if found is None:
        if len(_COMPILED) >= 20_000:
            _COMPILED.clear()
        found = _COMPILED[key] = _compiled(sql, key[1], functions)
    return found


_COMPILED: dict[Any, Expression] = {}
"""Expressions compiled in this process: a book in buckets asks for the same ones in each."""


def _compiled(sql: str, columns: frozenset[str], functions: Mapping[str, Function] | None) -> Expression:
    compiler = _Compiler(set(columns), {**MACROS, **(functions or {})})
    text = compiler.rewrite(_tokens(sql), sql)
    try:
        expr = pl.sql_expr(text)
    except pl.exceptions.PolarsError as error:
        raise RefusedExpression(f"{sql!r}: {error}") from None
    return Expression(sql, tuple(compiler.stages), expr, frozenset(compiler.used))


def evaluate(frame: pl.DataFrame, wanted: Mapping[str, Expression]) -> pl.DataFrame:
    """*frame* with one new column for each name in *wanted*; intermediate columns are gone again.

    Evaluated together, so a new column is not seen by the others.
    """
    made = with_stages(frame, wanted.values()).with_columns([e.expr.alias(f"__out_{n}") for n, e in wanted.items()])
    return frame.with_columns([made[f"__out_{n}"].alias(n) for n in wanted])


def with_stages(frame: pl.DataFrame, expressions: Iterable[Expression], values: Mapping[str, pl.Series] | None = None) -> pl.DataFrame:
    """*frame* with the intermediate columns of *expressions*, those that several have in common once.

    *values* hold all that is in some columns: what depends on such a column alone is worked out of its values.
    """
    depth: dict[int, dict[str, Stage]] = {}
    for expression in expressions:
        for stage in expression.stages:
            depth.setdefault(stage.level, {})[stage.name] = stage
    shorter = _by_values(depth.get(1, {}), values or {})
    for level in sorted(depth):
        frame = frame.with_columns([shorter.get(n, s.expr).alias(n) for n, s in depth[level].items()])
    return frame


EQUAL = 12
"""Values at most that a column is compared with one by one: cheaper than looking them up, or matching a pattern."""


def _by_values(stages: Mapping[str, Stage], values: Mapping[str, pl.Series]) -> dict[str, pl.Expr]:
    """Those of *stages* that say yes or no of a column of which all *values* are known, as comparisons with those of which they say it."""
    asked: dict[str, list[Stage]] = {}
    for stage in stages.values():
        if stage.column is not None and stage.column in values and not values[stage.column].dtype.is_nested():
            asked.setdefault(stage.column, []).append(stage)
    out: dict[str, pl.Expr] = {}
    for column, own in asked.items():
        held = frozenset(values[column].to_list())
        new = [s for s in own if (s, held) not in _COMPARED]
        if new:
            if len(_COMPARED) >= 20_000:
                _COMPARED.clear()
            different = pl.Series(column, list(held), dtype=values[column].dtype)
            found = pl.DataFrame([different]).with_columns([s.expr.alias(s.name) for s in new])
            for s in new:
                _COMPARED[s, held] = _compared(different, found[s.name]) if found.schema[s.name] == pl.Boolean else None
        out |= {s.name: e for s in own if (e := _COMPARED.get((s, held))) is not None}
    return out


_COMPARED: dict[tuple[Stage, frozenset[Any]], pl.Expr | None] = {}
"""The comparisons found in this process: the blocks of a file hold the same few values."""


def _compared(values: pl.Series, said: pl.Series) -> pl.Expr | None:
    """What is *said* of *values*, as an expression over their column; None where that would be no shorter."""
    column, null = pl.col(values.name), values.is_null()
    of_null = said.filter(null)
    values, said = values.filter(~null), said.filter(~null)
    if said.null_count():
        return None
    yes, no = values.filter(said), values.filter(~said)
    listed = min(yes, no, key=len)
    if listed.len() > EQUAL:
        return None
    if listed.len() == 0:
        out = pl.when(column.is_null()).then(None).otherwise(pl.lit(bool(yes.len()))) if of_null.len() else pl.lit(bool(yes.len()))
    else:
        hit = reduce(or_, [column == pl.lit(v) for v in listed.to_list()])
        out = hit if listed is yes else ~hit
    return out if of_null.null_count() or not of_null.len() else out.fill_null(bool(of_null[0]))


def evaluate_one(frame: pl.DataFrame, expression: Expression) -> pl.Series:
    """The expression's value for each row."""
    return evaluate(frame.with_columns(), {"__value": expression})["__value"]


def condition(frame: pl.DataFrame, sql: str, functions: Mapping[str, Function] | None = None) -> pl.Series:
    """A Boolean expression over *frame*: true, false or null for each row."""
    value = evaluate_one(frame, compile_sql(sql, frame.columns, functions))
    if value.dtype not in (pl.Boolean, pl.Null):
        raise RefusedExpression(f"{sql!r} is {value.dtype}, not a condition")
    return value.cast(pl.Boolean)


def _tokens(sql: str) -> list[tuple[str, str]]:
    out = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "bad"
        word = match.group()
        if kind == "bad":
            raise RefusedExpression(f"{sql!r}: {word!r} is not allowed")
        if kind == "number" and "." in word:
            raise RefusedExpression(f"{sql!r}: {word} is not a whole number; decimals are not exact here")
        if kind == "text" and re.search(r"\\[dwsDWS]", word):
            raise RefusedExpression(f"{sql!r}: \\d, \\w and \\s match other scripts; write the characters, as in [0-9]")
        if kind != "space":
            out.append((kind, word))
    return out


class _Compiler:
    def __init__(self, columns: set[str], functions: dict[str, Function]) -> None:
        self.columns, self.functions = columns, functions
        self.stages: list[Stage] = []
        self.levels: dict[str, int] = {}
        self.used: set[str] = set()

    def rewrite(self, tokens: Sequence[tuple[str, str]], sql: str) -> str:
        out: list[str] = []
        i = 0
        while i < len(tokens):
            kind, word = tokens[i]
            called = i + 1 < len(tokens) and tokens[i + 1][1] == "("
            if kind == "name":
                upper = word.upper()
                if called and upper in self.functions:
                    arguments, i = _arguments(tokens, i + 1, sql)
                    out.append(self._macro(upper, arguments, sql))
                    continue
                out.append(self._name(word, upper, called, tokens, i, sql))
            elif kind == "quoted":
                out.append(self._column(word[1:-1], sql))
            else:
                out.append(word)
            i += 1
        return " ".join(out)

    def _macro(self, name: str, arguments: list[list[tuple[str, str]]], sql: str) -> str:
        texts = [self.rewrite(argument, sql) for argument in arguments]
        function = self.functions[name]
        column = f"__m{abs(hash((name, id(function), tuple(texts))))}"
        if column in self.levels:
            return f'"{column}"'
        try:
            expr = function(*(pl.sql_expr(t) for t in texts))
        except TypeError as error:
            raise RefusedExpression(f"{sql!r}: {name}: {error}") from None
        level = 1 + max((self.levels[c] for t in texts for c in re.findall(r'"(__m[0-9]+)"', t)), default=0)
        self.levels[column] = level
        named = set(expr.meta.root_names())
        self.stages.append(Stage(column, level, expr, named.pop() if level == 1 and len(named) == 1 else None))
        return f'"{column}"'

    def _name(self, word: str, upper: str, called: bool, tokens: Sequence[tuple[str, str]], i: int, sql: str) -> str:
        if upper in _FUNCTIONS and called:
            return upper
        if word in self.columns:
            return self._column(word, sql)
        if upper in _KEYWORDS:
            if upper == "FROM" and (i == 0 or tokens[i - 1][1].upper() != "DISTINCT"):
                raise RefusedExpression(f"{sql!r}: FROM is not allowed")
            return upper
        if called:
            raise RefusedExpression(f"{sql!r}: the function {word} is not on the list")
        raise RefusedExpression(f"{sql!r}: there is no column {word!r}")

    def _column(self, name: str, sql: str) -> str:
        if name not in self.columns:
            raise RefusedExpression(f"{sql!r}: there is no column {name!r}")
        self.used.add(name)
        return f'"{name}"'


def _arguments(tokens: Sequence[tuple[str, str]], start: int, sql: str) -> tuple[list[list[tuple[str, str]]], int]:
    depth, current, out = 0, list[tuple[str, str]](), list[list[tuple[str, str]]]()
    for i in range(start, len(tokens)):
        word = tokens[i][1]
        if word == "(":
            depth += 1
            if depth == 1:
                continue
        if word == ")":
            depth -= 1
            if depth == 0:
                if current:
                    out.append(current)
                return out, i + 1
        if word == "," and depth == 1:
            out.append(current)
            current = []
        else:
            current.append(tokens[i])
    raise RefusedExpression(f"{sql!r}: a bracket is not closed")


def _days(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a - b).dt.total_days().cast(pl.Int64)


def _months(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    whole = (a.dt.year().cast(pl.Int64) - b.dt.year().cast(pl.Int64)) * 12 + a.dt.month().cast(pl.Int64) - b.dt.month().cast(pl.Int64)
    short = (a.dt.day() < b.dt.day()) & (a != a.dt.month_end())
    return whole - short.cast(pl.Int64)


def _at_scale(amount: pl.Expr, digits: pl.Expr, scale: pl.Expr) -> pl.Expr:
    """An amount of a currency with *digits* decimals as whole units of *scale* decimals, half up."""
    shift = digits.cast(pl.Int64) - scale.cast(pl.Int64)
    power = shift.abs().replace_strict(list(range(11)), [10**n for n in range(11)], return_dtype=pl.Int64)
    return pl.when(shift <= 0).then(amount.cast(pl.Int64) * power).otherwise(half_up(amount, power))


MACROS: dict[str, Function] = {
    "DAYS": _days,
    "MONTHS": _months,
    "HALF_UP": half_up,
    "PERCENT_OF": lambda percent, amount: percent_of(amount, percent),
    "AT_SCALE": lambda amount, digits, scale: _at_scale(amount, digits, scale),
    "ADD_MONTHS": lambda d, n: d.dt.offset_by(pl.format("{}mo", n)),
    "ADD_DAYS": lambda d, n: d + pl.duration(days=n),
    "LENGTH": lambda t: t.str.len_chars().cast(pl.Int64),
    "OCTET_LENGTH": lambda t: t.str.len_bytes().cast(pl.Int64),
    "YEAR": lambda d: d.dt.year().cast(pl.Int64),
    "MONTH": lambda d: d.dt.month().cast(pl.Int64),
    "DAY": lambda d: d.dt.day().cast(pl.Int64),
    "MONTH_END": lambda d: d.dt.month_end(),
    "MONTH_START": lambda d: d.dt.month_start(),
    "INT": lambda t: t.cast(pl.Int64, strict=False),
}
