"""mloan_report: a microlender's loan book, in the files its regulators and credit bureaus accept.

Public names load when they are first used: importing the package loads neither Polars, pydantic, lxml nor xmlschema.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Finding": "mloan_report.model.finding",
    "Institution": "mloan_report.model",
    "Portfolio": "mloan_report.portfolio",
    "UnusableInput": "mloan_report.portfolio",
    "build": "mloan_report.filing",
    "check_files": "mloan_report.filing",
    "check_number": "mloan_report.identity",
    "classify": "mloan_report.measures",
    "gaps": "mloan_report.filing",
    "installed_packs": "mloan_report.packs",
    "open_book": "mloan_report.portfolio.buckets",
    "partition_portfolio": "mloan_report.portfolio.partition",
    "portfolio_from_frames": "mloan_report.portfolio",
    "ratios": "mloan_report.measures",
    "read_portfolio": "mloan_report.portfolio",
    "scope": "mloan_report.filing",
    "validate": "mloan_report.filing",
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
    from mloan_report.measures.classify import classify as classify
    from mloan_report.measures.ratio import ratios as ratios
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


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mloan_report' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
