"""The records of a filing, from the portfolio: who is in scope, what each record says, what its rules find.

Quarantine acts here, before anything is written: a loan with an error finding leaves with its records, and the records are
made again without it, so that persons and sums are of what stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any

import polars as pl

from mloan_report.filing.around import filing_constants
from mloan_report.filing.remembering import only_changed, with_previous
from mloan_report.filing.request import FilingRequest
from mloan_report.layout import RecordLayout, RecordRule, RecordSet, RuleRun, check_layout, make_records, run_rules
from mloan_report.layout.forms.batch import no_records
from mloan_report.layout.xml_reader import RecordCollector
from mloan_report.measures import Classified, classify, provision_tables, regimes
from mloan_report.measures.classify import check_dates
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack
from mloan_report.packs.views import Views
from mloan_report.portfolio import Portfolio, UnusableInput
from mloan_report.portfolio.sql import compile_sql, condition, evaluate_one
from mloan_report.position import Positions, work_out, work_out_pairs
from mloan_report.position.loan_view import loan_view


@dataclass(frozen=True)
class Outside:
    """What the other buckets know of this one: error findings on rows that are guests here, and loans that they hold (guests)
    or that are to be held here because of them, with the codes.
    """

    findings: tuple[Finding, ...] = ()
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class Filing:
    """A filing before it is written. ``scope``: loan_id, in_scope, reason, source. ``quarantined``: loan_id and why."""

    request: FilingRequest
    views: Views
    scope: pl.DataFrame
    records: dict[str, RecordSet] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    quarantined: dict[str, list[str]] = field(default_factory=dict)
    rule_run: RuleRun = field(default_factory=RuleRun)


def prepare(request: FilingRequest, everyone: Positions | None = None) -> tuple[Views, pl.DataFrame]:
    """The views of a filing and the scope of every loan: loan_id, in_scope, reason, source."""
    pack, portfolio = request.pack, request.portfolio.each_once
    pairs_of = pack.hook("pairs")
    everyone = everyone or work_out(portfolio, request.as_of, request.known_at)
    extra = None
    positions = everyone
    if pairs_of is not None:
        extra = pairs_of(portfolio, everyone, request)
        positions = work_out_pairs(portfolio, extra.select("loan_id", "as_of"), request.known_at)
    regime = _regime(request)
    beside: dict[str, Any] = {"known_at": request.known_at, "made_at": _made_at(request), "previous": request.previous}
    views = Views(pack, portfolio, positions, None, request.settings, request.as_of, **beside, findings=[])
    if regime is not None:
        views.classified = _classified(portfolio, positions, regime, request)
    whole = Views(pack, portfolio, everyone, views.classified, request.settings, request.as_of, **beside)
    if extra is None:
        whole.loans = views.loan
    elif regime is not None:
        whole.classified = _classified(portfolio, everyone, regime, request)
    book = whole.finished(whole.loan)
    scope = _scope(pack, book)
    if extra is not None:
        due = extra.select("loan_id").unique()
        known = scope.join(due.with_columns(_due=pl.lit(True)), on="loan_id", how="left", maintain_order="left")
        idle = pl.col("in_scope") & pl.col("_due").is_null()
        scope = known.with_columns(
            reason=pl.when(idle).then(pl.lit("nothing falls due in this filing")).otherwise("reason"),
            in_scope=pl.col("in_scope") & ~idle,
        ).drop("_due")
        views.loans = views.loan.join(extra, on=["loan_id", "as_of"], how="left", maintain_order="left")
    return views, scope


def _made_at(request: FilingRequest) -> datetime:
    """The moment of making in the institution's own time."""
    return request.made_at.replace(tzinfo=None)


def _regime(request: FilingRequest) -> str | None:
    policy = request.portfolio.institution.policy_on(request.as_of)
    chosen = request.settings.get("regime") or policy.classification or request.pack.data.get("regime")
    if chosen is None:
        return None
    if chosen not in regimes():
        raise UnusableInput(f"there is no regime {chosen}; there are {', '.join(sorted(regimes()))}")
    why = check_dates(regimes()[chosen], request.as_of, allow_expired=policy.classification == chosen)
    if why is not None:
        raise UnusableInput(why)
    if regimes()[chosen].without_uncertain() is None and request.settings.get("regime") != chosen:
        raise UnusableInput(f"{chosen} is only remembered and its edges may be wrong (certainty knowledge_low): --set regime={chosen} uses it all the same")
    return str(chosen)


