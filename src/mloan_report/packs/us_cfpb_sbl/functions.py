"""What data cannot say of the register: cells with several values, numbers and dates as the public validator reads them, applications joined to loans."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

import polars as pl

from mloan_report.packs.views import Views
from mloan_report.portfolio import UnusableInput
from mloan_report.portfolio.rounding import half_even

PACK = "us_cfpb_sbl"
TABLE = f"{PACK}_applications"
_NUMBER = r"^\s*[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\s*$|^\s*[-+]?(?i:inf|infinity|nan)\s*$"
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"
_WHOLE = r"^\s*[-+]?[0-9][0-9_]*\s*$"


@cache
def _codes() -> dict[str, dict[str, str]]:
    """Code lists: label by code, by list."""
    out: dict[str, dict[str, str]] = {}
    folder = files(f"mloan_report.packs.{PACK}").joinpath("codes")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if not entry.name.startswith("map_"):
            for row in csv.DictReader(entry.read_text(encoding="utf-8").splitlines()):
                out.setdefault(row["list"], {})[row["code"]] = row["label_en"]
    return out


def _unlike(cell: pl.Expr, pattern: str) -> pl.Expr:
    """Filled cells that *pattern* does not match; only cells that are no plain whole number are held against it."""

    def each(cells: pl.Series) -> pl.Series:
        odd = cells.is_not_null() & (cells.cast(pl.Int64, strict=False).is_null() | cells.str.starts_with("+"))
        if not odd.any():
            return odd
        some = cells.filter(odd)
        return odd.scatter(odd.arg_true(), ~some.str.contains(pattern) & (some.str.strip_chars() != ""))

    return cell.map_batches(each, return_dtype=pl.Boolean)


def _literal(expression: pl.Expr) -> str:
    return str(pl.select(expression).item())


def _blank(cell: pl.Expr) -> pl.Expr:
    return (cell.str.strip_chars() == "").fill_null(True)


def _not_listed(cell: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Where some value of the cell is not in the list; a blank cell is not."""
    codes = "|".join(re.escape(c) for c in _codes()[_literal(name)])
    return ~cell.str.contains(f"^(?:{codes})(?:;(?:{codes}))*$").fill_null(False)


def _has(cell: pl.Expr, codes: pl.Expr) -> pl.Expr:
    """Where one of the values is one of *codes* (joined by semicolons)."""
    wanted = "|".join(re.escape(c) for c in _literal(codes).split(";"))
    return cell.str.contains(f"(?:^|;)(?:{wanted})(?:;|$)").fill_null(False)


def _where_several(cell: pl.Expr, worked_out: Callable[[pl.Series], pl.Series], else_: int) -> pl.Expr:
    """*worked_out* for cells with a semicolon, *else_* for the others: most columns have none, and are not split for it."""

    def each(cells: pl.Series) -> pl.Series:
        several = cells.str.contains(";", literal=True).fill_null(False)
        plain = pl.Series([else_], dtype=pl.Int64).new_from_index(0, cells.len())
        return plain.scatter(several.arg_true(), worked_out(cells.filter(several)).cast(pl.Int64)) if several.any() else plain

    return cell.map_batches(each, return_dtype=pl.Int64)


def _value_count(cell: pl.Expr) -> pl.Expr:
    return _where_several(cell, lambda s: s.str.count_matches(";", literal=True) + 1, 1)


def _distinct(cell: pl.Expr) -> pl.Expr:
    return _where_several(cell, lambda s: s.str.split(";").list.n_unique(), 1)


def _distinct_but(cell: pl.Expr, but: pl.Expr) -> pl.Expr:
    """How many distinct values there are beside blanks and *but*."""
    left_out = [_literal(but), ""]
    several = _where_several(cell, lambda s: s.str.split(";").list.set_difference(pl.Series([left_out]).new_from_index(0, s.len())).list.len(), -1)
    one = (~cell.fill_null("").is_in(left_out)).cast(pl.Int64)
    return pl.when(several == -1).then(one).otherwise(several)


def _longer(cell: pl.Expr, most: pl.Expr) -> pl.Expr:
    limit = int(_literal(most))

    def each(cells: pl.Series) -> pl.Series:
        long = (cells.str.len_bytes() > limit).fill_null(False)  # as many bytes as letters at least
        return (cells.str.len_chars() > limit).fill_null(False) if long.any() else long

    return cell.map_batches(each, return_dtype=pl.Boolean)


