"""What was true of an account: its status on a day, its 24 months, and when its running delinquency began.

The past is worked out again from the portfolio at each month end, with what was known when the filing is made. Month ends
on which a loan was late, and the days before it ended, was charged off or went to a collector, are worked out one by one.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from mloan_report.packs.us_metro2.facts import facts_on
from mloan_report.packs.us_metro2.lists import MONTHS, by_days, history_of, late_from, lists, said
from mloan_report.packs.views import Views
from mloan_report.position import work_out_pairs
from mloan_report.position.history import month_ends

_DAY = timedelta(days=1)


def with_status(views: Views, view: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The loan view with account_status, payment_rating, payment_profile, first_delinquency_on, ended_on, and what they rest on."""
    view = _with_events(views, view, known)
    past = _month_ends(views, view)
    days = _days_worked_out(views, view, past)
    before = _state_before(view, days, known)
    view = view.join(before, on="loan_id", how="left", maintain_order="left")
    view = _with_status_now(view)
    view = view.join(_paid_in_month(views, view), on="loan_id", how="left", maintain_order="left").with_columns(pl.col("paid_in_month").fill_null(0))
    months = _months(view, past, days, known)
    view = view.join(_profiles(views, view, months), on="loan_id", how="left", maintain_order="left")
    return view.join(_first_delinquency(views, view, months, days), on="loan_id", how="left", maintain_order="left")


