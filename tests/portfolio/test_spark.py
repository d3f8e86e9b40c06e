"""A book in Spark gives the same files and the same ratios, to the last digit. Local mode, where Java and PySpark are."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mloan_report.filing import build
from mloan_report.measures.book import ratios_of_book
from mloan_report.portfolio import UnusableInput, read_portfolio
from mloan_report.portfolio.partition import partition_portfolio
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, tzinfo=UTC)
LOANS = 60
KEPT = (
    "borrowers",
    "loans",
    "instalments",
    "repayments",
    "identifiers",
    "collateral",
    "collateral_links",
    "facilities",
    "adjustments",
)
"""Tables of each way of routing; every further one costs Spark's planner some seconds and shows nothing new."""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("no Java on this machine: Spark needs Java 17")
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'mloan-report[spark]'")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # what runs for a minute is not worth compiling well
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.default.parallelism", "2")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_sample(LOANS, "SV", 4, tmp_path_factory.mktemp("book") / "book")
    for path in folder.glob("*.csv"):
        if path.stem not in KEPT:
            path.unlink()
    return folder


@pytest.fixture(scope="module")
def filed(book: Path) -> dict[str, bytes]:
    folder = build("sv_ssf_ctri", read_portfolio(book), DAY, book.parent / "filed", made_at=MADE, quarantine=True).folder
    assert folder is not None
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_laid_out_book_read_by_spark_is_filed_the_same(spark: Any, book: Path, filed: dict[str, bytes], tmp_path: Path) -> None:
    from mloan_report.portfolio.spark import spark_buckets

    laid = partition_portfolio(book, tmp_path / "laid", 2)
    source = spark_buckets(spark, str(laid))
    folder = build("sv_ssf_ctri", source, DAY, tmp_path / "filed", made_at=MADE, quarantine=True, jobs=1).folder
    assert folder is not None
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == filed
    mine = [v.as_dict() for v in ratios_of_book(source, DAY)]
    assert mine == [v.as_dict() for v in ratios_of_book(read_portfolio(book), DAY)]


def test_data_frames_are_filed_the_same(spark: Any, book: Path, filed: dict[str, bytes], tmp_path: Path) -> None:
    from mloan_report.portfolio.spark import spark_book

    frames = {}
    for path in sorted(book.glob("*.csv")):
        text = pl.read_csv(path, infer_schema=False)
        frames[path.stem] = spark.createDataFrame(text.to_arrow(compat_level=pl.CompatLevel.oldest()))
    institution = tomllib.loads((book / "institution.toml").read_text(encoding="utf-8"))
    source = spark_book(frames, institution, 2)
    assert source.count == 2
    folder = build("sv_ssf_ctri", source, DAY, tmp_path / "filed", made_at=MADE, quarantine=True, jobs=1).folder
    assert folder is not None
    made = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".xml"}
    assert made == {name: data for name, data in filed.items() if name.endswith(".xml")}


def test_what_spark_cannot_read_is_said(spark: Any, tmp_path: Path) -> None:
    from mloan_report.portfolio.spark import spark_book, spark_buckets

    with pytest.raises(UnusableInput, match=r"buckets\.json cannot be read"):
        spark_buckets(spark, str(tmp_path / "nothing"))
    with pytest.raises(UnusableInput, match="no tables"):
        spark_book({}, {"name": "x", "country": "SV", "currency_code": "USD", "time_zone": "UTC"}, 2)
