"""Adjustments: approved corrections applied between source and checks, each one listed, never written back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl

from mloan_report.model import fields_of, grammar, table_models
from mloan_report.model.currency import minor_digits
from mloan_report.model.finding import Finding
from mloan_report.model.masking import mask
from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.shape_rules import SHAPE_RULES
from mloan_report.portfolio.typing import DTYPES


def apply_adjustments(portfolio: Portfolio) -> Portfolio:
    """The portfolio with each adjustment applied whose old value still matches; the others are error findings."""
    findings: list[Finding] = []
    for row in portfolio.table("adjustments").iter_rows(named=True):
        portfolio, finding = _apply(portfolio, row)
        findings.append(finding)
    return replace(portfolio, findings=(*portfolio.findings, *findings))


def _apply(portfolio: Portfolio, row: dict[str, str | None]) -> tuple[Portfolio, Finding]:
    target, field, key = row["table"] or "", row["field"] or "", row["key"] or ""
    model = table_models().get(target)
    place = {"table": "adjustments", "key": row["adjustment_id"], "row": row["_row"], "file": portfolio.files.get("adjustments")}
    if model is None or field not in fields_of(model) or not portfolio.has(target):
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=None, target=target, found="no such column")
    column = fields_of(model)[field].column
    frame = portfolio.table(target)
    parts = key.split("|")
    where = pl.all_horizontal([pl.col(k).cast(pl.String) == part for k, part in zip(model.KEY, parts, strict=False)])
    hits = frame.filter(where)
    shown_old = mask(row["old_value"], column.pii)
    if hits.height != 1:
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=shown_old, target=target, found=f"{hits.height} rows")
    digits = _digits(portfolio, hits, model.CURRENCY_BY)
    current = hits[field][0]
    try:
        old, new = (_parse(column.kind, row[name], digits) for name in ("old_value", "new_value"))
    except ValueError as error:
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=shown_old, target=target, found=str(error))
    if current != old:
        return portfolio, SHAPE_RULES["TAB-020"].finding(
            **place, field=field, value=shown_old, target=target, found=mask(None if current is None else str(current), column.pii)
        )
    changed = frame.with_columns(pl.when(where).then(pl.lit(new, dtype=DTYPES[column.kind])).otherwise(pl.col(field)).alias(field))
    return portfolio.with_table(target, changed), SHAPE_RULES["TAB-021"].finding(**place, field=field, target=target, row_key=key)


def _digits(portfolio: Portfolio, hit: pl.DataFrame, currency_by: str) -> int:
    code = portfolio.institution.currency_code
    if currency_by in hit.columns and hit[currency_by][0]:
        code = hit[currency_by][0]
    elif currency_by == "loan":
        loans = portfolio.table("loans").filter(pl.col("loan_id") == hit["loan_id"][0])
        code = loans["currency_code"][0] if loans.height else code
    return minor_digits(code)


def _parse(kind: str, text: str | None, digits: int) -> date | int | bool | str | None:
    if text is None or text == "":
        return None
    if kind == "day":
        return grammar.parse_date(text)
    if kind == "amount":
        return grammar.to_minor(grammar.parse_decimal(text), digits)
    if kind == "rate":
        return int(grammar.parse_decimal(text) * Decimal(10**grammar.RATE_SCALE))
    if kind == "whole":
        return grammar.parse_whole(text)
    if kind == "flag":
        return grammar.parse_boolean(text)
    return text
