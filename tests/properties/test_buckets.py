"""However a book is cut into buckets, it is found to say the same, and the filing is the same bytes."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mloan_report.filing import build, gaps, scope, validate
from mloan_report.measures import regimes
from mloan_report.measures.book import classify_book, ratios_of_book
from mloan_report.portfolio import read_portfolio
from mloan_report.portfolio.buckets import Buckets, Source
from mloan_report.portfolio.partition import partition_portfolio
from mloan_report.position.book import positions_of_book
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
PACKS = {"sv_ssf_ctri": "SV", "cn_pbc_credit": "CN"}
LOANS = 48
LINKS = (
    "guarantor",
    "shared collateral",
    "same number",
    "same person",
    "same repayment",
    "same loan",
    "refinanced",
    "reversal",
    "spouse",
    "no number",
    "no address",
    "bad amount",
    "orphan",
    "idle party",
    "related",
    "correction",
)


@cache
def frames(country: str) -> dict[str, pl.DataFrame]:
    """The tables of a small sample as text."""
    folder = Path(mkdtemp())
    try:
        make_sample(LOANS, country, 3, folder / "book")
        return {p.stem: pl.read_csv(p, infer_schema=False) for p in sorted((folder / "book").glob("*.csv"))}
    finally:
        shutil.rmtree(folder)


@st.composite
def entangled(draw: st.DrawFn, country: str) -> dict[str, pl.DataFrame]:
    """The sample with borrowers linked across the book in ways that no cut can keep apart, some faults, and rows in any order."""
    tables = dict(frames(country))
    for _ in range(draw(st.integers(1, 6))):
        _entangle(tables, draw(st.sampled_from(LINKS)), *(draw(st.integers(0, 10_000)) for _ in range(2)))
    if draw(st.booleans()):
        seed = draw(st.integers(0, 99))
        tables = {n: f.sample(fraction=1, shuffle=True, seed=seed) for n, f in tables.items()}
    return tables


def _entangle(tables: dict[str, pl.DataFrame], link: str, i: int, j: int) -> None:
    def pick(table: str, n: int) -> int:
        return n % tables[table].height

    def put(table: str, row: int, column: str, value: str | None) -> None:
        frame = tables[table]
        tables[table] = frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, pl.String)).otherwise(pl.col(column)).alias(column))

    def add(table: str, **row: str) -> None:
        frame = tables[table]
        tables[table] = pl.concat([frame, pl.DataFrame({c: [row.get(c)] for c in frame.columns}, schema=frame.schema)])

    borrower = tables["borrowers"]["borrower_id"][pick("borrowers", i)]
    loan = tables["loans"]["loan_id"][pick("loans", j)]
    other = tables["loans"]["loan_id"][pick("loans", i + j)]
    if link == "guarantor":
        add("loan_parties", loan_id=loan, party_id=borrower, role="guarantor", liability="joint_and_several", from_on="2024-01-01", contract_no="G-1")
    elif link == "shared collateral":
        thing = tables["collateral"]["collateral_id"][pick("collateral", i)]
        add("collateral_links", loan_id=loan, collateral_id=thing, allocated_value="9999999.00")
    elif link == "same number":
        put("identifiers", pick("identifiers", i), "value", tables["identifiers"]["value"][pick("identifiers", j)])
    elif link == "same person":
        put("borrowers", pick("borrowers", i), "name", tables["borrowers"]["name"][pick("borrowers", j)])
        put("borrowers", pick("borrowers", i), "born_on", tables["borrowers"]["born_on"][pick("borrowers", j)])
    elif link == "same repayment":
        put("repayments", pick("repayments", i), "repayment_id", tables["repayments"]["repayment_id"][pick("repayments", j)])
    elif link == "same loan":
        put("loans", pick("loans", i), "loan_id", loan)
    elif link == "refinanced":
        put("disbursements", pick("disbursements", i), "refinanced_loan_id", loan)
    elif link == "reversal":
        put("repayments", pick("repayments", i), "reverses_id", tables["repayments"]["repayment_id"][pick("repayments", j)])
    elif link == "spouse":
        put("borrowers", pick("borrowers", j), "spouse_id", borrower)
    elif link == "no number":
        tables["identifiers"] = tables["identifiers"].filter(pl.col("party_id") != borrower)
    elif link == "no address":
        put("borrowers", pick("borrowers", i), "address", None)
    elif link == "bad amount":
        put("repayments", pick("repayments", i), "amount", "12.3.4")
    elif link == "orphan":
        put("instalments", pick("instalments", i), "loan_id", "L999999")
    elif link == "idle party":
        add("parties", party_id="P1", kind="natural_person", name="NOBODY")
    elif link == "related":
        add("relations", party_id=borrower, related_id=tables["borrowers"]["borrower_id"][pick("borrowers", j)], kind="sibling")
    else:
        row = tables["borrowers"].row(pick("borrowers", i), named=True)
        put("adjustments", 0, "table", "borrowers")
        put("adjustments", 0, "key", row["borrower_id"])
        put("adjustments", 0, "field", "phone")
        put("adjustments", 0, "old_value", row["phone"])
        put("adjustments", 0, "new_value", "70000000")
    assert other


def _write(tables: dict[str, pl.DataFrame], country: str, folder: Path) -> Path:
    make_sample(1, country, 3, folder)
    for path in folder.glob("*.csv"):
        path.unlink()
    for name, frame in tables.items():
        frame.write_csv(folder / f"{name}.csv")
    return folder


def _said(book: Source) -> list[object]:
    checked = validate(book, DAY)
    return [[(f.code, f.message, f.row, f.key) for f in checked.findings], checked.not_run, checked.counts]


@pytest.mark.parametrize("pack", PACKS)
@settings(max_examples=2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_a_book_in_buckets_is_the_same_book(pack: str, data: st.DataObject) -> None:
    country = PACKS[pack]
    scratch = Path(mkdtemp())
    try:
        folder = _write(data.draw(entangled(country)), country, scratch / "book")
        laid = Buckets(partition_portfolio(folder, scratch / "laid", data.draw(st.integers(2, 4))))
        book = read_portfolio(folder)
        assert _said(laid) == _said(book)
        first = build(pack, book, DAY, scratch / "one", made_at=MADE, quarantine=True, jobs=1)
        second = build(pack, laid, DAY, scratch / "many", made_at=MADE, quarantine=True, jobs=1)
        assert [(f.code, f.message, f.loan_id) for f in second.findings] == [(f.code, f.message, f.loan_id) for f in first.findings]
        assert second.held == first.held
        assert (second.folder is None) == (first.folder is None)
        if first.folder is not None and second.folder is not None:
            assert {p.name: p.read_bytes() for p in second.folder.iterdir()} == {p.name: p.read_bytes() for p in first.folder.iterdir()}
    finally:
        shutil.rmtree(scratch)


@pytest.mark.parametrize("country", ["SV", "CN"])
def test_every_room_gives_the_same_of_buckets(country: str, tmp_path: Path) -> None:
    folder = make_sample(47, country, 1, tmp_path / "book", faults=True)
    book = read_portfolio(folder)
    laid = Buckets(partition_portfolio(folder, tmp_path / "laid", 2))
    pack = next(p for p, c in PACKS.items() if c == country)
    assert scope(pack, laid, DAY).equals(scope(pack, book, DAY))
    assert gaps(pack, laid, DAY) == gaps(pack, book, DAY)
    for which in (0, 1):
        parts = [frames[which] for frames in positions_of_book(laid, DAY)]
        assert pl.concat(parts).equals(next(iter(positions_of_book(book, DAY)))[which])
    regime = regimes()["SV-NCB-022" if country == "SV" else "CN-NFRA-2023-1"]
    assert pl.concat(list(classify_book(laid, regime, DAY))).equals(pl.concat(list(classify_book(book, regime, DAY))))
    for by in ((), ("product", "branch_id")):
        assert [v.as_dict() for v in ratios_of_book(laid, DAY, regime, by=by)] == [v.as_dict() for v in ratios_of_book(book, DAY, regime, by=by)]
