"""Regimes: both sides of every edge from the data, what loading refuses, and that the data is the fact table's."""

from __future__ import annotations

import copy
import csv
import tomllib
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties.books import book

from mloan_report.measures import RefusedRegime, classify, provision_tables, ratio_definitions, ratios, regimes
from mloan_report.measures.classify import check_dates
from mloan_report.measures.regime import Band, Regime, Security, Segment
from mloan_report.measures.regime_file import parse_regime
from mloan_report.portfolio import Portfolio
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view

DAY = date(2026, 10, 31)
PRODUCTS = {
    "consumo": "personal_consumption",
    "vivienda": "housing",
    "empresas incl. micro": "personal_business",
    "small enterprise <=CNY 5m": "working_capital",
}


def one_loan(days: int, product: str = "personal_consumption", mode: str = "unsecured", **extra: Any) -> tuple[pl.DataFrame, Portfolio]:
    due = date.fromordinal(DAY.toordinal() - days)
    portfolio = book(
        {
            "loans": [
                {
                    "principal": "1000.00",
                    "disbursed_on": date(2023, 1, 1),
                    "matures_on": due,
                    "finance_kind": "flat_fee",
                    "product": product,
                    "guarantee_mode": mode,
                    "currency_code": "CNY",
                    **extra,
                }
            ],
            "instalments": [{"number": 1, "due_on": due, "principal_due": "1000.00", "interest_due": "0"}],
            "repayments": [],
        }
    )
    return loan_view(portfolio, work_out(portfolio, DAY)), portfolio


def edges() -> list[tuple[Regime, Segment, Security, Band]]:
    return [(r, s, x, b) for r in regimes().values() for s in r.segments for x in s.securities for b in x.bands]


@pytest.mark.parametrize(("regime", "segment", "security", "band"), edges(), ids=lambda v: getattr(v, "id", getattr(v, "name", getattr(v, "text", ""))))
def test_both_sides_of_every_edge(regime: Regime, segment: Segment, security: Security, band: Band) -> None:
    mode = security.guarantee_modes[0]
    days = [band.start, *([band.end] if band.end is not None else [band.start + 900])]
    for d in days:
        view, portfolio = one_loan(d, PRODUCTS.get(segment.name, "personal_consumption"), mode)
        row = classify(view, regime, portfolio).loans.row(0, named=True)
        assert (row["segment"], row["category"]) == (segment.name, band.code)
        assert f"band {band.text}" in row["reasons"][0]
        if band.provision_pct is not None:
            expected = int((Decimal(100_000) * band.provision_pct / 100).quantize(Decimal(1)))
            assert row["provision"] == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.integers(0, 200), st.sampled_from(sorted(regimes())), st.sampled_from(("housing", "working_capital", "personal_consumption")))
def test_a_category_never_improves_as_days_grow(days: int, more: int, regime_id: str, product: str) -> None:
    regime = regimes()[regime_id]
    ranks = []
    for d in (days, days + more):
        view, portfolio = one_loan(d, product)
        category = classify(view, regime, portfolio).loans["category"][0]
        ranks.append(None if category is None else regime.category(category).rank)
    assert ranks[0] is None or ranks[0] <= ranks[1]


def test_bands_rates_and_certainty_are_those_of_the_fact_table(shared: Path) -> None:
    with (shared / "measures" / "regimes.csv").open(encoding="utf-8", newline="") as stream:
        facts = [r for r in csv.DictReader(stream) if r["regime_id"] in regimes()]
    ours = {
        (r.id, s.name, x.name, b.code, str(b.start), "" if b.end is None else str(b.end), "" if b.provision_pct is None else str(b.provision_pct), s.certainty)
        for r, s, x, b in edges()
    }
    theirs = {(f["regime_id"], f["segment"], f["security"], f["code"], f["dpd_min"], f["dpd_max"], f["provision_pct"], f["certainty"]) for f in facts}
    assert ours == theirs
    for f in facts:
        r = regimes()[f["regime_id"]]
        assert (r.source, r.effective_from, r.category(f["code"]).local) == (f["source"], f["effective_from"], f["name_local"])


