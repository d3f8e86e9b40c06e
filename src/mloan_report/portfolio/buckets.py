"""A book read bucket by bucket: what :mod:`partition` laid out, or a portfolio held whole as one bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import polars as pl

from mloan_report.model import Institution, table_models
from mloan_report.portfolio.partition import BUCKETS_JSON, bucket_name, schema_digest
from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.reading import UnusableInput, build_portfolio, read_institution, read_portfolio
from mloan_report.portfolio.typing import ROW, frame_schema

ROUTING = ("_shared", "_buckets", "_home")
"""Columns that the layout adds to rows."""


class Source(Protocol):
    """A book in ``count`` buckets; :class:`Portfolio` is one of a single bucket."""

    @property
    def institution(self) -> Institution:
        """Who files."""

    @property
    def count(self) -> int:
        """How many buckets."""

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each file that the book was read from."""

    def bucket(self, number: int) -> Portfolio:
        """A bucket as a portfolio that can be worked on alone."""

    def latest_date(self) -> date | None:
        """The latest date on which anything happened."""


def open_book(folder: str | Path) -> Source:
    """The book in *folder*: in its buckets where it is laid out so, else whole."""
    path = Path(folder)
    return Buckets(path) if (path / BUCKETS_JSON).is_file() else read_portfolio(path)


