"""From raw columns to typed columns: one strict grammar, one finding for each value that breaks it.

The type of a column follows its marker: key, text, choice, currency, country and factor are text; day is Date; whole
is Int64; flag is Boolean; amount is Int64 in minor units of the row's currency; rate is Int64 in 10^-7 of a percent.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from mloan_report.model import Field, Table, fields_of, grammar
from mloan_report.model.currency import countries, currencies
from mloan_report.model.finding import Finding
from mloan_report.model.masking import mask
from mloan_report.portfolio.shape_rules import SHAPE_RULES

ROW = "_row"
"""The row of the source (the header is row 1), kept beside every row so that a finding can name it."""

DTYPES: dict[str, pl.DataType] = {
    "key": pl.String(),
    "text": pl.String(),
    "choice": pl.String(),
    "currency": pl.String(),
    "country": pl.String(),
    "factor": pl.String(),
    "day": pl.Date(),
    "whole": pl.Int64(),
    "flag": pl.Boolean(),
    "amount": pl.Int64(),
    "rate": pl.Int64(),
}
_POWERS = [10**n for n in range(11)]


def frame_schema(model: type[Table]) -> pl.Schema:
    """The Polars schema of *model*'s frame, with the row column last."""
    columns: dict[str, pl.DataType] = {name: DTYPES[field.column.kind] for name, field in fields_of(model).items()}
    columns[ROW] = pl.UInt32()
    return pl.Schema(columns)


@cache
def empty_frame(model: type[Table]) -> pl.DataFrame:
    """A table without rows."""
    return pl.DataFrame(schema=frame_schema(model))