def _day(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell.str.contains("^[0-9]{8}$")).then(cell).str.to_date("%Y%m%d", strict=False)


def _window(profile: str) -> tuple[date, date]:
    """The first and last action date of the profile's register (list ``profile``)."""
    start, end = (date(int(t[:4]), int(t[4:6]), int(t[6:])) for t in re.findall("[0-9]{8}", _codes()["profile"][profile]))
    return start, end


def _outside(cell: pl.Expr, profile: pl.Expr) -> pl.Expr:
    """Where the date lies outside the window of the profile (list ``profile``: from to)."""
    day = _day(cell)
    out = pl.lit(None, pl.Boolean)
    for name in _codes()["profile"]:
        out = pl.when(profile == name).then(~day.is_between(*_window(name))).otherwise(out)
    return out


def _number(cell: pl.Expr) -> pl.Expr:
    """The cell's number, exact; null where it is blank, no plain number or beyond 28 digits."""

    def each(cells: pl.Series) -> pl.Series:
        numbers = cells.cast(pl.Decimal(38, 10), strict=False)
        if numbers.null_count() == cells.null_count():
            return numbers  # none with blanks around it or marks inside
        return cells.str.strip_chars().str.replace_all("_", "", literal=True).cast(pl.Decimal(38, 10), strict=False)

    return cell.map_batches(each, return_dtype=pl.Decimal(38, 10))


