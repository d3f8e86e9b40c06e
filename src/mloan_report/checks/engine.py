"""The engine of portfolio checks: rules found in their folder, run over typed frames, selected by id, severities set by a file.

A rule is a function in a module of checks/rules, marked ``@check(Rule(...))``; a new rule is a new function or a new file
there, nothing else. It gets a :class:`Book` and gives the rows that break it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import polars as pl

from mloan_report.model import fields_of, grammar, table_models
from mloan_report.model.currency import currencies
from mloan_report.model.finding import Finding, Rule, Severity
from mloan_report.model.masking import mask
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.shape_rules import SHAPE_RULES
from mloan_report.portfolio.typing import ROW


@dataclass(frozen=True)
class Broken:
    """Rows of a table that break a rule: ``rows`` with the table's columns and ``_row``; ``field`` is where to look;
    ``args`` names columns of ``rows`` for the message; of those, ``money`` are amounts in minor units.
    """

    table: str
    rows: pl.DataFrame
    field: str | None = None
    args: Mapping[str, str] = dataclasses.field(default_factory=dict)
    money: tuple[str, ...] = ()


@dataclass(frozen=True)
class Book:
    """What a rule looks at: the portfolio, the date, and (where it was worked out) the position of each loan."""

    portfolio: Portfolio
    as_of: date
    known_at: date | None = None
    position: pl.DataFrame | None = None
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Any, work: Callable[[], Any]) -> Any:
        """What *work* gives, worked out once for the book: for rules that look at the same thing."""
        if key not in self.memory:
            self.memory[key] = work()
        return self.memory[key]

    def table(self, name: str) -> pl.DataFrame:
        """The typed frame of a table."""
        return self.portfolio.table(name)


Check = Callable[[Book], Iterable[Broken] | None]


@dataclass(frozen=True)
class RegisteredCheck:
    """A rule with its function. ``needs_position`` rules are not run without one."""

    rule: Rule
    function: Check
    needs_position: bool


_REGISTRY: dict[str, RegisteredCheck] = {}


def check(rule: Rule, *, needs_position: bool = False) -> Callable[[Check], Check]:
    """Registers a function as the check of *rule*; two rules of one id are refused."""

    def register(function: Check) -> Check:
        if rule.id in _REGISTRY and _REGISTRY[rule.id].function.__qualname__ != function.__qualname__:
            raise ValueError(f"rule {rule.id} stands twice")
        _REGISTRY[rule.id] = RegisteredCheck(rule, function, needs_position)
        return function

    return register


@cache
def registry() -> dict[str, RegisteredCheck]:
    """Every check, by id, from all modules of checks/rules."""
    package = importlib.import_module("mloan_report.checks.rules")
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"mloan_report.checks.rules.{module}")
    return dict(sorted(_REGISTRY.items()))


def all_rules() -> dict[str, Rule]:
    """Documentation of every portfolio rule, those of table shape included."""
    return {**SHAPE_RULES, **{c.rule.id: c.rule for c in registry().values()}}


@dataclass
class Checked:
    """What a run of checks gave: findings in order of rule and row, the rules not run with the reason, and how many rows and
    values each column has (table, column → rows, values read)."""

    findings: list[Finding]
    not_run: dict[str, str]
    counts: dict[tuple[str, str], tuple[int, int]] = dataclasses.field(default_factory=dict)

    def in_order(self) -> Checked:
        """The same with findings in order: those of reading first, then by rule, table, row and field; however many buckets they come from."""
        self.findings.sort(key=lambda f: (f.code not in SHAPE_RULES, f.code, f.table or "", f.row or 0, f.field or "", f.key or "", f.value or "", f.message))
        return self


def is_chosen(code: str, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> bool:
    """Whether a rule's id begins with one of *select* (any where empty) and none of *ignore*."""
    return (not select or code.startswith(tuple(select))) and not code.startswith(tuple(ignore) or ("\0",))