class TableTyper:
    """Types the columns of one raw table; findings gather in ``findings``. Columns in *settled* are typed already."""

    def __init__(self, model: type[Table], raw: pl.DataFrame, file: str, settled: frozenset[str] = frozenset()) -> None:
        self.model = model
        self.settled = settled
        self.file = file
        self.findings: list[Finding] = []
        self.raw = raw if ROW in raw.columns else raw.with_row_index(ROW, offset=2)

    def typed(self, currency_of_row: pl.Series) -> pl.DataFrame:
        """The typed frame. *currency_of_row* is the ISO code of each row's amounts, null where it is not known."""
        digits = currency_of_row.replace_strict(currencies(), default=None, return_dtype=pl.Int64)
        columns = []
        for name, field in fields_of(self.model).items():
            columns.append(self._column(field, currency_of_row, digits).alias(name))
        self._report_unknown_columns()
        return pl.DataFrame([*columns, self.raw[ROW].cast(pl.UInt32)])

    def text_column(self, name: str) -> pl.Series:
        """A raw text column (keys, codes) before typing; nulls where the column is absent."""
        if name not in self.raw.columns:
            return pl.Series(name, [None] * self.raw.height, dtype=pl.String)
        return blank_to_null(self.raw[name].cast(pl.String))

    def _column(self, field: Field, currency_of_row: pl.Series, digits: pl.Series) -> pl.Series:
        kind = field.column.kind
        dtype = DTYPES[kind]
        if field.name not in self.raw.columns:
            if field.required:
                self.findings.append(SHAPE_RULES["TAB-002"].finding(table=self.model.TABLE, field=field.name, file=self.file))
            return pl.Series(field.name, [field.default], dtype=dtype).new_from_index(0, self.raw.height)
        raw = self.raw[field.name]
        if field.name in self.settled and raw.dtype == dtype:
            return raw
        if raw.dtype == pl.Null:
            raw = raw.cast(pl.String)
        if raw.dtype.is_float() and kind in ("amount", "rate", "whole", "factor"):
            self.findings.append(SHAPE_RULES["TAB-014"].finding(table=self.model.TABLE, field=field.name, file=self.file))
            return pl.Series(field.name, [None] * raw.len(), dtype=dtype)
        if raw.dtype == pl.Categorical or isinstance(raw.dtype, pl.Enum):
            raw = raw.cast(pl.String)
        column = self._typed_column(field, raw, currency_of_row, digits)
        if field.default is not None:
            column = column.fill_null(pl.select(pl.lit(field.default, dtype=dtype)).to_series()[0])
        if field.required:
            self._report_missing(field, raw, column)
        return column

    def _typed_column(self, field: Field, raw: pl.Series, currency_of_row: pl.Series, digits: pl.Series) -> pl.Series:
        kind = field.column.kind
        if kind == "amount":
            return self._amount(field, raw, currency_of_row, digits)
        if kind == "rate":
            return self._rate(field, raw)
        if kind == "day":
            return self._day(field, raw)
        if kind == "whole":
            return self._whole(field, raw)
        if kind == "flag":
            return self._flag(field, raw)
        return self._text(field, raw)

    def _text(self, field: Field, raw: pl.Series) -> pl.Series:
        kind = field.column.kind
        text = blank_to_null(raw.cast(pl.String))
        if kind == "choice":
            bad = text.is_not_null() & ~text.is_in(list(field.values))
            self._report("TAB-005", field, text, bad, allowed=", ".join(field.values))
            return _null_where(text, bad)
        if kind == "currency":
            bad = text.is_not_null() & ~text.is_in(list(currencies()))
            self._report("TAB-010", field, text, bad, standard="ISO 4217")
            return _null_where(text, bad)
        if kind == "country":
            bad = text.is_not_null() & ~text.is_in(list(countries()))
            self._report("TAB-010", field, text, bad, standard="ISO 3166-1 alpha-2")
            return _null_where(text, bad)
        if kind == "factor":
            bad = text.is_not_null() & ~text.str.contains(grammar.DECIMAL)
            self._report("TAB-003", field, text, bad)
            return _null_where(text, bad)
        if kind == "key":
            padded = text.is_not_null() & (text != text.str.strip_chars())
            self._report("TAB-019", field, text, padded)
        return text

    def _day(self, field: Field, raw: pl.Series) -> pl.Series:
        if raw.dtype == pl.Date:
            return raw
        if raw.dtype == pl.Datetime:
            day = raw.dt.date()
            if (raw.cast(pl.Datetime("us")) != day.cast(pl.Datetime("us"))).any():
                self.findings.append(SHAPE_RULES["TAB-018"].finding(table=self.model.TABLE, field=field.name, file=self.file))
                return pl.Series(field.name, [None] * raw.len(), dtype=pl.Date)
            return day
        text = blank_to_null(raw.cast(pl.String))
        day = pl.select(pl.when(text.str.contains(grammar.DATE)).then(text).str.to_date("%Y-%m-%d", strict=False)).to_series()
        self._report("TAB-004", field, text, text.is_not_null() & day.is_null())
        return day

    def _whole(self, field: Field, raw: pl.Series) -> pl.Series:
        if raw.dtype.is_integer():
            return raw.cast(pl.Int64)
        text = blank_to_null(raw.cast(pl.String))
        bad = text.is_not_null() & ~text.str.contains(grammar.WHOLE)
        self._report("TAB-008", field, text, bad)
        return _null_where(text, bad).cast(pl.Int64, strict=False)

    def _flag(self, field: Field, raw: pl.Series) -> pl.Series:
        if raw.dtype == pl.Boolean:
            return raw
        text = blank_to_null(raw.cast(pl.String))
        bad = text.is_not_null() & ~text.str.contains(grammar.BOOLEAN)
        self._report("TAB-009", field, text, bad)
        return _null_where(text, bad).str.to_lowercase() == "true"

    def _rate(self, field: Field, raw: pl.Series) -> pl.Series:
        unscaled, scale, text, bad = self._decimal(field, raw)
        value, lost = _rescale(unscaled, scale, pl.Series([grammar.RATE_SCALE]).new_from_index(0, raw.len()))
        too_fine = text.is_not_null() & ~bad & lost
        self._report("TAB-022", field, text, too_fine)
        too_large = text.is_not_null() & ~bad & ~lost & (value.abs() >= grammar.RATE_BOUND)
        self._report("TAB-023", field, text, too_large)
        return _null_where(value, bad | too_fine | too_large).cast(pl.Int64, strict=False)

    def _amount(self, field: Field, raw: pl.Series, currency_of_row: pl.Series, digits: pl.Series) -> pl.Series:
        unscaled, scale, text, bad = self._decimal(field, raw)
        unknown = text.is_not_null() & ~bad & digits.is_null()
        self._report("TAB-015", field, text, unknown)
        value, lost = _rescale(unscaled, scale, digits.fill_null(2))
        too_fine = text.is_not_null() & ~bad & ~unknown & lost
        self._report("TAB-006", field, text, too_fine, currency=currency_of_row, digits=digits)
        too_large = text.is_not_null() & ~bad & ~unknown & ~lost & (value.abs() >= grammar.AMOUNT_BOUND)
        self._report("TAB-007", field, text, too_large)
        return _null_where(value, bad | unknown | too_fine | too_large).cast(pl.Int64, strict=False)

    def _decimal(self, field: Field, raw: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series, pl.Series]:
        """Unscaled integer, its scale, the text it came from, and where the text breaks the grammar."""
        height = raw.len()
        if raw.dtype.is_integer():
            return raw.cast(pl.Int128), pl.Series([0]).new_from_index(0, height), raw.cast(pl.String), pl.Series([False]).new_from_index(0, height)
        if isinstance(raw.dtype, pl.Decimal):
            scale = pl.Series([raw.dtype.scale]).new_from_index(0, height)
            return raw.to_physical(), scale, raw.cast(pl.String), pl.Series([False]).new_from_index(0, height)
        text = blank_to_null(raw.cast(pl.String))
        bad = text.is_not_null() & ~text.str.contains(grammar.DECIMAL)
        self._report("TAB-003", field, text, bad)
        good = _null_where(text, bad)
        point = good.str.find(".", literal=True).cast(pl.Int64)
        scale = (good.str.len_bytes().cast(pl.Int64) - point - 1).fill_null(0)
        unscaled = good.str.replace(".", "", literal=True).cast(pl.Int128, strict=False)
        return unscaled, scale, text, bad.fill_null(False)

    def _report(self, code: str, field: Field, text: pl.Series, where: pl.Series, **args: object) -> None:
        if not where.any():
            return
        key = [(self.text_column(k), fields_of(self.model)[k].column.pii) for k in self.model.KEY]
        loans = self.text_column("loan_id")
        rows, values = self.raw[ROW], text
        for i in where.arg_true().to_list():
            extra = {k: (v[i] if isinstance(v, pl.Series) else v) for k, v in args.items()}
            self.findings.append(
                SHAPE_RULES[code].finding(
                    table=self.model.TABLE,
                    file=self.file,
                    row=int(rows[i]),
                    field=field.name,
                    key="|".join(mask(k[i], pii) or "" for k, pii in key),
                    loan_id=loans[i],
                    value=mask(values[i], field.column.pii),
                    **extra,
                )
            )

    def _report_missing(self, field: Field, raw: pl.Series, column: pl.Series) -> None:
        blank = raw.is_null() if raw.dtype != pl.String else blank_to_null(raw).is_null()
        self._report("TAB-011", field, raw.cast(pl.String), blank & column.is_null())

    def _report_unknown_columns(self) -> None:
        known = set(fields_of(self.model)) | {ROW}
        for name in self.raw.columns:
            if name not in known:
                self.findings.append(SHAPE_RULES["TAB-012"].finding(table=self.model.TABLE, field=name, file=self.file))


def blank_to_null(text: pl.Series) -> pl.Series:
    """*text* with null where it is empty."""
    return pl.select(pl.when(text != "").then(text)).to_series().rename(text.name)


def _null_where(values: pl.Series, bad: pl.Series) -> pl.Series:
    if not bad.any():
        return values
    return pl.select(pl.when(~bad.fill_null(False)).then(values)).to_series()


def _rescale(unscaled: pl.Series, scale: pl.Series, digits: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The value at *digits* decimals as Int128, and where that loses something."""
    shift = digits.cast(pl.Int64) - scale.cast(pl.Int64)
    frame = pl.DataFrame({"u": unscaled.cast(pl.Int128), "s": shift}).with_columns(
        up=pl.col("s").clip(0, 10).replace_strict(list(range(11)), _POWERS, return_dtype=pl.Int64).cast(pl.Int128),
        down=(-pl.col("s")).clip(0, 10).replace_strict(list(range(11)), _POWERS, return_dtype=pl.Int64).cast(pl.Int128),
    )
    out = frame.select(
        value=(pl.col("u") * pl.col("up") // pl.col("down")),
        lost=(pl.col("u") % pl.col("down") != 0).fill_null(False),
    )
    return out["value"], out["lost"]