def _with_events(views: Views, view: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """ended_on, collection_on, the status that the pack's table says, and days past due that count (``days_late``)."""
    sold = (
        views.portfolio.table("transfers")
        .filter((pl.col("direction") == "out") & (pl.col("transferred_on") <= views.as_of))
        .group_by("loan_id")
        .agg(sold_on=pl.col("transferred_on").max())
    )
    now = facts_on(known, "AccountStatus", view.select("loan_id", on=pl.lit(views.as_of))).drop("on")
    rating = facts_on(known, "PaymentRating", view.select("loan_id", on=pl.lit(views.as_of))).select("loan_id", fact_rating="fact_PaymentRating")
    view = view.join(sold, on="loan_id", how="left", maintain_order="left")
    view = view.join(now, on="loan_id", how="left", maintain_order="left").join(rating, on="loan_id", how="left", maintain_order="left")
    gone = (pl.col("status") == "written_off") & (pl.col("claim_principal") == 0)
    court = pl.col("court_stage").is_not_null() & (pl.col("court_stage") != "closed")
    return view.with_columns(
        ended_on=pl.when(pl.col("status") == "transferred")
        .then(pl.coalesce("sold_on", "status_on"))
        .when((pl.col("status") == "settled") | gone)
        .then("settled_on"),
        collection_on=pl.when(court).then("court_filed_on"),
        days_late=_counted(views, pl.col("days_oldest_unpaid"), pl.col("overdue_amount")),
    )


def _counted(views: Views, days: pl.Expr, overdue: pl.Expr) -> pl.Expr:
    """Days past due, none where what is past due is less than the setting minimum_past_due, in whole dollars."""
    least = int(views.settings.get("minimum_past_due") or 0)
    return pl.when(overdue.floordiv(100) >= least).then(days).otherwise(0).cast(pl.Int64)


def _month_ends(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """loan_id, on, days for each month end before the reported month at which the loan ran."""
    schema = {"loan_id": pl.String(), "on": pl.Date(), "days": pl.Int64()}
    last = views.as_of.replace(day=1) - _DAY
    begun = view.filter(~pl.col("status").is_in(["not_disbursed", "cancelled"]) & (pl.col("disbursed_on") <= last))
    if begun.height == 0:
        return pl.DataFrame(schema=schema)
    first = begun["disbursed_on"].min()
    assert isinstance(first, date)
    ends = month_ends(last, (last.year - first.year) * 12 + last.month - first.month + 1)
    asked = begun.select("loan_id", as_of=pl.lit(last))
    told = work_out_pairs(views.portfolio, asked, views.known_at, history_months=len(ends)).loans.select("loan_id", "payment_history")
    inclusive = views.portfolio.institution.policy_on(last).days_past_due == "inclusive"
    days = (pl.col("payment_history") - 1).clip(lower_bound=0) if inclusive else pl.col("payment_history")
    months = told.with_columns(on=pl.lit(ends, pl.List(pl.Date))).explode("payment_history", "on")
    return months.select("loan_id", "on", days=days).drop_nulls("days")


def _days_worked_out(views: Views, view: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """loan_id, on, and what was owed then: late month ends, those of lines, and the days before something ended the account's run."""
    single = [
        view.select("loan_id", on=pl.col(c) - _DAY).drop_nulls("on") for c in ("ended_on", "written_off_on", "collection_on", "fact_since") if c in view.columns
    ]
    lines = view.filter(is_line()).select("loan_id")
    asked = pl.concat(
        [past.filter(pl.col("days") >= late_from()).select("loan_id", "on"), past.join(lines, on="loan_id", how="semi").select("loan_id", "on"), *single]
    ).unique(maintain_order=True)
    started = asked.join(view.select("loan_id", "disbursed_on"), on="loan_id", how="inner").filter(pl.col("on") >= pl.col("disbursed_on"))
    pairs = started.select("loan_id", as_of="on")
    worked = work_out_pairs(views.portfolio, pairs, views.known_at, history_months=0).loans
    inclusive = views.portfolio.institution.policy_on(views.as_of).days_past_due == "inclusive"
    days = (pl.col("days_past_due") - 1).clip(lower_bound=0) if inclusive else pl.col("days_past_due")
    return worked.select(
        "loan_id",
        on="as_of",
        was="status",
        late=_counted(views, days, pl.col("overdue_amount")),
        due_on="oldest_unpaid_due_on",
        owed="claim_principal",
    )


def is_line() -> pl.Expr:
    """Whether a loan is a line of credit: drawn on demand under a revolving limit."""
    return ((pl.col("repayment_method") == "on_demand") & (pl.col("facility_kind") == "revolving")).fill_null(False)


def _ladder(charged_off: pl.Expr, in_collection: pl.Expr, fact: pl.Expr, days: pl.Expr) -> pl.Expr:
    """The status of a running account, first line that fits."""
    return (
        pl.when(charged_off.fill_null(False))
        .then(said("event_to_status", "charged_off"))
        .when(fact.is_not_null())
        .then(fact)
        .when(in_collection.fill_null(False))
        .then(said("event_to_status", "in_collection"))
        .otherwise(by_days(days, "days_past_due_to_status"))
    )


def _state_before(view: pl.DataFrame, days: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Of loans that ended: status and rating on the day before (``before_status``, ``before_rating``), and whether they were charged off then."""
    ended = view.filter(pl.col("ended_on").is_not_null()).select("loan_id", "collection_on", on=pl.col("ended_on") - _DAY)
    then = ended.join(days, on=["loan_id", "on"], how="left", maintain_order="left")
    then = then.join(facts_on(known, "AccountStatus", then), on=["loan_id", "on"], how="left", maintain_order="left")
    charged = (pl.col("was") == "written_off").fill_null(False)
    late = pl.col("late").fill_null(0)
    return then.select(
        "loan_id",
        before_charged_off=charged,
        before_status=_ladder(charged, pl.col("collection_on") <= pl.col("on"), pl.col("fact_AccountStatus"), late),
        before_rating=by_days(late, "days_past_due_to_rating"),
    )


def _with_status_now(view: pl.DataFrame) -> pl.DataFrame:
    fact, settled = pl.col("fact_AccountStatus"), pl.col("status") == "settled"
    paid = list(lists()["status_paid"])
    charged_off = (pl.col("status") == "written_off") | pl.col("before_charged_off").fill_null(False)
    status = (
        pl.when(fact.is_in(list(lists()["status_delete"])))
        .then(fact)
        .when(pl.col("status") == "transferred")
        .then(said("event_to_status", "transferred"))
        .when(settled & pl.col("before_charged_off").fill_null(False))
        .then(said("event_to_status", "paid_after_charge_off"))
        .when(settled & fact.is_in(paid))
        .then(fact)
        .when(settled)
        .then(pl.col("before_status").replace_strict(lists()["paid_after"], default=said("event_to_status", "paid"), return_dtype=pl.String))
        .otherwise(_ladder(pl.col("status") == "written_off", pl.col("collection_on") <= pl.col("as_of"), fact, pl.col("days_late")))
    )
    view = view.with_columns(charged_off=charged_off, account_status=status)
    view = view.with_columns(reported_on=pl.when(pl.col("account_status").is_in(paid)).then("ended_on").otherwise("as_of"))
    events, history = lists()["event_to_status"], lists()["status_to_history"]
    lasting = {events[e]: history[events[e]] for e in ("in_collection", "charged_off")}
    of_before = pl.col("before_status").replace_strict(lasting, default=None, return_dtype=pl.String)
    ended = pl.col("account_status").is_in([events["transferred"], *paid])
    rating = pl.coalesce(
        "fact_rating", pl.when(ended).then(pl.coalesce(of_before, "before_rating")).otherwise(by_days(pl.col("days_late"), "days_past_due_to_rating"))
    )
    return view.with_columns(payment_rating=pl.when(pl.col("account_status").is_in(list(lists()["status_needs_rating"]))).then(rating))


def _lasting_ratings() -> list[str]:
    """Ratings of an account in collection or charged off, after which the date of first delinquency stands still."""
    events, history = lists()["event_to_status"], lists()["status_to_history"]
    return [history[events[e]] for e in ("in_collection", "charged_off")]


def _months(view: pl.DataFrame, past: pl.DataFrame, days: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """loan_id, on, late (days that count), due_on and character of the history for each month end that is known."""
    about = view.select("loan_id", "collection_on", "written_off_on", "charged_off", line=is_line())
    months = past.join(days, on=["loan_id", "on"], how="left", maintain_order="left").join(about, on="loan_id", how="inner", maintain_order="left")
    # a month end that is not late was not worked out by itself: its days are below the first limit whatever was owed
    months = months.with_columns(late=pl.coalesce("late", "days"))
    months = months.join(facts_on(known, "AccountStatus", months), on=["loan_id", "on"], how="left", maintain_order="left")
    ratings = facts_on(known, "PaymentRating", months).drop("fact_since")
    months = months.join(ratings, on=["loan_id", "on"], how="left", maintain_order="left")
    charged = pl.col("charged_off") & (pl.col("written_off_on") <= pl.col("on"))
    status = _ladder(charged, pl.col("collection_on") <= pl.col("on"), pl.col("fact_AccountStatus"), pl.col("late"))
    rating = pl.coalesce("fact_PaymentRating", by_days(pl.col("late"), "days_past_due_to_rating"))
    idle = pl.col("line") & (pl.col("owed") == 0) & (status == said("event_to_status", "current"))
    return months.with_columns(character=pl.when(idle).then(said("event_to_history", "idle")).otherwise(history_of(status, rating)))


def _profiles(views: Views, view: pl.DataFrame, months: pl.DataFrame) -> pl.DataFrame:
    """loan_id, payment_profile: 24 characters, newest first; B before the month of opening, D where nothing is known.

    The newest is of the month before the reported day, which for an account paid after the last cycle may lie in the month before.
    """
    last = views.as_of.replace(day=1) - _DAY
    ends = month_ends(last, MONTHS + 1)
    told = months.filter(pl.col("on") >= ends[-1]).group_by("loan_id").agg([pl.col("character").filter(pl.col("on") == e).first().alias(str(e)) for e in ends])
    opened = view.select("loan_id", "disbursed_on", "reported_on").join(told, on="loan_id", how="left", maintain_order="left")
    before, unknown = said("event_to_history", "before_opening"), said("event_to_history", "not_known")
    letters = [pl.when(pl.col("disbursed_on") > e).then(before).otherwise(pl.col(str(e)).fill_null(unknown)) for e in ends]
    earlier = (pl.col("reported_on") <= last).fill_null(False)
    return opened.select("loan_id", payment_profile=pl.when(earlier).then(pl.concat_str(letters[1:])).otherwise(pl.concat_str(letters[:-1])))


def _paid_in_month(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """loan_id, paid_in_month: what was received in the calendar month of the reported day, up to as_of."""
    paid = views.positions.payments.select("loan_id", "paid_on", "amount").join(view.select("loan_id", "as_of", "reported_on"), on="loan_id", how="inner")
    day = pl.col("reported_on")
    within = pl.col("paid_on").is_between(day.dt.month_start(), pl.min_horizontal(day.dt.month_end(), "as_of"))
    return paid.filter(within).group_by("loan_id").agg(paid_in_month=pl.col("amount").sum())


def _first_delinquency(views: Views, view: pl.DataFrame, months: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """loan_id, first_delinquency_on (null: none runs), frozen_on and whether the date had to be that of the event (``by_event``).

    A delinquency runs from the first of the month ends, up to the last day that counts, at which the loan was late without a
    break. That day is the reporting date; for a loan that ended, or whose date is frozen, the day before.
    """
    frozen = pl.col("account_status").is_in(list(lists()["status_frozen"])) | pl.col("payment_rating").is_in(_lasting_ratings())
    event = pl.min_horizontal(
        pl.when(pl.col("charged_off")).then("written_off_on"),
        pl.when(pl.col("collection_on") <= pl.col("as_of")).then("collection_on"),
        pl.when(pl.col("fact_AccountStatus").is_in(list(lists()["status_frozen"]))).then("fact_since"),
    )
    about = view.with_columns(frozen_on=pl.when(frozen).then(event)).select(
        "loan_id", "as_of", "frozen_on", "account_status", last=pl.coalesce(pl.min_horizontal("frozen_on", "ended_on") - _DAY, "as_of"), frozen=frozen
    )
    today = view.select("loan_id", on="as_of", late="days_late", due_on="oldest_unpaid_due_on")
    # between month ends only the last day that counts is looked at
    last_days = days.join(about.select("loan_id", on="last"), on=["loan_id", "on"], how="semi").select("loan_id", "on", "late", "due_on")
    seen = pl.concat([months.select("loan_id", "on", "late", "due_on"), last_days, today]).unique(["loan_id", "on"], keep="first", maintain_order=True)
    seen = seen.join(about.select("loan_id", "last"), on="loan_id", how="inner").filter(pl.col("on") <= pl.col("last"))
    seen = seen.with_columns(is_late=(pl.col("late") >= late_from()).fill_null(False))
    good = seen.group_by("loan_id").agg(good_on=pl.col("on").filter(~pl.col("is_late")).max())
    running = seen.join(good, on="loan_id").filter(pl.col("good_on").is_null() | (pl.col("on") > pl.col("good_on")))
    start = running.sort("loan_id", "on").group_by("loan_id", maintain_order=True).agg(due_on=pl.col("due_on").first())
    added = 0 if views.settings.get("dofd_basis") == "due_date" else late_from()
    out = about.join(start, on="loan_id", how="left", maintain_order="left")
    found = pl.col("due_on") + timedelta(days=added)
    by_event = found.is_null() & pl.col("frozen")
    return out.select(
        "loan_id",
        "frozen_on",
        first_delinquency_on=pl.coalesce(found, pl.when(pl.col("frozen")).then(pl.coalesce("frozen_on", "as_of"))),
        by_event=by_event,
    )
