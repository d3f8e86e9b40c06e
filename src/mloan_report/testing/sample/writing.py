"""Writes a made-up portfolio: institution.toml and one file a table, csv or parquet, the same data in both forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from mloan_report.model import fields_of, table_models
from mloan_report.portfolio.reading import read_institution
from mloan_report.testing.sample import copies as numbered
from mloan_report.testing.sample.book import SampleBook, make_book
from mloan_report.testing.sample.copies import text_frames, typed_frames, write_large
from mloan_report.testing.sample.country import Row, country_for
from mloan_report.testing.sample.faults import add_faults

DEFAULT_AS_OF = date(2026, 10, 31)


def make_sample(loans: int, country: str, seed: int, out: str | Path, *, as_of: date = DEFAULT_AS_OF, file_format: str = "csv", faults: bool = False) -> Path:
    """A made-up portfolio of *loans* loans in the folder *out*, the same bytes for the same arguments.

    The first :data:`~mloan_report.testing.sample.copies.BLOCK` loans are told one by one; further ones are copies of them under other numbers.
    With *faults*, known defects are put in and listed in faults.json. KeyError for a country without a sample.
    """
    folder = Path(out)
    where = country_for(country)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "institution.toml").write_text(where.institution, encoding="utf-8")
    told = make_book(min(loans, numbered.BLOCK), where, seed, as_of)
    block = _frames(told, {})
    if faults:
        add_faults(told, folder)
    first = _frames(told, block) if faults else block
    copies, left = divmod(max(0, loans - numbered.BLOCK), numbered.BLOCK)
    rest = _frames(make_book(left, where, seed, as_of), block) if left else {}
    if file_format == "parquet":
        institution = read_institution(folder / "institution.toml")
        first, block, rest = (typed_frames(frames, institution) if frames else {} for frames in (first, block, rest))
        if any(block[n].schema != first[n].schema for n in block):  # faults leave text: the copies then hold text as well
            first, block = _frames(told, {}), _frames(make_book(min(loans, numbered.BLOCK), where, seed, as_of), {})
            rest = _frames(make_book(left, where, seed, as_of), block) if left else {}
    write_large(first, block, rest, copies, where, folder, file_format)
    return folder


def _frames(book: SampleBook, like: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of a book as text, with the columns of *like* where it has the table."""
    return text_frames(book, {name: like[name].columns if name in like else _columns(name, rows) for name, rows in book.tables.items()})


def _columns(name: str, rows: Sequence[Row]) -> list[str]:
    used = {k for row in rows for k in row}
    models = table_models()
    if name not in models:
        return list(dict.fromkeys(k for row in rows for k in row))
    known = fields_of(models[name])
    return [c for c in known if c in used or known[c].required] + sorted(used - set(known))


__all__ = ["make_sample"]
