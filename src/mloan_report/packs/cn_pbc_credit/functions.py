"""What data cannot say of the Chinese files: which reports fall due, whose basic information goes along, the file's own rules."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from mloan_report.identity import read_holder
from mloan_report.model.finding import Finding
from mloan_report.packs.pack import Asked, Pack, personal_key
from mloan_report.packs.views import Views
from mloan_report.portfolio import Portfolio
from mloan_report.position import Positions, work_out_pairs
from mloan_report.position.history import month_ends

OPENED, CLOSED, SETTLED, FIRST, CLOSED_ON_SETTLEMENT, RECOVERED = "10", "20", "30", "31", "32", "40"
PACK = "cn_pbc_credit"


def pairs(portfolio: Portfolio, now: Positions, request: Asked) -> pl.DataFrame:
    """The account reports that fall due: loan_id, as_of (the RptDate) and rpt_code.

    Where nothing was accepted before: each account open at as_of once, 31 where as_of is a settlement day for it, else 10. Else
    what fell due since the latest RptDate accepted: openings, month ends (or due days), closings, recovered arrears; an account
    never reported before comes first with 10 or 31, whatever has happened since.
    """
    as_of, known_at, settings = request.as_of, request.known_at, request.settings
    known = _accounts(portfolio, settings, request.previous)
    since = known["reported_on"].max()
    loans = now.loans.join(portfolio.table("loans").select("loan_id", "disbursed_on").unique("loan_id"), on="loan_id", how="left", maintain_order="left")
    loans = loans.filter(~pl.col("status").is_in(["not_disbursed", "cancelled"])).with_columns(ended_on=_ended_on(portfolio)).drop("as_of")
    if not isinstance(since, date):
        still_open = loans.filter(pl.col("ended_on").is_null())
        return _first_reports(still_open, as_of, settings)
    fresh = loans.join(known, on="loan_id", how="anti", maintain_order="left")
    reported = loans.join(known, on="loan_id", how="inner", maintain_order="left").filter(~pl.col("closed"))
    opened = fresh.filter((pl.col("disbursed_on") > since) & (pl.col("disbursed_on") <= as_of))
    late_comers = fresh.filter((pl.col("disbursed_on") <= since) & pl.col("ended_on").is_null())
    opening = opened.select("loan_id", pl.col("disbursed_on").alias("as_of"), rpt_code=pl.lit(OPENED))
    alive = pl.concat([opened.with_columns(reported_on=pl.col("disbursed_on")).drop("closed", strict=False), reported.drop("closed")], how="diagonal")
    parts = [opening, _first_reports(late_comers, as_of, settings), _settlements(alive, since, as_of, settings), _closings(alive, since, as_of, settings)]
    due = pl.concat(parts)
    return pl.concat([due, _recoveries(portfolio, alive, due, since, as_of, known_at)]).sort("loan_id", "as_of")


def _ended_on(portfolio: Portfolio) -> pl.Expr:
    """The day the account closed: settled, sold, or written off with the claim given up."""
    sold = dict(portfolio.table("transfers").filter(pl.col("direction") == "out").select("loan_id", "transferred_on").sort("transferred_on").rows())
    written = dict(portfolio.table("write_offs").select("loan_id", "written_off_on").sort("written_off_on").rows())
    return (
        pl.when(pl.col("status") == "settled")
        .then("settled_on")
        .when(pl.col("status") == "transferred")
        .then(pl.col("loan_id").replace_strict(sold, default=None, return_dtype=pl.Date))
        .when((pl.col("status") == "written_off") & (pl.col("claim_principal") == 0))
        .then(pl.col("loan_id").replace_strict(written, default=None, return_dtype=pl.Date))
    )


def _first_reports(loans: pl.DataFrame, as_of: date, settings: Mapping[str, str | None]) -> pl.DataFrame:
    on_settlement = pl.col("due_on_this_period") == pl.lit(as_of) if settings["settlement_day"] == "due_day" else pl.lit(as_of in month_ends(as_of, 1))
    code = pl.when(pl.col("disbursed_on") == as_of).then(pl.lit(OPENED)).when(on_settlement.fill_null(False)).then(pl.lit(FIRST)).otherwise(pl.lit(OPENED))
    return loans.select("loan_id", pl.lit(as_of).alias("as_of"), rpt_code=code)


def _settlement_days(loans: pl.DataFrame, since: date, as_of: date, settings: Mapping[str, str | None]) -> pl.DataFrame:
    months = (as_of.year - since.year) * 12 + as_of.month - since.month + 2
    ends = [d for d in month_ends(as_of, months) if d > since]
    days = pl.DataFrame({"as_of": ends}, schema={"as_of": pl.Date})
    crossed = loans.join(days, how="cross")
    if settings["settlement_day"] == "due_day":
        spread = pl.DataFrame({"as_of": pl.date_range(since, as_of, "1d", closed="right", eager=True)})
        crossed = loans.join(spread, how="cross").filter(pl.col("as_of").dt.day() == pl.coalesce(pl.col("next_due_on"), pl.col("last_due_on")).dt.day())
    return crossed


def _settlements(loans: pl.DataFrame, since: date, as_of: date, settings: Mapping[str, str | None]) -> pl.DataFrame:
    """Code 30 on each settlement day while the account is open; the day of opening itself is reported by 10."""
    days = _settlement_days(loans, since, as_of, settings)
    alive = (
        (pl.col("as_of") > pl.col("reported_on"))
        & (pl.col("as_of") > pl.col("disbursed_on"))
        & (pl.col("ended_on").is_null() | (pl.col("ended_on") > pl.col("as_of")))
    )
    return days.filter(alive).select("loan_id", "as_of", rpt_code=pl.lit(SETTLED))


def _closings(loans: pl.DataFrame, since: date, as_of: date, settings: Mapping[str, str | None]) -> pl.DataFrame:
    ended = loans.filter((pl.col("ended_on") > since) & (pl.col("ended_on") <= as_of))
    if settings["settlement_day"] == "due_day":
        on_settlement = pl.col("ended_on") == pl.col("due_on_this_period")
    else:
        on_settlement = pl.col("ended_on") == pl.col("ended_on").dt.month_end()
    code = pl.when(on_settlement.fill_null(False)).then(pl.lit(CLOSED_ON_SETTLEMENT)).otherwise(pl.lit(CLOSED))
    return ended.select("loan_id", pl.col("ended_on").alias("as_of"), rpt_code=code)


def _recoveries(portfolio: Portfolio, loans: pl.DataFrame, due: pl.DataFrame, since: date, as_of: date, known_at: date | None) -> pl.DataFrame:
    """Code 40: arrears that stood at the last settlement and were made good between settlements."""
    empty = due.clear()
    paid = (
        portfolio.table("repayments")
        .filter((pl.col("paid_on") > since) & (pl.col("paid_on") <= as_of) & (pl.col("kind") != "reversal"))
        .select("loan_id", pl.col("paid_on").alias("as_of"))
        .unique()
    )
    days = paid.join(loans.select("loan_id", "ended_on"), on="loan_id", how="inner").join(due, on=["loan_id", "as_of"], how="anti")
    days = days.filter(pl.col("ended_on").is_null() | (pl.col("as_of") < pl.col("ended_on"))).sort("loan_id", "as_of")
    if days.height == 0:
        return empty
    before = days.select("loan_id", as_of=pl.col("as_of").dt.month_start().dt.offset_by("-1d")).unique(maintain_order=True)
    was = work_out_pairs(portfolio, before, known_at, history_months=0).loans.select("loan_id", pl.col("as_of").alias("settled_at"), was="overdue_amount")
    now = work_out_pairs(portfolio, days.select("loan_id", "as_of"), known_at, history_months=0).loans.select("loan_id", "as_of", now="overdue_amount")
    both = now.with_columns(settled_at=pl.col("as_of").dt.month_start().dt.offset_by("-1d")).join(was, on=["loan_id", "settled_at"], how="inner")
    good = both.filter((pl.col("was") > 0) & (pl.col("now") == 0)).sort("as_of").unique(["loan_id", "settled_at"], keep="first", maintain_order=True)
    return good.select("loan_id", "as_of", rpt_code=pl.lit(RECOVERED))


def _accounts(portfolio: Portfolio, settings: Mapping[str, str | None], previous: Mapping[str, pl.DataFrame] | None) -> pl.DataFrame:
    """The accounts reported before: loan_id, reported_on (the last RptDate) and whether they were closed."""
    told = previous.get("210") if previous else None
    if told is None:
        return pl.DataFrame(schema={"loan_id": pl.String, "reported_on": pl.Date, "closed": pl.Boolean})
    codes = _account_codes(portfolio, settings)
    rows = told.select(account_code="key", reported_on=pl.col("RptDate").str.to_date(), closed=pl.col("RptDateCode").is_in([CLOSED, CLOSED_ON_SETTLEMENT]))
    return codes.join(rows, on="account_code", how="inner", maintain_order="left").select("loan_id", "reported_on", "closed")


def _people(previous: Mapping[str, pl.DataFrame] | None) -> dict[str, date]:
    """The last RptDate of the basic information of each person reported before, by the key that the ledger has for them."""
    told = previous.get("110") if previous else None
    return {} if told is None else dict(told.select("key", pl.col("RptDate").str.to_date()).rows())


def _account_codes(portfolio: Portfolio, settings: Mapping[str, str | None]) -> pl.DataFrame:
    """loan_id and its AcctCode: the code the centre knows already, else section code + loan_id."""
    loans = portfolio.table("loans").select("loan_id").unique(maintain_order=True)
    given = portfolio.extra.get(f"{PACK}_codes")
    if given is None:
        known = pl.DataFrame(schema={"loan_id": pl.String, "filed_account_code": pl.String})
    else:
        known = given.filter(pl.col("role") == "AcctCode").select("loan_id", filed_account_code="filed_code").unique("loan_id")
    out = loans.join(known, on="loan_id", how="left", maintain_order="left")
    return out.with_columns(account_code=pl.coalesce("filed_account_code", pl.lit(settings["section_code"]) + pl.col("loan_id")))


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Adds overdue principal by age in whole units (cut so that the ages never exceed the whole), and filed codes."""
    codes = _account_codes(views.portfolio, views.settings).select("loan_id", "filed_account_code")
    branches = views.portfolio.institution.packs.get(PACK, {}).get("branches", {})
    filed = pl.DataFrame(
        {"branch_id": list(branches), "branch_filed_code": [str(v) for v in branches.values()]}, schema={"branch_id": pl.String, "branch_filed_code": pl.String}
    )
    late = views.positions.arrears
    ages = {"overdue_31_60": (31, 60), "overdue_61_90": (61, 90), "overdue_91_180": (91, 180), "overdue_over_180": (181, 10**6)}
    sums = late.group_by("loan_id", "as_of").agg([pl.col("principal").filter(pl.col("days").is_between(a, b)).sum().alias(n) for n, (a, b) in ages.items()])
    view = (
        view.join(sums, on=["loan_id", "as_of"], how="left", maintain_order="left")
        .join(codes, on="loan_id", how="left", maintain_order="left")
        .join(filed, on="branch_id", how="left", maintain_order="left")
    )
    unit = view["currency_code"].replace_strict({c: 10**d for c, d in views.portfolio.digits.items()}, default=100, return_dtype=pl.Int64)

    def whole(column: str) -> pl.Expr:
        return (pl.col(column).fill_null(0) * 2 + unit) // (unit * 2)

    view = view.with_columns([whole(n).alias(n) for n in ages]).with_columns(_whole=whole("overdue_principal"))
    excess = (pl.sum_horizontal(list(ages)) - pl.col("_whole")).clip(lower_bound=0)
    largest = pl.max_horizontal(list(ages))
    view = view.with_columns(_excess=excess, _largest=largest, _cut=pl.lit(False))
    for name in ages:
        hit = ~pl.col("_cut") & (pl.col(name) == pl.col("_largest")) & (pl.col("_excess") > 0)
        view = view.with_columns(pl.when(hit).then(pl.col(name) - pl.col("_excess")).otherwise(pl.col(name)).alias(name), _cut=pl.col("_cut") | hit)
    closed = pl.col("status").is_in(["settled", "transferred"]) | (pl.col("claim_principal") == 0)
    return view.with_columns([pl.when(closed).then(0).otherwise(pl.col(n)).alias(n) for n in ages]).drop("_whole", "_excess", "_largest", "_cut")


