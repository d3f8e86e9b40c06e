"""A book held in Spark: the same kernels, a bucket a task, on as many machines as there are.

``SparkBook`` is a book in buckets like any other: :func:`build`, ``validate``, ``classify_book``, ``ratios_of_book`` and the rest take it.
Rows go to their buckets by joins; each bucket is then worked on whole by ``mapInArrow``, and what it gives (figures, findings,
parts of files) comes back to the driver in order of buckets. Needs the extra ``spark``.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mloan_report.model import Institution, fields_of, table_models
from mloan_report.portfolio.buckets import ROUTING, assemble
from mloan_report.portfolio.partition import BUCKETS_JSON, LATEST
from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.reading import UnusableInput, parse_institution
from mloan_report.portfolio.routing import BUCKET, Routes, owner_kind, routes_of_adjustments, work_out_routes
from mloan_report.portfolio.typing import DTYPES, ROW, blank_to_null

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CHUNK = 32_000_000
"""Bytes of a result that travel in one row."""
_TRAVEL = "bucket int, name string, home boolean, payload binary"


@dataclass(frozen=True)
class _About:
    """What a bucket must know of the book; it travels to the executors."""

    institution: Institution
    files: Mapping[str, str]
    digests: Mapping[str, str]
    settled: Mapping[str, frozenset[str]]
    currencies: tuple[str, ...]
    paid_days: tuple[date, ...]
    latest: date | None


@dataclass
class SparkBook:
    """A book in Spark. Made by :func:`spark_book` or :func:`spark_buckets`."""

    spark: SparkSession
    about: _About
    count: int
    routed: Mapping[str, DataFrame] = field(repr=False)
    plain: Mapping[str, DataFrame] = field(repr=False)

    @property
    def institution(self) -> Institution:
        """Who files."""
        return self.about.institution

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of the files that the book was laid out from; empty for data frames."""
        return self.about.digests

    def latest_date(self) -> date | None:
        """The latest date on which anything happened."""
        return self.about.latest

    def bucket(self, number: int) -> Portfolio:
        """One bucket, brought to the driver."""
        book: Portfolio = next(iter(self.map_buckets(_Itself(None), [number])))
        return book

    def columns(self, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
        """These columns of a table of the whole book, brought to the driver."""
        return _typed(_collected(self.plain.get(table), columns), table)

    def map_buckets(self, work: Any, arguments: Sequence[Any]) -> Iterator[Any]:
        """*work* of each argument (a bucket's number, or a tuple that begins with it), run where the bucket is; in order."""
        wanted = {a if isinstance(a, int) else a[0]: a for a in arguments}
        task = _BucketTask(replace(work, source=None), wanted, self.about)
        packed = [_packed(frame.filter(frame[BUCKET].isin(list(wanted))) if len(wanted) < self.count else frame, name) for name, frame in self.routed.items()]
        whole = packed[0]
        for frame in packed[1:]:
            whole = whole.unionByName(frame)
        rows = whole.repartition(min(len(wanted), 2 * self.spark.sparkContext.defaultParallelism), "bucket").sortWithinPartitions("bucket", "name")
        made = rows.mapInArrow(task, "bucket int, seq int, payload binary")
        data: dict[int, list[bytes]] = {}
        for row in made.orderBy("bucket", "seq").toLocalIterator():
            for done in [b for b in data if b != row["bucket"]]:
                yield _arrived(data.pop(done), work)
            data.setdefault(row["bucket"], []).append(bytes(row["payload"]))
        for done in list(data):
            yield _arrived(data.pop(done), work)


def spark_buckets(spark: SparkSession, path: str) -> SparkBook:
    """The book that ``partition`` laid out at *path*, on any store that Spark reads."""
    index = json.loads(_text(spark, f"{path}/{BUCKETS_JSON}"))
    institution = parse_institution(_text(spark, f"{path}/institution.toml"), f"{path}/institution.toml")
    count = len(index["ranges"])
    routed: dict[str, DataFrame] = {}
    plain: dict[str, DataFrame] = {}
    for name, rows in index["rows"].items():
        model = table_models().get(name)
        kind = "adjustments" if name == "adjustments" else owner_kind(index["schemas"][name], model.KEY if model else ())
        if kind is None:
            plain[name] = spark.read.parquet(f"{path}/{name}.parquet")
            routed[name] = _everywhere(spark, plain[name], count)
            continue
        routed[name], plain[name] = _laid_out(spark, f"{path}/{name}")
        if len(rows) != count:
            raise UnusableInput(f"{path}/{BUCKETS_JSON}: {name} has {len(rows)} parts, not {count}")
    about = _About(
        institution,
        index["files"],
        index["digests"],
        {name: frozenset(columns) for name, columns in index["typed"].items()},
        tuple(index["currencies"]),
        tuple(date.fromisoformat(d) for d in index["paid_days"]),
        date.fromisoformat(index["latest_date"]) if index["latest_date"] else None,
    )
    return SparkBook(spark, about, count, routed, plain)


def spark_book(tables: Mapping[str, DataFrame], institution: Institution | Mapping[str, Any], buckets: int) -> SparkBook:
    """The book in Spark data frames by table name, in *buckets* buckets. Amounts come as decimals, integers or text, never floats.

    The driver holds keys only: ids, links, names and numbers. Rows are numbered in the order of their partitions.
    """
    who = institution if isinstance(institution, Institution) else Institution.model_validate(dict(institution))
    if not tables:
        raise UnusableInput("no tables: a book has at least borrowers, loans, instalments and repayments")
    spark = next(iter(tables.values())).sparkSession
    numbered = {name: _numbered(spark, frame) for name, frame in tables.items()}

    def keys(table: str, columns: tuple[str, ...]) -> pl.DataFrame:
        frame = _collected(numbered.get(table), columns)
        return frame.select([blank_to_null(frame[c].cast(pl.String)) for c in columns])

    routes = work_out_routes(keys, buckets)
    routed = {name: _routed(spark, frame, name, routes) for name, frame in numbered.items() if name != "adjustments"}
    if "adjustments" in numbered:
        corrections = keys("adjustments", ("table", "key")).with_columns(_collected(numbered["adjustments"], (ROW,))[ROW].cast(pl.String))
        way = routes_of_adjustments(corrections, keys, frozenset(tables), routes)
        routed["adjustments"] = _joined(spark, numbered["adjustments"], ROW, way.rename({"_target": "_key"}))
    days = [keys(t, (c,))[c].str.to_date("%Y-%m-%d", strict=False) for t, c in LATEST]
    paid = keys("repayments", ("paid_on",))["paid_on"].str.to_date("%Y-%m-%d", strict=False).drop_nulls().unique().sort()
    latest = max((d for d in (s.max() for s in days) if isinstance(d, date)), default=None)
    currencies = tuple(keys("loans", ("currency_code",))["currency_code"].drop_nulls().unique().sort().to_list())
    about = _About(who, {name: name for name in tables}, {}, {}, currencies, tuple(paid.to_list()), latest)
    return SparkBook(spark, about, routes.count, routed, numbered)


def _text(spark: SparkSession, path: str) -> str:
    try:
        return str(spark.read.text(path, wholetext=True).first()["value"])  # type: ignore[index]
    except Exception as error:
        raise UnusableInput(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def _laid_out(spark: SparkSession, path: str) -> tuple[DataFrame, DataFrame]:
    """The rows of a table with their buckets (own, guests, shared), and each of its rows once."""
    from pyspark.sql import functions as f
    from pyspark.sql.types import ArrayType, LongType, StructType

    reader = spark.read.option("basePath", path)
    own = reader.option("pathGlobFilter", "part.parquet").parquet(path).withColumnRenamed("bucket", BUCKET)
    fields = [x for x in own.schema.fields if x.name != BUCKET]
    schema = StructType([*fields])
    extra = spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "guests.parquet").schema(schema).parquet(path)
    guests = extra.withColumn(BUCKET, f.regexp_extract(f.input_file_name(), r"bucket=(\d+)", 1).cast("int"))
    shared = (
        spark.read.option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "shared.parquet")
        .schema(StructType([*fields]).add("_buckets", ArrayType(LongType())).add("_home", LongType()))
        .parquet(path)
    )
    spread = (
        shared.withColumn(BUCKET, f.explode("_buckets"))
        .withColumn(BUCKET, f.col(BUCKET).cast("int"))
        .withColumn("home", f.col("_home") == f.col(BUCKET))
        .drop("_buckets", "_home")
    )
    columns = [x.name for x in fields]
    whole = (
        own.withColumn("home", f.lit(True))
        .select(*columns, BUCKET, "home")
        .unionByName(guests.withColumn("home", f.lit(False)).select(*columns, BUCKET, "home"))
        .unionByName(spread.select(*columns, BUCKET, "home"))
    )
    return whole, own.select(columns).unionByName(shared.select(columns))