def needs_positions(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> bool:
    """Whether a rule so chosen looks at the position of the loans."""
    return any(r.needs_position for r in registry().values() if is_chosen(r.rule.id, select, ignore))


def run_checks(book: Book, select: Sequence[str] = (), ignore: Sequence[str] = (), severities: Mapping[str, Severity] | None = None) -> Checked:
    """Runs every rule whose id begins with one of *select* (all where empty) and none of *ignore*; *severities* override by
    id prefix, the longest first. The findings of reading the portfolio come along, under the same selection.
    """

    out = Checked([f for f in book.portfolio.findings if is_chosen(f.code, select, ignore)], {})
    for registered in registry().values():
        rule = registered.rule
        if not is_chosen(rule.id, select, ignore):
            continue
        if registered.needs_position and book.position is None:
            out.not_run[rule.id] = "needs the position of the loans"
            continue
        for broken in registered.function(book) or ():
            out.findings.extend(_findings(rule, broken, book.portfolio))
    out.findings = [_with_severity(f, severities or {}) for f in out.findings]
    return out.in_order()


def _with_severity(finding: Finding, severities: Mapping[str, Severity]) -> Finding:
    fitting = sorted((p for p in severities if finding.code.startswith(p)), key=len)
    return finding.with_severity(severities[fitting[-1]]) if fitting else finding


def _findings(rule: Rule, broken: Broken, portfolio: Portfolio) -> list[Finding]:
    if broken.rows.height == 0:
        return []
    guests = portfolio.guest_rows.get(broken.table)
    if guests and ROW in broken.rows.columns:
        broken = dataclasses.replace(broken, rows=broken.rows.filter(~pl.col(ROW).is_in(list(guests))))  # judged where they have their home
    if broken.rows.height == 0:
        return []
    model = table_models().get(broken.table)
    fields = fields_of(model) if model else {}
    key = [k for k in (model.KEY if model else ()) if k in broken.rows.columns]
    out = []
    pii = {name: f.column.pii for name, f in fields.items()}
    kinds = {name: f.column.kind for name, f in fields.items()} | dict.fromkeys(broken.money, "amount")
    digits = _minor_digits(broken, portfolio)
    for i, row in enumerate(broken.rows.iter_rows(named=True)):

        def shown(column: str, row: Mapping[str, Any] = row, i: int = i) -> str | None:
            value = row.get(column)
            if isinstance(value, int) and kinds.get(column) == "amount":
                value = f"{grammar.from_minor(value, digits[i]):f}"
            elif isinstance(value, int) and kinds.get(column) == "rate":
                value = f"{grammar.from_minor(value, grammar.RATE_SCALE).normalize():f}"
            return mask(_text(value), pii.get(column))

        args = {n: shown(c) or "nothing" for n, c in broken.args.items()}
        out.append(
            rule.finding(
                table=broken.table,
                file=portfolio.files.get(broken.table),
                row=row.get(ROW),
                field=broken.field,
                key="|".join(mask(_text(row[k]), pii.get(k)) or "" for k in key),
                value=shown(broken.field) if broken.field else None,
                loan_id=row.get("loan_id"),
                **args,
            )
        )
    return out


def _minor_digits(broken: Broken, portfolio: Portfolio) -> list[int]:
    """The decimals of each row's currency: its own, its loan's, else the lender's."""
    rows = broken.rows
    home = portfolio.institution.currency_code
    code = pl.Series("c", [None], dtype=pl.String).new_from_index(0, rows.height)
    if "loan_id" in rows.columns and portfolio.has("loans"):
        loans = portfolio.table("loans").select("loan_id", c="currency_code").unique("loan_id")
        code = rows.select("loan_id").join(loans, on="loan_id", how="left", maintain_order="left")["c"]
    if "currency_code" in rows.columns:
        code = rows["currency_code"].fill_null(code)
    return code.fill_null(home).replace_strict(currencies(), default=2, return_dtype=pl.Int64).to_list()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
