"""From typed values to text columns and back: one place says how each field type prints and reads.

Amounts are minor units and print at the field's scale, rounded half up where the field has fewer decimals; percents are
10^-7 and print the same way; dates are YYYY-MM-DD where the field names no other form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    return pl.DataFrame([text.alias("t")]).select(typed_text(field, pl.col("t")).alias(text.name)).to_series()


def typed_columns(fields: Sequence[LayoutField], text: pl.DataFrame) -> list[pl.Series]:
    """The columns of *text* typed as :func:`typed_text` does it, all at once; a column that holds nothing is not looked at."""
    counts = text.null_count().row(0, named=True) if text.height else {}
    nothing = pl.lit(None)
    typed = [nothing.cast(_dtype(f)) if counts.get(f.column) == text.height else typed_text(f, pl.col(f.column)) for f in fields]
    return text.with_columns([e.alias(f.column) for f, e in zip(fields, typed, strict=True)]).select([f.column for f in fields]).get_columns()


def typed_text(field: LayoutField, text: pl.Expr) -> pl.Expr:
    """Text as read, typed; null where it does not fit the type."""
    if field.type in ("amount", "percent", "decimal") and field.scale:
        return _scaled(field.scale, text)
    if field.is_number:
        return pl.when(text.str.contains(r"^[-+]?[0-9]{1,18}$")).then(text).str.strip_prefix("+").cast(pl.Int64, strict=False)
    if field.type in _ISO:
        return _moments(field, text)
    return text


def _scaled(scale: int, text: pl.Expr) -> pl.Expr:
    """A decimal number as a whole number of its last decimal; null where it has more decimals than *scale*."""
    ok = text.str.contains(r"^[-+]?[0-9]*(\.[0-9]*)?$") & text.str.contains("[0-9]")
    whole = text.str.extract(r"^[-+]?([0-9]*)", 1)
    fraction = text.str.extract(r"\.([0-9]+)$", 1).fill_null("")
    fits = fraction.str.strip_chars_end("0").str.len_bytes() <= scale
    units = pl.when(whole == "").then(pl.lit("0")).otherwise(whole).cast(pl.Int64, strict=False) * 10**scale
    number = units + fraction.str.pad_end(scale, "0").str.slice(0, scale).cast(pl.Int64, strict=False)
    return pl.when(ok & fits).then(pl.when(text.str.starts_with("-")).then(-number).otherwise(number))


def _moments(field: LayoutField, text: pl.Expr) -> pl.Expr:
    """Dates, months (their first day) and moments in the field's format; null where it is another or no real day."""
    form = field.format or _ISO[field.type]
    good = pl.when(text.str.contains(f"^{date_pattern(form)}$")).then(text)
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
