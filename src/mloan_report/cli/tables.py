"""Frames shown and written: amounts in major units, rates in percent, csv, parquet or json by the file's ending."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

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


class TableWriter:
    """Writes frames one after another as one table, by the ending of *out*; ``-`` is csv on standard output, None is nowhere.

    Lists are joined by ``;`` in csv. Nothing stands at *out* before the last frame is written.
    """

    def __init__(self, out: str | None) -> None:
        self.out, self.pieces, self.frames = out, 0, 0
        if out is not None and out != "-" and not out.endswith((".csv", ".parquet", ".json")):
            raise CannotUse(f"--out {out!r} ends neither in .csv, .parquet nor .json")
        folder = Path(out).resolve().parent if out not in (None, "-") else None
        if folder is not None and not folder.is_dir():
            raise CannotUse(f"--out {out}: {folder} is not there")
        self.scratch = Path(tempfile.mkdtemp(prefix=".table.", dir=folder)) if folder is not None else None

    def __enter__(self) -> TableWriter:
        return self

    def take(self, frame: pl.DataFrame) -> None:
        """The next rows."""
        self.frames += 1
        if self.out is None:
            return
        if self.out == "-":
            sys.stdout.write(_flat(frame).write_csv(include_header=self.frames == 1))
            return
        assert self.scratch is not None
        if self.out.endswith(".parquet"):
            frame.write_parquet(self.scratch / f"{self.frames:05d}.parquet")
            return
        with (self.scratch / "table").open("a", encoding="utf-8", newline="") as stream:
            if self.out.endswith(".csv"):
                stream.write(_flat(frame).write_csv(include_header=self.frames == 1))
                return
            for row in frame.iter_rows(named=True):
                text = json.dumps(row, ensure_ascii=False, indent=2, default=str).replace("\n", "\n  ")
                stream.write(f"{',' if self.pieces else ''}\n  {text}")
                self.pieces += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.scratch is None:
            return
        try:
            if kind is None:
                self._settle()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _settle(self) -> None:
        assert self.scratch is not None
        assert self.out is not None
        made = self.scratch / "table"
        if self.out.endswith(".parquet"):
            made = self.scratch / "whole"
            pl.scan_parquet(sorted(self.scratch.glob("*.parquet"))).sink_parquet(made)
        elif self.out.endswith(".json"):
            with made.open("r+" if made.exists() else "w+", encoding="utf-8") as stream:
                text = self.scratch / "json"
                with text.open("w", encoding="utf-8") as whole:
                    whole.write("[")
                    shutil.copyfileobj(stream, whole)
                    whole.write("\n]\n" if self.pieces else "]\n")
            made = text
        made.replace(self.out)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    lists = [c for c, t in frame.schema.items() if isinstance(t, pl.List)]
    return frame.with_columns([pl.col(c).list.eval(pl.element().cast(pl.String).fill_null("")).list.join(";").alias(c) for c in lists])
