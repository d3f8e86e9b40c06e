"""The history that was filed: where the file before this one was accepted, the months go on from what it said."""

from __future__ import annotations

import polars as pl

from mloan_report.packs.pack import personal_key
from mloan_report.packs.us_metro2.lists import MONTHS, history_of, lists, said
from mloan_report.packs.views import Views


def with_filed_history(views: Views, rows: pl.DataFrame) -> pl.DataFrame:
    """The accounts with payment_profile of what was filed last month, one character further; as it was worked out where nothing was.

    Accounts are known by lender and number; one whose number changed is not found and keeps what was worked out.
    """
    before = (views.previous or {}).get("base")
    if before is None or before.height == 0:
        return rows
    lender = views.settings["identification_number"]
    numbers = rows["loan_id"].str.to_uppercase().str.replace_all("[^A-Z0-9]", "").to_list()
    keyed = rows.with_columns(pl.Series("_key", [personal_key(f"{lender}|{n}") for n in numbers], dtype=pl.String))
    letter = history_of(pl.col("AccountStatus"), pl.col("PaymentRating"))
    current = pl.col("AccountStatus") == said("event_to_status", "current")
    idle = current & (pl.col("CurrentBalance") == "0") & pl.col("PortfolioType").is_in(list(lists()["portfolio_of_lines"]))
    first = pl.when(idle).then(said("event_to_history", "idle")).otherwise(letter).fill_null(said("event_to_history", "not_known"))
    profile = pl.col("PaymentHistoryProfile").str.pad_end(MONTHS, lists()["event_to_history"]["before_opening"])
    told = before.select(_key="key", _told="as_of", _same=profile, _on=first + profile.str.head(MONTHS - 1))
    joined = keyed.join(told, on="_key", how="left", maintain_order="left")
    now, then = pl.col("reported_on").dt.month_start(), pl.col("_told").dt.month_start()
    goes_on = pl.when(then == now.dt.offset_by("-1mo")).then("_on").when(then == now).then("_same")
    return joined.with_columns(payment_profile=pl.coalesce(goes_on, "payment_profile")).drop("_key", "_told", "_same", "_on")