def _everywhere(spark: SparkSession, frame: DataFrame, count: int) -> DataFrame:
    from pyspark.sql import functions as f

    numbers = spark.range(count).select(f.col("id").cast("int").alias(BUCKET))
    return frame.crossJoin(f.broadcast(numbers)).withColumn("home", f.col(BUCKET) == 0)


def _numbered(spark: SparkSession, frame: DataFrame) -> DataFrame:
    """*frame* with ``_row``, in the order of its partitions, kept so that it does not change."""
    from pyspark.sql import functions as f

    if ROW in frame.columns:
        return frame
    marked = frame.withColumn("_m", f.monotonically_increasing_id()).cache()
    place = f.shiftright("_m", 33)
    counts = sorted((r["p"], r["n"]) for r in marked.groupBy(place.alias("p")).agg(f.count("*").alias("n")).collect())
    starts, total = [], 2
    for partition, n in counts:
        starts.append((int(partition), total))
        total += n
    offsets = spark.createDataFrame(starts or [(0, 2)], "p long, start long")
    row = (f.col("start") + f.col("_m").bitwiseAND(f.lit((1 << 33) - 1))).alias(ROW)
    return marked.withColumn("p", place).join(f.broadcast(offsets), "p").select(*frame.columns, row)


def _routed(spark: SparkSession, frame: DataFrame, name: str, routes: Routes) -> DataFrame:
    from pyspark.sql import functions as f

    model = table_models().get(name)
    kind = owner_kind([c for c in frame.columns if c != ROW], model.KEY if model else ())
    if kind is None:
        return _everywhere(spark, frame, routes.count)
    placed = _joined(spark, frame, kind, routes.of(kind).rename({kind: "_key"}))
    if name != "borrowers":
        return placed
    away = spark.createDataFrame(pl.DataFrame({"_b": routes.named_elsewhere()}).to_arrow()) if routes.named_elsewhere().len() else None
    if away is None:
        return placed.withColumn("_shared", f.lit(False))
    return placed.join(away, placed["borrower_id"] == away["_b"], "left").withColumn("_shared", f.col("_b").isNotNull()).drop("_b")


