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
from properties.books import book

from mloan_report.measures import RefusedRegime, classify, provision_tables, ratio_definitions, ratios, regimes
from mloan_report.measures.classify import check_dates
from mloan_report.measures.regime import Band, Regime, Security, Segment
from mloan_report.measures.regime_file import parse_regime
from mloan_report.measures.required import required_provisions
from mloan_report.portfolio import Portfolio
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view

DAY = date(2026, 10, 31)


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


def test_bands_rates_and_certainty_are_those_of_the_fact_table(shared: Path) -> None:
    """Both ways: every fact of a regime that loads is in its file, and nothing else is, but for what OURS names with its reason."""
    with (shared / "measures" / "regimes.csv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["regime_id"] not in LEFT_OUT]
    assert {r["regime_id"] for r in rows} == set(regimes()) - set(STUB)
    ours = {
        (r.id, s.name, x.name, b.code, b.start, b.end, b.provision_pct, b.provision_low, b.provision_high, b.certainty or s.certainty)
        for r, s, x, b in edges()
        if r.id not in READ_OTHERWISE | STUB and (r.id, s.name) not in OURS
    }
    theirs = {_fact(f) for f in rows if f["dpd_min"] and f["regime_id"] not in READ_OTHERWISE}
    assert ours == theirs
    for f in rows:
        r = regimes()[f["regime_id"]]
        code = "NPA" if r.id == "IN-RBI-NBFC-BL-glide" else f["code"]
        assert (r.source, r.category(code).local) == (f["source"], f["name_local"] or r.category(code).en)
        assert r.category(code).npl == {"1": True, "0": False, "": None}[f["npl"]]
        assert r.dpd_method == f["dpd_method"]
        assert r.instrument_certainty in {g["instrument_certainty"] for g in rows if g["regime_id"] == r.id}


def _fact(f: dict[str, str]) -> tuple[Any, ...]:
    def number(text: str) -> Decimal | None:
        return Decimal(text) if text else None

    code = "NPA" if f["regime_id"] == "IN-RBI-NBFC-BL-glide" else f["code"]
    end = int(f["dpd_max"]) if f["dpd_max"] else None
    rates = (number(f["provision_pct"]), number(f["provision_low"]), number(f["provision_high"]))
    if f["regime_id"] == "IN-RBI-NPA-AGE" and f["provision_low"]:
        rates = (number(f["provision_high"]), None, None)  # a split rate: the low one is that of the secured part
    return (f["regime_id"], f["segment"], f["security"], code, int(f["dpd_min"]), end, *rates, f["certainty"])


LEFT_OUT = {
    "CN-MOF-2012-20": "rates on a class that is already known: the provision table CN-2012-20",
    "IN-RBI-NBFC-MFI": "a provision of the portfolio, no classes: the provision table IN-RBI-NBFC-MFI",
    "KZ-ARDFM-2025": "the class follows the size of a provision assessed one by one: there is no band to load",
    "MX-SOFIPO-AnexoD-pre2024": "a fragment of two rows",
}
STUB = {"CN-NFRA-2024-26": "asked for by REGIMES.md section 2, without a row"}
READ_OTHERWISE = {
    "BR-CMN-2682": "two segments by remaining term, of which the table has one",
    "CN-CBRC-2007": "classes 3 to 5 come by event, so class 2 has no upper edge",
}
OURS = {("BD-BB-BRPD15-2024", "banks, CMSME"): "the rates of the table's note"}


def test_read_otherwise_holds_the_facts_too(shared: Path) -> None:
    with (shared / "measures" / "regimes.csv").open(encoding="utf-8", newline="") as stream:
        facts = [r for r in csv.DictReader(stream) if r["regime_id"] == "BR-CMN-2682" and r["dpd_min"]]
    short, long = regimes()["BR-CMN-2682"].segments
    assert [(b.code, b.start, b.end, b.provision_pct) for b in short.securities[0].bands] == [
        (f["code"], int(f["dpd_min"]), int(f["dpd_max"]) if f["dpd_max"] else None, Decimal(f["provision_pct"])) for f in facts
    ]
    assert [b.start for b in long.securities[0].bands] == [0, 30, 61, 121, 181, 241, 301, 361]
    assert [c.provision_pct for c in regimes()["CN-CBRC-2007"].categories[2:]] == [Decimal(25), Decimal(50), Decimal(100)]


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


@pytest.mark.parametrize("change", ["gap", "overlap", "open end missing", "unknown category", "certainty", "modes twice", "source", "dpd_method", "segment"])
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


def test_segments_that_are_only_remembered_need_the_opt_in() -> None:
    whole = regimes()["BO-ASFI"]
    sure = whole.without_uncertain()
    assert sure is not None
    assert {s.name for s in whole.segments} - {s.name for s in sure.segments} == {"microcrédito agropecuario"}
    assert regimes()["KE-CBK-MFB"].without_uncertain() is None
    assert regimes()["KE-CBK-PG04"].without_uncertain() == regimes()["KE-CBK-PG04"]


def test_a_provision_of_the_portfolio_is_the_greater_of_two_by_the_age_of_each_instalment() -> None:
    ages = {1: (200, "200"), 2: (180, "200"), 3: (179, "300"), 4: (91, "300"), 5: (90, "400"), 6: (-30, "8600.03")}
    portfolio = book(
        {
            "loans": [{"principal": "10000.03", "disbursed_on": date(2024, 1, 1), "matures_on": date(2026, 12, 31), "finance_kind": "flat_fee"}],
            "instalments": [
                {"number": n, "due_on": date.fromordinal(DAY.toordinal() - days), "principal_due": due, "interest_due": "0"} for n, (days, due) in ages.items()
            ],
            "repayments": [],
        }
    )
    found = required_provisions(portfolio, DAY, regimes()["IN-RBI-IRACP"], [provision_tables()["IN-RBI-NBFC-MFI"]])[0]
    assert found.alternatives == {"1 % of the outstanding portfolio": Decimal("100.00"), "overdue instalments by age": Decimal("700.00")}
    assert found.required == Decimal("700.00")
    assert found.held is None
    assert "provision_balance" in (found.reason or "")
