"""Which payment paid what: in columns where order makes no difference, by replay where it does.

Two facts make columns exact. Payments that all come with parts fill each component oldest first, so only the sum of
each component matters. Payments that all come without parts fill the cells (instalment by instalment, within it by
component) in a fixed order, so only their sum matters. All else is replayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from mloan_report.model import Policy
from mloan_report.position.in_force import COMPONENTS, INSTALMENT_COMPONENTS
from mloan_report.position.replay import Item, Money, replay


@dataclass(frozen=True)
class Allocation:
    """``items`` with what was paid of each component (``fees_paid`` ...) and ``paid_off_on``; ``payments`` with what each
    went to (``to_fees`` ..., ``unapplied``) and how much of it was past due when paid (``late``).
    """

    items: pl.DataFrame
    payments: pl.DataFrame


def allocate(items: pl.DataFrame, payments: pl.DataFrame, waivers: pl.DataFrame, policy: Policy) -> Allocation:
    """Allocates *payments* to *items* within each segment. Amounts are minor units; nothing is allocated twice or lost:
    the parts of each payment and what is unapplied sum to its amount.
    """
    items = items.sort("seg", "due_on", "number", nulls_last=True).with_row_index("item")
    payments = payments.sort("seg", "paid_on", "booked", "repayment_id")
    with_items = items.select("seg").unique()
    stray = payments.join(with_items, on="seg", how="anti", maintain_order="left").with_columns(
        **{f"to_{c}": pl.lit(0, pl.Int64) for c in COMPONENTS}, unapplied="amount", late=pl.lit(0, pl.Int64)
    )
    payments = _of(payments, with_items)
    special = ["refund"] if policy.prepayment == "next" else ["prepayment", "refund"]
    kinds = payments.group_by("seg").agg(
        split=pl.col("is_split").any(),
        whole=(~pl.col("is_split")).any(),
        special=(
            pl.col("kind").is_in([*special, "payoff"])
            | (pl.col("amount") < 0)
            | pl.any_horizontal([pl.col(c) < 0 for c in COMPONENTS])
            | (pl.col("is_split") & (pl.sum_horizontal(COMPONENTS) != pl.col("amount")))
        ).any(),
    )
    by_replay = pl.col("special") | (pl.col("split") & pl.col("whole"))
    if policy.allocation_by == "component":
        by_replay = by_replay | pl.col("whole")
    if policy.tolerance_amount:
        by_replay = by_replay | pl.col("split") | pl.col("whole")
    replayed = pl.concat([kinds.filter(by_replay).select("seg"), waivers.select(pl.col("seg").cast(items.schema["seg"]))]).unique()
    split = kinds.filter(pl.col("split")).select("seg").join(replayed, on="seg", how="anti")
    whole = kinds.filter(~pl.col("split")).select("seg").join(replayed, on="seg", how="anti")

    untouched = items.join(pl.concat([replayed, split, whole]), on="seg", how="anti", maintain_order="left")
    parts = [
        Allocation(_with_paid(untouched, {c: pl.lit(0, pl.Int64) for c in COMPONENTS}), _no_payments(payments)),
        _allocate_split(_of(items, split), _of(payments, split)),
        _allocate_whole(_of(items, whole), _of(payments, whole), policy),
        _allocate_by_replay(_of(items, replayed), _of(payments, replayed), waivers, policy),
    ]
    item_columns = [*items.columns, *(f"{c}_paid" for c in COMPONENTS), "paid_off_on"]
    payment_columns = [*payments.columns, *(f"to_{c}" for c in COMPONENTS), "unapplied", "late"]
    return Allocation(
        pl.concat([p.items.select(item_columns) for p in parts]).sort("item"),
        pl.concat([*(p.payments.select(payment_columns) for p in parts), stray.select(payment_columns)]),
    )


def _of(frame: pl.DataFrame, segs: pl.DataFrame) -> pl.DataFrame:
    return frame.join(segs, on="seg", how="semi", maintain_order="left")


def _no_payments(payments: pl.DataFrame) -> pl.DataFrame:
    zero = pl.lit(0, pl.Int64)
    return payments.clear().with_columns(**{f"to_{c}": zero for c in COMPONENTS}, unapplied=zero, late=zero)


def _with_paid(items: pl.DataFrame, paid: dict[str, pl.Expr]) -> pl.DataFrame:
    return items.with_columns(**{f"{c}_paid": e for c, e in paid.items()}).with_columns(paid_off_on=pl.lit(None, pl.Date))


def _running(column: str) -> pl.Expr:
    """The sum of *column* so far within the segment, in a frame that is in order of segments.

    One running sum over all rows less what it was where the segment begins: should it wrap around, the difference does not.
    """
    total = pl.col(column).cum_sum()
    begins = (pl.col("seg") != pl.col("seg").shift(1)).fill_null(True)
    return total - pl.when(begins).then(total - pl.col(column)).forward_fill()


def _place(day: str) -> pl.Expr:
    """Segment and day as one whole number, in their order."""
    return pl.col("seg").cast(pl.Int64) * 2**24 + pl.col(day).to_physical().cast(pl.Int64) + 2**23


def _allocate_split(items: pl.DataFrame, payments: pl.DataFrame) -> Allocation:
    """Payments that say their parts: each component's sum fills its cells oldest first."""
    if payments.height == 0:
        return Allocation(_with_paid(items, {c: pl.lit(0, pl.Int64) for c in COMPONENTS}), _no_payments(payments))
    totals = payments.group_by("seg").agg([pl.col(c).sum().alias(f"total_{c}") for c in COMPONENTS])
    items = (
        items.join(totals, on="seg", how="left", maintain_order="left")
        .with_columns([(_running(c) - pl.col(c)).alias(f"before_{c}") for c in COMPONENTS])
        .with_columns([(pl.col(f"total_{c}").fill_null(0) - pl.col(f"before_{c}")).clip(0, pl.col(c)).alias(f"{c}_paid") for c in COMPONENTS])
    )
    cumulative = payments.with_columns([_running(c).alias(f"cum_{c}") for c in COMPONENTS])
    paid_off = items.select("item")
    for c in INSTALMENT_COMPONENTS:
        reached = items.filter((pl.col(c) > 0) & (pl.col(f"{c}_paid") == pl.col(c))).select("item", "seg", need=pl.col(f"before_{c}") + pl.col(c))
        if reached.height == 0:
            continue
        when = reached.sort("need").join_asof(
            cumulative.select("seg", pl.col(f"cum_{c}").alias("need"), pl.col("paid_on").alias(f"on_{c}")).sort("need"),
            on="need",
            by="seg",
            strategy="forward",
            check_sortedness=False,
        )
        paid_off = paid_off.join(when.select("item", f"on_{c}"), on="item", how="left", maintain_order="left")
    dates = [col for col in paid_off.columns if col.startswith("on_")]
    latest = pl.max_horizontal(dates) if dates else pl.lit(None, pl.Date)
    items = items.join(paid_off.select("item", latest=latest), on="item", how="left", maintain_order="left").with_columns(
        paid_off_on=pl.when(_is_paid()).then(pl.col("latest"))
    )
    due = items.group_by("seg").agg([pl.col(c).sum().alias(f"due_{c}") for c in COMPONENTS])
    late = _due_before(items, cumulative)
    out = (
        late.join(due, on="seg", how="left", maintain_order="left")
        .with_columns(
            [
                (
                    pl.min_horizontal(f"cum_{c}", pl.col(f"due_{c}").fill_null(0))
                    - pl.min_horizontal(pl.col(f"cum_{c}") - pl.col(c), pl.col(f"due_{c}").fill_null(0))
                ).alias(f"to_{c}")
                for c in COMPONENTS
            ]
        )
        .with_columns(
            unapplied=pl.col("amount") - pl.sum_horizontal([f"to_{c}" for c in COMPONENTS]),
            late=pl.sum_horizontal(
                [pl.min_horizontal(f"cum_{c}", f"past_{c}") - pl.min_horizontal(pl.col(f"cum_{c}") - pl.col(c), f"past_{c}") for c in COMPONENTS]
            ),
        )
    )
    return Allocation(items, out)


