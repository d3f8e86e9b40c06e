"""What data cannot say of the format: ages, transliteration, cut-offs of a cycle, and the views of member and loan."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

import polars as pl

from mloan_report.measures.grouping import togetherness
from mloan_report.measures.repayment_ability import ability_of_bucket
from mloan_report.model.finding import Finding
from mloan_report.packs.views import Views
from mloan_report.portfolio.typing import ROW

PACK = "in_mfi_cdf"
RELATIONS = ("key_person", "nominee", "relation_1", "relation_2", "relation_3", "relation_4")
ACCOUNT_COLUMNS = ("borrower_", "member_", "set_")


@dataclass(frozen=True)
class CutOff:
    """A day on which a cycle is reported: of the month, its last, or every so many days."""

    cycle: str
    default_from: str
    default_to: str
    day: str
    content: str


@cache
def cut_offs() -> tuple[CutOff, ...]:
    """The rows of cycles.csv."""
    rows = csv.DictReader(files(f"mloan_report.packs.{PACK}").joinpath("cycles.csv").read_text(encoding="utf-8").splitlines())
    return tuple(CutOff(r["cycle"], r["default_from"], r["default_to"], r["day"], r["content"]) for r in rows)


@cache
def _map(name: str) -> dict[str, str]:
    text = files(f"mloan_report.packs.{PACK}").joinpath("codes", f"map_{name}.csv").read_text(encoding="utf-8")
    return {r["value"]: r["code"] for r in csv.DictReader(text.splitlines())}


def default_cycle(day: date) -> str:
    """The cycle that counts on *day* where no setting says another."""
    return next(c.cycle for c in cut_offs() if c.default_from and c.default_from <= day.isoformat() and day.isoformat() <= (c.default_to or "9999-12-31"))


def _ends_month(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def content_on(day: date, cycle: str | None, days: str | None) -> str | None:
    """``full`` or ``incremental`` where *day* is a cut-off of the cycle (or one of *days*, a list such as ``9,16,last``), else None."""
    names = ([str(day.day)]) + (["last"] if _ends_month(day) else [])
    if days:
        listed = [d.strip() for d in days.split(",")]
        return ("full" if "last" in names and "last" in listed else "incremental") if set(names) & set(listed) else None
    rows = [c for c in cut_offs() if c.cycle == (cycle or default_cycle(day))]
    found = [c.content for c in rows if c.day in names or c.day.startswith("every")]
    return found[-1] if found else None


def previous_cut_off(day: date, cycle: str | None, days: str | None) -> date:
    """The cut-off before *day*; of a cycle of every seven days the day a week before."""
    chosen = cycle or default_cycle(day)
    every = next((int(c.day.split()[1]) for c in cut_offs() if c.cycle == chosen and c.day.startswith("every")), None)
    if every and not days:
        return day - timedelta(days=every)
    before = day - timedelta(days=1)
    while content_on(before, chosen, days) is None:
        before -= timedelta(days=1)
    return before


def _ascii(text: pl.Expr, latin: pl.Expr) -> pl.Expr:
    """Accents taken off and dashes and quotes plain; with *latin* ``yes`` only what latin-1 lacks. Other scripts stay, and are a finding."""
    plain = text.str.replace_all("[‘’]", "'").str.replace_all("[“”]", '"').str.replace_all("[–—]", "-")
    bare = plain.str.normalize("NFKD").str.replace_all("[\u0300-\u036f]", "")
    return pl.when((latin == "yes") & plain.str.contains("^[\u0020-\u007e\u00a0-\u00ff]*$")).then(plain).otherwise(bare)


def _years(later: pl.Expr, born: pl.Expr) -> pl.Expr:
    """Completed years; somebody born on 29 February is a year older on 1 March of other years."""
    later = later.cast(pl.Date)  # unknown where a head cannot be read
    day = [d.dt.month().cast(pl.Int64) * 100 + d.dt.day() for d in (later, born)]
    return later.dt.year().cast(pl.Int64) - born.dt.year().cast(pl.Int64) - (day[0] < day[1]).cast(pl.Int64)


def _days_said(token: pl.Expr) -> pl.Expr:
    """Days past due as the file says them: XXX is none; null where it is neither that nor digits."""
    return pl.when(token == "XXX").then(0).when(token.str.contains("^[0-9]{1,3}$")).then(token.cast(pl.Int64, strict=False))


def _day_said(token: pl.Expr) -> pl.Expr:
    """A date DDMMYYYY, null where it is none."""
    return pl.when(token.str.contains("^[0-9]{8}$")).then(token).str.to_date("%d%m%Y", strict=False)


def _is_cut_off(day: pl.Expr, cycle: pl.Expr, days: pl.Expr) -> pl.Expr:
    def judged(frame: pl.Series) -> pl.Series:
        rows = frame.struct.unnest().rows()
        return pl.Series([None if d is None else content_on(d, c, n) is not None for d, c, n in rows], dtype=pl.Boolean)

    columns = [day.alias("d"), cycle.cast(pl.String).alias("c"), days.cast(pl.String).alias("n")]
    return pl.struct(columns).map_batches(judged, return_dtype=pl.Boolean)  # one row: the head of a file


def _in_zone(pin: pl.Expr, state: pl.Expr) -> pl.Expr:
    """Whether the PIN's first digit is one of the state's postal zones; null for a state that is not listed."""
    return state.replace_strict(_map("pin_zone"), default=None, return_dtype=pl.String).str.contains(pin.str.slice(0, 1), literal=True)


def _relation(word: pl.Expr, chosen: pl.Expr) -> pl.Expr:
    """The code of a relation by the list that the bureau uses; while none is set only what all lists agree on."""
    by = {name: word.replace_strict(_map(name), default=None, return_dtype=pl.String) for name in ("relation", "relation_crif", "relation_agreed")}
    chosen = chosen.cast(pl.String)
    return pl.when(chosen == "relation").then(by["relation"]).when(chosen == "relation_crif").then(by["relation_crif"]).otherwise(by["relation_agreed"])


def _telephone(number: pl.Expr) -> pl.Expr:
    """Digits alone, without the country code of a mobile number."""
    return number.str.replace_all("[^0-9]", "").str.replace("^(?:91|0)([6-9][0-9]{9})$", "$1")


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "ASCII": _ascii,
    "YEARS": _years,
    "DAYS_SAID": _days_said,
    "DAY_SAID": _day_said,
    "IS_CUT_OFF": _is_cut_off,
    "IN_ZONE": _in_zone,
    "RELATION_CODE": _relation,
    "TELEPHONE": _telephone,
}


def settings_on(values: Mapping[str, str | None], as_of: date) -> dict[str, str | None]:
    """*values* with the cycle in force on *as_of*, and what its file of that day holds, where the settings leave them open."""
    cycle = values.get("cycle") or default_cycle(as_of)
    content = values.get("content") or content_on(as_of, cycle, values.get("cut_off_days")) or "full"
    return {**values, "cycle": cycle, "content": content}


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """The loan with what the pack's own tables, its application, its schedule and the cycle say of it."""
    view = _with_own_tables(views, view)
    view = _with_application(views, view)
    view = view.join(_usual_instalment(views), on=["loan_id", "schedule_version"], how="left", maintain_order="left")
    view = view.join(_written_off(views, view), on="loan_id", how="left", maintain_order="left")
    before = previous_cut_off(views.as_of, views.settings.get("cycle"), views.settings.get("cut_off_days"))
    return view.with_columns(previous_reference_on=pl.lit(before))


