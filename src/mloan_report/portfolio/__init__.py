"""The tables as typed frames: from folders, frames and objects, and back."""

from __future__ import annotations

from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.reading import UnusableInput, build_portfolio, portfolio_from_frames, read_portfolio
from mloan_report.portfolio.writing import from_objects, text_frame, to_frame, to_objects, write_portfolio

__all__ = [
    "Portfolio",
    "UnusableInput",
    "build_portfolio",
    "from_objects",
    "portfolio_from_frames",
    "read_portfolio",
    "text_frame",
    "to_frame",
    "to_objects",
    "write_portfolio",
]