def view_customer(views: Views) -> pl.DataFrame:
    """Borrowers whose basic information falls due: all whose account is reported and who were never reported (code 10), and
    those whose data changed since (code 20)."""
    reports = views.loan
    due = reports.group_by("borrower_id").agg(_links=pl.col("loan_id").unique().sort())
    people = views.people.filter("is_borrower").join(due, left_on="party_id", right_on="borrower_id", how="inner", maintain_order="left")
    spouses = views.people.select(spouse_id="party_id", spouse_number="id_cn_ric", spouse_phone="phone")
    branches = views.portfolio.institution.packs.get(PACK, {}).get("branches", {})
    filed = pl.DataFrame(
        {"branch_id": list(branches), "branch_filed_code": [str(v) for v in branches.values()]}, schema={"branch_id": pl.String, "branch_filed_code": pl.String}
    )
    people = people.join(spouses, on="spouse_id", how="left", maintain_order="left").join(filed, on="branch_id", how="left", maintain_order="left")
    told = _people(views.previous)
    kind = pl.when(pl.col("id_cn_ric").is_not_null()).then(pl.lit("10")).otherwise(pl.lit("2"))
    keys = people.select((kind + "|" + pl.coalesce("id_cn_ric", "id_passport")).alias("k"))["k"]
    last = pl.Series([told.get(personal_key(k)) if k is not None else None for k in keys.to_list()], dtype=pl.Date)
    changed = pl.max_horizontal([f"{b}_updated_on" for b in ("identity", "spouse", "education", "employment", "housing", "mailing", "income")])
    people = people.with_columns(last.alias("reported_on"), changed_on=changed)
    people = people.filter(pl.col("reported_on").is_null() | (pl.col("changed_on") > pl.col("reported_on")))
    return people.with_columns(
        rpt_code=pl.when(pl.col("reported_on").is_null()).then(pl.lit("10")).otherwise(pl.lit("20")),
        rpt_date=pl.lit(views.as_of),
        as_of=pl.lit(views.as_of),
        currency_code=pl.col("income_currency_code").fill_null(views.portfolio.institution.currency_code),
    ).sort("party_id")


