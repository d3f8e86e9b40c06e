"""The pack's code lists where Python needs them: by list, code and label; and the bands of days past due."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import polars as pl

PACK = "us_metro2"
MONTHS = 24
"""Characters of PaymentHistoryProfile, one a month."""


@cache
def lists() -> dict[str, dict[str, str]]:
    """Codes and labels by list, in their order."""
    text = files(f"mloan_report.packs.{PACK}").joinpath("codes", "lists.csv").read_text(encoding="utf-8")
    out: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        out.setdefault(row["list"], {})[row["code"]] = row["label_en"]
    return out


def said(list_name: str, name: str) -> pl.Expr:
    """What a list (``event_to_status``, ``event_to_history``, ``role_to_ecoa``) says for a name of ours."""
    return pl.lit(lists()[list_name][name])


def by_days(days: pl.Expr, name: str) -> pl.Expr:
    """The code that list *name* (bands ``from-to`` of days) gives for so many days past due."""
    out: pl.Expr = pl.lit(None, pl.String)
    for band, code in lists()[name].items():
        low, _, high = band.partition("-")
        inside = days >= int(low) if not high else days.is_between(int(low), int(high))
        out = pl.when(inside).then(pl.lit(code)).otherwise(out)
    return out


@cache
def late_from() -> int:
    """The days past due from which an account counts as delinquent: where the second band begins."""
    return sorted(int(band.partition("-")[0]) for band in lists()["days_past_due_to_status"])[1]


def history_of(status: pl.Expr, rating: pl.Expr) -> pl.Expr:
    """The character of the payment history for a status; that of the rating where the list says so."""
    codes = lists()["status_to_history"]
    plain = {k: v for k, v in codes.items() if len(v) == 1 and len(k) == 2}
    by_rating = [k for k, v in codes.items() if v == "as PaymentRating"]
    return pl.when(status.is_in(by_rating)).then(rating).otherwise(status.replace_strict(plain, default=None, return_dtype=pl.String))
