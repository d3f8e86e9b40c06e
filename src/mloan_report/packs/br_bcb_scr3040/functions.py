"""What data cannot say of document 3040: maturity buckets, exits, groups of small clients, and rates of provisions from tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.packs.views import UNMAPPED, Views
from mloan_report.portfolio.rounding import half_up, percent_of
from mloan_report.portfolio.sql import MACROS
from mloan_report.portfolio.typing import ROW
from mloan_report.position import Positions, work_out

PACK = "br_bcb_scr3040"
HUNDRED = 100 * 10**7
EXITS = "03"
"""How the types of Inf begin (annex 26) that tell how an operation leaves the register."""


@cache
def rows_of(name: str, folder: str = "data") -> tuple[dict[str, str], ...]:
    """The rows of a table of the pack."""
    text = Path(__file__).with_name(folder).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def codes_of(name: str) -> tuple[dict[str, str], ...]:
    """The codes of a list."""
    return tuple(r for r in rows_of("lists", "codes") if r["list"] == name and not r["code"].startswith("@"))


def codes_for(list_name: str, fact: str) -> list[str]:
    """The codes of a list that say a fact of a loan, from ``data/codes_by_fact.csv``."""
    return [r["code"] for r in rows_of("codes_by_fact") if (r["list"], r["fact"]) == (list_name, fact)]


def code(list_name: str, fact: str) -> pl.Expr:
    """The one code of a list that says a fact."""
    (only,) = codes_for(list_name, fact)
    return pl.lit(only)


def in_force(list_name: str, name: str, day: date) -> bool:
    """Whether the list has the code in the month of *day*."""
    month = day.strftime("%Y-%m")
    return any(r["code"] == name and r["valid_from"] <= month <= (r["valid_to"] or "9999") for r in codes_of(list_name))


def buckets(*kinds: str) -> list[str]:
    """The attributes of Venc of some kinds (due, overdue, written_off ...), in their order."""
    return [r["attribute"] for r in rows_of("maturity_buckets") if not kinds or r["kind"] in kinds]


def _pct(text: str) -> int:
    return int(Decimal(text) * 10**7)


# Functions for the pack's SQL


def _minimum_rate(portfolio: pl.Expr, days: pl.Expr, problem: pl.Expr, modality: pl.Expr, month_end: pl.Expr) -> pl.Expr:
    """The least percentage (10^-7) of BCB Resolution 352 for the simplified method, by portfolio, status, days and months in default."""
    late = days.fill_null(0)
    months = _months_in_default(late, month_end)
    band: pl.Expr = pl.lit("")
    rates: dict[str, int] = {}
    for row in rows_of("provision_rates"):
        key = f"{row['portfolio']} {row['status']} {row['month'] or row['days_from']}"
        rates[key] = _pct(row["pct"])
        if row["status"] == "not_problem":
            band = pl.when(late.is_between(int(row["days_from"]), int(row["days_to"]))).then(pl.lit(row["days_from"])).otherwise(band)
    added = {r["portfolio"]: _pct(r["pct"]) for r in rows_of("provision_rates") if r["status"] == "in_default_addition"}
    table = {k: min(v + added[k[:2]], HUNDRED) if " in_default " in k else v for k, v in rates.items()}
    status = (
        pl.when(late > _days_not_in_default())
        .then(pl.format("in_default {}", months))
        .when(problem.fill_null(False))
        .then(pl.lit("problem_not_in_default 0"))
        .otherwise(pl.format("not_problem {}", band))
    )
    found = pl.format("{} {}", portfolio, status).replace_strict(table, default=None, return_dtype=pl.Int64)
    special = next(r for r in rows_of("provision_rates") if r["status"] == "payroll_deduction")
    payroll = (modality == code("annex3", "payroll_loan")) & (late <= int(special["days_to"])) & ~problem.fill_null(False)
    return pl.when(payroll.fill_null(False)).then(_pct(special["pct"])).otherwise(found)


def _days_not_in_default() -> int:
    """The last day of delay that is not default: the end of the last band of the rates for operations that are not in default."""
    return max(int(r["days_to"]) for r in rows_of("provision_rates") if r["status"] == "not_problem")


def _months_in_default(days: pl.Expr, month_end: pl.Expr) -> pl.Expr:
    """Months since the month of default, the day after the last that is none; at a month's end calendar months and full months are the same number."""
    fell = month_end - pl.duration(days=days - _days_not_in_default() - 1)
    months = (month_end.dt.year().cast(pl.Int64) - fell.dt.year()) * 12 + month_end.dt.month().cast(pl.Int64) - fell.dt.month()
    return months.clip(0, max(int(r["month"]) for r in rows_of("provision_rates") if r["status"] == "in_default"))


def _floor(portfolio: pl.Expr, days: pl.Expr, month_end: pl.Expr) -> pl.Expr:
    """Annex I alone: the floor for filers of the complete method, 0 where the operation is not in default."""
    annex = {f"{r['portfolio']} {r['month']}": _pct(r["pct"]) for r in rows_of("provision_rates") if r["status"] == "in_default"}
    months = _months_in_default(days.fill_null(0), month_end)
    rate = pl.format("{} {}", portfolio, months).replace_strict(annex, default=None, return_dtype=pl.Int64)
    return pl.when(days.fill_null(0) > _days_not_in_default()).then(rate).otherwise(0)


def _class_rate(category: pl.Expr) -> pl.Expr:
    """Percent (10^-7) of a class of CMN Resolution 2.682; nothing for other codes."""
    return category.replace_strict({r["class"]: _pct(r["pct"]) for r in rows_of("risk_classes")}, default=None, return_dtype=pl.Int64)


def _class_rank(category: pl.Expr) -> pl.Expr:
    ranks = {c: n for n, c in enumerate(dict.fromkeys(r["class"] for r in rows_of("risk_classes")))} | {"HH": 9}
    return category.replace_strict(ranks, default=None, return_dtype=pl.Int64)