def view_other_identity(views: Views) -> pl.DataFrame:
    """Other documents of a borrower beside the one the record is filed under."""
    kinds = {"passport": "2", "cn.military": "20", "cn.hk_macao_permit": "5", "cn.taiwan_permit": "6", "other": "X"}
    rows = views.portfolio.table("identifiers").filter(
        pl.col("value").is_not_null() & pl.col("scheme").is_in(list(kinds)) & (pl.col("status").fill_null("current") == "current")
    )
    names = views.people.select("party_id", other_name=pl.coalesce("local_name", "name"), main="id_cn_ric")
    joined = rows.join(names, on="party_id", how="inner", maintain_order="left").filter(pl.col("main").is_not_null())
    return joined.select(
        "party_id",
        "other_name",
        other_id_type=pl.col("scheme").replace_strict(kinds, return_dtype=pl.String),
        other_id_number=pl.col("value").str.to_uppercase(),
    )


def view_special(views: Views) -> pl.DataFrame:
    """Special transactions of the month of the report: extension, paid by others, in kind, early, relief, sale, write-off."""
    loans = views.loan.select("loan_id", "as_of", "period_start", "matures_on", "last_due_on", "currency_code")
    table = views.portfolio.table

    def events(frame: pl.DataFrame, on: str, kind: pl.Expr, amount: pl.Expr, months: pl.Expr | None = None) -> pl.DataFrame:
        joined = frame.join(loans, on="loan_id", how="inner", maintain_order="left").filter(
            (pl.col(on) >= pl.col("period_start")) & (pl.col(on) <= pl.col("as_of"))
        )
        return joined.select(
            "loan_id",
            "as_of",
            "currency_code",
            tran_type=kind,
            tran_on=on,
            tran_amount=amount.cast(pl.Int64),
            tran_months=(months if months is not None else pl.lit(0)).cast(pl.Int64),
        )

    paid = {"guarantor": "2", "insurance": "2", "third_party": "2", "asset_in_kind": "3", "prepayment": "4", "payoff": "5"}
    repaid = table("repayments").filter(pl.col("kind").is_in(list(paid)))
    moved = (
        (pl.col("last_due_on").dt.year() - pl.col("matures_on").dt.year()) * 12
        + pl.col("last_due_on").dt.month().cast(pl.Int32)
        - pl.col("matures_on").dt.month().cast(pl.Int32)
    )
    extended = table("restructurings").filter(pl.col("kind") == "term")
    relief = table("restructurings").filter((pl.col("principal_forgiven").fill_null(0) + pl.col("interest_forgiven").fill_null(0)) > 0)
    return pl.concat(
        [
            events(repaid, "paid_on", pl.col("kind").replace_strict(paid, return_dtype=pl.String), pl.col("amount")),
            events(extended.drop("kind"), "agreed_on", pl.lit("1"), pl.lit(0), moved.clip(lower_bound=0)),
            events(relief.drop("kind"), "agreed_on", pl.lit("11"), pl.col("principal_forgiven").fill_null(0) + pl.col("interest_forgiven").fill_null(0)),
            events(table("transfers").filter(pl.col("direction") == "out"), "transferred_on", pl.lit("13"), pl.col("principal")),
            events(table("write_offs").filter(pl.col("reversed_on").is_null()), "written_off_on", pl.lit("15"), pl.col("principal")),
        ]
    ).sort("loan_id", "as_of", "tran_on", "tran_type")


