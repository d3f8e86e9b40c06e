"""Payments replayed one by one over one schedule: for what order makes a difference in.

Prepayments and payoffs, refunds, waivers, a tolerance, and payments of which some come with parts and some without:
here the state at each payment decides where it goes, so they are taken in the order of their value dates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from mloan_report.model import Policy
from mloan_report.position.in_force import COMPONENTS

FEES, INTEREST, PRINCIPAL, PENALTY = range(4)
_INDEX = {name: i for i, name in enumerate(COMPONENTS)}


@dataclass
class Item:
    """One thing to be paid: what is due and still open by component (fees, interest, principal, penalty)."""

    due_on: date | None
    due: list[int]
    open: list[int] = field(default_factory=list)
    paid_off_on: date | None = None

    def __post_init__(self) -> None:
        self.open = list(self.due)

    def unpaid(self) -> int:
        """What keeps it from counting as paid: penalties never do."""
        return self.open[FEES] + self.open[INTEREST] + self.open[PRINCIPAL]


@dataclass
class Money:
    """One payment (or waiver) on its value date, and where it went."""

    on: date
    kind: str
    amount: int
    parts: list[int] | None
    went: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    unapplied: int = 0
    late: int = 0


def replay(items: list[Item], money: list[Money], policy: Policy) -> None:
    """Applies *money*, in order of value dates, to *items*, in order of due dates; both are changed in place."""
    order = [_INDEX[name] for name in policy.allocation]
    unapplied = 0
    for payment in money:
        if payment.kind == "waiver":
            _waive(items, payment)
        elif payment.kind == "refund":
            unapplied = _refund(items, payment, unapplied)
        else:
            _pay(items, payment, policy, order)
            unapplied += payment.unapplied
        _note_paid_off(items, payment.on, policy)


def _pay(items: list[Item], payment: Money, policy: Policy, order: list[int]) -> None:
    early = payment.kind in ("prepayment", "payoff") and policy.prepayment != "next"
    due_now = [i for i in items if i.due_on is not None and i.due_on <= payment.on]
    later = [i for i in items if i.due_on is None or i.due_on > payment.on]
    if payment.parts is not None:
        for component, amount in enumerate(payment.parts):
            if early and component == PRINCIPAL:
                amount = _oldest_first(due_now, component, amount, payment)
                amount = _cancel_principal(later, amount, payment, policy)
            else:
                amount = _oldest_first(items, component, amount, payment)
            payment.unapplied += amount
        payment.unapplied += payment.amount - sum(payment.parts)
    else:
        left = _waterfall(due_now, order, payment.amount, payment, by_component=policy.allocation_by == "component")
        if early:
            left = _cancel_principal(later, left, payment, policy)
            if payment.kind == "payoff":
                left = _oldest_first(later, INTEREST, left, payment)
        else:
            left = _waterfall(later, order, left, payment, by_component=False)
        payment.unapplied = left
    if payment.kind == "payoff" and not any(i.open[PRINCIPAL] for i in items):
        for item in later:
            for component in (FEES, INTEREST):
                item.due[component] -= item.open[component]
                item.open[component] = 0


def _oldest_first(items: list[Item], component: int, amount: int, payment: Money) -> int:
    for item in items:
        if amount <= 0:
            break
        amount -= _apply(item, component, min(amount, item.open[component]), payment)
    return amount


def _waterfall(items: list[Item], order: list[int], amount: int, payment: Money, *, by_component: bool) -> int:
    cells = [(i, c) for c in order for i in items] if by_component else [(i, c) for i in items for c in order]
    for item, component in cells:
        if amount <= 0:
            break
        amount -= _apply(item, component, min(amount, item.open[component]), payment)
    return amount


def _cancel_principal(later: list[Item], amount: int, payment: Money, policy: Policy) -> int:
    if policy.prepayment == "re_amortise" and payment.kind == "prepayment":
        total = sum(i.open[PRINCIPAL] for i in later)
        if 0 < amount < total:
            shares = [amount * i.open[PRINCIPAL] // total for i in later]
            for item, share in zip(later, shares, strict=True):
                amount -= _apply(item, PRINCIPAL, share, payment)
    for item in reversed(later):
        if amount <= 0:
            break
        amount -= _apply(item, PRINCIPAL, min(amount, item.open[PRINCIPAL]), payment)
    return amount


def _apply(item: Item, component: int, amount: int, payment: Money) -> int:
    item.open[component] -= amount
    payment.went[component] += amount
    if item.due_on is not None and item.due_on < payment.on:
        payment.late += amount
    return amount


def _waive(items: list[Item], payment: Money) -> None:
    assert payment.parts is not None
    left = payment.parts[INTEREST]
    for item in items:
        cut = min(left, item.open[INTEREST])
        item.open[INTEREST] -= cut
        item.due[INTEREST] -= cut
        left -= cut
    left = payment.parts[PRINCIPAL]
    for item in reversed(items):
        cut = min(left, item.open[PRINCIPAL])
        item.open[PRINCIPAL] -= cut
        item.due[PRINCIPAL] -= cut
        left -= cut


def _refund(items: list[Item], payment: Money, unapplied: int) -> int:
    """Money given back: first what was never applied, then from the last paid cells backwards."""
    back = -payment.amount
    taken = min(back, unapplied)
    payment.unapplied = -taken
    back -= taken
    wanted = [-p for p in payment.parts] if payment.parts is not None and taken == 0 else None
    for item in reversed(items):
        for component in (PENALTY, PRINCIPAL, INTEREST, FEES):
            paid = item.due[component] - item.open[component]
            cut = min(back, paid if wanted is None else min(paid, wanted[component]))
            if cut > 0:
                item.open[component] += cut
                payment.went[component] -= cut
                back -= cut
                if wanted is not None:
                    wanted[component] -= cut
                if item.unpaid() > 0:
                    item.paid_off_on = None
    payment.unapplied -= back
    return unapplied - taken


def _note_paid_off(items: list[Item], on: date, policy: Policy) -> None:
    tolerance = int(policy.tolerance_amount)
    for item in items:
        if item.paid_off_on is None and item.unpaid() <= tolerance:
            item.paid_off_on = on