def _rank_by_days(days: pl.Expr, doubled: pl.Expr) -> pl.Expr:
    """The rank of the best class for so many days of delay; day limits are doubled for a long remaining term."""
    out: pl.Expr = pl.lit(0, pl.Int64)
    ranks = {c: n for n, c in enumerate(dict.fromkeys(r["class"] for r in rows_of("risk_classes")))}
    for kind in ("standard", "doubled"):
        for r in rows_of("risk_classes"):
            if r["count"] == kind and r["days_from"]:
                fits = (days >= int(r["days_from"])) & (days <= int(r["days_to"] or 10**6)) & (doubled if kind == "doubled" else ~doubled)
                out = pl.when(fits.fill_null(False)).then(ranks[r["class"]]).otherwise(out)
    return out


def _out_of_period(list_name: str, *, joined: bool = False) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    """Whether a code of *list_name* stands in a month before its first or after its last."""
    dated = [r for r in codes_of(list_name) if r["valid_from"] or r["valid_to"]]

    def broken(code: pl.Expr, month: pl.Expr) -> pl.Expr:
        out = pl.lit(False)
        text = month.dt.to_string("%Y-%m")
        for r in dated:
            named = code.str.split(";").list.contains(pl.lit(r["code"])) if joined else code == r["code"]
            outside = pl.lit(False)
            outside = outside | (text < r["valid_from"]) if r["valid_from"] else outside
            outside = outside | (text > r["valid_to"]) if r["valid_to"] else outside
            out = out | (named & outside)
        return out.fill_null(False)

    return broken


def _unknown_features(text: pl.Expr) -> pl.Expr:
    known = [r["code"] for r in codes_of("annex8")]
    return (text.str.split(";").list.set_difference(pl.lit(known, pl.List(pl.String))).list.len() > 0).fill_null(False)


def _repeated(text: pl.Expr) -> pl.Expr:
    parts = text.str.split(";")
    return (parts.list.n_unique() != parts.list.len()).fill_null(False)


def _payload(attribute: str, *, required: bool) -> Callable[[pl.Expr], pl.Expr]:
    types = [r["tp"] for r in rows_of("inf_payload") if bool(r[attribute]) == required]
    return lambda tp: tp.is_in(types).fill_null(False)


def _limit_of(limits: pl.Expr, month: pl.Expr) -> pl.Expr:
    """The limit (cents) in force in a month, from a setting like ``200.00`` or ``2014-05=1000.00,2016-06=200.00``."""

    def worked(pairs: pl.Series) -> pl.Series:
        frame = pairs.struct.unnest()
        texts, months = frame.columns
        known = {pair: limit_in_month(*pair) for pair in set(frame.rows())}
        return pl.Series([known[r] for r in frame.select(texts, months).rows()], dtype=pl.Int64)

    return pl.struct(limits.alias("_limits"), month.alias("_month")).map_batches(worked, return_dtype=pl.Int64)


def limit_in_month(limits: str | None, month: date | None) -> int | None:
    """The limit of *month* in cents."""
    if limits is None or month is None:
        return None
    steps = [p.rpartition("=") for p in limits.split(",")]
    past = [(start.strip(), amount) for start, _, amount in steps if start.strip() <= month.strftime("%Y-%m")]
    return int(Decimal(max(past)[1]) * 100) if past else None


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "MINIMUM_RATE": _minimum_rate,
    "CLASS_RATE": _class_rate,
    "CLASS_RANK": _class_rank,
    "RANK_BY_DAYS": _rank_by_days,
    "UNKNOWN_FEATURES": _unknown_features,
    "REPEATED": _repeated,
    "LIMIT_OF": _limit_of,
    "CENTS": lambda text: text.str.replace(".", "", literal=True).cast(pl.Int64, strict=False),
    "C4_MODALITY": lambda mod: mod.is_in([r["code"] for r in rows_of("modalities_c4")]),
    **{f"OUT_OF_PERIOD_{n.upper()}": _out_of_period(n, joined=n == "annex8") for n in ("annex3", "annex5", "annex7", "annex8", "annex26", "annex32")},
    **{f"INF_REQUIRES_{a.upper()}": _payload(a, required=True) for a in ("Cd", "Ident", "Valor", "Perc", "Qtd")},
    **{f"INF_FORBIDS_{a.upper()}": _payload(a, required=False) for a in ("Cd", "Ident", "Valor", "Perc", "Qtd")},
}


# The loan view


def _by_class(views: Views) -> bool:
    """Whether CMN Resolution 2.682 counts (provisions by class), not yet 4.966 (by portfolio): the pack's version of the day says it."""
    version = views.pack.version_on(views.as_of)
    return version is not None and version.id == "pre-2025"


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """What document 3040 says of each loan: who, under which codes, how much in which bucket, and how it leaves the register."""
    own = {name: views.own_table(f"{PACK}_{name}") for name in ("operations", "products", "clients", "branches", "indexes")}
    products = own["products"]
    mine = {c: f"product_{c}" for c in products.columns if c != "product"}
    by_code = products.rename({c: f"_code_{c}" for c in mine})
    by_kind = products.rename({c: f"_kind_{c}" for c in mine})
    view = view.join(by_code, left_on="product_code", right_on="product", how="left", maintain_order="left")
    view = view.join(by_kind, on="product", how="left", maintain_order="left")
    view = view.with_columns([pl.coalesce(f"_code_{c}", f"_kind_{c}").alias(to) for c, to in mine.items()]).drop(
        [f"_{k}_{c}" for k in ("code", "kind") for c in mine]
    )
    beside = (
        ("operations", "operation", "loan_id"),
        ("clients", "client", "borrower_id"),
        ("branches", "office", "branch_id"),
        ("indexes", "index", "base_rate_code"),
    )
    for name, prefix, key in beside:
        table = own[name].rename({c: f"{prefix}_{c}" for c in own[name].columns if c != key}).unique(key, keep="first", maintain_order=True)
        view = view.join(table, on=key, how="left", maintain_order="left")
    root = next((i.value for i in views.portfolio.institution.identifiers if i.scheme == "br.cnpj"), None)
    view = view.with_columns(filer_root=pl.lit(root, pl.String).str.replace_all("[-./ ]", "").str.head(8))
    view = _who(view)
    view = _related(views, view)
    view = _codes(views, view)
    view = _exits(views, view)
    view = _secured(views, view)
    view = _amounts(views, view)
    return _provided(views, view)


