"""The typed contract: one pydantic model a table; money, dates and code lists of ours."""

from __future__ import annotations

from functools import cache

from mloan_report.model import agreements, events, people
from mloan_report.model.institution import Institution, Policy
from mloan_report.model.table import Field, Table, fields_of

__all__ = ["CORE", "Field", "Institution", "Policy", "Table", "fields_of", "table_models"]

CORE = ("borrowers", "loans", "instalments", "repayments")
"""With institution.toml, the tables that make a portfolio; all others are optional."""


@cache
def table_models() -> dict[str, type[Table]]:
    """Every table's model by table name, in the order of the model's files."""
    found: dict[str, type[Table]] = {}
    for module in (people, agreements, events):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Table) and "TABLE" in vars(value):
                found[value.TABLE] = value
    return found