def _detail_line(detail: pl.Expr) -> pl.Expr:
    """The business line a detail belongs to: the number in brackets of the code list's label."""
    return detail.replace_strict(_detail_lines(), default=None, return_dtype=pl.String)


@cache
def _detail_lines() -> dict[str, str]:
    text = files("mloan_report.packs.cn_pbc_credit").joinpath("codes", "lists.csv").read_text(encoding="utf-8")
    rows = [r for r in csv.DictReader(text.splitlines()) if r["list"] == "busi_dtl_lines_personal"]
    return {r["code"]: m.group(1) for r in rows if (m := re.search(r"\[([0-9])\]", r["label_en"]))}


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "DETAIL_LINE": _detail_line,
    "RIC_BORN": lambda number: number.map_batches(lambda s: _told(s, "born_on"), return_dtype=pl.Date),
    "RIC_SEX": lambda number: number.map_batches(
        lambda s: _told(s, "sex").replace_strict({"male": "1", "female": "2"}, default=None, return_dtype=pl.String), return_dtype=pl.String
    ),
}


def _told(numbers: pl.Series, what: str) -> pl.Series:
    told = read_holder("cn.ric", numbers)
    assert told is not None
    return told[what]


def check_file(pack: Pack, read: Any) -> Iterator[Finding]:
    """The rules of a file as such: name, header, and that both agree with the body."""
    rules = pack.layout_codes.rules
    facts, name = read.facts, read.path.name
    place = {"table": read.record, "file": name, "row": 1}
    if not facts:
        return
    if facts.get("name_record") is None:
        yield rules["ABN003/F0000201"].finding(**place, value=name)
    if facts.get("header_record") is None:
        yield rules["ABH005/F0000301"].finding(**place, length=facts.get("header_length"))
        return
    if not _is_time(facts["header_time"]):
        yield rules["ABH005/F0000301"].finding(**place, length=facts.get("header_length"), value=facts["header_time"])
    if facts.get("name_record") is not None:
        if facts["name_record"] != facts["header_record"]:
            yield rules["CN_PBC_CREDIT-001"].finding(**place, name=facts["name_record"], header=facts["header_record"])
        if facts["name_provider"] != facts["header_provider"]:
            yield rules["CN_PBC_CREDIT-002"].finding(**place, name=facts["name_provider"], header=facts["header_provider"])
        if facts["name_date"] != facts["header_time"][:8]:
            yield rules["CN_PBC_CREDIT-006"].finding(**place, name=facts["name_date"], header=facts["header_time"][:8])
        if facts["name_reserved"] != "0":
            yield rules["CN_PBC_CREDIT-004"].finding(**place)
    if facts["header_reserved"] != "0":
        yield rules["CN_PBC_CREDIT-004"].finding(**place)
    wants_template = facts["header_record"] in ("110", "310")
    if wants_template == (facts["header_template"] == "  "):
        yield rules["CN_PBC_CREDIT-005"].finding(**place, value=facts["header_template"])
    if int(facts["header_count"]) != facts["lines"]:
        yield rules["CN_PBC_CREDIT-003"].finding(**place, header=int(facts["header_count"]), lines=facts["lines"])
    if facts["lines"] and not (read.records is not None and read.records.height):
        yield rules["ABF002"].finding(**place)
    if read.records is not None and read.records.height:
        yield from _body_against_header(read, rules, facts)