def _who(view: pl.DataFrame) -> pl.DataFrame:
    cpf, cnpj = pl.col("borrower_id_br_cpf"), pl.col("borrower_id_br_cnpj")
    body = pl.col("borrower_kind").is_in(["legal_entity", "group"])
    kind = (
        pl.when(pl.col("client_tp").is_not_null())
        .then("client_tp")
        .when(~body & cpf.is_not_null())
        .then(code("annex11", "person_with_cpf"))
        .when(cnpj.is_not_null())
        .then(code("annex11", "body_with_cnpj"))
        .when(body)
        .then(code("annex11", "body_without_cnpj"))
        .otherwise(code("annex11", "person_without_cpf"))
    )
    person, with_cnpj = pl.col("cli_tp") == code("annex11", "person_with_cpf"), pl.col("cli_tp") == code("annex11", "body_with_cnpj")
    bodies = [c for fact in ("body_with_cnpj", "body_abroad", "body_without_cnpj") for c in codes_for("annex11", fact)]
    view = view.with_columns(cli_tp=kind)
    own = pl.coalesce("client_cd", "borrower_id")
    return view.with_columns(
        cli_cd=pl.when(person).then(cpf).when(with_cnpj).then(cnpj.str.head(8)).otherwise(own),
        det_cli=pl.when(with_cnpj).then(cnpj),
        legal=pl.col("cli_tp").is_in(bodies),
    )