def _joined(spark: SparkSession, frame: DataFrame, column: str, way: pl.DataFrame) -> DataFrame:
    """*frame* with the buckets of each row, by *way* (_key, _bucket, home)."""
    from pyspark.sql import functions as f

    places = spark.createDataFrame(way.select(pl.col("_key").cast(pl.String), pl.col(BUCKET).cast(pl.Int32), "home").to_arrow())
    joined = frame.withColumn("_key", f.col(column).cast("string")).join(places, "_key", "left").drop("_key")
    return joined.withColumn(BUCKET, f.coalesce(BUCKET, f.lit(0))).withColumn("home", f.coalesce("home", f.lit(True)))


def _packed(frame: DataFrame, name: str) -> DataFrame:
    """Rows of a table as Arrow payloads, one for each batch and bucket."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow

        for batch in batches:
            rows = pl.DataFrame(pyarrow.Table.from_batches([batch]))
            for (bucket, home), part in rows.partition_by(BUCKET, "home", as_dict=True, maintain_order=True).items():
                stream = BytesIO()
                part.drop(BUCKET, "home").write_ipc(stream)
                yield pyarrow.RecordBatch.from_pydict(
                    {"bucket": [bucket], "name": [name], "home": [home], "payload": [stream.getvalue()]},
                    schema=pyarrow.schema([("bucket", pyarrow.int32()), ("name", pyarrow.string()), ("home", pyarrow.bool_()), ("payload", pyarrow.binary())]),
                )

    few = frame.coalesce(frame.sparkSession.sparkContext.defaultParallelism)  # small files make many small tasks
    return few.mapInArrow(pack, _TRAVEL)


@dataclass(frozen=True)
class _BucketTask:
    """Puts the payloads of each bucket together and does the work on it."""

    work: Any
    wanted: Mapping[int, Any]
    about: _About

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow

        at: int | None = None
        held: list[tuple[str, bool, bytes]] = []
        for batch in batches:
            for row in batch.to_pylist():
                if at is not None and row["bucket"] != at:
                    yield from self._done(pyarrow, at, held)
                    held = []
                at = row["bucket"]
                held.append((row["name"], row["home"], row["payload"]))
        if at is not None:
            yield from self._done(pyarrow, at, held)

    def _done(self, pyarrow: Any, bucket: int, held: list[tuple[str, bool, bytes]]) -> Iterator[pa.RecordBatch]:
        book = self._book(bucket, held)
        with tempfile.TemporaryDirectory() as scratch:
            work = replace(self.work, source=_OneBucket(book, bucket))
            if hasattr(work, "folder"):
                work = replace(work, folder=Path(scratch))
            result = work(self.wanted[bucket])
            files = {p.name: p.read_bytes() for p in Path(scratch).iterdir()}
        data = pickle.dumps((result, files))
        schema = pyarrow.schema([("bucket", pyarrow.int32()), ("seq", pyarrow.int32()), ("payload", pyarrow.binary())])
        for seq, start in enumerate(range(0, len(data), CHUNK)):
            yield pyarrow.RecordBatch.from_pydict({"bucket": [bucket], "seq": [seq], "payload": [data[start : start + CHUNK]]}, schema=schema)

    def _book(self, bucket: int, held: list[tuple[str, bool, bytes]]) -> Portfolio:
        own: dict[str, list[pl.DataFrame]] = {}
        guests: dict[str, list[pl.DataFrame]] = {}
        for name, home, payload in held:
            (own if home else guests).setdefault(name, []).append(self._typed(pl.read_ipc(BytesIO(payload)), name))
        raw, rows, shared = {}, {}, set[str]()
        for name in self.about.files:
            mine, others = own.get(name, []), guests.get(name, [])
            if not mine and not others:
                continue
            frame = pl.concat([*mine, *others]).sort(ROW)
            rows[name] = frozenset(r for g in others for r in g[ROW].to_list())
            if "_shared" in frame.columns:
                shared |= set(frame.filter(pl.col("_shared") | pl.col(ROW).is_in(list(rows[name])))["borrower_id"].drop_nulls().to_list())
            if name in ("parties", "collateral"):
                # Not known here whether another bucket names them too; an entity named once is no worse for being asked twice.
                shared |= set(frame["party_id" if name == "parties" else "collateral_id"].drop_nulls().cast(pl.String).to_list())
            raw[name] = frame.drop(ROUTING, strict=False)
        a = self.about
        return assemble(a.institution, raw, rows, frozenset(shared), bucket, a.files, a.digests, a.settled, a.currencies, a.paid_days)

    def _typed(self, frame: pl.DataFrame, name: str) -> pl.DataFrame:
        """Spark has no unsigned numbers and its own decimals: settled columns back to the model's types."""
        settled = self.about.settled.get(name, frozenset())
        model = table_models().get(name)
        casts = [pl.col(ROW).cast(pl.UInt32)]
        if model is not None:
            casts += [pl.col(c).cast(DTYPES[fields_of(model)[c].column.kind]) for c in settled if c in frame.columns]
        return frame.with_columns(casts)