def test_the_packs_category_list_repeats_the_regime(shared: Path) -> None:
    with (shared / "formats" / "sv_ssf_ctri" / "categories.csv").open(encoding="utf-8", newline="") as stream:
        rows = {(r["segment"], r["category"], r["dpd_min"], r["dpd_max"], Decimal(r["provision_pct"])) for r in csv.DictReader(stream)}
    names = {"consumo": "consumer", "vivienda": "housing", "empresas incl. micro": "enterprise"}
    ours = {(names[s.name], b.code, str(b.start), "" if b.end is None else str(b.end), b.provision_pct) for r, s, _, b in edges() if r.id == "SV-NCB-022"}
    assert ours == rows


def raw() -> dict[str, Any]:
    text = files("mloan_report.measures").joinpath("regimes", "SV-NCB-022.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def broken(change: str) -> dict[str, Any]:
    data = copy.deepcopy(raw())
    bands = data["segment"][0]["security"][0]["bands"]
    if change == "gap":
        bands[1]["from"] = 9
    elif change == "overlap":
        bands[1]["from"] = 7
    elif change == "open end missing":
        bands[-1]["to"] = 999
    elif change == "unknown category":
        bands[0]["code"] = "Z"
    elif change == "certainty":
        data["certainty"] = "sure"
    elif change == "modes twice":
        data["segment"][0]["security"].append(copy.deepcopy(data["segment"][0]["security"][0]))
    else:
        del data[change]
    return data


@pytest.mark.parametrize(
    "change", ["gap", "overlap", "open end missing", "unknown category", "certainty", "modes twice", "source", "dpd_method", "segment"]
)
def test_loading_refuses(change: str) -> None:
    with pytest.raises(RefusedRegime):
        parse_regime(broken(change), "test.toml")


def test_a_regime_is_used_on_its_dates_only() -> None:
    regime = regimes()["CN-NFRA-2023-1"]
    assert check_dates(regime, date(2023, 7, 1), allow_expired=False) is None
    assert "in force from 2023-07-01" in (check_dates(regime, date(2023, 6, 30), allow_expired=False) or "")
    assert check_dates(regime, date(2023, 6, 30), allow_expired=True) is None


def test_two_provision_rules_are_never_mixed() -> None:
    view, portfolio = one_loan(91, mode="unsecured")
    regime = regimes()["CN-NFRA-2023-1"]
    values = {t: classify(view, regime, portfolio, provision_tables()[t]).loans["provision"][0] for t in ("CN-2002-98", "CN-2012-20")}
    assert values == {"CN-2002-98": 25_000 + 1_000, "CN-2012-20": 30_000}


def test_loan_provision_ratio_is_coverage_times_npl_ratio() -> None:
    view, portfolio = one_loan(200)
    frame = portfolio.table("financials").clear()
    row = {"as_of": DAY, "scope": "solo", "currency_code": "USD", "provision_balance": 45_000}
    filled = pl.concat([frame, pl.DataFrame([row], schema_overrides={"provision_balance": pl.Int64})], how="diagonal")
    portfolio = portfolio.with_table("financials", filled)
    view = view.with_columns(currency_code=pl.lit("USD"))
    values = {r.ratio.id: r for r in ratios(view, portfolio, DAY, classify(view, regimes()["CN-NFRA-2023-1"], portfolio))}
    coverage, npl, provision = (values[n].value for n in ("provision_coverage", "npl_ratio", "loan_provision_ratio"))
    assert coverage is not None
    assert npl is not None
    assert provision == coverage * npl == Decimal("0.45")


def test_a_ratio_at_the_bound_of_amounts_is_exact() -> None:
    """10^15 - 1 minor units in a loan: squares and sums of 128 bits, no wrap-around."""
    view, portfolio = one_loan(31)
    big = 10**15 - 1
    wide = pl.concat(
        [
            view.with_columns(pl.lit(big).alias("own_on_book_principal"), loan_id=pl.lit(f"L{i}"), borrower_id=pl.lit(f"B{i}"), currency_code=pl.lit("USD"))
            for i in range(4)
        ]
    )
    values = {r.ratio.id: r for r in ratios(wide, portfolio, DAY)}
    assert values["hhi_borrower"].value == Decimal("0.25")
    assert values["par_30"].numerator == Decimal(4 * big) / 100


def test_every_ratio_has_titles_formula_and_source() -> None:
    for r in ratio_definitions().values():
        assert r.en
        assert r.zh
        assert r.formula
        assert r.source
