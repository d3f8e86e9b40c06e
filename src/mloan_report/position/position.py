"""The position of every loan on a date: what is owed, what is overdue, for how long, and what was paid.

``work_out`` answers for a portfolio on one date; ``work_out_pairs`` for pairs of a loan and a date. Amounts are minor
units of the loan's currency; definitions are in columns.py and docs/position.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from mloan_report.model.grammar import to_minor
from mloan_report.portfolio import Portfolio
from mloan_report.position.allocation import Allocation, allocate
from mloan_report.position.balances import claims
from mloan_report.position.columns import POSITION_SCHEMA
from mloan_report.position.days import frozen_intervals, with_days
from mloan_report.position.history import payment_history
from mloan_report.position.in_force import (
    COMPONENTS,
    INSTALMENT_COMPONENTS,
    Question,
    disbursements,
    in_segment,
    items,
    payments,
    segments,
    visible,
    waivers,
    without_schedule,
)
from mloan_report.position.interest import DEFAULT_DAY_COUNT, accrue, current_rate, rates_in_force

HISTORY_MONTHS = 24


@dataclass(frozen=True)
class Positions:
    """``loans`` one row a pair (see columns.py); ``arrears`` one row an overdue instalment; ``payments`` what each
    payment went to; ``items`` the instalments in force with what was paid of them."""

    loans: pl.DataFrame
    arrears: pl.DataFrame
    payments: pl.DataFrame
    items: pl.DataFrame


def work_out(portfolio: Portfolio, as_of: date, known_at: date | None = None, history_months: int = HISTORY_MONTHS) -> Positions:
    """The positions of all loans at the end of *as_of*, with what was booked by *known_at* (default: all)."""
    pairs = portfolio.table("loans").select("loan_id", as_of=pl.lit(as_of)).unique("loan_id", keep="first", maintain_order=True)
    return work_out_pairs(portfolio, pairs, known_at, history_months=history_months)


def work_out_pairs(portfolio: Portfolio, pairs: pl.DataFrame, known_at: date | None = None, *, history_months: int = HISTORY_MONTHS) -> Positions:
    """The positions for *pairs* (loan_id, as_of). One policy counts for all: that of the latest date asked."""
    portfolio = portfolio.each_once
    latest = pairs["as_of"].max()
    policy = portfolio.institution.policy_on(latest if isinstance(latest, date) else date.max)
    if policy.tolerance_amount:
        digits = max(portfolio.digits.values())
        policy = policy.model_copy(update={"tolerance_amount": to_minor(policy.tolerance_amount, digits)})
    q = Question(portfolio, pairs.with_row_index("pair"), known_at, policy)
    state = _Worked.of(q)
    frame = _assemble(state)
    if history_months:
        frame = frame.join(
            payment_history(q, state.allocation, frame, history_months, lambda p: _Worked.of(replace(q, pairs=p))),
            on="pair",
            how="left",
            maintain_order="left",
        )
    else:
        frame = frame.with_columns(payment_history=pl.lit(None, pl.List(pl.Int64)))
    frame = _given_figures(q, frame) if policy.position == "given" else frame
    arrears = state.overdue().select(
        "loan_id",
        "as_of",
        "number",
        "due_on",
        "days",
        **{c: pl.col(c) - pl.col(f"{c}_paid") for c in COMPONENTS},
    )
    return Positions(frame.select(list(POSITION_SCHEMA)), arrears, state.allocation.payments, state.final_items)


@dataclass(frozen=True)
class _Worked:
    """One pass of the engine over a question, before it is summed up."""

    q: Question
    loans: pl.DataFrame
    paid_out: pl.DataFrame
    chain: pl.DataFrame
    allocation: Allocation
    balance: pl.DataFrame
    unpaid: pl.DataFrame
    carried: pl.DataFrame

    @staticmethod
    def of(q: Question) -> _Worked:
        loans = q.portfolio.table("loans").join(q.pairs, on="loan_id", how="inner", maintain_order="left")
        paid_out = disbursements(q)
        chain = segments(q, paid_out)
        due = items(q, chain, paid_out)
        chain, extra = without_schedule(q, chain, paid_out)
        if extra.height:
            due = pl.concat([due, extra.select(due.columns).cast({"seg": due.schema["seg"]})])
        live = loans.join(_begins(q), on="loan_id", how="left", maintain_order="left").filter(_begun() & ~_cancelled(q)).select("pair")
        due = due.join(live, on="pair", how="semi", maintain_order="left")
        paid = in_segment(payments(q), "paid_on", chain)
        done = allocate(due, paid, waivers(q, chain), q.policy)
        final = chain.filter(pl.col("final")).select("seg")
        frozen = frozen_intervals(q)
        final_items = done.items.join(final, on="seg", how="semi", maintain_order="left")
        grace = loans.select("pair", "grace_days")
        open_items = _unpaid(final_items, int(q.policy.tolerance_amount)).join(grace, on="pair", how="left", maintain_order="left")
        return _Worked(
            q,
            loans,
            paid_out,
            chain,
            done,
            claims(q, paid_out, done.payments),
            with_days(open_items, frozen, q.policy),
            _carried_dates(q, chain, done, frozen),
        )

    @property
    def final_items(self) -> pl.DataFrame:
        final = self.chain.filter(pl.col("final")).select("seg")
        return self.allocation.items.join(final, on="seg", how="semi", maintain_order="left")

    def overdue(self) -> pl.DataFrame:
        """Items past due on as_of that are not fully paid, charges included; where nothing is owed any more, none.

        An item whose days are all taken out (a frozen holiday, a flag) is not overdue yet.
        """
        return self.unpaid.filter(pl.col("days") > 0).join(self.ended, on="pair", how="anti", maintain_order="left")

    @cached_property
    def ended(self) -> pl.DataFrame:
        """Pairs whose claim was sold, given up or forgiven whole, and the day (ended_on) on which that came to be."""
        gone = pl.col("sold_principal") + pl.col("extinguished_principal") + pl.col("forgiven_principal")
        pairs = self.balance.filter((pl.col("claim_principal") == 0) & (gone > 0)).select("pair")
        if pairs.height == 0:
            return pairs.with_columns(ended_on=pl.lit(None, pl.Date))
        days = [
            visible(self.q, "transfers", "transferred_on").filter(pl.col("direction") == "out").select("pair", on="transferred_on"),
            visible(self.q, "write_offs", "written_off_on").filter(~pl.col("claim_kept").fill_null(True)).select("pair", on="written_off_on"),
            visible(self.q, "restructurings", "agreed_on").filter(pl.col("principal_forgiven").fill_null(0) > 0).select("pair", on="agreed_on"),
            self.allocation.payments.filter(pl.col("to_principal") > 0).select("pair", on="paid_on"),
        ]
        return pl.concat(days).join(pairs, on="pair", how="semi").group_by("pair").agg(ended_on=pl.col("on").max())

    def days(self) -> pl.DataFrame:
        """pair, days_past_due: by the oldest unpaid instalment, or a due date carried over from an earlier schedule."""
        now = self.overdue().filter("counts").group_by("pair").agg(pl.col("days").max())
        carried = self.carried.group_by("pair").agg(pl.col("carried_days").max())
        return (
            self.q.pairs.select("pair")
            .join(now, on="pair", how="left", maintain_order="left")
            .join(carried, on="pair", how="left", maintain_order="left")
            .select("pair", days_past_due=pl.max_horizontal("days", "carried_days").fill_null(0))
        )


def _begins(q: Question) -> pl.DataFrame:
    """loan_id, bought_on: the day a loan of another lender was taken over; before it, nothing is owed to us."""
    bought = q.portfolio.table("transfers").filter(pl.col("direction") == "in")
    own = q.portfolio.table("disbursements").select("loan_id").unique()
    return bought.join(own, on="loan_id", how="anti").group_by("loan_id").agg(bought_on=pl.col("transferred_on").min())


def _begun() -> pl.Expr:
    return pl.coalesce("bought_on", "disbursed_on") <= pl.col("as_of")


def _cancelled(q: Question) -> pl.Expr:
    known = pl.col("status_booked_on").fill_null(pl.col("status_on"))
    seen = known <= q.known_at if q.known_at is not None else pl.lit(True)
    return ((pl.col("status") == "cancelled") & (pl.col("status_on") <= pl.col("as_of")) & seen).fill_null(False)


def _unpaid(final_items: pl.DataFrame, tolerance: int) -> pl.DataFrame:
    short = pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in INSTALMENT_COMPONENTS])
    left = pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in COMPONENTS])
    return final_items.with_columns(short=short, left=left, counts=pl.col("is_instalment") & (short > tolerance)).filter(pl.col("left") > 0)


def _carried_dates(q: Question, chain: pl.DataFrame, done: Allocation, frozen: dict[str, list[tuple[date, date]]]) -> pl.DataFrame:
    """Due dates that a new schedule does not reset: pair, due_on, carried_days.

    Given (carried_oldest_due_on without amounts): until the restructuring is cured. Not given, while instalments of the
    schedule before were unpaid when it was replaced and the new one begins later: until cured, or until what was paid
    since makes those arrears good.
    """
    later = chain.filter(pl.col("final") & ~pl.col("first"))
    schema = pl.Schema({"pair": q.pairs.schema["pair"], "loan_id": pl.String(), "as_of": pl.Date(), "due_on": pl.Date(), "carried_days": pl.Int64()})
    single = (
        chain.filter(pl.col("final") & pl.col("first") & pl.col("carried_oldest_due_on").is_not_null())
        if "carried_oldest_due_on" in chain.columns
        else chain.clear()
    )
    if later.height == 0 and single.height == 0:
        return pl.DataFrame(schema=schema)
    cured = visible(q, "restructurings", "cured_on", "booked_on").group_by("pair").agg(pl.col("cured_on").max())
    several = chain.join(later.select("pair").unique(), on="pair", how="semi", maintain_order="left")
    open_before = _arrears_at_replacement(several, done)
    paid_since = done.payments.group_by("seg").agg(pl.sum_horizontal([f"to_{c}" for c in INSTALMENT_COMPONENTS]).sum().alias("since"))
    final = (
        pl.concat([later, single])
        .join(open_before, on="pair", how="left", maintain_order="left")
        .join(paid_since, on="seg", how="left", maintain_order="left")
        .join(cured, on="pair", how="left", maintain_order="left")
    )
    amounts = (pl.col("carried_arrears_principal").fill_null(0) > 0) | (pl.col("carried_arrears_interest").fill_null(0) > 0)
    given = pl.col("carried_oldest_due_on").is_not_null()
    from_before = ~given & (pl.col("oldest") < pl.col("first_due")) & (pl.col("since").fill_null(0) < pl.col("arrears"))
    date_only = pl.when(given & ~amounts).then("carried_oldest_due_on").when(from_before).then("oldest")
    live = final.with_columns(due_on=date_only).filter(
        pl.col("due_on").is_not_null() & (pl.col("cured_on").is_null() | (pl.col("cured_on") < pl.col("effective_on").fill_null(date.min)))
    )
    dated = with_days(live.with_columns(grace_days=pl.lit(None, pl.Int64)), frozen, q.policy)
    return dated.select("pair", "loan_id", "as_of", "due_on", pl.col("days").alias("carried_days"))


def _arrears_at_replacement(several: pl.DataFrame, done: Allocation) -> pl.DataFrame:
    """By pair: the oldest due date, and the sum, of what was unpaid and due when its schedule was replaced."""
    replaced = several.with_columns(replaced_on=pl.col("boundary").shift(-1).over("pair")).filter(~pl.col("final"))
    open_items = (
        done.items.join(replaced.select("seg", "replaced_on"), on="seg", how="inner", maintain_order="left")
        .filter(pl.col("is_instalment") & (pl.col("due_on") < pl.col("replaced_on")))
        .with_columns(short=pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in INSTALMENT_COMPONENTS]))
        .filter(pl.col("short") > 0)
    )
    last = several.filter(~pl.col("final")).group_by("pair").agg(pl.col("seg").last().alias("last_seg"))
    return (
        open_items.join(last, on="pair", how="inner")
        .filter(pl.col("seg") == pl.col("last_seg"))
        .group_by("pair")
        .agg(pl.col("due_on").min().alias("oldest"), pl.col("short").sum().alias("arrears"))
    )


def _assemble(s: _Worked) -> pl.DataFrame:
    """One row a pair: each block of columns is a small frame by pair, joined in the order of columns.py."""
    q = s.q
    frame = s.loans.select(
        "pair",
        "loan_id",
        "as_of",
        "currency_code",
        "disbursed_on",
        "status",
        "status_on",
        "status_booked_on",
        "annual_rate_pct",
        "finance_kind",
        "day_count",
        "accrual_stopped_on",
    )
    frame = frame.join(_begins(q), on="loan_id", how="left", maintain_order="left").join(s.ended, on="pair", how="left", maintain_order="left")
    for block in (s.balance, _paid_so_far(s), _overdue(s), _schedule(s), _period(s)):
        frame = frame.join(block, on="pair", how="left", maintain_order="left")
    frame = frame.join(s.days(), on="pair", how="left", maintain_order="left")
    frame = _with_carried(frame, s.carried)
    frame = frame.join(_interest(s, frame), on="pair", how="left", maintain_order="left")
    zeros = [c for c, t in POSITION_SCHEMA.items() if t == pl.Int64 and c in frame.columns and c not in _NULLABLE]
    frame = frame.with_columns([pl.col(c).fill_null(0) for c in zeros])
    return _with_status(q, frame)


_NULLABLE = {"schedule_version", "current_rate_pct", "next_due_amount", "last_paid_amount", "own_share_pct"}


def _paid_so_far(s: _Worked) -> pl.DataFrame:
    p = s.allocation.payments
    touched = {c: pl.col("paid_on").filter(pl.col(f"to_{c}") > 0).max() for c in ("principal", "interest")}
    incoming = pl.col("amount") > 0
    last = pl.col("paid_on").filter(incoming).max()
    return p.group_by("pair").agg(
        **{f"{c}_paid": pl.col(f"to_{c}").sum() for c in COMPONENTS},
        unapplied_amount=pl.col("unapplied").sum().clip(lower_bound=0),
        last_paid_on=last,
        last_paid_principal_on=touched["principal"],
        last_paid_interest_on=touched["interest"],
        last_paid_amount=pl.col("amount").filter(incoming & (pl.col("paid_on") == last)).sum(),
    )


def _overdue(s: _Worked) -> pl.DataFrame:
    late = s.overdue()
    left = {c: pl.col(c) - pl.col(f"{c}_paid") for c in COMPONENTS}
    counts = pl.col("counts")
    return late.group_by("pair").agg(
        **{f"overdue_{c}": left[c].sum() for c in COMPONENTS},
        overdue_amount=pl.col("left").sum(),
        days_past_due_principal=pl.col("days").filter(counts & (left["principal"] > 0)).max(),
        days_past_due_interest=pl.col("days").filter(counts & (left["interest"] > 0)).max(),
        oldest_unpaid_due_on=pl.col("due_on").filter(counts).min(),
        oldest_unpaid_principal_due_on=pl.col("due_on").filter(counts & (left["principal"] > 0)).min(),
        oldest_unpaid_interest_due_on=pl.col("due_on").filter(counts & (left["interest"] > 0)).min(),
        days_taken_out=pl.col("taken_out").filter(counts).max(),
        overdue_instalments=counts.sum().cast(pl.Int64),
        overdue_instalments_principal=(counts & (left["principal"] > 0)).sum().cast(pl.Int64),
        overdue_instalments_interest=(counts & (left["interest"] > 0)).sum().cast(pl.Int64),
    )


def _with_carried(frame: pl.DataFrame, carried: pl.DataFrame) -> pl.DataFrame:
    """A due date carried over counts for all the days and dates of the loan, never for amounts."""
    by_pair = carried.group_by("pair").agg(pl.col("carried_days").max(), pl.col("due_on").min().alias("carried_due_on"))
    frame = frame.join(by_pair, on="pair", how="left", maintain_order="left")
    return frame.with_columns(
        oldest_unpaid_due_on=pl.min_horizontal("oldest_unpaid_due_on", "carried_due_on"),
        days_past_due_principal=pl.max_horizontal("days_past_due_principal", "carried_days"),
        oldest_unpaid_principal_due_on=pl.min_horizontal("oldest_unpaid_principal_due_on", "carried_due_on"),
    )


def _schedule(s: _Worked) -> pl.DataFrame:
    """What the schedule in force says: version, maturity, what is next, what is left, and the longest delay so far."""
    left = pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in INSTALMENT_COMPONENTS])
    due = pl.sum_horizontal(INSTALMENT_COMPONENTS)
    scheduled = s.final_items.filter("is_instalment")
    scheduled = scheduled.join(s.ended, on="pair", how="left", maintain_order="left")
    future = (pl.col("due_on") > pl.col("as_of")) & (left > 0) & pl.col("ended_on").is_null()
    late_end = pl.when(left > 0).then(pl.min_horizontal("as_of", "ended_on")).otherwise(pl.col("paid_off_on").fill_null(pl.col("due_on")))
    late = pl.when(due > 0).then((late_end - pl.col("due_on")).dt.total_days()).fill_null(0)
    taken = s.unpaid.filter(pl.col("taken_out") > 0).select("item", "taken_out")
    scheduled = scheduled.join(taken, on="item", how="left", maintain_order="left") if taken.height else scheduled.with_columns(taken_out=pl.lit(0))
    scheduled = scheduled.with_columns(late=(late - pl.col("taken_out").fill_null(0)).clip(lower_bound=0))
    coming = (
        scheduled.filter(future)
        .select("pair", "due_on", left=left)
        .group_by("pair")
        .agg(
            next_due_on=pl.col("due_on").min(),
            next_due_amount=pl.col("left").filter(pl.col("due_on") == pl.col("due_on").min()).sum(),
            remaining_instalments=pl.len().cast(pl.Int64),
        )
    )
    sums = scheduled.group_by("pair").agg(
        scheduled_instalments=((pl.col("number") < 10_000) & (pl.col("number") > 0)).sum().cast(pl.Int64),
        last_due_on=pl.col("due_on").max(),
        scheduled_principal=pl.col("principal").sum(),
        max_days_past_due=pl.col("late").max(),
    )
    version = s.chain.filter(pl.col("final")).select("pair", "schedule_version")
    before = visible(s.q, "restructurings", "agreed_on").group_by("pair").agg(pl.col("days_past_due_before").max())
    return (
        sums.join(version, on="pair", how="left")
        .join(coming, on="pair", how="left")
        .with_columns(pl.col("next_due_amount", "remaining_instalments").fill_null(0))
        .join(before, on="pair", how="left")
        .with_columns(max_days_past_due=pl.max_horizontal("max_days_past_due", "days_past_due_before"))
        .drop("days_past_due_before")
    )


def _period(s: _Worked) -> pl.DataFrame:
    """Sums from the first day of as_of's month to as_of."""

    def in_period(on: str) -> pl.Expr:
        return (pl.col(on) >= pl.col("as_of").dt.month_start()) & (pl.col(on) <= pl.col("as_of"))

    due = (
        s.final_items.filter(pl.col("is_instalment") & in_period("due_on"))
        .group_by("pair")
        .agg(
            due_on_this_period=pl.col("due_on").max(),
            scheduled_this_period=pl.sum_horizontal(INSTALMENT_COMPONENTS).sum(),
        )
    )
    paid = (
        s.allocation.payments.filter(in_period("paid_on"))
        .group_by("pair")
        .agg(
            paid_this_period=pl.col("amount").sum(),
            paid_late_this_period=pl.col("late").sum(),
            guarantor_paid_this_period=pl.col("amount").filter(pl.col("kind").is_in(["guarantor", "insurance", "third_party"])).sum(),
            in_kind_this_period=pl.col("amount").filter(pl.col("kind") == "asset_in_kind").sum(),
        )
    )
    out = (
        s.paid_out.join(s.q.pairs.select("pair", "as_of"), on="pair")
        .filter(in_period("paid_on"))
        .group_by("pair")
        .agg(disbursed_this_period=pl.col("amount").sum())
    )
    return s.q.pairs.select("pair").join(due, on="pair", how="left").join(paid, on="pair", how="left").join(out, on="pair", how="left")