def _related(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Co-borrowers, the sale or the purchase of a loan, and the loan that refinances it."""
    joint = views.portfolio.table("loan_parties").filter(pl.col("role") == "co_borrower")["loan_id"].unique().implode()
    moves = (
        views.portfolio.table("transfers")
        .filter((pl.col("transferred_on") <= views.as_of) & (pl.col("direction") != "buy_back"))
        .sort("loan_id", "transferred_on")
        .group_by("loan_id", maintain_order=True)
        .agg(
            moved=pl.col("direction").last(),
            moved_on=pl.col("transferred_on").last(),
            moved_with=pl.col("counterparty_id").last(),
            moved_with_kind=pl.col("counterparty_kind").last(),
            moved_price=pl.coalesce(pl.col("price").last(), pl.col("principal").last()),
            moved_away=pl.col("derecognised").last(),
        )
    )
    numbers = views.identity_numbers.select("party_id", moved_with_number=pl.col("id_br_cnpj").str.head(8))
    draws = views.portfolio.table("disbursements").filter(pl.col("refinanced_loan_id").is_not_null() & (pl.col("paid_on") <= views.as_of))
    heirs = draws.group_by("refinanced_loan_id").agg(refinanced_by=pl.col("loan_id").min())
    view = view.join(moves, on="loan_id", how="left", maintain_order="left").join(
        numbers, left_on="moved_with", right_on="party_id", how="left", maintain_order="left"
    )
    view = view.join(heirs, left_on="loan_id", right_on="refinanced_loan_id", how="left", maintain_order="left")
    banks = [k.strip() for k in (views.settings.get("sfn_counterparties") or "").split(",")]
    return view.with_columns(joint=pl.col("loan_id").is_in(joint), moved_in_sfn=pl.col("moved_with_kind").is_in(banks))


def _codes(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Modality, contract, nature, and the operation's own number (IPOC)."""
    nature = (
        pl.when(pl.col("moved") == "in")
        .then(
            pl.when(pl.col("moved_away"))
            .then(pl.when("moved_in_sfn").then(code("annex2", "bought_in_sfn")).otherwise(code("annex2", "bought_outside")))
            .otherwise(pl.when("moved_in_sfn").then(code("annex2", "bought_in_sfn_risk_kept")).otherwise(code("annex2", "bought_outside_risk_kept")))
        )
        .when((pl.col("moved") == "out") & ~pl.col("moved_away").fill_null(True))
        .then(pl.when("moved_in_sfn").then(code("annex2", "sold_in_sfn_risk_kept")).otherwise(code("annex2", "sold_outside_risk_kept")))
        .otherwise(code("annex2", "granted"))
    )
    view = view.with_columns(
        modality=pl.coalesce("operation_mod", "product_mod"),
        contract=pl.coalesce("contract_no", "loan_id"),
        nature=pl.coalesce("operation_natu_op", nature),
        contracted_on=pl.coalesce("contract_on", "disbursed_on"),
    )
    numbered = [*codes_for("annex11", "person_with_cpf"), *codes_for("annex11", "body_with_cnpj")]
    client = pl.when(pl.col("cli_tp").is_in(numbered)).then("cli_cd").otherwise(pl.col("cli_cd").str.zfill(14))
    view = view.with_columns(ipoc=pl.concat_str("filer_root", "modality", "cli_tp", client, "contract"))
    heirs = view.select(refinanced_by="loan_id", new_ipoc="ipoc").unique("refinanced_by", keep="first")
    view = view.join(heirs, on="refinanced_by", how="left", maintain_order="left")
    rates = {n: effective_year(n) for n in view["annual_rate_pct"].drop_nulls().unique().to_list()}
    worked = pl.col("annual_rate_pct").replace_strict(rates, default=None, return_dtype=pl.Int64)
    return view.with_columns(tax_eft=worked if views.settings.get("rate_basis") == "nominal" else pl.col("annual_rate_pct"))


def effective_year(nominal: int) -> int:
    """(1 + m)^12 - 1 of a yearly rate that is twelve times the monthly one, both in 10^-7 of a percent, half up."""
    with localcontext() as c:
        c.prec = 40
        year = (1 + Decimal(nominal) / (12 * HUNDRED)) ** 12 - 1
        return int((year * HUNDRED + Decimal("0.5")).__floor__())


def _exits(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The exit (Inf 03xx) that the position tells; the lender's own, from the table infos, goes before it."""
    given = views.own_table(f"{PACK}_infos").filter(pl.col("tp").str.starts_with(EXITS))["loan_id"].implode()
    start = pl.col("period_start")
    left_on = pl.coalesce("last_paid_on", "written_off_on")
    keep = views.settings.get("written_off_months")
    gone = pl.lit(False) if keep is None else MACROS["MONTHS"](pl.col("as_of"), pl.col("written_off_on")) > int(keep)
    gone_before = pl.lit(False) if keep is None else MACROS["MONTHS"](start - pl.duration(days=1), pl.col("written_off_on")) > int(keep)
    status, lost = pl.col("status"), pl.col("status") == "written_off"
    nothing_left = lost & (pl.col("own_claim_principal") == 0)
    tp = (
        pl.when((status == "cancelled") & (pl.col("status_on") >= start))
        .then(code("annex26", "cancelled"))
        .when((status == "settled") & (pl.col("settled_on") >= start) & pl.col("new_ipoc").is_not_null())
        .then(code("annex26", "renumbered"))
        .when((status == "settled") & (pl.col("settled_on") >= start) & (pl.col("settled_on") < pl.col("last_due_on")))
        .then(code("annex26", "paid_early"))
        .when((status == "settled") & (pl.col("settled_on") >= start))
        .then(code("annex26", "paid"))
        .when((status == "transferred") & (pl.col("moved_on") >= start))
        .then(pl.when("moved_in_sfn").then(code("annex26", "sold_in_sfn")).otherwise(code("annex26", "sold_outside")))
        .when((nothing_left & (left_on >= start)) | (lost & gone))
        .then(code("annex26", "off_the_books"))
    )
    left_before = (
        ((status == "cancelled") & (pl.col("status_on") < start))
        | ((status == "settled") & (pl.col("settled_on") < start))
        | ((status == "transferred") & (pl.col("moved_on") < start))
        | (nothing_left & (left_on < start))
        | (lost & gone_before)
    )
    view = view.with_columns(own_exit=pl.col("loan_id").is_in(given), left_before=left_before.fill_null(False), exit_tp=tp)
    return view.with_columns(leaves=pl.col("own_exit") | pl.col("exit_tp").is_not_null(), exit_tp=pl.when(~pl.col("own_exit")).then("exit_tp"))


def _secured(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The portfolio of minimum provisions: the best that a guarantee of the loan gives; without one, by modality."""
    links = _guarantees(views, view.select("loan_id", "as_of", "borrower_id", "own_claim_principal", "principal"))
    portfolios = {r["code"]: r["portfolio"] for r in rows_of("guarantee_portfolios")}
    best = (
        links.with_columns(p=pl.col("gar_tp").replace_strict(portfolios, default="C3", return_dtype=pl.String))
        .group_by("loan_id")
        .agg(secured=pl.col("p").min())
    )
    view = view.join(best, on="loan_id", how="left", maintain_order="left")
    bare = pl.when(FUNCTIONS["C4_MODALITY"](pl.col("modality"))).then(pl.lit("C4")).otherwise(pl.lit("C5"))
    return view.with_columns(portfolio=pl.coalesce("operation_cart_prov_min", "product_cart_prov_min", "secured", bare))


def _amounts(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The carrying amount, spread over the maturity buckets of the instalments that are not paid."""
    now = _interest(views.positions)
    before = _interest(work_out(views.portfolio, views.as_of.replace(day=1) - timedelta(days=1), history_months=0))
    before = before.select("loan_id", earned_before="earned", received_before="received")
    view = view.join(now, on="loan_id", how="left", maintain_order="left").join(before, on="loan_id", how="left", maintain_order="left")
    live = (pl.col("status") == "active") & ~pl.col("leaves")
    share = pl.col("own_share_pct").fill_null(HUNDRED)
    interest = percent_of((pl.col("unpaid_interest").fill_null(0) + pl.col("accrued_interest") - pl.col("suspended_interest")).clip(lower_bound=0), share)
    lost = (pl.col("status") == "written_off") & ~pl.col("leaves")
    view = view.with_columns(
        live=live,
        lost=lost,
        carrying_amount=pl.when(live).then(pl.col("own_on_book_principal") + interest).otherwise(0),
        written_off_amount=pl.when(lost).then(pl.col("own_claim_principal")).otherwise(0),
        # Of what is written off only interest that is really paid is income.
        income_of_month=percent_of(
            pl.when(lost)
            .then(pl.col("received").fill_null(0) - pl.col("received_before").fill_null(0))
            .otherwise(pl.col("earned").fill_null(0) - pl.col("earned_before").fill_null(0)),
            share,
        ),
        to_release=pl.when(live & pl.col("facility_id").is_null() & (pl.col("disbursed_principal") < pl.col("principal")))
        .then(percent_of(pl.col("principal") - pl.col("disbursed_principal"), share))
        .otherwise(0),
    )
    spread = _spread(views, view.select("loan_id", "as_of", "carrying_amount", "accrued_interest"))
    view = view.join(spread, on="loan_id", how="left", maintain_order="left")
    lost_in: pl.Expr = pl.lit(buckets("written_off")[-1])
    for row in reversed([r for r in rows_of("maturity_buckets") if r["kind"] == "written_off" and r["max"]]):
        lost_in = pl.when(pl.col("written_off_on").dt.offset_by(f"{row['max']}mo") >= pl.col("as_of")).then(pl.lit(row["attribute"])).otherwise(lost_in)
    amount = pl.col("written_off_amount")
    view = view.with_columns(
        *[pl.when((lost_in == v) & (amount > 0)).then(amount).alias(v) for v in buckets("written_off")],
        v20=pl.lit(None, pl.Int64),
        v40=pl.lit(None, pl.Int64),
        v60=pl.when(pl.col("to_release") > 0).then("to_release"),
        v80=pl.lit(None, pl.Int64),
    )
    late = (
        pl.when(lost)
        .then(pl.max_horizontal(pl.col("days_contractual"), (pl.col("as_of") - pl.col("written_off_on")).dt.total_days() + 1))
        .when(live & (pl.col("latest_days") > 0))
        .then("latest_days")
    )
    return view.with_columns(
        days_late=late.cast(pl.Int64),
        in_buckets=pl.sum_horizontal([pl.col(v).fill_null(0) for v in buckets()]),
        next_on=pl.when(live).then("next_due_on"),
        next_amount=pl.when(live & pl.col("next_due_on").is_not_null()).then(percent_of(pl.col("due_that_month").fill_null(0), share)),
    )


def _interest(positions: Positions) -> pl.DataFrame:
    """By loan: interest fallen due and not paid (also that of the day itself), and all that was earned so far and may be recognised."""
    fallen = positions.items.filter(pl.col("is_instalment") & (pl.col("due_on") <= pl.col("as_of")))
    due = fallen.group_by("loan_id").agg(unpaid_interest=(pl.col("interest") - pl.col("interest_paid")).sum())
    own = positions.loans.select("loan_id", "interest_paid", "accrued_interest", "suspended_interest").join(due, on="loan_id", how="left")
    unpaid = pl.col("unpaid_interest").fill_null(0)
    earned = pl.col("interest_paid") + unpaid + pl.col("accrued_interest") - pl.col("suspended_interest")
    return own.select("loan_id", unpaid_interest=unpaid, earned=earned, received="interest_paid")


def _spread(views: Views, loans: pl.DataFrame) -> pl.DataFrame:
    """By loan: the amounts of its buckets (they add up to the carrying amount exactly), the days of the oldest, and what is due in the month of the next.

    Weights are the unpaid principal and interest of each instalment; where their sum is not the carrying amount (a share of the
    loan, a partial write-off, suspended interest), the amount is spread in proportion, rounded on the running sum.
    """
    arrears = views.positions.arrears.select("loan_id", "number", "due_on", "days")
    arrears = arrears.group_by("loan_id", "number", "due_on").agg(counted=pl.col("days").max())
    items = views.positions.items.filter("is_instalment").select(
        "loan_id", "number", "due_on", "as_of", "principal", "principal_paid", "interest", "interest_paid", "fees", "fees_paid"
    )
    items = items.join(arrears, on=["loan_id", "number", "due_on"], how="left", maintain_order="left").sort("loan_id", "due_on", "number", nulls_last=True)
    past = pl.col("due_on") <= pl.col("as_of")
    plain = (pl.col("as_of") - pl.col("due_on")).dt.total_days()
    items = items.with_columns(
        # An instalment whose days are all taken out (a payment holiday) is not overdue: it counts as due.
        days=pl.when(plain <= 0).then(plain).otherwise(pl.min_horizontal("counted", plain)).fill_null(0).cast(pl.Int64),
        undated=pl.col("due_on").is_null(),
        weight=pl.col("principal") - pl.col("principal_paid") + pl.when(past).then(pl.col("interest") - pl.col("interest_paid")).otherwise(0),
        whole=pl.sum_horizontal([pl.col(c) - pl.col(f"{c}_paid") for c in ("principal", "interest", "fees")]),
    ).filter((pl.col("weight") != 0) | (pl.col("whole") != 0))
    ahead = items.filter(~past & (pl.col("whole") > 0))
    nearest = ahead.group_by("loan_id").agg(_near=pl.col("due_on").min())
    same = ahead.join(nearest, on="loan_id").filter(pl.col("due_on").dt.truncate("1mo") == pl.col("_near").dt.truncate("1mo"))
    next_month = same.group_by("loan_id").agg(due_that_month=pl.col("whole").sum())
    frame = items.join(loans.select("loan_id", "carrying_amount", "accrued_interest"), on="loan_id", how="inner", maintain_order="left")
    # What has accrued since the last due date falls due with the next instalment, after the last one with that.
    order = pl.int_range(pl.len()).over("loan_id")
    first_ahead = pl.when(~past).then(order).min().over("loan_id")
    bears = order == first_ahead.fill_null(pl.len().over("loan_id") - 1)
    frame = frame.with_columns(weight=(pl.col("weight") + pl.when(bears).then("accrued_interest").otherwise(0)).clip(lower_bound=0))
    total = pl.col("weight").sum().over("loan_id")
    frame = frame.with_columns(_until=half_up(pl.col("weight").cum_sum().over("loan_id").cast(pl.Int128) * pl.col("carrying_amount"), total).fill_null(0))
    frame = frame.with_columns(amount=pl.col("_until") - pl.col("_until").shift(1).over("loan_id").fill_null(0), bucket=_bucket())
    sums = frame.filter(pl.col("amount") > 0).group_by("loan_id", "bucket").agg(pl.col("amount").sum())
    names = buckets("due", "due_undetermined", "overdue")
    wide = sums.group_by("loan_id").agg([pl.col("amount").filter(pl.col("bucket") == v).sum().alias(v) for v in names], _told=pl.col("amount").sum())
    latest = frame.filter(pl.col("amount") > 0).group_by("loan_id").agg(latest_days=pl.col("days").max())
    out = loans.select("loan_id", "carrying_amount").join(wide, on="loan_id", how="left", maintain_order="left")
    out = out.join(latest, on="loan_id", how="left", maintain_order="left").join(next_month, on="loan_id", how="left", maintain_order="left")
    rest = pl.col("carrying_amount") - pl.col("_told").fill_null(0)
    out = out.with_columns(v199=pl.col("v199").fill_null(0) + rest)
    return out.select("loan_id", "latest_days", "due_that_month", *[pl.when(pl.col(v) > 0).then(pl.col(v)).alias(v) for v in names])


def _bucket() -> pl.Expr:
    """The bucket of an instalment by its days, from the pack's table."""
    out: pl.Expr = pl.lit(None, pl.String)
    for row in rows_of("maturity_buckets"):
        if row["kind"] in ("due", "overdue"):
            days = -pl.col("days") if row["kind"] == "due" else pl.col("days")
            inside = (days >= int(row["min"])) & (days <= int(row["max"] or 10**6))
            out = pl.when(inside).then(pl.lit(row["attribute"])).otherwise(out)
    return pl.when("undated").then(pl.lit(buckets("due_undetermined")[0])).otherwise(out)


def _provided(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Class or stage, and the provision: computed from the tables or the lender's own figure of the day."""
    booked = views.portfolio.table("classifications").filter((pl.col("source") == "lender") & (pl.col("as_of") == views.as_of))
    booked = booked.select("loan_id", booked_provision="provision").unique("loan_id", keep="last", maintain_order=True)
    view = view.join(booked, on="loan_id", how="left", maintain_order="left")
    old = _by_class(views)
    bad = pl.col("category").is_in(codes_for("annex17" if old else "stage", "problem"))
    problem = bad | pl.col("restructured") if old else bad
    view = view.with_columns(
        problem=problem.fill_null(False) & pl.col("live"),
        class_op=pl.when("lost").then(code("annex17", "written_off")).otherwise("category"),
    )
    end = pl.col("as_of")
    rate = _class_rate(pl.col("class_op")) if old else _minimum_rate(pl.col("portfolio"), pl.col("days_late"), pl.col("problem"), pl.col("modality"), end)
    computed = percent_of(pl.col("carrying_amount"), rate)
    by_model = views.settings.get("provision") == "booked"
    if not old and views.settings.get("method") == "C":
        floor = percent_of(pl.col("carrying_amount"), _floor(pl.col("portfolio"), pl.col("days_late"), end))
        chosen: pl.Expr = pl.when(pl.col("booked_provision").is_not_null()).then(pl.max_horizontal("booked_provision", floor))
    else:
        chosen = pl.col("booked_provision") if by_model else computed
    return view.with_columns(provision_filed=pl.when("live").then(chosen).otherwise(0), features=_features(views))


def _features(views: Views) -> pl.Expr:
    """Special features in the order of their codes, those of the lender's own table with them."""
    related = views.portfolio.table("relations").filter(pl.col("kind") == "related_to_lender")["party_id"].unique().implode()
    live = pl.col("live")
    in_court = pl.col("court_stage").is_not_null() & (pl.col("court_stage") != "closed") & (pl.col("court_filed_on") <= pl.col("as_of"))
    owed = live | pl.col("lost")
    signs = {
        "renegotiated": live & pl.col("restructured") & pl.col("cured_on").is_null(),
        "in_court": owed & in_court,
        "long_in_default": pl.col(buckets("written_off")[-1]).is_not_null(),
        "problem_asset": pl.col("problem"),
        "related_party": owed & pl.col("borrower_id").is_in(related),
    }
    own = []
    for row in rows_of("codes_by_fact"):
        sign = signs.get(row["fact"]) if row["list"] == "annex8" else None
        if sign is not None and in_force("annex8", row["code"], views.as_of):
            sign = sign.fill_null(False) | (pl.col("days_late") >= int(row["days"])).fill_null(False) if row["days"] else sign.fill_null(False)
            own.append(pl.when(sign).then(pl.lit(row["code"])))
    listed = pl.concat_list([e.fill_null("") for e in own]).list.concat(pl.col("operation_carac_especial").fill_null("").str.split(";"))
    text = listed.list.unique().list.sort().list.eval(pl.element().filter(pl.element() != "")).list.join(";")
    return pl.when(text != "").then(text)


# Views of the records


def _clients(views: Views) -> pl.DataFrame:
    """Each borrower of the filing: what the operations come to, whether one leaves, and whether the client is told by itself."""
    limit = limit_in_month(views.settings.get("individual_limits"), views.as_of) or 0
    return views.loan.group_by("borrower_id", maintain_order=True).agg(
        individual=(pl.col("in_buckets").sum() >= limit) | pl.col("leaves").any(),
        first_contract_on=pl.col("contracted_on").min(),
        worst=pl.col("class_op")
        .filter(pl.col("class_op").is_not_null())
        .sort_by(_class_rank(pl.col("class_op").filter(pl.col("class_op").is_not_null())))
        .last(),
        _links=pl.col("loan_id").unique().sort(),
    )


def view_op(views: Views) -> pl.DataFrame:
    """Operations of clients who are told one by one."""
    chosen = _clients(views).filter("individual").select("borrower_id")
    out = views.loan.join(chosen, on="borrower_id", how="semi", maintain_order="left")
    if views.findings is not None:
        for row in out.filter(pl.col("modality").is_null()).select("loan_id", "product").iter_rows(named=True):
            finding = UNMAPPED.finding(field="product", value=row["product"], key=row["loan_id"], loan_id=row["loan_id"], map=f"{PACK}_products")
            if finding not in views.findings:
                views.findings.append(finding)
    return out.sort("borrower_id", "loan_id")


def view_cli(views: Views) -> pl.DataFrame:
    """Clients who are told one by one, with consent and income."""
    clients = _clients(views).filter("individual")
    consents = views.portfolio.table("consents").filter(
        (pl.col("kind") == "bureau_query") & (pl.col("given_on") <= views.as_of) & (pl.col("withdrawn_on").is_null() | (pl.col("withdrawn_on") > views.as_of))
    )
    agreed = consents["party_id"].unique().implode()
    first = views.loan.drop("in_scope", strict=False).unique("borrower_id", keep="first", maintain_order=True)
    wage = views.settings.get("minimum_wage")
    cents = pl.lit(None if wage is None else int(Decimal(wage) * 100), pl.Int64)
    return (
        first.join(clients, on="borrower_id", how="inner", maintain_order="left")
        .drop("loan_id")
        .with_columns(
            agreed=pl.col("borrower_id").is_in(agreed),
            monthly_income=half_up(pl.col("borrower_annual_income"), pl.lit(12, pl.Int64)),
            minimum_wage=cents,
        )
        .sort("borrower_id")
    )


def _guarantees(views: Views, loans: pl.DataFrame) -> pl.DataFrame:
    """Guarantors and sureties of a group (Gar 09xx), then collateral, of *loans* on as_of."""
    parties = views.portfolio.table("loan_parties").filter(
        pl.col("role").is_in(["guarantor", "group_member"])
        & (pl.col("from_on").is_null() | (pl.col("from_on") <= views.as_of))
        & (pl.col("released_on").is_null() | (pl.col("released_on") > views.as_of))
    )
    people = views.people.select("party_id", "kind", "id_br_cpf", "id_br_cnpj")
    persons = (
        parties.select("loan_id", "party_id", "share_pct", guaranteed="amount")
        .join(loans, on="loan_id", how="inner", maintain_order="left")
        .filter(pl.col("party_id") != pl.col("borrower_id"))
        .join(people, on="party_id", how="left", maintain_order="left")
    )
    body = pl.col("kind").is_in(["legal_entity", "group"]) | pl.col("id_br_cpf").is_null() & pl.col("id_br_cnpj").is_not_null()
    by_amount = half_up(pl.col("guaranteed").cast(pl.Int128) * HUNDRED, pl.col("principal"))
    persons = persons.select(
        "loan_id",
        "as_of",
        "borrower_id",
        gar_tp=pl.when(body).then(code("annex12", "guarantor_body")).otherwise(code("annex12", "guarantor_person")),
        gar_ident=pl.when(body).then(pl.col("id_br_cnpj").str.head(8)).otherwise("id_br_cpf"),
        gar_share=pl.min_horizontal(pl.coalesce("share_pct", by_amount, pl.lit(HUNDRED, pl.Int64)), pl.lit(HUNDRED, pl.Int64)),
        gar_order=pl.col("party_id"),
    )
    things = views._things  # collateral with the pack's own columns of it
    links = views.portfolio.table("collateral_links").drop(ROW).select("loan_id", "collateral_id", "allocated_value")
    things = links.join(loans, on="loan_id", how="inner", maintain_order="left").join(things, on="collateral_id", how="inner", maintain_order="left")
    first = pl.coalesce("allocated_value", "collateral_contract_value", "collateral_value")
    things = things.select(
        "loan_id",
        "as_of",
        "borrower_id",
        gar_tp="tp",
        gar_first=first,
        gar_value=pl.when(pl.col("collateral_valued_on").is_not_null()).then(pl.coalesce("collateral_value", first)),
        gar_valued_on=pl.when(pl.col("collateral_valued_on") <= pl.col("as_of")).then("collateral_valued_on"),
        gar_status="sit_gar",
        gar_value_kind="tp_vlr_gar",
        gar_share_now="perc_data",
        gar_shared="compart",
        gar_order="collateral_id",
    )
    return pl.concat([persons, things], how="diagonal").with_columns(currency_code=pl.lit("BRL"))


def view_gar(views: Views) -> pl.DataFrame:
    """What secures the operations that are told; those that leave the register give none."""
    loans = view_op(views).filter(~pl.col("leaves")).select("loan_id", "as_of", "borrower_id", "own_claim_principal", "principal")
    return _guarantees(views, loans).sort("borrower_id", "loan_id", "gar_tp", "gar_order", nulls_last=True)


def view_inf(views: Views) -> pl.DataFrame:
    """Additional information: exits, purchases, sales with the risk kept, the microfinance quota, restructurings, and the lender's own rows."""
    loans = view_op(views)
    stays = loans.filter(~pl.col("leaves"))
    day = pl.col("moved_on").dt.to_string("%Y-%m-%d")
    plain, moved, renumbered = (
        [c for fact in facts for c in codes_for("annex26", fact)]
        for facts in (("paid", "paid_early", "off_the_books", "cancelled"), ("sold_in_sfn", "sold_outside"), ("renumbered",))
    )
    parts = [loans.filter(pl.col("exit_tp").is_in(plain)).select("loan_id", "borrower_id", inf_tp="exit_tp")]
    sold = loans.filter(pl.col("exit_tp").is_in(moved))
    parts.append(sold.select("loan_id", "borrower_id", inf_tp="exit_tp", inf_cd=day, inf_ident="moved_with_number", inf_amount="moved_price"))
    renewed = loans.filter(pl.col("exit_tp").is_in(renumbered))
    parts.append(renewed.select("loan_id", "borrower_id", inf_tp="exit_tp", inf_cd="new_ipoc", inf_amount="last_paid_amount", inf_count=pl.lit(2, pl.Int64)))
    bought = stays.filter((pl.col("moved") == "in") & pl.col("moved_away").fill_null(False))
    kind = pl.when("moved_in_sfn").then(code("annex26", "acquired_in_sfn")).otherwise(code("annex26", "acquired_outside"))
    parts.append(bought.select("loan_id", "borrower_id", inf_tp=kind, inf_cd=day, inf_ident="moved_with_number", inf_amount="moved_price"))
    parts.append(stays.filter(pl.col("product_micro_quota") == "S").select("loan_id", "borrower_id", inf_tp=code("annex26", "microcredit_quota")))
    changed = stays.filter(pl.col("restructured") & pl.col("restructured_on").is_not_null() & pl.col("cured_on").is_null())
    parts.append(changed.select("loan_id", "borrower_id", inf_tp=code("annex26", "restructured"), inf_cd=pl.col("restructured_on").dt.to_string("%Y-%m-%d")))
    own = views.own_table(f"{PACK}_infos").join(loans.select("loan_id", "borrower_id"), on="loan_id", how="inner", maintain_order="left")
    parts.append(own.select("loan_id", "borrower_id", inf_tp="tp", inf_cd="cd", inf_ident="ident", inf_amount="valor", inf_share="perc", inf_count="qtd"))
    schema = {"inf_cd": pl.String, "inf_ident": pl.String, "inf_amount": pl.Int64, "inf_share": pl.Int64, "inf_count": pl.Int64}
    none = pl.DataFrame(schema=schema)
    return (
        pl.concat([*parts, none], how="diagonal")
        .with_columns(currency_code=pl.lit("BRL"), as_of=pl.lit(views.as_of))
        .sort("borrower_id", "loan_id", "inf_tp", "inf_cd", nulls_last=True, maintain_order=True)
    )


def _side(views: Views, name: str, order: Sequence[str]) -> pl.DataFrame:
    own = views.own_table(f"{PACK}_{name}").join(
        view_op(views).select("loan_id", "borrower_id", "as_of", "currency_code"), on="loan_id", how="inner", maintain_order="left"
    )
    return own.sort("borrower_id", "loan_id", *order, nulls_last=True)


def view_sicor(views: Views) -> pl.DataFrame:
    """Rural credit data, from the pack's own table."""
    return _side(views, "sicor", ("ref_bacen",))


def view_stage(views: Views) -> pl.DataFrame:
    """Reasons of the stage, from the pack's own table."""
    return _side(views, "stages", ("motivo", "allocated_on"))


def view_loss(views: Views) -> pl.DataFrame:
    """Losses, from the pack's own table."""
    return _side(views, "losses", ("mot_perda",))


def view_link(views: Views) -> pl.DataFrame:
    """Linked operations, from the pack's own table: groups of which at least two are told."""
    own = views.own_table(f"{PACK}_links").join(
        view_op(views).select("loan_id", "borrower_id", "ipoc", "as_of"), on="loan_id", how="inner", maintain_order="left"
    )
    return own.filter(pl.len().over("group_no") > 1).sort("group_no", "borrower_id", "loan_id")


def view_link_group(views: Views) -> pl.DataFrame:
    """The groups of linked operations."""
    return view_link(views).group_by("group_no", maintain_order=True).agg(_links=pl.col("loan_id").unique().sort(), as_of=pl.col("as_of").first())


GROUPED_BY = ("NatuOp", "Mod", "OrigemRec", "VincME", "ClassOp", "FaixaVlr", "PrzProvm", "Localiz", "TpCli", "TpCtrl", "DesempOp", "CaracEspecial")


def _small(views: Views) -> pl.DataFrame:
    """Operations of clients below the limit that owe something, with what they are grouped by."""
    small = _clients(views).filter(~pl.col("individual")).select("borrower_id")
    guests = pl.lit(list(views.portfolio.guest_loans), pl.List(pl.String))  # they are summed up where they have their home
    loans = views.loan.join(small, on="borrower_id", how="semi", maintain_order="left").filter((pl.col("in_buckets") > 0) & ~pl.col("loan_id").is_in(guests))
    states = {r["value"]: r["code"] for r in rows_of("states")}
    old = _by_class(views)
    band: pl.Expr = pl.lit(None, pl.String)
    for row in rows_of("amount_bands"):
        band = pl.when(pl.col("in_buckets") >= int(Decimal(row["from"]) * 100)).then(pl.lit(row["code"])).otherwise(band)
    late: pl.Expr = pl.lit(None, pl.String)
    for row in rows_of("performance"):
        late = pl.when(pl.col("days_late").fill_null(0) >= int(row["days_from"])).then(pl.lit(row["code"])).otherwise(late)
    first: pl.Expr = pl.lit(None, pl.String)
    for name in reversed(group_features()):
        first = pl.when(pl.col("features").str.split(";").list.contains(name)).then(pl.lit(name)).otherwise(first)
    real = code("annex6", "real")
    origin = pl.coalesce("operation_origem_rec", "product_origem_rec", pl.lit(views.settings.get("origem_rec")))
    none = pl.lit(None, pl.String)
    return loans.with_columns(
        NatuOp="nature",
        Mod="modality",
        OrigemRec=origin.str.head(2) + pl.lit("00"),
        VincME=pl.when(pl.col("operation_var_camb").fill_null(real) == real).then(code("annex18", "not_linked")).otherwise(code("annex18", "linked")),
        ClassOp=pl.col("class_op") if old else none,
        FaixaVlr=band,
        PrzProvm=none,
        Localiz=pl.coalesce("office_localiz", pl.col("branch_region_code").replace_strict(states, default=None, return_dtype=pl.String)),
        TpCli="cli_tp",
        TpCtrl=pl.when("legal").then(pl.coalesce("client_tp_ctrl", pl.lit(views.settings.get("tp_ctrl")))),
        DesempOp=pl.when("lost").then(code("annex28", "written_off")).otherwise(late),
        CaracEspecial=first,
    )


def group_features() -> list[str]:
    """The only feature of a group is the first of these that one of its operations has."""
    ranked = [r for r in rows_of("codes_by_fact") if r["group_rank"]]
    return [r["code"] for r in sorted(ranked, key=lambda r: int(r["group_rank"]))]


def view_agreg(views: Views) -> pl.DataFrame:
    """Groups of operations of small clients."""
    small = _small(views)
    out = small.group_by(list(GROUPED_BY), maintain_order=True).agg(
        _links=pl.col("loan_id").unique().sort(),
        count=pl.len().cast(pl.Int64),
        clients=pl.col("borrower_id").n_unique().cast(pl.Int64),
        provision_filed=pl.col("provision_filed").sum(),
        **{v: pl.col(v).sum() for v in buckets()},
    )
    out = out.with_columns([pl.when(pl.col(v) > 0).then(pl.col(v)).alias(v) for v in buckets()])
    key = pl.concat_str([pl.col(c).fill_null("-") for c in GROUPED_BY], separator="|")
    return out.with_columns(group_key=key, currency_code=pl.lit("BRL"), as_of=pl.lit(views.as_of)).sort("group_key")


def view_small_client(views: Views) -> pl.DataFrame:
    """Clients who are only summed up in groups, each once: the head counts them."""
    return _small(views).group_by("borrower_id", maintain_order=True).agg(_links=pl.col("loan_id").unique().sort())


__all__: list[Any] = ["FUNCTIONS", "enrich_loan"]
