"""mloan_report: a microlender's loan book, in the files its regulators and credit bureaus accept.

Public names load when they are first used: importing the package loads neither Polars, pydantic, lxml nor xmlschema.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Finding": "mloan_report.model.finding",
    "Flow": "mloan_report.schedule",
    "Institution": "mloan_report.model",
    "PlanTerms": "mloan_report.schedule",
    "Portfolio": "mloan_report.portfolio",
    "UnusableInput": "mloan_report.portfolio",
    "annual_rate": "mloan_report.schedule",
    "build": "mloan_report.filing",
    "check_files": "mloan_report.filing",
    "check_limits": "mloan_report.measures.limit_check",
    "check_number": "mloan_report.identity",
    "check_warnings": "mloan_report.measures.warning_check",
    "classify": "mloan_report.measures",
    "classify_book": "mloan_report.measures.book",
    "gaps": "mloan_report.filing",
    "installed_packs": "mloan_report.packs",
    "limit_sets": "mloan_report.measures.limit",
    "load_limits": "mloan_report.measures.limit",
    "load_regime": "mloan_report.measures",
    "load_warnings": "mloan_report.measures.warning",
    "loan_view": "mloan_report.position.loan_view",
    "migration_matrix": "mloan_report.measures.migration",
    "open_book": "mloan_report.portfolio.buckets",
    "partition_portfolio": "mloan_report.portfolio.partition",
    "period_ratios": "mloan_report.measures.period",
    "portfolio_from_frames": "mloan_report.portfolio",
    "provision_tables": "mloan_report.measures",
    "rate_of_plan": "mloan_report.schedule",
    "ratios": "mloan_report.measures",
    "ratios_of_book": "mloan_report.measures.book",
    "read_portfolio": "mloan_report.portfolio",
    "regimes": "mloan_report.measures",
    "repayment_ability": "mloan_report.measures.repayment_ability",
    "repayment_plan": "mloan_report.schedule",
    "required_provisions": "mloan_report.measures.required",
    "roll_rates": "mloan_report.measures.migration",
    "scope": "mloan_report.filing",
    "validate": "mloan_report.filing",
    "vintage_curves": "mloan_report.measures.vintage",
    "warning_sets": "mloan_report.measures.warning",
    "work_out": "mloan_report.position",
    "write_portfolio": "mloan_report.portfolio",
}

__all__ = ["__version__", *sorted(_PUBLIC)]

if TYPE_CHECKING:
    from mloan_report.filing.building import build as build
    from mloan_report.filing.checking import check_files as check_files
    from mloan_report.filing.gap_report import gaps as gaps
    from mloan_report.filing.scoping import scope as scope
    from mloan_report.filing.validation import validate as validate
    from mloan_report.identity import check_number as check_number
    from mloan_report.measures import load_regime as load_regime
    from mloan_report.measures import provision_tables as provision_tables
    from mloan_report.measures import regimes as regimes
    from mloan_report.measures.book import classify_book as classify_book
    from mloan_report.measures.book import ratios_of_book as ratios_of_book
    from mloan_report.measures.classify import classify as classify
    from mloan_report.measures.limit import limit_sets as limit_sets
    from mloan_report.measures.limit import load_limits as load_limits
    from mloan_report.measures.limit_check import check_limits as check_limits
    from mloan_report.measures.migration import migration_matrix as migration_matrix
    from mloan_report.measures.migration import roll_rates as roll_rates
    from mloan_report.measures.period import period_ratios as period_ratios
    from mloan_report.measures.ratio import ratios as ratios
    from mloan_report.measures.repayment_ability import repayment_ability as repayment_ability
    from mloan_report.measures.required import required_provisions as required_provisions
    from mloan_report.measures.vintage import vintage_curves as vintage_curves
    from mloan_report.measures.warning import load_warnings as load_warnings
    from mloan_report.measures.warning import warning_sets as warning_sets
    from mloan_report.measures.warning_check import check_warnings as check_warnings
    from mloan_report.model import Institution as Institution
    from mloan_report.model.finding import Finding as Finding
    from mloan_report.packs import installed_packs as installed_packs
    from mloan_report.portfolio import Portfolio as Portfolio
    from mloan_report.portfolio import UnusableInput as UnusableInput
    from mloan_report.portfolio import portfolio_from_frames as portfolio_from_frames
    from mloan_report.portfolio import read_portfolio as read_portfolio
    from mloan_report.portfolio import write_portfolio as write_portfolio
    from mloan_report.portfolio.buckets import open_book as open_book
    from mloan_report.portfolio.partition import partition_portfolio as partition_portfolio
    from mloan_report.position import work_out as work_out
    from mloan_report.position.loan_view import loan_view as loan_view
    from mloan_report.schedule import Flow as Flow
    from mloan_report.schedule import PlanTerms as PlanTerms
    from mloan_report.schedule import annual_rate as annual_rate
    from mloan_report.schedule import rate_of_plan as rate_of_plan
    from mloan_report.schedule import repayment_plan as repayment_plan


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mloan_report' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