def _with_own_tables(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    members = views.own_table(f"{PACK}_members").unique("borrower_id", keep="first", maintain_order=True)
    accounts = views.own_table(f"{PACK}_accounts").unique("loan_id", keep="first", maintain_order=True)
    banks = views.portfolio.table("bank_accounts").filter(pl.col("kind").fill_null("account") == "account")
    bank = banks.group_by("party_id", maintain_order=True).agg(member_bank=pl.col("bank").first(), member_bank_account=pl.col("number").first())
    return (
        view.join(members.rename({c: f"member_{c}" for c in members.columns if c != "borrower_id"}), on="borrower_id", how="left", maintain_order="left")
        .join(accounts.rename(_of_account(accounts.columns)), on="loan_id", how="left", maintain_order="left")
        .join(bank, left_on="borrower_id", right_on="party_id", how="left", maintain_order="left")
        .with_columns(member_branch=pl.col("borrower_branch_id").fill_null(pl.col("branch_id").first().over("borrower_id")))
        .with_columns(member_kendra=pl.col("member_kendra_id").fill_null(pl.col("member_branch")))
    )


def _of_account(columns: list[str]) -> dict[str, str]:
    return {c: c.replace("account_status", "status_given") if c == "account_status" else f"account_{c}" for c in columns if c != "loan_id"}


def _with_application(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    asked = views.portfolio.table("applications").drop(ROW).unique("application_id", keep="first", maintain_order=True)
    asked = asked.select("application_id", "applied_on", decided_on="decided_on", applied_amount="amount_applied", approved_amount="amount_approved")
    view = view.join(asked, on="application_id", how="left", maintain_order="left")
    return view.with_columns(
        sanctioned_on=pl.coalesce("decided_on", "contract_on"),
        sanctioned_amount=pl.coalesce("approved_amount", "principal"),
    )


def _usual_instalment(views: Views) -> pl.DataFrame:
    """The amount that most instalments of a schedule have (of equally many, the one due first), and the first due date."""
    due = views.portfolio.table("instalments").with_columns(
        schedule_version=pl.col("schedule_version").fill_null(1),
        amount=pl.sum_horizontal(pl.col("principal_due", "interest_due", "fees_due").fill_null(0)),
    )
    keys = ["loan_id", "schedule_version"]
    counted = due.group_by(*keys, "amount").agg(times=pl.len(), first=pl.col("due_on").min())
    usual = counted.sort("times", "first", descending=[True, False]).group_by(keys, maintain_order=True).agg(usual_instalment=pl.col("amount").first())
    first = due.group_by(keys).agg(schedule_starts_on=pl.col("due_on").min())
    return usual.join(first, on=keys).with_columns(pl.col("schedule_version").cast(pl.Int64))


def _written_off(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    rows = views.portfolio.table("write_offs").join(view.select("loan_id", "as_of").unique(), on="loan_id")
    standing = rows.filter((pl.col("written_off_on") <= pl.col("as_of")) & ~(pl.col("reversed_on") <= pl.col("as_of")).fill_null(False))
    return standing.group_by("loan_id").agg(write_off_sum=pl.sum_horizontal(pl.col("principal", "interest", "fees").fill_null(0)).sum())


def view_member(views: Views) -> pl.DataFrame:
    """Each borrower of the filing once: the columns of the borrower and the member, when the latest loan was opened, the loans (``_links``)."""
    loans = views.loan
    own = [c for c in loans.columns if c.startswith(ACCOUNT_COLUMNS)]
    about = loans.group_by("borrower_id", maintain_order=True).agg(
        _links=pl.col("loan_id").unique().sort(),
        latest_opened_on=pl.col("disbursed_on").max(),
        as_of=pl.col("as_of").max(),
        currency_code=pl.col("currency_code").first(),
        **{c: pl.col(c).first() for c in own if c != "borrower_id"},
    )
    about = _with_relations(views, _with_other_ids(views, about))
    if views.findings is not None:
        views.findings.extend(f for f in _found(views, about, loans) if f not in views.findings)
    return about


def _with_other_ids(views: Views, about: pl.DataFrame) -> pl.DataFrame:
    """Passport, driving licence and CKYC number, in the places that the settings name."""
    columns: dict[str, pl.Expr] = {}
    for n in (1, 2, 3):
        scheme = views.settings.get(f"other_id_{n}") or "none"
        value = pl.lit(None, pl.String) if scheme == "none" else pl.col(f"borrower_id_{scheme}")
        columns[f"other_id_value_{n}"] = value
        columns[f"other_id_type_{n}"] = pl.when(value.is_not_null()).then(pl.lit(scheme.removeprefix("in_").replace("_", " ").upper()))
    return about.with_columns(**columns)


def _with_relations(views: Views, about: pl.DataFrame) -> pl.DataFrame:
    """The codes of the relations; the spouse is husband or wife by the member's sex where the table names no key person."""
    spouse = pl.when(pl.col("borrower_sex") == "female").then(pl.lit("husband")).when(pl.col("borrower_sex") == "male").then(pl.lit("wife"))
    is_spouse = pl.col("member_key_person_name").is_null() & pl.col("borrower_spouse_name").is_not_null()
    about = about.with_columns(member_key_person_relation=pl.when(is_spouse).then(spouse).otherwise("member_key_person_relation"))
    chosen = pl.lit(views.settings.get("relation_list"), pl.String)
    return about.with_columns([_relation(pl.col(_word(r)), chosen).alias(_code(r)) for r in RELATIONS])


def _word(relation: str) -> str:
    return f"member_{relation}" if relation.startswith("relation_") else f"member_{relation}_relation"


def _code(relation: str) -> str:
    return relation.replace("relation_", "relation_code_") if relation.startswith("relation_") else f"{relation}_code"


def _found(views: Views, about: pl.DataFrame, loans: pl.DataFrame) -> list[Finding]:
    """What only the portfolio shows: relations without a code, purposes cut, Ladakh, co-lent loans without a choice, the household's burden."""
    out: list[Finding] = []
    rules = {r.id: r.rule for r in views.pack.rules}

    def say(rule: str, table: str, field: str, where: pl.Expr, frame: pl.DataFrame, **more: str) -> None:
        for row in frame.filter(where.fill_null(False)).iter_rows(named=True):
            links = (row["loan_id"],) if "loan_id" in row else tuple(row["_links"])
            shown = {k: row[c] for k, c in more.items()}
            out.append(rules[rule].finding(table=table, field=field, key=row["borrower_id"], loan_id=row.get("loan_id"), loans=links, **shown))

    for r in RELATIONS:
        word, code = _word(r), _code(r)
        say(f"{PACK.upper()}-X02", "CNSCRD", word.removeprefix("member_"), pl.col(word).is_not_null() & pl.col(code).is_null(), about, word=word)
    purpose = pl.coalesce("account_purpose", "purpose_code")
    say(f"{PACK.upper()}-X04", "ACTCRD", "loan_purpose", purpose.str.len_chars() > 20, loans)
    say(f"{PACK.upper()}-X08", "ADRCRD", "current_state_code", pl.any_horizontal(pl.col("borrower_region_code", "member_permanent_state") == "LA"), about)
    if views.settings.get("co_lent_amounts") is None:
        say(f"{PACK.upper()}-X05", "ACTCRD", "current_balance", pl.col("own_share_pct") < 100 * 10**7, loans)
    return out + _burdens(views, loans)


def _burdens(views: Views, loans: pl.DataFrame) -> list[Finding]:
    """Households whose instalments of a month, here and elsewhere, take more of their income than the directions allow."""
    percent = int(views.settings.get("repayment_limit_percent") or 0)
    rupees = loans.filter(pl.col("currency_code") == "INR")
    if not percent or rupees.height == 0:
        return []
    rows = ability_of_bucket(rupees, views.portfolio, togetherness(views.portfolio)).filter(pl.col("currency_code") == "INR")
    ids = rows.select("household", "borrower_id").unique()
    income = pl.coalesce(pl.col("stated").max(), pl.col("own").drop_nulls().sum())
    households = rows.group_by("household").agg(pl.col("service").sum(), income=income).filter(pl.col("income") > 0)
    over = households.filter(pl.col("service") * 12 * 100 > pl.col("income").cast(pl.Int128) * percent)
    named = (
        ids.join(over, on="household").join(loans.group_by("borrower_id").agg(_links=pl.col("loan_id").unique().sort()), on="borrower_id").sort("borrower_id")
    )
    rule = next(r.rule for r in views.pack.rules if r.id == f"{PACK.upper()}-043")
    return [
        rule.finding(table="CNSCRD", field="total_monthly_family_income", key=r["borrower_id"], loans=tuple(r["_links"]), limit=percent)
        for r in named.iter_rows(named=True)
    ]