def _classified(portfolio: Portfolio, positions: Positions, regime: str, request: FilingRequest) -> Classified:
    policy = portfolio.institution.policy_on(request.as_of)
    table = provision_tables().get(policy.provisions or "")
    view = loan_view(portfolio, positions, request.known_at)
    return classify(view, regimes()[regime], portfolio, table, positions=positions, known_at=request.known_at)


def _scope(pack: Pack, book: pl.DataFrame) -> pl.DataFrame:
    reason, source = pl.lit(None, pl.String), pl.lit(None, pl.String)
    frame = book
    for i, rule in enumerate(pack.scope_rules):
        frame = frame.with_columns(condition(book, rule.out_if, pack.functions).fill_null(False).alias(f"_out{i}"))
    for i in reversed(range(len(pack.scope_rules))):
        reason = pl.when(pl.col(f"_out{i}")).then(pl.lit(pack.scope_rules[i].reason)).otherwise(reason)
        source = pl.when(pl.col(f"_out{i}")).then(pl.lit(pack.scope_rules[i].source)).otherwise(source)
    return frame.select("loan_id", "borrower_id", reason=reason, source=source).with_columns(in_scope=pl.col("reason").is_null())


def make_filing(
    request: FilingRequest, earlier: Sequence[Finding], *, quarantine: bool, everyone: Positions | None = None, outside: Outside | None = None
) -> Filing:
    """All records of the filing with what was found. *earlier* are the findings of reading and checking the portfolio.

    With *quarantine*, loans with error findings leave until what stays has none that a loan can be named for. In a bucket of a
    larger book, guests are held where they have their home, and *outside* says so.
    """
    outside = outside or Outside()
    views, scope = prepare(request, everyone)
    out = Filing(request, views, scope)
    base = views.loan
    chosen = set(scope.filter("in_scope")["loan_id"].to_list())
    guests = request.portfolio.guest_loans
    held: dict[str, list[str]] = {}
    if quarantine:
        # An error may hide whether a loan is in scope, so it comes first.
        held = _loans_at_fault([*earlier, *outside.findings], set(scope["loan_id"].to_list()) - guests, request.portfolio)
        for loan, codes in outside.held.items():
            held[loan] = list(dict.fromkeys([*held.get(loan, []), *codes]))
    for _ in range(12):
        views.loans = base.filter(pl.col("loan_id").is_in(list(chosen - set(held))))
        views.forget()
        _make(out)
        if not quarantine:
            break
        more = _loans_at_fault(out.findings, chosen - set(held) - guests, request.portfolio)
        if not more:
            break
        held |= more
    out.quarantined = {loan: codes for loan, codes in held.items() if loan not in guests}
    out.scope = scope.with_columns(in_scope=pl.col("in_scope") | pl.col("loan_id").is_in(list(held)))
    return out


def _make(filing: Filing) -> None:
    request = filing.request
    pack = request.pack
    made: dict[str, RecordSet] = {}
    layouts = [x for x in pack.records(request.as_of) if x.place == "body"]
    for layout in _in_order_of_need(layouts):
        view = filing.views.view(layout.rows)
        if layout.where:
            view = view.filter(evaluate_one(view, compile_sql(layout.where, view.columns, pack.functions)).fill_null(False))
        if view.height == 0:
            records = _no_records(layout, filing, view, made)
        else:
            group_views = {g.rows: filing.views.view(g.rows) for g in layout.groups}
            records = make_records(layout, view, group_views, made, pack.functions)
        made[layout.name] = records
    filing.records = {name: records for name, records in made.items() if records.height}
    step = pack.ledger.incremental if pack.ledger else None
    if step is not None and request.settings.get(step[0]) == step[1]:
        filing.records = only_changed(pack, filing.records, request.previous)
    filing.records = with_previous(pack, filing.records, request.previous)
    known = filing_constants(request)
    filing.findings, filing.rule_run = check_records(pack, filing.records, known, {}, as_of=request.as_of)
    filing.findings = [*(filing.views.findings or []), *filing.findings]


