"""Limits against a book: figure, limit, headroom, who breaches, and under which article.

Comparisons are of exact figures; what is shown of a ratio is rounded half up to 4 places. At the limit exactly is kept. A base of zero or
less is a breach for any balance, with no ratio; a base that is missing is "not computed" and an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import polars as pl

from mloan_report.measures.all_in_cost import all_in_rates
from mloan_report.measures.book import ratios_of_book
from mloan_report.measures.exchange import rate_on
from mloan_report.measures.grouping import Togetherness, related_kinds, togetherness
from mloan_report.measures.limit import Limit, LimitSet
from mloan_report.measures.provision import ProvisionTable
from mloan_report.measures.ratio import ratio_definitions
from mloan_report.measures.regime import Regime
from mloan_report.measures.repayment_ability import ability_of_bucket, ability_of_households
from mloan_report.model.currency import minor_digits
from mloan_report.model.grammar import from_minor
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source, columns_of
from mloan_report.portfolio.sql import condition
from mloan_report.portfolio.workers import over_buckets
from mloan_report.position import work_out
from mloan_report.position.loan_view import loan_view
from mloan_report.schedule.rounding import EXACT

SHOWN = Decimal("0.0001")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Holder:
    """A borrower, group, household or loan with its figure: ``amount`` in major units where there is one; ``status`` kept, early_warning,
    breach or not_computed.
    """

    key: str
    figure: Decimal | None
    amount: Decimal | None = None
    status: str = "kept"
    members: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class LimitResult:
    """A limit on a date. ``figure`` and ``headroom`` are exact, in the unit of the limit; None where the base does not allow one.

    ``holders`` are those in breach, worst first, then those above the early-warning mark. ``checked`` counts all that were compared.
    """

    limit: Limit
    as_of: date
    status: str
    severity: str
    figure: Decimal | None
    headroom: Decimal | None
    base: Decimal | None
    base_on: date | None
    currency: str | None
    checked: int
    holders: tuple[Holder, ...] = ()
    reason: str | None = None
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def failed(self) -> bool:
        """Whether this makes the run end with errors: a breach of an error limit, or one that could not be computed."""
        return self.severity == "error" and self.status in ("breach", "not_computed")

    def as_dict(self) -> dict[str, Any]:
        """Plain data; figures are text, ratios rounded half up to 4 places."""
        rounds = self.limit.unit in ("ratio", "times")

        def text(value: Decimal | None, *, money: bool = False) -> str | None:
            if value is None:
                return None
            # Adding 0 takes the sign off a figure that rounds to nothing.
            return f"{value.quantize(SHOWN, ROUND_HALF_UP) + 0 if rounds and not money else value:f}"

        return {
            "id": self.limit.id,
            "title": self.limit.en,
            "title_zh": self.limit.zh,
            "as_of": self.as_of.isoformat(),
            "status": self.status,
            "severity": self.severity,
            "figure": text(self.figure),
            "operator": self.limit.operator,
            "limit": f"{self.limit.value:f}",
            "unit": self.limit.unit,
            "headroom": text(self.headroom),
            "base": text(self.base, money=True),
            "base_on": self.base_on.isoformat() if self.base_on else None,
            "currency": self.currency,
            "checked": self.checked,
            "holders": [
                {
                    "key": h.key,
                    "status": h.status,
                    "figure": text(h.figure),
                    "amount": text(h.amount, money=True),
                    "members": list(h.members),
                    "reason": h.reason,
                }
                for h in self.holders
            ],
            "reason": self.reason,
            "warnings": list(self.warnings),
            "article": self.limit.article,
            "source": self.limit.source,
            "certainty": self.limit.certainty,
            "note": self.limit.note,
        }


def check_limits(
    source: Source,
    as_of: date,
    rules: LimitSet,
    known_at: date | None = None,
    *,
    regime: Regime | None = None,
    provisions: ProvisionTable | None = None,
    jobs: int | None = 1,
) -> list[LimitResult]:
    """Every limit of *rules* in force on *as_of*, in their order. *regime* and *provisions* are for limits on ratios."""
    limits = [limit for limit in rules.limits if limit.in_force(as_of)]
    together = togetherness(source)
    work = _GatherBucket(source, as_of, known_at, tuple(limits), together)
    gathered = list(over_buckets(source, work, range(source.count), jobs))
    ratios = [limit.ratio for limit in limits if limit.measure == "ratio" and limit.ratio in ratio_definitions()]
    values = {v.ratio.id: v for v in ratios_of_book(source, as_of, regime, provisions, known_at, (), ratios, jobs=jobs)} if ratios else {}
    state = _State(source, source.bucket(0), as_of, together, rules.currency_code, values)
    return [_CHECKS[limit.measure](limit, [g[limit.id] for g in gathered if limit.id in g], state) for limit in limits]


@dataclass(frozen=True)
class _GatherBucket:
    source: Source
    as_of: date
    known_at: date | None
    limits: tuple[Limit, ...]
    together: Togetherness

    def __call__(self, number: int) -> dict[str, pl.DataFrame]:
        book = self.source.bucket(number)
        positions = work_out(book, self.as_of, self.known_at, history_months=0)
        view = loan_view(book, positions, self.known_at)
        if book.guest_loans:
            view = view.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
        found = {limit.id: frame for limit in self.limits if (frame := self._of(limit, view, book)) is not None}
        return found | _rates([limit for limit in self.limits if limit.measure == "all_in_rate"], view, book, self.known_at)

    def _of(self, limit: Limit, view: pl.DataFrame, book: Portfolio) -> pl.DataFrame | None:
        if limit.measure in ("by_person", "by_related", "by_household"):
            rows = view.filter(condition(view, limit.where).fill_null(False)) if limit.where else view
            rows = rows.filter(pl.col(limit.sum or "") > 0)
            key = {"by_person": self.together.person_of, "by_related": self.together.control_of, "by_household": self.together.household_of}[limit.measure]
            keyed = rows.select("borrower_id", "currency_code", amount=pl.col(limit.sum or "").cast(pl.Int128)).with_columns(key=key(rows["borrower_id"]))
            return keyed.group_by("key", "currency_code").agg(pl.col("amount").sum(), members=pl.col("borrower_id").unique())
        if limit.measure == "loans":
            rows = view.filter((pl.col("status") != "cancelled") & pl.col("disbursed_on").is_not_null() & (pl.col("disbursed_on") <= pl.col("as_of")))
            rows = _with_withheld_interest(rows, book)
            return rows.filter(condition(rows, limit.where or "FALSE").fill_null(False)).select("loan_id", "borrower_id")
        if limit.measure == "debt_service":
            return ability_of_bucket(view.filter(condition(view, limit.where).fill_null(False)) if limit.where else view, book, self.together)
        return None


def _with_withheld_interest(rows: pl.DataFrame, book: Portfolio) -> pl.DataFrame:
    """What was kept back at disbursement beyond the charges that were said to be withheld."""
    kept = book.table("disbursements").filter(pl.col("net_paid_amount").is_not_null())
    kept = kept.group_by("loan_id").agg(kept=(pl.col("amount") - pl.col("net_paid_amount")).sum())
    said = book.table("charges").filter(pl.col("withheld_at_disbursement").fill_null(False)).group_by("loan_id").agg(said=pl.col("amount").sum())
    rows = rows.join(kept, on="loan_id", how="left", maintain_order="left").join(said, on="loan_id", how="left", maintain_order="left")
    return rows.with_columns(withheld_interest=(pl.col("kept").fill_null(0) - pl.col("said").fill_null(0)).clip(lower_bound=0))


def _rates(limits: Sequence[Limit], view: pl.DataFrame, book: Portfolio, known_at: date | None) -> dict[str, pl.DataFrame]:
    """By limit: loan_id, borrower_id, reference (10^-7 percent), rate and reason. What limits that count the same charges ask of a loan
    is solved once.
    """
    live = view.filter((pl.col("disbursed_on") <= pl.col("as_of")) & ~pl.col("status").is_in(["cancelled", "not_disbursed"]))
    out: dict[str, pl.DataFrame] = {}
    for kinds in dict.fromkeys(limit.charge_kinds for limit in limits):
        asked = {limit.id: _with_cap(live, limit, book) for limit in limits if limit.charge_kinds == kinds}
        columns = ["loan_id", "repayment_frequency", "currency_code"]
        loans = pl.concat([rows.select(columns) for rows in asked.values()]).unique("loan_id", maintain_order=True)
        caps = [loans.join(rows.select("loan_id", "cap"), on="loan_id", how="left", maintain_order="left")["cap"] for rows in asked.values()]
        rates = all_in_rates(book, loans, caps, kinds, known_at)
        for id, rows in asked.items():
            solved = rows.join(rates, on="loan_id", how="left", maintain_order="left")
            out[id] = solved.select("loan_id", "borrower_id", "reference", "rate", "reason")
    return out


def _with_cap(live: pl.DataFrame, limit: Limit, book: Portfolio) -> pl.DataFrame:
    """The loans that *limit* is about, with the rate it refers to (10^-7 percent; 100 % for an absolute one) and the cap (10^-9 parts of 1)."""
    rows = live.filter(condition(live, limit.where).fill_null(False)) if limit.where else live
    rows = rows.select("loan_id", "borrower_id", "disbursed_on", "repayment_frequency", "currency_code").sort("disbursed_on")
    if limit.base == "reference_rate":
        reference = book.table("reference_rates").filter(pl.col("code") == limit.reference_rate).select(on="as_of", reference="rate_pct").sort("on")
        rows = rows.join_asof(reference, left_on="disbursed_on", right_on="on", strategy="backward")
    else:
        rows = rows.with_columns(reference=pl.lit(100 * 10**7, pl.Int64))
    return rows.with_columns(cap=pl.col("reference") * int(limit.value * 10**6) // 10**6)


@dataclass
class _State:
    source: Source
    book: Portfolio
    as_of: date
    together: Togetherness
    currency: str | None
    ratios: dict[str, Any]
    rates: dict[str, Decimal | None] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return self.source.institution.currency_code

    def money(self, minor: int, code: str) -> Decimal:
        """An amount in the currency of the rules (else the institution's). _NotComputed without a rate."""
        to = self.currency or self.home
        if code not in self.rates:
            self.rates[code] = rate_on(self.book, code, to, self.as_of)
        rate = self.rates[code]
        if rate is None:
            raise _NotComputed(f"no exchange rate from {code} to {to} on or before {self.as_of}")
        return EXACT.multiply(from_minor(int(minor), minor_digits(code)), rate)

    def base(self, limit: Limit) -> tuple[Decimal, date, list[str]]:
        """Net assets by the limit's rule, their date, and what must be said of them."""
        rows = self.book.table("financials").filter(pl.col("net_assets").is_not_null() & (pl.col("scope").fill_null("solo") == "solo")).sort("as_of")
        if limit.base == "net_assets_previous_year_end":
            year = self.as_of.year - 1
            rows = rows.filter(pl.col("as_of").dt.year() == year)
            if rows.height == 0:
                raise _NotComputed(f"financials has no net_assets of {year}-12-31, the previous year end: give them")
        else:
            rows = rows.filter(pl.col("as_of") <= self.as_of)
            if rows.height == 0:
                raise _NotComputed(f"financials has no net_assets up to {self.as_of}: give them")
        row = rows.row(-1, named=True)
        said = []
        if limit.base == "net_assets_previous_year_end" and row["as_of"] != date(self.as_of.year - 1, 12, 31):
            said.append(f"net assets are of {row['as_of']}, not of {self.as_of.year - 1}-12-31")
        if not row["audited"]:
            said.append(f"net assets of {row['as_of']} are not audited")
        return self.money(row["net_assets"], row["currency_code"]), row["as_of"], said


class _NotComputed(Exception):
    """An input that is not there."""


def _result(limit: Limit, state: _State, holders: Sequence[Holder], checked: int, **more: Any) -> LimitResult:
    """The result of the worst holder; those in breach and above the early mark are kept."""
    told = sorted((h for h in holders if h.status != "kept"), key=lambda h: (h.status != "breach", -(h.figure or h.amount or ZERO), h.key))
    worst = _worst(limit, holders)
    figure = worst.figure if worst else (ZERO if limit.unit in ("loans", "money") or limit.operator == "<=" else None)
    status = "breach" if any(h.status == "breach" for h in holders) else "early_warning" if told else "kept"
    headroom = None if figure is None else (figure - limit.value if limit.operator == ">=" else limit.value - figure)
    return LimitResult(
        limit=limit, as_of=state.as_of, status=status, severity=limit.severity_on(state.as_of), figure=figure, headroom=headroom, checked=checked,
        holders=tuple(told), **({"base": None, "base_on": None, "currency": state.currency or state.home} | more),
    )  # fmt: skip


def _worst(limit: Limit, holders: Iterable[Holder]) -> Holder | None:
    known = [h for h in holders if h.figure is not None]
    if not known:
        return None
    return (min if limit.operator == ">=" else max)(known, key=lambda h: h.figure or ZERO)


def _not_computed(limit: Limit, state: _State, reason: str, warnings: Sequence[str] = ()) -> LimitResult:
    return LimitResult(
        limit, state.as_of, "not_computed", limit.severity_on(state.as_of), None, None, None, None, state.currency or state.home, 0, (), reason, tuple(warnings)
    )


def _judged(limit: Limit, figure: Decimal) -> str:
    kept = {"<=": figure <= limit.value, ">=": figure >= limit.value, "=": figure == limit.value}[limit.operator]
    if not kept:
        return "breach"
    if limit.operator == "<=" and limit.early_pct < 100 and figure * 100 > limit.value * limit.early_pct:
        return "early_warning"
    return "kept"


def _amounts(frames: Sequence[pl.DataFrame], state: _State) -> dict[str, tuple[Decimal, tuple[str, ...]]]:
    if not frames:
        return {}
    whole = pl.concat(frames).group_by("key", "currency_code").agg(pl.col("amount").sum(), members=pl.col("members").explode().unique())
    out: dict[str, tuple[Decimal, tuple[str, ...]]] = {}
    for key, code, minor, members in whole.rows():
        amount, before = out.get(key, (ZERO, ()))
        out[key] = (amount + state.money(minor, code), tuple(sorted({*before, *members})))
    return out


def _by_key(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    try:
        amounts = _amounts(frames, state)
        if limit.measure == "by_related":
            if not state.book.has("relations"):
                return _not_computed(limit, state, "the portfolio has no relations: related parties are not known, so the test is not passed either")
            amounts = _with_related(amounts, state)
        warnings = _household_warning(limit, state)
        if limit.base == "absolute":
            holders = [Holder(k, a, a, _judged(limit, a), members) for k, (a, members) in amounts.items()]
            return _result(limit, state, holders, len(holders), warnings=tuple(warnings))
        base, on, said = state.base(limit)
    except _NotComputed as why:
        return _not_computed(limit, state, str(why))
    told = (*warnings, *said)
    if base <= 0:
        holders = [Holder(k, None, a, "breach", members, "net assets are zero or less") for k, (a, members) in amounts.items() if a > 0]
        found = _result(limit, state, holders, len(amounts), base=base, base_on=on, warnings=told)
        return replace(found, figure=None, headroom=None, reason=f"net assets are {base:f}: any balance breaches the limit")
    holders = []
    for key, (amount, members) in amounts.items():
        figure = EXACT.divide(amount, base)
        # The test multiplies, so that no rounding of a division can decide it.
        judged = "breach" if amount > limit.value * base else _judged(limit, min(figure, limit.value))
        holders.append(Holder(key, figure, amount, judged, members))
    return _result(limit, state, holders, len(amounts), base=base, base_on=on, warnings=told)


def _with_related(amounts: dict[str, tuple[Decimal, tuple[str, ...]]], state: _State) -> dict[str, tuple[Decimal, tuple[str, ...]]]:
    """Each key of control with its family's keys added, under its own name; a set that several keys have is shown once."""
    ties = state.together.related_to()
    out: dict[tuple[str, ...], tuple[str, Decimal, tuple[str, ...]]] = {}
    for key in sorted(amounts):
        keys = tuple(sorted(k for k in {key, *ties.get(key, ())} if k in amounts))
        total = sum((amounts[k][0] for k in keys), ZERO)
        members = tuple(sorted({m for k in keys for m in amounts[k][1]}))
        out.setdefault(keys, (key, total, members))
    return {f"{name} and related" if len(members) > 1 else name: (total, members) for name, total, members in out.values()}


def _household_warning(limit: Limit, state: _State) -> list[str]:
    if limit.measure != "by_household":
        return []
    ids = columns_of(state.source, "borrowers", ("household_id",))["household_id"]
    related = columns_of(state.source, "relations", ("kind",))["kind"].is_in(related_kinds("one_household")).any()
    return [] if ids.null_count() < ids.len() or related else ["no household is recorded: each person is taken alone"]


def _financials(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    column = limit.figure or ""
    rows = state.book.table("financials").filter(
        (pl.col("as_of") <= state.as_of) & pl.col(column).is_not_null() & (pl.col("scope").fill_null("solo") == "solo")
    )
    if rows.height == 0:
        return _not_computed(limit, state, f"financials has no {column} up to {state.as_of}: give it")
    row = rows.sort("as_of").row(-1, named=True)
    try:
        amount = state.money(row[column], row["currency_code"])
        base, on, said = state.base(limit)
    except _NotComputed as why:
        return _not_computed(limit, state, str(why))
    if row["as_of"] != state.as_of:
        said.append(f"{column} is of {row['as_of']}")
    if base <= 0:
        status = "breach" if amount > 0 else "kept"
        found = _result(limit, state, [Holder(column, None, amount, status)], 1, base=base, base_on=on, warnings=tuple(said))
        return replace(found, figure=None, headroom=None, reason=f"net assets are {base:f}: any financing breaches the limit")
    if (now := _net_assets_of(row, state)) is not None and on != row["as_of"]:
        said.append(f"under the net assets of {row['as_of']}: {EXACT.divide(amount, now).quantize(SHOWN, ROUND_HALF_UP):f}")
    judged = "breach" if amount > limit.value * base else _judged(limit, min(EXACT.divide(amount, base), limit.value))
    return _result(limit, state, [Holder(column, EXACT.divide(amount, base), amount, judged)], 1, base=base, base_on=on, warnings=tuple(said))


def _net_assets_of(row: dict[str, Any], state: _State) -> Decimal | None:
    value = row["net_assets"]
    return state.money(value, row["currency_code"]) if value is not None and value > 0 else None


def _loans(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    found = pl.concat(frames).sort("loan_id") if frames else pl.DataFrame(schema={"loan_id": pl.String, "borrower_id": pl.String})
    count = Decimal(found.height)
    status = _judged(limit, count)
    holders = tuple(Holder(loan, Decimal(1), None, "breach", (borrower,)) for loan, borrower in found.rows()) if status == "breach" else ()
    return LimitResult(limit, state.as_of, status, limit.severity_on(state.as_of), count, limit.value - count, None, None, None, found.height, holders)


def _all_in(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    rows = (
        pl.concat(frames)
        if frames
        else pl.DataFrame(schema={"loan_id": pl.String, "borrower_id": pl.String, "reference": pl.Int64, "rate": pl.String, "reason": pl.String})
    )
    if rows.height and rows["reference"].null_count() == rows.height:
        return _not_computed(limit, state, f"reference_rates has no {limit.reference_rate} on or before the loans' disbursement: give it")
    holders = []
    for loan, borrower, reference, rate, reason in rows.rows():
        if rate is None or reference is None:
            why = reason or f"no {limit.reference_rate} on or before the disbursement"
            holders.append(Holder(loan, None, None, "not_computed", (borrower,), why))
            continue
        cost = Decimal(rate)
        unit = Decimal(reference).scaleb(-9)
        figure = cost if limit.base == "absolute" else EXACT.divide(cost, unit) if unit else None
        if figure is None:
            holders.append(Holder(loan, None, None, "not_computed", (borrower,), f"{limit.reference_rate} is 0"))
        elif (judged := "breach" if cost > limit.value * unit else "kept") != "kept" or not holders or figure > (holders[0].figure or ZERO):
            said = None if limit.base == "absolute" else f"all-in cost {cost * 100:.4f} %, {limit.reference_rate} {unit * 100:.4f} %"
            holders.append(Holder(loan, figure, None, judged, (borrower,), said))
    found = _result(limit, state, holders, rows.height, currency=None)
    unknown = sum(h.status == "not_computed" for h in holders)
    if unknown and found.status != "breach":
        status = "not_computed"
        return replace(found, status=status, reason=f"{unknown} loans have no cost: {next(h.reason for h in holders if h.status == 'not_computed')}")
    return replace(found, warnings=(f"{unknown} loans have no cost",)) if unknown else found


def _ratio(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    value = state.ratios.get(limit.ratio or "")
    if value is None:
        return _not_computed(limit, state, f"there is no ratio {limit.ratio}")
    if value.value is None:
        return _not_computed(limit, state, value.reason or "undefined", value.warnings)
    exact = EXACT.divide(value.numerator, value.denominator)
    return _result(limit, state, [Holder(limit.ratio or "", exact, value.numerator, _judged(limit, exact))], 1, base=value.denominator, warnings=value.warnings)


def _debt_service(limit: Limit, frames: Sequence[pl.DataFrame], state: _State) -> LimitResult:
    try:
        households = ability_of_households(frames, state.money) if frames else []
    except _NotComputed as why:
        return _not_computed(limit, state, str(why))
    holders, unknown = [], 0
    for h in households:
        figure = h.debt_service_ratio
        if figure is None:
            unknown += 1
            continue
        holders.append(Holder(h.household, figure, h.monthly_debt_service, _judged(limit, figure), h.members))
    warnings = (f"{unknown} households have no income on record: not judged",) if unknown else ()
    if households and not holders:
        return _not_computed(limit, state, "no household has an income on record", warnings)
    return _result(limit, state, holders, len(households), warnings=warnings)


_CHECKS = {
    "by_person": _by_key,
    "by_related": _by_key,
    "by_household": _by_key,
    "financials": _financials,
    "loans": _loans,
    "all_in_rate": _all_in,
    "ratio": _ratio,
    "debt_service": _debt_service,
}