@dataclass(frozen=True)
class _OneBucket:
    """The source that a task sees on an executor: the bucket it was given."""

    book: Portfolio
    number: int
    count: int = 1

    @property
    def institution(self) -> Institution:
        return self.book.institution

    @property
    def digests(self) -> Mapping[str, str]:
        return self.book.digests

    def bucket(self, number: int) -> Portfolio:
        return self.book

    def latest_date(self) -> date | None:
        return self.book.latest_date()


@dataclass(frozen=True)
class _Itself:
    source: Any

    def __call__(self, number: int) -> Portfolio:
        return self.source.bucket(number)  # type: ignore[no-any-return]


def _arrived(chunks: list[bytes], work: Any) -> Any:
    result, files = pickle.loads(b"".join(chunks))
    if not hasattr(work, "folder"):
        return result
    for name, content in files.items():
        (work.folder / name).write_bytes(content)
    return result.moved(work.folder)


def _collected(frame: DataFrame | None, columns: tuple[str, ...]) -> pl.DataFrame:
    if frame is None:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    there = [c for c in columns if c in frame.columns]
    if not there:
        return pl.DataFrame({c: pl.Series([None] * frame.count(), dtype=pl.String) for c in columns})
    made = pl.DataFrame(frame.select(there).toArrow())
    return made.select([pl.col(c) if c in there else pl.lit(None, pl.String).alias(c) for c in columns])


def _typed(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    kinds = {c: DTYPES[x.column.kind] for c, x in fields_of(table_models()[table]).items()}
    return frame.select([pl.col(c).cast(kinds[c], strict=False) for c in frame.columns])