def _is_time(text: str) -> bool:
    try:
        return bool(datetime.strptime(text, "%Y%m%d%H%M%S"))
    except ValueError:
        return False


def _body_against_header(read: Any, rules: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Finding]:
    typed, lines = read.records.typed, read.records.lines
    other = typed.with_row_index("_i").filter(pl.col("InfRecType").is_not_null() & (pl.col("InfRecType") != facts["header_record"]))
    for i in other["_i"].to_list():
        yield rules["CN_PBC_CREDIT-001"].finding(
            table=read.record, file=read.path.name, row=lines[i], field="InfRecType", name=typed["InfRecType"][i], header=facts["header_record"]
        )
    provider = facts["header_provider"]
    owned = {
        "AcctCode": "ABE002/I0001301",
        "Mcc": "ABE002/I0001301",
        "InfSurcCode": "ABE002/I0001301",
        "MaxGuarMcc": "ABE002/I0001301",
        "Ccc": "ABE002/I0001301",
        "MngmtOrgCode": "ABE003/I0001302",
        "Cimoc": "ABE003/I0001302",
    }
    for column, code in owned.items():
        prefix = provider if code.startswith("ABE002") else provider[:9]
        frames = [(typed, lines), *((g.typed, lines.gather(g.typed["_record"])) for g in read.records.groups.values())]
        for frame, at in frames:
            if column not in frame.columns:
                continue
            wrong = frame.with_row_index("_i").filter(pl.col(column).is_not_null() & ~pl.col(column).str.starts_with(prefix))
            for i in wrong["_i"].to_list():
                yield rules[code].finding(table=read.record, file=read.path.name, row=at[i], field=column, value=frame[column][i], provider=provider)
