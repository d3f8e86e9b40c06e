"""A loan on a date: allocation, days past due, ageing, interest, payment history."""

from __future__ import annotations

from mloan_report.position.columns import POSITION_COLUMNS, POSITION_SCHEMA
from mloan_report.position.position import Positions, work_out, work_out_pairs

__all__ = ["POSITION_COLUMNS", "POSITION_SCHEMA", "Positions", "work_out", "work_out_pairs"]
