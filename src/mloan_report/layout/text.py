"""From typed values to text columns and back: one place says how each field type prints and reads.

Amounts are minor units and print at the field's scale, rounded half up where the field has fewer decimals; percents are
10^-7 and print the same way; dates are YYYY-MM-DD where the field names no other form.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from mloan_report.layout.definition import LayoutField, Rounding
from mloan_report.portfolio.rounding import half_even
from mloan_report.portfolio.sql import MACROS

PERCENT_DIGITS = 7
_ISO = {"date": "%Y-%m-%d", "month": "%Y-%m", "moment": "%Y-%m-%dT%H:%M:%S"}
_PARTS = {"%Y": "[0-9]{4}", "%m": "[0-9]{2}", "%d": "[0-9]{2}", "%H": "[0-9]{2}", "%M": "[0-9]{2}", "%S": "[0-9]{2}"}


def typed_value(field: LayoutField, value: pl.Series, digits: pl.Series) -> pl.Series:
    """*value* as the field holds it: numbers scaled to the field's decimals (half up), text without line breaks.

    *digits* are the minor digits of each row's currency, which amounts come in.
    """
    if value.dtype == pl.Null:
        return value.cast(_dtype(field))
    if field.type == "amount":
        return _rescaled(value, digits, field.scale, field.rounding)
    if field.type == "percent":
        return _rescaled(value, pl.Series([PERCENT_DIGITS]).new_from_index(0, value.len()), field.scale, field.rounding)
    if field.is_number:
        return value.cast(pl.Int64)
    if field.type in ("date", "month"):
        return value.cast(pl.Date)
    if field.type == "moment":
        return value.cast(pl.Datetime("us"))
    text = value.cast(pl.String)
    return text.str.replace_all(r"[\r\n\t]+", " ").str.strip_chars() if field.type == "text" else text


def to_text(field: LayoutField, column: str) -> pl.Expr:
    """The typed column as the text that stands in the file, unescaped; null stays null."""
    value = pl.col(column)
    if field.type in ("amount", "percent", "decimal") and field.scale:
        return scaled_text(value, field.scale)
    if field.is_number:
        return value.cast(pl.String)
    if field.type in _ISO:
        return value.dt.to_string(field.format or _ISO[field.type])
    return value


def scaled_text(value: pl.Expr, scale: int) -> pl.Expr:
    """Whole numbers at *scale* decimals: 48623 at 2 is ``486.23``."""
    unit: int = 10**scale
    size = value.abs()
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, (size // unit).cast(pl.String), pl.lit("."), (size % unit).cast(pl.String).str.zfill(scale))


def folded(text: pl.Expr) -> pl.Expr:
    """Runs of blanks as one, none at the ends: what XSD makes of a value whose blanks mean nothing."""
    return text.str.replace_all(r"[ \t\r\n]+", " ").str.strip_chars(" ")


def from_text(field: LayoutField, text: pl.Series) -> pl.Series:
    """Text as read, typed; null where it does not fit the type (a finding of its own)."""
    if text.null_count() == text.len():
        return empty_typed(field).extend_constant(None, text.len())
    if field.type in ("amount", "percent", "decimal") and field.scale:
        ok = text.str.contains(r"^[-+]?[0-9]*(\.[0-9]*)?$") & text.str.contains("[0-9]")
        good = pl.select(pl.when(ok).then(text)).to_series()
        negative = good.str.starts_with("-")
        whole = good.str.extract(r"^[-+]?([0-9]*)", 1).replace({"": "0"})
        fraction = good.str.extract(r"\.([0-9]+)$", 1).fill_null("")
        fits = fraction.str.strip_chars_end("0").str.len_bytes() <= field.scale
        number = whole.cast(pl.Int64, strict=False) * 10**field.scale + (fraction.str.pad_end(field.scale, "0").str.slice(0, field.scale)).cast(
            pl.Int64, strict=False
        )
        signed = pl.select(pl.when(negative).then(-number).otherwise(number)).to_series()
        return pl.select(pl.when(ok & fits).then(signed)).to_series()
    if field.is_number:
        return pl.select(pl.when(text.str.contains(r"^[-+]?[0-9]{1,18}$")).then(text)).to_series().str.strip_prefix("+").cast(pl.Int64, strict=False)
    if field.type in _ISO:
        return _moments(field, text)
    return text


def _moments(field: LayoutField, text: pl.Series) -> pl.Series:
    """Dates, months (their first day) and moments in the field's format; null where it is another or no real day."""
    form = field.format or _ISO[field.type]
    good = pl.select(pl.when(text.str.contains(f"^{date_pattern(form)}$")).then(text)).to_series()
    if field.type == "moment":
        return good.str.to_datetime(form, strict=False, time_unit="us")
    if field.type == "month":
        return (good + "-01").str.to_date(f"{form}-%d", strict=False)
    return good.str.to_date(form, strict=False)


def date_pattern(form: str) -> str:
    """The regular expression of texts in *form*."""
    for part, digits in _PARTS.items():
        form = form.replace(part, digits)
    return form


def _dtype(field: LayoutField) -> pl.DataType:
    if field.is_number:
        return pl.Int64()
    if field.type == "moment":
        return pl.Datetime("us")
    return pl.Date() if field.type in ("date", "month") else pl.String()


def empty_typed(field: LayoutField) -> pl.Series:
    """An empty column of the field's type."""
    return pl.Series(field.column, [], dtype=_dtype(field))


def _rescaled(value: pl.Series, digits: pl.Series, scale: int, rounding: Rounding) -> pl.Series:
    frame = pl.DataFrame({"v": value.cast(pl.Int64), "d": digits.cast(pl.Int64)})
    shift = pl.col("d") - scale
    power = shift.abs().replace_strict(list(range(11)), [10**n for n in range(11)], return_dtype=pl.Int64)
    return frame.select(pl.when(shift <= 0).then(pl.col("v") * power).otherwise(divided(rounding)(pl.col("v"), power)).alias(value.name)).to_series()


def divided(rounding: Rounding) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """value / unit in whole units, rounded so: both are expressions of whole numbers."""
    return _DIVIDED[rounding]


_DIVIDED: dict[Rounding, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "half_up": MACROS["HALF_UP"],
    "half_even": half_even,
    "down": lambda value, unit: value.sign() * value.abs().floordiv(unit),
}