def _is_paid() -> pl.Expr:
    return pl.all_horizontal([pl.col(f"{c}_paid") == pl.col(c) for c in INSTALMENT_COMPONENTS])


def _due_before(items: pl.DataFrame, payments: pl.DataFrame) -> pl.DataFrame:
    """What had fallen due before the day of each payment, by component (``past_fees`` ...)."""
    due = items.filter(pl.col("due_on").is_not_null()).select("seg", "due_on", **{f"past_{c}": _running(c) for c in COMPONENTS})
    # Both are in order of segment and day, so one number says both and a single pass finds the last item due before each payment.
    due = due.select(_place("due_on").alias("_at"), pl.col("seg").alias("_seg"), *(f"past_{c}" for c in COMPONENTS))
    keyed = payments.select("seg", (_place("paid_on") - 1).alias("_at"))
    found = keyed.join_asof(due, on="_at", strategy="backward", check_sortedness=False)
    same = pl.col("_seg") == pl.col("seg")
    past = found.select([pl.when(same).then(pl.col(f"past_{c}")).fill_null(0).alias(f"past_{c}") for c in COMPONENTS])
    return pl.concat([payments, past], how="horizontal")


def _allocate_whole(items: pl.DataFrame, payments: pl.DataFrame, policy: Policy) -> Allocation:
    """Payments without parts: their sum fills the cells in order."""
    if payments.height == 0:
        return Allocation(_with_paid(items, {c: pl.lit(0, pl.Int64) for c in COMPONENTS}), _no_payments(payments))
    order = policy.allocation
    total = payments.group_by("seg").agg(pl.col("amount").sum().alias("total"))
    items = (
        items.join(total, on="seg", how="left", maintain_order="left")
        .with_columns(all_due=pl.sum_horizontal(COMPONENTS))
        .with_columns(
            before=_running("all_due") - pl.col("all_due"),
            **{f"before_{c}": _running(c) - pl.col(c) for c in COMPONENTS},
        )
    )
    money = (pl.col("total").fill_null(0) - pl.col("before")).clip(0, pl.col("all_due"))
    items = items.with_columns(_waterfall(money, order, "{}_paid"))
    needed = pl.col("all_due") - (pl.col("penalty") if order[-1] == "penalty" else 0)
    reached = items.filter(_is_paid() & (pl.sum_horizontal(INSTALMENT_COMPONENTS) > 0)).select("item", "seg", need=pl.col("before") + needed)
    cumulative = payments.with_columns(cum=_running("amount")).with_columns(prior=pl.col("cum") - pl.col("amount"))
    when = reached.sort("need").join_asof(
        cumulative.select("seg", pl.col("cum").alias("need"), pl.col("paid_on").alias("paid_off_on")).sort("need"),
        on="need",
        by="seg",
        strategy="forward",
        check_sortedness=False,
    )
    items = items.join(when.select("item", "paid_off_on"), on="item", how="left", maintain_order="left")
    out = _due_before(items, cumulative)
    ceiling = items.group_by("seg").agg(pl.col("all_due").sum().alias("ceiling"))
    out = out.join(ceiling, on="seg", how="left", maintain_order="left").with_columns(
        past=pl.sum_horizontal([f"past_{c}" for c in COMPONENTS]), ceiling=pl.col("ceiling").fill_null(0)
    )
    for point in ("cum", "prior"):
        out = _filled_at(items, out, point, order)
    out = out.with_columns(
        **{f"to_{c}": pl.col(f"cum_{c}") - pl.col(f"prior_{c}") for c in COMPONENTS},
        late=pl.min_horizontal("cum", "past") - pl.min_horizontal("prior", "past"),
    ).with_columns(unapplied=pl.col("amount") - pl.sum_horizontal([f"to_{c}" for c in COMPONENTS]))
    return Allocation(items, out)


