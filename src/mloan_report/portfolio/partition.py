"""A portfolio laid out in buckets on disk, so that a book of any size is worked on one part at a time.

``DIR/<table>/bucket=00000/part.parquet`` holds a bucket's own rows and ``guests.parquet`` beside it those of other buckets
that it needs; ``DIR/<table>/shared.parquet`` the people and collateral that several buckets name; ``DIR/<table>.parquet`` the
tables of the institution; ``buckets.json`` ranges, counts and schemas. Rows keep their source row in ``_row``. A column in which
reading found nothing to say is stored typed (amounts in minor units); any other as it was given, so that nothing is lost.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.model import Institution, fields_of, grammar, table_models
from mloan_report.portfolio.reading import SUFFIXES, UnusableInput, currency_maps, currency_of_row, file_digest, read_institution
from mloan_report.portfolio.routing import BUCKET, Routes, owner_kind, routes_of_adjustments, work_out_routes
from mloan_report.portfolio.typing import ROW, TableTyper, blank_to_null

BUCKETS_JSON = "buckets.json"
WINDOW = 300_000
"""Rows of a table held at a time."""
LATEST = (("loans", "disbursed_on"), ("repayments", "paid_on"), ("loans", "status_on"), ("write_offs", "written_off_on"))
"""The dates of which the latest is the default as_of."""


def partition_portfolio(folder: str | Path, out: str | Path, buckets: int) -> Path:
    """Lays the portfolio in *folder* out in *buckets* buckets in *out*, a new or empty folder; gives *out*.

    Raises :class:`UnusableInput` where a file cannot be read whole or *out* is not empty; then nothing stands at *out*.
    """
    source, target = Path(folder), Path(out)
    if (source / BUCKETS_JSON).exists():
        raise UnusableInput(f"{source} is laid out in buckets already")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UnusableInput(f"{target} exists and is not an empty folder")
    institution = read_institution(source / "institution.toml")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _Partition(source, institution, work, buckets).run()
        work.chmod(0o755)
        if target.exists():
            target.rmdir()
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


@dataclass
class _Partition:
    source: Path
    institution: Institution
    work: Path
    wanted: int
    files: dict[str, Path] = field(default_factory=dict)
    typed: dict[str, list[str]] = field(default_factory=dict)
    schemas: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)
    guests: dict[str, list[int]] = field(default_factory=dict)
    shared: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        digests = {"institution.toml": file_digest(self.source / "institution.toml")}
        for file in sorted(p for p in self.source.iterdir() if p.suffix in SUFFIXES and p.is_file()):
            if file.stem in self.files:
                raise UnusableInput(f"{file} and {self.files[file.stem].name} are the same table: remove one")
            self.files[file.stem] = file
            digests[file.name] = file_digest(file)
        self.tables = {name: self._scannable(name, path) for name, path in self.files.items()}
        routes = work_out_routes(self._keys, self.wanted)
        maps = currency_maps(lambda table, columns: self._keys(table, columns))
        clean: dict[str, dict[str, Any]] = {name: self._clean(name, maps) for name in self.tables}
        for name in self.tables:
            self._lay_out(name, routes, maps, clean[name])
        shutil.copyfile(self.source / "institution.toml", self.work / "institution.toml")
        self._write_index(routes, digests)
        for scratch in self.work.glob("*.scan"):
            scratch.unlink()

    def _scannable(self, name: str, path: Path) -> pl.LazyFrame:
        """The table with its rows numbered; a csv is turned into columns first, streaming, all of it text."""
        try:
            if path.suffix == ".parquet":
                frame = pl.scan_parquet(path)
                frame.collect_schema()
                return frame.with_row_index(ROW, offset=2)
            _require_utf8(path)
            scratch = self.work / f"{name}.scan"
            pl.scan_csv(path, infer_schema=False).with_row_index(ROW, offset=2).sink_parquet(scratch, compression="lz4")
            return pl.scan_parquet(scratch)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UnusableInput(f"{path} cannot be read: {str(error).splitlines()[0]}") from None

    def _keys(self, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
        if table not in self.tables:
            return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        there = self.tables[table].collect_schema().names()
        moments = [c for c, t in self.tables[table].collect_schema().items() if isinstance(t, pl.Datetime)]
        texts = [(pl.col(c).dt.date() if c in moments else pl.col(c)).cast(pl.String) if c in there else pl.lit(None, pl.String).alias(c) for c in columns]
        frame = self.tables[table].select(texts).collect(engine="streaming")
        return frame.with_columns([blank_to_null(frame[c]) for c in columns])

    def _windows(self, name: str) -> Iterator[pl.DataFrame]:
        start = 0
        while True:
            try:
                window = self.tables[name].slice(start, WINDOW).collect()
            except pl.exceptions.PolarsError as error:
                raise UnusableInput(f"{self.files[name]} cannot be read: {str(error).splitlines()[0]}") from None
            if window.height or start == 0:
                yield window
            if window.height < WINDOW:
                return
            start += WINDOW

    def _typer(self, name: str, window: pl.DataFrame, maps: Mapping[str, pl.DataFrame]) -> tuple[TableTyper, pl.DataFrame]:
        typer = TableTyper(table_models()[name], window, self.files[name].name)
        return typer, typer.typed(currency_of_row(typer, self.institution.currency_code, maps))

    def _clean(self, name: str, maps: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
        """The columns of which typing has nothing to say in any row, with their type."""
        model = table_models().get(name)
        if model is None:
            return {}
        known = set(self.tables[name].collect_schema().names()) & set(fields_of(model))
        dirty: set[str] = set()
        schema: dict[str, Any] = {}
        for window in self._windows(name):
            typer, typed = self._typer(name, window, maps)
            dirty |= {f.field for f in typer.findings if f.field}
            schema = dict(typed.schema)
        return {c: schema[c] for c in known - dirty}

    def _lay_out(self, name: str, routes: Routes, maps: Mapping[str, pl.DataFrame], clean: Mapping[str, Any]) -> None:
        model = table_models().get(name)
        schema = self.tables[name].collect_schema()
        kind = owner_kind(schema.names(), model.KEY if model else ())
        self.typed[name] = sorted(clean)
        if name == "adjustments":
            kind = "_target"
        if kind is None:
            whole = pl.concat([self._stored(name, w, maps, clean) for w in self._windows(name)])
            whole.write_parquet(self.work / f"{name}.parquet")
            self.schemas[name] = _schema_text(whole.schema)
            self.rows[name] = [whole.height]
            return
        writer = _BucketWriter(self.work / name, routes.count)
        way = self._corrections(routes) if kind == "_target" else routes.of(kind)
        shared = routes.shared(kind) if kind in ("party_id", "collateral_id") else pl.Series([], dtype=pl.String)
        spread = way.join(pl.DataFrame({kind: shared}), on=kind, how="anti") if shared.len() else way
        several = (
            way.join(pl.DataFrame({kind: shared}), on=kind, how="semi")
            .group_by(kind)
            .agg(_buckets=pl.col(BUCKET).sort(), _home=pl.col(BUCKET).filter("home").min())
        )
        kept: list[pl.DataFrame] = []
        for window in self._windows(name):
            rows = self._stored(name, window, maps, clean)
            key = window[kind].cast(pl.String) if kind != "_target" else window[ROW].cast(pl.String)
            rows = rows.with_columns(blank_to_null(key).alias("_key"))
            if name == "borrowers":
                rows = rows.with_columns(_shared=pl.col("borrower_id").is_in(routes.named_elsewhere().implode()))
            if shared.len():
                kept.append(rows.join(several, left_on="_key", right_on=kind, how="inner", maintain_order="left").drop("_key"))
                rows = rows.join(several.select(kind), left_on="_key", right_on=kind, how="anti", maintain_order="left")
            placed = rows.join(spread, left_on="_key", right_on=kind, how="left", maintain_order="left").drop("_key")
            writer.take(placed.with_columns(pl.col(BUCKET).fill_null(0), pl.col("home").fill_null(True)))
        schema_out, self.rows[name], self.guests[name] = writer.finish()
        self.schemas[name] = _schema_text(schema_out)
        common = pl.concat(kept).sort(kind, ROW) if kept else None
        if common is not None and common.height:
            common.write_parquet(self.work / name / "shared.parquet")
            self.shared[name] = common.height

    def _stored(self, name: str, window: pl.DataFrame, maps: Mapping[str, pl.DataFrame], clean: Mapping[str, Any]) -> pl.DataFrame:
        if not clean:
            return window
        _, typed = self._typer(name, window, maps)
        return window.with_columns([typed[c] for c in window.columns if c in clean])

    def _corrections(self, routes: Routes) -> pl.DataFrame:
        rows = self._keys("adjustments", (ROW, "table", "key"))
        return routes_of_adjustments(rows, self._keys, frozenset(self.tables), routes)

    def _write_index(self, routes: Routes, digests: Mapping[str, str]) -> None:
        ranges = {r[BUCKET]: r for r in routes.ranges.iter_rows(named=True)}
        currencies = self._keys("loans", ("currency_code",))["currency_code"].drop_nulls().unique().sort().to_list()
        index = {
            "buckets": 1,
            "ranges": [{"first": ranges.get(k, {}).get("first"), "last": ranges.get(k, {}).get("last")} for k in range(routes.count)],
            "rows": dict(sorted(self.rows.items())),
            "guests": dict(sorted(self.guests.items())),
            "shared": dict(sorted(self.shared.items())),
            "schemas": dict(sorted(self.schemas.items())),
            "schema_sha256": schema_digest(self.schemas),
            "typed": dict(sorted(self.typed.items())),
            "files": {name: path.name for name, path in sorted(self.files.items())},
            "digests": dict(sorted(digests.items())),
            "currencies": currencies,
            "latest_date": self._latest(),
            "paid_days": self._days("repayments", "paid_on").unique().sort().dt.to_string("%Y-%m-%d").to_list(),
        }
        (self.work / BUCKETS_JSON).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _latest(self) -> str | None:
        days = [day for day in (self._days(table, column).max() for table, column in LATEST) if isinstance(day, date)]
        return max(days).isoformat() if days else None

    def _days(self, table: str, column: str) -> pl.Series:
        text = self._keys(table, (column,))[column]
        return text.filter(text.str.contains(grammar.DATE)).str.to_date("%Y-%m-%d", strict=False).drop_nulls()


class _BucketWriter:
    """Rows of one table into the files of each bucket; windows that fall into one bucket one after another are joined."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.window = folder, count, 0
        self.pieces: dict[tuple[int, bool], list[Path]] = {}
        self.schema: pl.Schema | None = None

    def take(self, rows: pl.DataFrame) -> None:
        """Takes rows with _bucket and home."""
        self.schema = rows.drop(BUCKET, "home").schema
        for (bucket, home), part in rows.partition_by(BUCKET, "home", maintain_order=True, as_dict=True).items():
            path = self._place(int(bucket)) / f"{'part' if home else 'guests'}-{self.window}.parquet"
            part.drop(BUCKET, "home").write_parquet(path)
            self.pieces.setdefault((int(bucket), bool(home)), []).append(path)
        self.window += 1

    def finish(self) -> tuple[pl.Schema, list[int], list[int]]:
        """Leaves one part for each bucket (an empty one where it has no row) and guests where there are any; gives the rows of both."""
        assert self.schema is not None
        own = [self._settle(bucket, home=True) for bucket in range(self.count)]
        guests = [self._settle(bucket, home=False) if (bucket, False) in self.pieces else 0 for bucket in range(self.count)]
        return self.schema, own, guests

    def _settle(self, bucket: int, *, home: bool) -> int:
        assert self.schema is not None
        pieces = self.pieces.get((bucket, home), [])
        final = self._place(bucket) / ("part.parquet" if home else "guests.parquet")
        if len(pieces) == 1:
            pieces[0].rename(final)
            return int(pl.scan_parquet(final).select(pl.len()).collect().item())
        whole = pl.concat([pl.read_parquet(p) for p in pieces]) if pieces else pl.DataFrame(schema=self.schema)
        whole.write_parquet(final)
        for p in pieces:
            p.unlink()
        return whole.height

    def _place(self, bucket: int) -> Path:
        path = self.folder / bucket_name(bucket)
        path.mkdir(parents=True, exist_ok=True)
        return path


def bucket_name(bucket: int) -> str:
    """The folder of a bucket: ``bucket=00000``."""
    return f"bucket={bucket:05d}"


def _schema_text(schema: pl.Schema) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in schema.items()}


def schema_digest(schemas: Mapping[str, Mapping[str, str]]) -> str:
    """SHA-256 over the columns and types of all tables."""
    return hashlib.sha256(json.dumps({t: dict(c) for t, c in sorted(schemas.items())}, sort_keys=True).encode()).hexdigest()


def _require_utf8(path: Path) -> None:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise UnusableInput(f"{path} is not UTF-8 (near byte {at + error.start})") from None
            at += len(block)
        if at == 0:
            raise UnusableInput(f"{path} is empty, without even a header row")
