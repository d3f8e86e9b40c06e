"""The base of every table: one frozen object is one row, and the class is the table's only definition."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from mloan_report.model.columns import Column


class Table(BaseModel):
    """One row of a portfolio table.

    ``TABLE`` is the file's name, ``KEY`` the columns that identify a row, ``CURRENCY_BY`` where the row's currency
    comes from: a column of its own, ``loan`` (through loan_id), ``facility`` or ``institution``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]
    CURRENCY_BY: ClassVar[str] = "institution"
    TITLE_EN: ClassVar[str]
    TITLE_ZH: ClassVar[str]


class Field(typing.NamedTuple):
    """A column with its marker, whether it is required, and the values its enumeration allows."""

    name: str
    column: Column
    required: bool
    values: tuple[str, ...] = ()
    default: Any = None


@cache
def fields_of(model: type[Table]) -> dict[str, Field]:
    """The columns of *model* in their order, by name."""
    return {field.name: field for field in _fields(model)}


def _fields(model: type[Table]) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        marker = next((m for m in info.metadata if isinstance(m, Column)), None)
        if marker is None:
            raise TypeError(f"{model.__name__}.{name} has no column marker")
        default = None if info.is_required() else info.default
        yield Field(name, marker, info.is_required(), _literal_values(info.annotation), default)


def _literal_values(annotation: Any) -> tuple[str, ...]:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return tuple(typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return next((v for a in typing.get_args(annotation) if (v := _literal_values(a))), ())
    return ()