def _waterfall(money: pl.Expr, order: tuple[str, ...], name: str) -> list[pl.Expr]:
    out, used = [], pl.lit(0, pl.Int64)
    for c in order:
        out.append((money - used).clip(0, pl.col(c)).alias(name.format(c)))
        used = used + pl.col(c)
    return out


def _filled_at(items: pl.DataFrame, payments: pl.DataFrame, point: str, order: tuple[str, ...]) -> pl.DataFrame:
    """How much of each component is filled once *point* (a cumulative sum of money) has been paid in the segment."""
    cells = items.select("seg", "before", "all_due", *COMPONENTS, *(f"before_{c}" for c in COMPONENTS)).rename({c: f"cell_{c}" for c in COMPONENTS})
    keyed = payments.with_columns(_at=pl.min_horizontal(point, "ceiling")).sort("_at")
    joined = keyed.join_asof(
        cells.filter(pl.col("all_due") > 0).sort("before"),
        left_on="_at",
        right_on="before",
        by="seg",
        strategy="backward",
        check_sortedness=False,
        suffix="_cell",
    )
    inside, used, columns = pl.col("_at") - pl.col("before"), pl.lit(0, pl.Int64), []
    for c in order:
        part = (inside - used).clip(0, pl.col(f"cell_{c}"))
        columns.append((pl.col(f"before_{c}") + part).fill_null(0).alias(f"{point}_{c}"))
        used = used + pl.col(f"cell_{c}")
    return joined.with_columns(columns).drop("_at", "before", "all_due", *(f"cell_{c}" for c in COMPONENTS), *(f"before_{c}" for c in COMPONENTS))