def _interest(s: _Worked, frame: pl.DataFrame) -> pl.DataFrame:
    q = s.q
    steps = rates_in_force(q, s.loans)
    last_due = (
        s.allocation.items.filter(pl.col("is_instalment") & (pl.col("due_on") <= pl.col("as_of")))
        .group_by("pair")
        .agg(pl.col("due_on").max().alias("last_due"))
    )
    whole = visible(q, "write_offs", "written_off_on").group_by("pair").agg(written_off_on=pl.col("written_off_on").max())
    gone = (pl.col("written_off_principal") > 0) & (pl.col("on_book_principal") == 0)
    base = (
        frame.join(last_due, on="pair", how="left", maintain_order="left")
        .join(whole, on="pair", how="left", maintain_order="left")
        .select(
            "pair",
            # A whole write-off ends accrual: what is earned from then on is recovered or not, never booked.
            pl.when(gone).then(pl.min_horizontal("as_of", "written_off_on")).otherwise("as_of").alias("as_of"),
            "claim_principal",
            accrues_from=pl.col("last_due").fill_null(pl.col("disbursed_on")),
            stopped_on=pl.when(pl.col("accrual_stopped_on") <= pl.col("as_of")).then("accrual_stopped_on"),
            day_count=pl.col("day_count").fill_null(DEFAULT_DAY_COUNT),
            interest=pl.col("finance_kind") == "interest",
        )
    )
    paid = s.allocation.payments.filter(pl.col("to_principal") != 0).select("pair", on="paid_on", delta=-pl.col("to_principal"))
    out = s.paid_out.select("pair", on="paid_on", delta="amount")
    waived = (
        visible(q, "payment_holidays", "from_on")
        .filter(pl.col("interest") == "waived")
        .select("pair", "from_on", "to_on", after=pl.col("to_on") + timedelta(days=1))
    )
    earned = accrue(base.filter("interest"), steps, pl.concat([paid, out]), waived)
    stopped = (
        s.unpaid.filter("is_instalment")
        .join(base.select("pair", "stopped_on"), on="pair")
        .filter((pl.col("due_on") > pl.col("stopped_on")) & (pl.col("due_on") <= pl.col("as_of")))
        .group_by("pair")
        .agg((pl.col("interest") - pl.col("interest_paid")).sum().alias("held_due"))
    )
    return (
        q.pairs.select("pair")
        .join(current_rate(steps), on="pair", how="left")
        .join(earned, on="pair", how="left")
        .join(stopped, on="pair", how="left")
        .with_columns(suspended_interest=pl.col("suspended_interest").fill_null(0) + pl.col("held_due").fill_null(0))
        .drop("held_due")
    )


