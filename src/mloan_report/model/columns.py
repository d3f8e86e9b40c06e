"""What a column of the model is: its kind, titles, unit, personal-data class and example, in one marker.

A marker stands in ``Annotated[type, marker]``, outside optional, so that pydantic, the frame schema, the
documentation and the JSON Schema all read the same definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mloan_report.model import grammar
from mloan_report.model.currency import countries, currencies

Kind = Literal["key", "text", "choice", "day", "amount", "rate", "whole", "flag", "factor", "currency", "country"]
Pii = Literal["name", "identifier", "contact", "address", "birth", "account"]


@dataclass(frozen=True)
class Column:
    """The definition of one column.

    ``kind`` decides the frame type: amounts are int64 minor units of the row's currency, rates int64 in 10^-7 of a
    percent, factors (exchange rates) stay decimal text. ``pii`` is the class of personal data, or None.
    """

    kind: Kind
    en: str
    zh: str
    example: str
    pii: Pii | None = None
    unit: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        parse = _PARSERS.get(self.kind)
        inner = handler(source)
        if parse is None:
            return inner

        def before(value: Any) -> Any:
            if isinstance(value, bool) and self.kind != "flag":
                raise ValueError(f"{value!r} is not a {self.kind}")
            if isinstance(value, float):
                raise ValueError("a float is never exact: give text or Decimal")
            return parse(value) if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(before, inner)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        out = handler(schema)
        out = handler.resolve_ref_schema(out)
        out["title"] = self.en
        out["x-title-zh"] = self.zh
        out["x-kind"] = self.kind
        out["examples"] = [self.example]
        if self.unit:
            out["x-unit"] = self.unit
        if self.pii:
            out["x-personal-data"] = self.pii
        return out


def _country(text: str) -> str:
    if text not in countries():
        raise ValueError(f"{text!r} is not an ISO 3166-1 alpha-2 country code")
    return text


def _currency(text: str) -> str:
    if text not in currencies():
        raise ValueError(f"{text!r} is not an ISO 4217 currency code")
    return text


def _date(text: str) -> date:
    return grammar.parse_date(text)


def _decimal(text: str) -> Decimal:
    return grammar.parse_decimal(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "day": _date,
    "amount": _decimal,
    "rate": _decimal,
    "factor": _decimal,
    "whole": grammar.parse_whole,
    "flag": grammar.parse_boolean,
    "country": _country,
    "currency": _currency,
}


def key(en: str, zh: str, example: str) -> Column:
    """An identifier of ours: text, never empty."""
    return Column("key", en, zh, example)


def text(en: str, zh: str, example: str, pii: Pii | None = None) -> Column:
    """Free text or a code of somebody else's list."""
    return Column("text", en, zh, example, pii)


def choice(en: str, zh: str, example: str) -> Column:
    """A value of one of our own enumerations."""
    return Column("choice", en, zh, example)


def day(en: str, zh: str, example: str, pii: Pii | None = None) -> Column:
    """A calendar day, YYYY-MM-DD."""
    return Column("day", en, zh, example, pii, "ISO 8601 date")


def amount(en: str, zh: str, example: str) -> Column:
    """Money in major units of the row's currency, at most its ISO 4217 decimals; minor units in frames."""
    return Column("amount", en, zh, example, unit="major units of the row's currency")


def rate(en: str, zh: str, example: str) -> Column:
    """Percent a year (or percent, where the title says share): 18.25 is 18.25 %; at most 7 decimals."""
    return Column("rate", en, zh, example, unit="percent")


def whole(en: str, zh: str, example: str, unit: str = "count") -> Column:
    """A whole number."""
    return Column("whole", en, zh, example, unit=unit)


def flag(en: str, zh: str, example: str = "true") -> Column:
    """true or false."""
    return Column("flag", en, zh, example)


def factor(en: str, zh: str, example: str) -> Column:
    """A plain decimal number such as an exchange rate; kept as text in frames, exact."""
    return Column("factor", en, zh, example, unit="number")


def currency(en: str, zh: str, example: str) -> Column:
    """ISO 4217 code."""
    return Column("currency", en, zh, example)


def country(en: str, zh: str, example: str) -> Column:
    """ISO 3166-1 alpha-2 code."""
    return Column("country", en, zh, example)
