"""What a record looks like, as data: writers, readers, schemas and rules made from it."""

from __future__ import annotations

from mloan_report.layout.definition import CodeList, Group, LayoutField, Lookup, RecordLayout, RefusedLayout, read_codes, read_fields
from mloan_report.layout.records import RecordSet, make_records
from mloan_report.layout.rules import LayoutCodes, RecordRule, RuleRun, check_layout, parse_rules, run_file_rules, run_rules, unique_hashes

__all__ = [
    "CodeList",
    "Group",
    "LayoutCodes",
    "LayoutField",
    "Lookup",
    "RecordLayout",
    "RecordRule",
    "RecordSet",
    "RefusedLayout",
    "RuleRun",
    "check_layout",
    "make_records",
    "parse_rules",
    "read_codes",
    "read_fields",
    "run_file_rules",
    "run_rules",
    "unique_hashes",
]