def _with_status(q: Question, frame: pl.DataFrame) -> pl.DataFrame:
    """Status follows from what happened; loans.status only says cancelled."""
    started = _begun()
    owed = (pl.col("claim_principal") > 0) | (pl.col("overdue_amount") > 0)
    status = (
        pl.when(_cancelled(q))
        .then(pl.lit("cancelled"))
        .when(~started.fill_null(False))
        .then(pl.lit("not_disbursed"))
        .when((pl.col("written_off_principal") > 0) & (pl.col("on_book_principal") == 0) & (owed | (pl.col("extinguished_principal") > 0)))
        .then(pl.lit("written_off"))
        .when((pl.col("sold_principal") + pl.col("derecognised_principal") > 0) & (pl.col("on_book_principal") == 0))
        .then(pl.lit("transferred"))
        .when(owed)
        .then(pl.lit("active"))
        .otherwise(pl.lit("settled"))
    )
    said = pl.when((pl.col("status_on") <= pl.col("as_of")) & (pl.col("status") != "active")).then("status_on")
    frame = frame.with_columns(worked_status=status)
    ended = pl.col("worked_status") == "settled"
    return (
        frame.with_columns(
            settled_on=pl.when(ended)
            .then(pl.coalesce("ended_on", "last_paid_on", said, "as_of"))
            .when((pl.col("worked_status") == "written_off") & (pl.col("claim_principal") == 0))
            .then("ended_on"),
            given_status="status",
        )
        .drop("status")
        .rename({"worked_status": "status"})
    )


def _given_figures(q: Question, frame: pl.DataFrame) -> pl.DataFrame:
    """The lender's own figures take the place of ours where they are given for the date."""
    columns = ["claim_principal", "on_book_principal", "overdue_principal", "overdue_interest", "overdue_amount", "accrued_interest", "days_past_due"]
    given = q.portfolio.table("positions").select("loan_id", "as_of", *[pl.col(c).alias(f"given_{c}") for c in columns])
    frame = frame.join(given, on=["loan_id", "as_of"], how="left", maintain_order="left")
    return frame.with_columns([pl.col(f"given_{c}").fill_null(pl.col(c)).alias(c) for c in columns]).with_columns(outstanding_principal="on_book_principal")