def _allocate_by_replay(items: pl.DataFrame, payments: pl.DataFrame, waivers: pl.DataFrame, policy: Policy) -> Allocation:
    states: dict[int, list[Item]] = {}
    moneys: dict[int, list[Money]] = {}
    for row in items.iter_rows(named=True):
        states.setdefault(row["seg"], []).append(Item(row["due_on"], [row[c] for c in COMPONENTS]))
    for row in payments.iter_rows(named=True):
        parts = [row[c] for c in COMPONENTS] if row["is_split"] else None
        moneys.setdefault(row["seg"], []).append(Money(row["paid_on"], row["kind"], row["amount"], parts))
    forgiven: dict[int, list[Money]] = {}
    for row in waivers.iter_rows(named=True):
        forgiven.setdefault(row["seg"], []).append(Money(row["on"], "waiver", 0, [0, row["interest"], row["principal"], 0]))
    for seg, state in states.items():
        events = sorted([*moneys.get(seg, []), *forgiven.get(seg, [])], key=lambda m: m.on)
        replay(state, events, policy)
    flat = [i for seg in items["seg"].unique(maintain_order=True).to_list() for i in states[seg]]
    columns: dict[str, list[Any]] = {c: [i.due[k] for i in flat] for k, c in enumerate(COMPONENTS)}
    columns |= {f"{c}_paid": [i.due[k] - i.open[k] for i in flat] for k, c in enumerate(COMPONENTS)}
    columns["paid_off_on"] = [i.paid_off_on for i in flat]
    schema: dict[str, Any] = dict.fromkeys(columns, pl.Int64) | {"paid_off_on": pl.Date}
    done = items.with_columns(pl.DataFrame(columns, schema=schema).get_columns())
    gone = [m for seg in payments["seg"].unique(maintain_order=True).to_list() for m in moneys[seg]]
    money_columns = {f"to_{c}": [m.went[k] for m in gone] for k, c in enumerate(COMPONENTS)}
    money_columns |= {"unapplied": [m.unapplied for m in gone], "late": [m.late for m in gone]}
    paid = payments.with_columns(pl.DataFrame(money_columns, schema=dict.fromkeys(money_columns, pl.Int64)).get_columns())
    return Allocation(done, paid)