class Buckets:
    """A book laid out in buckets on disk. Every error names the file that it is about."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / BUCKETS_JSON
        try:
            self.index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            digest = schema_digest(self.index["schemas"])
            self.count = len(self.index["ranges"])
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, AttributeError) as error:
            raise UnusableInput(f"{path} cannot be read: {error}") from None
        if digest != self.index.get("schema_sha256"):
            raise UnusableInput(f"{path}: schema_sha256 is not that of its schemas: lay the book out again")
        self.institution = read_institution(self.folder / "institution.toml")
        self._shared: dict[str, pl.DataFrame | None] = {}

    def __reduce__(self) -> tuple[type[Buckets], tuple[Path]]:
        return Buckets, (self.folder,)

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of the files that were laid out."""
        return dict(self.index["digests"])

    def latest_date(self) -> date | None:
        """The latest date on which anything happened."""
        day = self.index["latest_date"]
        return date.fromisoformat(day) if day else None

    def bucket(self, number: int) -> Portfolio:
        """Bucket *number* with its guests, typed. Raises :class:`UnusableInput` for a part that is missing, cannot be read, has
        other columns than the rest, or holds a borrower of another bucket.
        """
        if not 0 <= number < self.count:
            raise IndexError(number)
        raw: dict[str, pl.DataFrame] = {}
        guests: dict[str, frozenset[int]] = {}
        shared: set[str] = set()
        for name in self.index["schemas"]:
            raw[name], guests[name], named = self._table(name, number)
            shared |= named
        self._check_range(number, raw, guests)
        settled = {name: frozenset(columns) for name, columns in self.index["typed"].items()}
        currencies = tuple(self.index["currencies"])
        return assemble(self.institution, raw, guests, frozenset(shared), number, self.index["files"], self.digests, settled, currencies, self._paid_days)

    def whole(self) -> Portfolio:
        """The book as one portfolio, in memory: for books that fit."""
        raw: dict[str, list[pl.DataFrame]] = {}
        for number in range(self.count):
            for name in self.index["schemas"]:
                frame, rows, _ = self._table(name, number)
                raw.setdefault(name, []).append(frame.filter(~pl.col(ROW).is_in(list(rows))) if rows else frame)
        settled = {name: frozenset(columns) for name, columns in self.index["typed"].items()}
        frames = {name: pl.concat(parts).sort(ROW) for name, parts in raw.items()}
        return build_portfolio(self.institution, frames, files=self.index["files"], digests=self.digests, settled=settled)

    @cached_property
    def _paid_days(self) -> tuple[date, ...]:
        return tuple(date.fromisoformat(d) for d in self.index["paid_days"])

    def _table(self, name: str, number: int) -> tuple[pl.DataFrame, frozenset[int], set[str]]:
        whole = self.folder / f"{name}.parquet"
        if whole.is_file():
            frame = self._read(whole, name, self.index["rows"][name][0])
            return frame, frozenset(frame[ROW].to_list()) if number else frozenset(), set()
        place = self.folder / name / bucket_name(number)
        own = self._read(place / "part.parquet", name, self.index["rows"][name][number])
        shared: set[str] = set()
        if "_shared" in own.columns:
            shared |= set(own.filter("_shared")["borrower_id"].to_list())
        parts, rows = [own], frozenset[int]()
        if guests := self.index["guests"][name][number]:
            parts.append(self._read(place / "guests.parquet", name, guests))
            rows |= frozenset(parts[-1][ROW].to_list())
            if "_shared" in own.columns:
                shared |= set(parts[-1]["borrower_id"].to_list())
        common = self._shared_rows(name)
        if common is not None:
            here = common.filter(pl.col("_buckets").list.contains(number))
            rows |= frozenset(here.filter(pl.col("_home") != number)[ROW].to_list())
            parts.append(here.drop("_buckets", "_home"))
            if name in ("parties", "collateral"):
                shared |= set(here["party_id" if name == "parties" else "collateral_id"].to_list())
        frame = pl.concat(parts).sort(ROW) if len(parts) > 1 else own
        return frame.drop(ROUTING, strict=False), rows, shared

    def _shared_rows(self, name: str) -> pl.DataFrame | None:
        if name not in self._shared:
            path = self.folder / name / "shared.parquet"
            self._shared[name] = self._read(path, name, self.index["shared"][name]) if name in self.index["shared"] else None
        return self._shared[name]

    def _read(self, path: Path, name: str, rows: int) -> pl.DataFrame:
        if not path.is_file():
            raise UnusableInput(f"{path} is not there: a bucket without it would leave loans out; lay the book out again")
        try:
            frame = pl.read_parquet(path, hive_partitioning=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UnusableInput(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
        want = self.index["schemas"][name]
        found = {c: str(t) for c, t in frame.schema.items() if c not in ("_buckets", "_home")}
        if found != want:
            odd = next((c for c in {**want, **found} if want.get(c) != found.get(c)), "?")
            raise UnusableInput(f"{path} has other columns than the rest of {name}: {odd} is {found.get(odd, 'missing')}, not {want.get(odd, 'there')}")
        if frame.height != rows:
            raise UnusableInput(f"{path} has {frame.height} rows; {BUCKETS_JSON} says {rows}: lay the book out again")
        return frame

    def columns(self, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
        """These columns of a table of all buckets, as they stand."""
        if table not in self.index["schemas"]:
            return pl.DataFrame(schema={c: frame_schema(table_models()[table])[c] for c in columns})
        whole = self.folder / f"{table}.parquet"
        paths = [whole] if whole.is_file() else [self.folder / table / bucket_name(n) / "part.parquet" for n in range(self.count)]
        paths += [self.folder / table / "shared.parquet"] if table in self.index["shared"] else []
        there = [c for c in columns if c in self.index["schemas"][table]]
        try:
            frame = pl.concat([pl.read_parquet(p, columns=there, hive_partitioning=False) for p in paths])
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UnusableInput(f"{self.folder / table} cannot be read: {str(error).splitlines()[0]}") from None
        schema = frame_schema(table_models()[table])
        return frame.select([pl.col(c).cast(schema[c]) if c in there else pl.lit(None, schema[c]).alias(c) for c in columns])

    def _check_range(self, number: int, raw: Mapping[str, pl.DataFrame], guests: Mapping[str, frozenset[int]]) -> None:
        first, last = self.index["ranges"][number]["first"], self.index["ranges"][number]["last"]
        for name in ("borrowers", "loans"):
            if name not in raw or "borrower_id" not in raw[name].columns:
                continue
            frame = raw[name]
            own = frame.filter(~pl.col(ROW).is_in(list(guests[name]))) if guests[name] else frame
            ids = own["borrower_id"].drop_nulls()
            low, high = ids.min(), ids.max()
            if ids.len() and (first is None or str(low) < first or str(high) > last):
                stray = str(low if first is None or str(low) < first else high)
                path = self.folder / name / bucket_name(number) / "part.parquet"
                raise UnusableInput(f"{path} holds borrower {stray}, who belongs to another bucket (this one is {first} to {last}): nobody may stand in two")


def assemble(
    institution: Institution,
    raw: Mapping[str, pl.DataFrame],
    guests: Mapping[str, frozenset[int]],
    shared: frozenset[str],
    number: int,
    files: Mapping[str, str],
    digests: Mapping[str, str],
    settled: Mapping[str, frozenset[str]],
    currencies: tuple[str, ...],
    paid_days: tuple[date, ...],
) -> Portfolio:
    """Bucket *number* from its rows, those of *guests* (by table) among them; what is said of a whole table is said in bucket 0."""
    book = build_portfolio(institution, raw, files=files, digests=digests, settled=settled)
    findings = tuple(f for f in book.findings if (f.row not in guests.get(f.table or "", ()) if f.row is not None else number == 0))
    here = {name: rows for name, rows in guests.items() if rows}
    return replace(book, findings=findings, guest_rows=here, shared=shared, currencies=currencies, paid_days=paid_days)


def columns_of(source: Source, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """These columns of a table over the whole book, nothing else of it read; each row once."""
    narrow = getattr(source, "columns", None)
    if narrow is not None:
        return cast(pl.DataFrame, narrow(table, columns))
    return pl.concat([source.bucket(n).table(table).select(columns) for n in range(source.count)])
