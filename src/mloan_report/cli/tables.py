"""Frames shown and written: amounts in major units, rates in percent, csv, parquet or json by the file's ending."""

from __future__ import annotations

import json
import sys

import polars as pl

from mloan_report.cli.shared import CannotUse
from mloan_report.model.currency import currencies
from mloan_report.portfolio.writing import minor_to_text


def shown(frame: pl.DataFrame, amounts: list[str], percents: list[str]) -> pl.DataFrame:
    """*frame* with amounts (minor units) and percents (10^-7) as plain decimal text."""
    digits = frame["currency_code"].replace_strict(currencies(), default=2, return_dtype=pl.Int64)
    out = frame.with_columns(digits.alias("_digits"))
    return out.with_columns(
        [minor_to_text(pl.col(c), pl.col("_digits")).alias(c) for c in amounts if c in frame.columns]
        + [minor_to_text(pl.col(c), pl.lit(7)).str.strip_chars_end("0").str.strip_chars_end(".").alias(c) for c in percents if c in frame.columns]
    ).drop("_digits")


def write_table(frame: pl.DataFrame, out: str) -> None:
    """Writes by the ending of *out*; ``-`` is csv on standard output. Lists are joined by ``;`` in csv."""
    lists = [c for c, t in frame.schema.items() if isinstance(t, pl.List)]
    if out.endswith(".parquet"):
        frame.write_parquet(out)
        return
    if out.endswith(".json"):
        with open(out, "w", encoding="utf-8") as stream:
            json.dump(frame.to_dicts(), stream, ensure_ascii=False, indent=2, default=str)
            stream.write("\n")
        return
    if out != "-" and not out.endswith(".csv"):
        raise CannotUse(f"--out {out!r} ends neither in .csv, .parquet nor .json")
    flat = frame.with_columns([pl.col(c).list.eval(pl.element().cast(pl.String).fill_null("")).list.join(";").alias(c) for c in lists])
    if out == "-":
        sys.stdout.write(flat.write_csv())
    else:
        flat.write_csv(out)
