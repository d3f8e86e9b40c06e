"""Adjustments: approved corrections applied between source and checks, each one listed, never written back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl

from mloan_report.model import Field, fields_of, grammar, table_models
from mloan_report.model.currency import countries, currencies, minor_digits
from mloan_report.model.finding import Finding
from mloan_report.model.masking import mask
from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.shape_rules import SHAPE_RULES
from mloan_report.portfolio.typing import DTYPES, ROW


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
        hidden = mask(row["old_value"], "contact") or "nothing"
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=hidden, target=target, found="no such column")
    spec = fields_of(model)[field]
    column = spec.column
    if not row["approved_by"]:
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=mask(row["old_value"], column.pii), target=target, found="no approval")
    frame = portfolio.table(target)
    parts = key.split("|")
    shown_old = mask(row["old_value"], column.pii) or "nothing"
    where = pl.all_horizontal([pl.col(k).cast(pl.String) == part for k, part in zip(model.KEY, parts, strict=False)])
    hits = frame.filter(where) if len(parts) == len(model.KEY) else frame.clear()
    if hits.height != 1:
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=shown_old, target=target, found=f"{hits.height} rows")
    digits = _digits(portfolio, hits, model.CURRENCY_BY)
    current = hits[field][0]
    try:
        old, new = (_parse(spec, row[name], digits) for name in ("old_value", "new_value"))
    except ValueError:
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=shown_old, target=target, found="a value that the column cannot hold")
    if current != old:
        found = mask(None if current is None else str(current), column.pii) or "nothing"
        return portfolio, SHAPE_RULES["TAB-020"].finding(**place, field=field, value=shown_old, target=target, found=found)
    changed = frame.with_columns(pl.when(where).then(pl.lit(new, dtype=DTYPES[column.kind])).otherwise(pl.col(field)).alias(field))
    shown_key = "|".join(mask(part, fields_of(model)[k].column.pii) or "" for k, part in zip(model.KEY, parts, strict=True))
    done = SHAPE_RULES["TAB-021"].finding(**place, field=field, target=target, row_key=shown_key)
    return _without_missing(portfolio, target, field, hits[ROW][0]).with_table(target, changed), done


def _without_missing(portfolio: Portfolio, target: str, field: str, row: int) -> Portfolio:
    """The portfolio without the finding that a cell was empty which an adjustment has filled."""
    kept = tuple(f for f in portfolio.findings if not (f.code == "TAB-011" and (f.table, f.field, f.row) == (target, field, row)))
    return replace(portfolio, findings=kept)


def _digits(portfolio: Portfolio, hit: pl.DataFrame, currency_by: str) -> int:
    code = portfolio.institution.currency_code
    if currency_by in hit.columns and hit[currency_by][0]:
        code = hit[currency_by][0]
    elif currency_by == "loan":
        loans = portfolio.table("loans").filter(pl.col("loan_id") == hit["loan_id"][0])
        code = loans["currency_code"][0] if loans.height else code
    return minor_digits(code)


def _parse(field: Field, text: str | None, digits: int) -> date | int | bool | str | None:
    kind = field.column.kind
    if text is None or text == "":
        return None
    if kind == "day":
        return grammar.parse_date(text)
    if kind == "amount":
        return grammar.to_minor(grammar.parse_decimal(text), digits)
    if kind == "rate":
        return grammar.to_minor(grammar.parse_decimal(text), grammar.RATE_SCALE)
    if kind == "whole":
        return grammar.parse_whole(text)
    if kind == "flag":
        return grammar.parse_boolean(text)
    if kind == "factor":
        grammar.parse_decimal(text)
    known = {"choice": field.values, "currency": currencies(), "country": countries()}.get(kind)
    if known is not None and text not in known:
        raise ValueError(f"{text!r} is not a value of the list")
    return text