_EMPTY: dict[tuple[RecordLayout, frozenset[str]], RecordSet] = {}


def _no_records(layout: RecordLayout, filing: Filing, view: pl.DataFrame, made: Mapping[str, RecordSet]) -> RecordSet:
    """A kind of which there is no record: made once in a process for the columns of its view."""
    key = (layout, frozenset(view.columns))
    if key not in _EMPTY:
        group_views = {g.rows: filing.views.view(g.rows) for g in layout.groups}
        _EMPTY[key] = make_records(layout, view, group_views, made, filing.request.pack.functions)
    return _EMPTY[key]


@cache
def _nothing(layout: RecordLayout) -> RecordSet:
    return RecordCollector(layout, ordered=False).record_set()


def check_records(
    pack: Pack,
    made: Mapping[str, RecordSet],
    known: Mapping[str, Any],
    missing: Mapping[str, str],
    *,
    as_of: date | None = None,
    rules: Sequence[RecordRule] | None = None,
) -> tuple[list[Finding], RuleRun]:
    """What layout and rules of *pack* (or those *rules* of it) find in *made*."""
    findings: list[Finding] = []
    none = {x.name: no_records(x) if pack.is_composed else _nothing(x) for x in pack.records(as_of if pack.is_composed else None) if x.name not in made}
    for records in made.values():
        findings.extend(check_layout(records, pack.codes, pack.layout_codes, pack.functions))
    chosen = [r for r in (pack.rules if rules is None else rules) if not pack.is_composed or r.in_force(as_of)]
    run = run_rules([r for r in chosen if r.violated_if or r.unique or r.refers_to or not r.offline], {**none, **made}, known, pack.functions, missing)
    return [*findings, *run.findings], run


def _in_order_of_need(layouts: Sequence[RecordLayout]) -> list[RecordLayout]:
    """Records whose lookups ask other records come after those."""
    done: list[RecordLayout] = []
    waiting = list(layouts)
    while waiting:
        names = {w.name for w in waiting}
        ready = [w for w in waiting if w.parent not in names and not any(x.record in names and x.record != w.name for x in w.lookups)]
        if not ready:
            raise UnusableInput(f"the records {', '.join(sorted(names))} need each other's values")
        done += ready
        waiting = [w for w in waiting if w not in ready]
    return done


def _loans_at_fault(findings: Sequence[Finding], chosen: set[str], portfolio: Portfolio) -> dict[str, list[str]]:
    """The chosen loans that error findings can be laid to, with the codes."""
    out: dict[str, list[str]] = {}
    people: dict[str, set[str]] | None = None
    for f in findings:
        if f.severity != "error":
            continue
        loans = {f.loan_id} if f.loan_id else set(f.loans)
        if not loans and f.table and f.row is not None and portfolio.has(f.table):
            people = people if people is not None else _loans_by_person(portfolio)
            loans = _loans_of_row(portfolio, f, people)
        for loan in loans & chosen:
            out.setdefault(loan, [])
            if f.code not in out[loan]:
                out[loan].append(f.code)
    return out


def _loans_of_row(portfolio: Portfolio, f: Finding, people: dict[str, set[str]]) -> set[str]:
    rows = portfolio.table(f.table or "").filter(pl.col("_row") == f.row)
    if rows.height == 0:
        return set()
    if "loan_id" in rows.columns and rows["loan_id"][0]:
        return {rows["loan_id"][0]}
    for column in ("borrower_id", "party_id"):
        if column in rows.columns and rows[column][0]:
            return people.get(rows[column][0], set())
    if "collateral_id" in rows.columns:
        links = portfolio.table("collateral_links").filter(pl.col("collateral_id") == rows["collateral_id"][0])
        return set(links["loan_id"].drop_nulls().to_list())
    return set()


def _loans_by_person(portfolio: Portfolio) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for loan, borrower in portfolio.table("loans").select("loan_id", "borrower_id").rows():
        out.setdefault(borrower, set()).add(loan)
    for loan, party in portfolio.table("loan_parties").select("loan_id", "party_id").rows():
        out.setdefault(party, set()).add(loan)
    return out