def _without_group(cell: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Where a detail stands without a group that it belongs to (label: group, or group and alternatives)."""
    wrong = pl.lit(False)
    by_group: dict[str, list[str]] = {}
    for detail, group in _codes()[_literal(name)].items():
        by_group.setdefault(group, []).append(detail)
    for group, details in by_group.items():
        wrong = wrong | (_has(cell, pl.lit(";".join(details))) & ~_has(cell, pl.lit(";".join(re.findall("[0-9]+", group)))))
    return wrong


def _tract_known(cell: pl.Expr, path: pl.Expr) -> pl.Expr:
    def known(both: pl.Series) -> pl.Series:
        source = both.struct.field("path")[0] if both.len() else None
        listed = _tracts(str(source)) if source else pl.Series([], dtype=pl.String)
        return both.struct.field("cell").is_in(listed.implode())

    return pl.struct(cell.alias("cell"), path.alias("path")).map_batches(known, return_dtype=pl.Boolean)


@cache
def _tracts(path: str) -> pl.Series:
    """The census tracts in a text file: numbers of 11 digits, one a line or in the first column."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"the setting census_tracts names {path}, which cannot be read ({error})") from None
    return pl.Series(sorted(set(re.findall(r"(?m)^\"?([0-9]{11})\b", text))), dtype=pl.String)


def _state_known(cell: pl.Expr) -> pl.Expr:
    return cell.str.slice(0, 2).is_in(list(_codes()["state_fips"]))


def _amount_text(minor: pl.Expr) -> pl.Expr:
    """Cents as dollars with at most two decimals, none where they are zero."""
    whole = (minor // 100).cast(pl.String)
    return pl.when(minor % 100 == 0).then(whole).otherwise(whole + "." + (minor % 100).cast(pl.String).str.zfill(2))


def _percent_text(rate: pl.Expr) -> pl.Expr:
    """A percent of seven decimals with at most six (half to even), without zeros at its end."""
    six = half_even(rate, 10)
    text = (six // 1_000_000).cast(pl.String) + "." + (six % 1_000_000).cast(pl.String).str.zfill(6)
    return text.str.strip_chars_end("0").str.strip_suffix(".")


def _cents(cell: pl.Expr) -> pl.Expr:
    return (_number(cell) * 100).round(0).cast(pl.Int64)


FUNCTIONS: dict[str, Callable[..., pl.Expr]] = {
    "BLANK": _blank,
    "NOT_LISTED": _not_listed,
    "HAS": _has,
    "VALUE_COUNT": _value_count,
    "DISTINCT_VALUES": _distinct,
    "DISTINCT_BUT": _distinct_but,
    "AS_DATE": _day,
    "NOT_DATE": lambda cell: _day(cell).is_null(),
    "OUTSIDE_WINDOW": _outside,
    "NOT_NUMBER": lambda cell: _unlike(cell, _NUMBER),
    "NOT_WHOLE": lambda cell: _unlike(cell, _WHOLE),
    "NOT_PLAIN": lambda cell: _unlike(cell, _PLAIN),
    "NOT_DIGITS": lambda cell: ~_blank(cell) & ~cell.str.contains("^[0-9]+$"),
    "NUMBER": _number,
    "CENTS": _cents,
    "LONGER": _longer,
    "WITHOUT_GROUP": _without_group,
    "TRACT_KNOWN": _tract_known,
    "STATE_KNOWN": _state_known,
    "AMOUNT_TEXT": _amount_text,
    "PERCENT_TEXT": _percent_text,
}


def enrich_loan(views: Views, view: pl.DataFrame) -> pl.DataFrame:
    """Adds ``has_application`` (the pack's own table names the loan; true for all where there is no such table), ``business_credit``
    and ``approved_cents``, what the register will say was approved."""
    applied = views.own_table(TABLE)
    without_table = views.portfolio.extra.get(TABLE) is None
    told = applied.filter(pl.col("loan_id").is_not_null()).unique("loan_id", keep="first")
    said = told.select("loan_id", approved=_cents(pl.col("amount_approved")), decided=_day(pl.col("action_taken_date")))
    view = view.join(said, on="loan_id", how="left", maintain_order="left")
    window = _window(views.settings["profile"] or "")
    return view.with_columns(
        decided_in_window=pl.coalesce("decided", "disbursed_on").is_between(*window),
        has_application=pl.lit(True) if without_table else pl.col("loan_id").is_in(applied["loan_id"].drop_nulls().implode()),
        business_credit=(pl.col("borrower_kind") != "natural_person") | pl.col("product").is_in(list(_codes()["business_product"])),
        approved_cents=pl.coalesce("approved", "principal"),
    ).drop("approved", "decided")


def view_application(views: Views) -> pl.DataFrame:
    """One row an application: the cells of the pack's own table as ``app_*``, joined to the loan where one was made; without the
    table the loans of the filing alone."""
    loans, given = views.loan, views.own_table(TABLE)
    cells = [c for c in given.columns if c not in ("loan_id", "application_no")]
    if views.portfolio.extra.get(TABLE) is None:
        out = loans.with_columns([pl.lit(None, pl.String).alias(f"app_{c}") for c in cells]).with_columns(application_no=pl.col("loan_id"))
        if views.settings["incomplete"] == "refuse" and views.findings is not None:
            views.findings.append(views.pack.layout_codes.rules["US_CFPB_SBL-017"].finding(table="application", key="file"))
    else:
        window = _window(views.settings["profile"] or "")
        day = _day(pl.col("action_taken_date"))
        other_year = given.filter(pl.col("loan_id").is_null() & ~day.is_between(*window)).height
        if other_year and views.findings is not None:
            rule = views.pack.layout_codes.rules["US_CFPB_SBL-018"]
            views.findings.append(rule.finding(table="application", key="file", count=other_year, profile=views.settings["profile"]))
        here = day.is_between(*window).fill_null(True)  # a date that cannot be read is a finding of the row
        kept = given.filter(pl.when(pl.col("loan_id").is_null()).then(here).otherwise(pl.col("loan_id").is_in(loans["loan_id"].implode())))
        out = kept.rename({c: f"app_{c}" for c in cells}).join(loans, on="loan_id", how="left", maintain_order="left")
        _report_leaks(views, out)
    return out.with_columns(currency_code=pl.col("currency_code").fill_null("USD"), as_of=pl.lit(views.as_of)).sort("application_no")


def _report_leaks(views: Views, rows: pl.DataFrame) -> None:
    rule = views.pack.layout_codes.rules["US_CFPB_SBL-014"]
    for column in ("borrower_id_us_ssn", "borrower_id_us_ein", "borrower_phone"):
        if column not in rows.columns or views.findings is None:
            continue
        number = pl.col(column).str.replace_all("[^0-9]", "")
        leaks = rows.filter((number.str.len_chars() >= 7) & pl.col("app_uid").str.contains(number, literal=True))
        for row in leaks.iter_rows(named=True):
            views.findings.append(rule.finding(table="application", field="uid", key=row["application_no"], loan_id=row["loan_id"]))
