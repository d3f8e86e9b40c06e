"""What a measure says of a book does not depend on how many buckets it lies in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from mloan_report.measures import regimes
from mloan_report.measures.book import classify_book
from mloan_report.measures.limit import limit_sets
from mloan_report.measures.limit_check import check_limits
from mloan_report.measures.migration import migration_matrix, roll_rates
from mloan_report.measures.period import period_ratios
from mloan_report.measures.provision import provision_tables
from mloan_report.measures.repayment_ability import repayment_ability
from mloan_report.measures.required import required_provisions
from mloan_report.measures.vintage import vintage_curves
from mloan_report.measures.warning import warning_sets
from mloan_report.measures.warning_check import check_warnings
from mloan_report.portfolio.buckets import Source, open_book
from mloan_report.portfolio.partition import partition_portfolio
from mloan_report.testing.sample import make_sample

DAY, BEFORE = date(2026, 10, 31), date(2025, 12, 31)
REGIME = regimes()["CN-NFRA-2023-1"]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("book")
    make_sample(120, "CN", 5, folder / "whole")
    partition_portfolio(folder / "whole", folder / "laid", 3)
    return open_book(folder / "whole"), open_book(folder / "laid")


def test_classification_under_several_regimes(books: tuple[Source, Source]) -> None:
    chosen = [regimes()[r] for r in ("CN-NFRA-2023-1", "IN-RBI-IRACP", "EU-EBA-DoD")]
    whole, laid = (pl.concat(list(classify_book(b, chosen, DAY))).sort("regime", "loan_id") for b in books)
    assert whole.equals(laid)
    assert whole["regime"].n_unique() == 3


def test_limits(books: tuple[Source, Source]) -> None:
    for rules in ("cn_microlender", "generic", "in_microfinance"):
        whole, laid = (check_limits(b, DAY, limit_sets()[rules], regime=REGIME) for b in books)
        assert [r.as_dict() for r in whole] == [r.as_dict() for r in laid]


def test_period_ratios_by_group(books: tuple[Source, Source]) -> None:
    for by in (["branch_id", "product"],):
        whole, laid = (period_ratios(b, BEFORE, DAY, by=by) for b in books)
        assert [v.as_dict() for v in whole] == [v.as_dict() for v in laid]
        assert any(v.value is not None for v in whole)


def test_movements(books: tuple[Source, Source]) -> None:
    for one, other in (
        [vintage_curves(b, DAY, months=6, by=["product"], basis="amount") for b in books],
        [roll_rates(b, DAY, months=2) for b in books],
    ):
        assert [x.as_dict() for x in one] == [x.as_dict() for x in other]
    whole, laid = (migration_matrix(b, BEFORE, DAY, REGIME, basis="balance").as_dict() for b in books)
    assert whole == laid


def test_provisions_and_ability(books: tuple[Source, Source]) -> None:
    tables = [provision_tables()[t] for t in ("CN-2002-98", "CN-TAX-2017-48", "IN-RBI-NBFC-MFI")]
    whole, laid = ([r.as_dict() for r in required_provisions(b, DAY, REGIME, tables)] for b in books)
    assert whole == laid
    assert repayment_ability(books[0], DAY) == repayment_ability(books[1], DAY)


def test_warnings(books: tuple[Source, Source]) -> None:
    rules = warning_sets()["default"]
    kept = ("PAR30_RISES_IN_A_BRANCH", "PAR30_HIGH")
    few = replace(rules, warnings=tuple(w for w in rules.warnings if w.id in kept))
    whole, laid = (check_warnings(b, DAY, few, regime=REGIME) for b in books)
    assert [r.as_dict() for r in whole.results] == [r.as_dict() for r in laid.results]
    assert whole.fired
    assert [a.as_dict() for a in whole.advice] == [a.as_dict() for a in laid.advice]
