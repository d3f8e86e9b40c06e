"""Invariants of the position, on random stories of one loan."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from properties.books import END, START, book, day, money, stories

from mloan_report.position import Positions, work_out

QUICK = settings(max_examples=10, deadline=None)
Story = dict[str, list[dict[str, Any]]]


def row(positions: Positions) -> dict[str, Any]:
    return positions.loans.row(0, named=True)


@QUICK
@given(stories(), day(), day())
def test_the_claim_between_two_dates_moves_only_by_what_happened(story: Story, a: date, b: date) -> None:
    """claim(t1) - claim(t0) = disbursed + capitalised + bought - paid - forgiven - sold - extinguished, between them."""
    portfolio = book(story)
    first, second = row(work_out(portfolio, min(a, b), history_months=0)), row(work_out(portfolio, max(a, b), history_months=0))
    for p in (first, second):
        owed = p["disbursed_principal"] + p["capitalised_principal"] + p["bought_principal"] - p["principal_paid"] - p["forgiven_principal"]
        owed -= p["sold_principal"] + p["extinguished_principal"]
        assert p["claim_principal"] == max(0, owed)
        off = p["written_off_principal"]
        assert max(0, p["claim_principal"] - off - p["derecognised_principal"]) <= p["on_book_principal"] <= p["claim_principal"]


@QUICK
@given(stories(), day(), st.permutations(("fees", "interest", "principal", "penalty")))
def test_the_order_of_allocation_never_changes_the_total(story: Story, as_of: date, order: list[str]) -> None:
    """What went to the components and what is unapplied sum to the money received, under every order."""
    portfolio = book(story, {"allocation": order})
    result = work_out(portfolio, as_of, history_months=0)
    parts = ["to_fees", "to_interest", "to_principal", "to_penalty", "unapplied"]
    assert result.payments.select(pl.sum_horizontal(parts) == pl.col("amount")).to_series().all()


@QUICK
@given(stories(), day(), day())
def test_a_past_date_keeps_its_figures_whatever_was_booked_later(story: Story, as_of: date, known_at: date) -> None:
    """With known_at held, rows booked after it change nothing."""
    known = work_out(book(story), as_of, known_at).loans
    earlier = copy.deepcopy(story)
    earlier["repayments"] = [r for r in earlier["repayments"] if r["booked_on"] <= known_at]
    for table, on in (
        ("write_offs", "written_off_on"),
        ("transfers", "transferred_on"),
        ("restructurings", "agreed_on"),
        ("payment_holidays", "from_on"),
        ("charges", "assessed_on"),
    ):
        if table in earlier:
            earlier[table] = [r for r in earlier[table] if r[on] <= known_at]
    assert work_out(book(earlier), as_of, known_at).loans.equals(known)


@QUICK
@given(stories(kinds=("scheduled",), events=False), day(), st.integers(1, 99))
def test_splitting_a_repayment_into_two_of_the_same_day_changes_nothing(story: Story, as_of: date, share: int) -> None:
    """Two rows of one day that add up to one give the same position."""
    assume(story["repayments"])
    whole = work_out(book(story), as_of).loans
    halves = copy.deepcopy(story)
    first = halves["repayments"].pop(0)
    for suffix in ("a", "b"):
        part = dict(first) | {"repayment_id": first["repayment_id"] + suffix}
        for column in ("amount", "principal_paid", "interest_paid"):
            if column in first:
                minor = int(first[column].replace(".", ""))
                cut = minor * share // 100
                part[column] = money(cut if suffix == "a" else minor - cut)
        if "principal_paid" in part:
            part["amount"] = money(int(part["principal_paid"].replace(".", "")) + int(part["interest_paid"].replace(".", "")))
        halves["repayments"].append(part)
    assert work_out(book(halves), as_of).loans.equals(whole)


@QUICK
@given(stories(events=False), day())
def test_days_past_due_grow_by_one_a_day_while_nothing_is_paid(story: Story, as_of: date) -> None:
    portfolio = book(story)
    today, tomorrow = row(work_out(portfolio, as_of, history_months=0)), row(work_out(portfolio, as_of + timedelta(days=1), history_months=0))
    paid = any(r["paid_on"] == as_of + timedelta(days=1) for r in story["repayments"])
    if not paid and today["days_past_due"] > 0:
        assert tomorrow["days_past_due"] == today["days_past_due"] + 1


@QUICK
@given(stories(), day())
def test_balances_are_never_negative_and_overdue_is_the_sum_of_its_parts(story: Story, as_of: date) -> None:
    p = row(work_out(book(story), as_of, history_months=0))
    amounts = (
        "claim_principal",
        "on_book_principal",
        "overdue_principal",
        "overdue_interest",
        "overdue_fees",
        "overdue_penalty",
        "unapplied_amount",
        "accrued_interest",
        "suspended_interest",
        "next_due_amount",
    )
    for name in amounts:
        assert (p[name] or 0) >= 0, name
    assert p["overdue_amount"] == p["overdue_principal"] + p["overdue_interest"] + p["overdue_fees"] + p["overdue_penalty"]
    assert p["days_past_due"] >= 0


@QUICK
@given(stories(), day())
def test_the_payment_history_is_the_days_past_due_of_each_month_end(story: Story, as_of: date) -> None:
    """The list read off at once equals the position worked out at each month end."""
    portfolio = book(story)
    history = row(work_out(portfolio, as_of, history_months=8))["payment_history"]
    end = (as_of + timedelta(days=1)).replace(day=1) - timedelta(days=1)
    for value in history:
        if value is not None:
            assert row(work_out(portfolio, end, history_months=0))["days_past_due"] == value
        end = end.replace(day=1) - timedelta(days=1)


@QUICK
@given(stories(kinds=("scheduled",), events=False, split=False), day())
def test_columns_and_replay_agree(story: Story, as_of: date) -> None:
    """A refund of nothing sends the loan through the replay: the figures must be those of the columns."""
    columns = work_out(book(story), as_of).loans
    replayed = copy.deepcopy(story)
    replayed["repayments"].append({"repayment_id": "Z", "paid_on": START, "booked_on": START, "kind": "refund", "amount": "0.00"})
    ignore = ["last_paid_on", "last_paid_amount"]
    assert work_out(book(replayed), as_of).loans.drop(ignore).equals(columns.drop(ignore))


@QUICK
@given(stories(kinds=("scheduled",), events=False, split=True), day())
def test_columns_and_replay_agree_on_payments_with_parts(story: Story, as_of: date) -> None:
    columns = work_out(book(story), as_of).loans
    replayed = copy.deepcopy(story)
    replayed["repayments"].append({"repayment_id": "Z", "paid_on": START, "booked_on": START, "kind": "refund", "amount": "0.00"})
    ignore = ["last_paid_on", "last_paid_amount"]
    assert work_out(book(replayed), as_of).loans.drop(ignore).equals(columns.drop(ignore))


def test_the_end_of_the_story_lies_after_every_payment() -> None:
    assert START + timedelta(days=400) < END
