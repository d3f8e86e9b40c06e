"""The views that records are made from: documented lists of typed columns, built once for a filing.

``loan``: the loan view with the borrower's identity numbers (``borrower_id_<scheme>``), category and provision, facility,
the day it was written off, the pack's settings (``set_*``) and the period. ``person``: each person or body that the filing
names, once, with identity numbers and roles. ``guarantor``, ``collateral_link``, ``guarantee`` (both), ``collateral``,
``disbursement``, ``relation``: links joined to their loan and people. ``table:<name>``: a table that the pack declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import polars as pl

from mloan_report.measures import Classified
from mloan_report.model.currency import currencies
from mloan_report.model.finding import Finding, Rule
from mloan_report.packs.pack import OwnTable, Pack
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.sameness import plain_number
from mloan_report.portfolio.sql import RefusedExpression, compile_sql, evaluate_one
from mloan_report.portfolio.typing import ROW
from mloan_report.position import Positions
from mloan_report.position.loan_view import loan_view

UNMAPPED = Rule(
    "MAP-001",
    "error",
    "A value without a line in the pack's map",
    "{field} is {value!r}: {map} has no code for it.",
    "The regulator's list has a code for each value; a value without one cannot be filed, and is never filed empty.",
    "Add a line for {value!r} to the map, or correct the value.",
)
SIDE_TABLE = Rule(
    "MAP-002",
    "error",
    "A pack's own table that does not fit",
    "{table}: {field} is {value!r}: {reason}.",
    "The table holds what only this regulator asks; its columns are declared by the pack.",
    "Correct the value.",
)


ENTITIES = {"person": "party_id", "collateral": "collateral_id"}
"""Views that have one row for somebody or something that several borrowers may name."""


@dataclass
class Views:
    """Builds and keeps the views of one filing."""

    pack: Pack
    portfolio: Portfolio
    positions: Positions
    classified: Classified | None
    settings: Mapping[str, str | None]
    as_of: date
    previous: Mapping[str, pl.DataFrame] | None = None
    """What the recipient last accepted, by kind of record; None where that is not known."""
    known_at: date | None = None
    made_at: datetime | None = None
    loans: pl.DataFrame | None = None
    findings: list[Finding] | None = None
    done: dict[str, pl.DataFrame] = field(default_factory=dict)

    def view(self, name: str) -> pl.DataFrame:
        """The view *name*, in the order that its records are written in."""
        if name.startswith("table:"):
            return self.own_table(name.removeprefix("table:"))
        if name not in self.done:
            hook = self.pack.hook(f"view_{name}")
            frame = hook(self) if hook else getattr(self, f"_{name}")
            more = self.pack.hook(f"enrich_{name}") if name != "loan" else None  # the loan view is enriched before it is narrowed
            frame = more(self, frame) if more else frame
            self.done[name] = self.finished(frame)
        return self.done[name]

    def forget(self) -> None:
        """Drops the views made so far, so that they are made again of other loans, and what was found in them."""
        for name in ("_guarantor", "_collateral_link", "_collateral", "_guarantee", "_disbursement", "_relation", "_person"):
            self.__dict__.pop(name, None)
        self.done.clear()
        self.findings = []

    @property
    def loan(self) -> pl.DataFrame:
        """The loan view; ``in_scope`` loans only where the filing has narrowed it."""
        return self.loans if self.loans is not None else self._all_loans

    @cached_property
    def _all_loans(self) -> pl.DataFrame:
        return self.enriched(loan_view(self.portfolio, self.positions))

    @property
    def _loan(self) -> pl.DataFrame:
        return self.loan

    def enriched(self, view: pl.DataFrame) -> pl.DataFrame:
        """A loan view with identity numbers, category, facility, write-off day, settings and period."""
        numbers = self.identity_numbers
        view = view.join(
            numbers.rename({c: f"borrower_{c}" for c in numbers.columns if c != "party_id"}),
            left_on="borrower_id",
            right_on="party_id",
            how="left",
            maintain_order="left",
        )
        if self.classified is not None:
            chosen = self.classified.loans.select(
                "loan_id", "as_of", "category", "category_own", "npl", "provision", "provision_pct", "provision_own_pct", "provision_base"
            )
            view = view.join(chosen, on=["loan_id", "as_of"], how="left", maintain_order="left")
        else:
            none = pl.lit(None, pl.Int64)
            view = view.with_columns(
                category=pl.lit(None, pl.String),
                category_own=pl.lit(None, pl.String),
                npl=pl.lit(None, pl.Boolean),
                provision=none,
                provision_pct=none,
                provision_own_pct=none,
                provision_base=none,
            )
        facilities = self.portfolio.table("facilities").select("facility_id", facility_limit_amount="limit_amount", facility_kind="kind")
        written = (
            self.portfolio.table("write_offs")
            .join(view.select("loan_id", "as_of"), on="loan_id")
            .filter((pl.col("written_off_on") <= pl.col("as_of")) & ~(pl.col("reversed_on") <= pl.col("as_of")).fill_null(False))
            .group_by("loan_id", "as_of")
            .agg(written_off_on=pl.col("written_off_on").max())
        )
        view = view.join(facilities, on="facility_id", how="left", maintain_order="left").join(
            written, on=["loan_id", "as_of"], how="left", maintain_order="left"
        )
        view = (
            view.join(self._drawdowns(view), on=["loan_id", "as_of"], how="left", maintain_order="left")
            .join(self._own_filer(view), on=["loan_id", "as_of"], how="left", maintain_order="left")
            .with_columns(
                pl.col("drawdowns").fill_null(1),
                period_start=pl.col("as_of").dt.month_start(),
                period_end=pl.col("as_of").dt.month_end(),
            )
        )
        view = view.join(self._previous_maturity(view), on=["loan_id", "as_of"], how="left", maintain_order="left")
        hook = self.pack.hook("enrich_loan")
        return hook(self, view) if hook else view

    def _previous_maturity(self, view: pl.DataFrame) -> pl.DataFrame:
        """The last due date of the schedule before the one in force."""
        ends = self.portfolio.table("instalments").group_by("loan_id", "schedule_version").agg(ends=pl.col("due_on").max())
        now = view.select("loan_id", "as_of", now="schedule_version")
        before = now.join(ends, on="loan_id").filter(pl.col("schedule_version") < pl.col("now")).sort("schedule_version")
        return before.group_by("loan_id", "as_of", maintain_order=True).agg(previous_maturity_on=pl.col("ends").last())

    def _drawdowns(self, view: pl.DataFrame) -> pl.DataFrame:
        """How many times a loan was drawn by as_of, reversed ones left out."""
        rows = self.portfolio.table("disbursements")
        undone = rows["reverses_id"].drop_nulls().implode()
        standing = rows.filter(~pl.col("disbursement_id").is_in(undone) & pl.col("reverses_id").is_null()).select("loan_id", "paid_on")
        dated = standing.join(view.select("loan_id", "as_of"), on="loan_id").filter(pl.col("paid_on") <= pl.col("as_of"))
        return dated.group_by("loan_id", "as_of").agg(drawdowns=pl.len().cast(pl.Int64))

    def _own_filer(self, view: pl.DataFrame) -> pl.DataFrame:
        """Whether we file a co-funded loan to the bureau ourselves (null where no shares are given)."""
        shares = self.portfolio.table("funding_shares").filter(pl.col("role") == "own").select("loan_id", "from_on", "to_on", "files_to_bureau")
        dated = shares.join(view.select("loan_id", "as_of"), on="loan_id").filter(
            (pl.col("from_on") <= pl.col("as_of")) & (pl.col("to_on").is_null() | (pl.col("to_on") >= pl.col("as_of")))
        )
        return dated.group_by("loan_id", "as_of").agg(own_files_to_bureau=pl.col("files_to_bureau").any())

    @cached_property
    def identity_numbers(self) -> pl.DataFrame:
        """party_id with one column a scheme the pack names (``id_sv_dui``), punctuation removed; the current primary one."""
        schemes = list(self.pack.data.get("identifiers", []))
        table = self.portfolio.table("identifiers").filter(pl.col("value").is_not_null())
        plain = table.with_columns(number=plain_number("value"))
        current = plain.filter(pl.col("status").fill_null("current") == "current").sort(pl.col("is_primary").fill_null(False), descending=True)
        out = plain.select("party_id").unique(maintain_order=True)
        for scheme in schemes:
            column = f"id_{scheme.replace('.', '_')}"
            one = current.filter(pl.col("scheme") == scheme).group_by("party_id", maintain_order=True).agg(pl.col("number").first().alias(column))
            out = out.join(one, on="party_id", how="left", maintain_order="left")
            for status in ("previous", "outdated"):
                old = plain.filter((pl.col("scheme") == scheme) & (pl.col("status") == status))
                out = out.join(
                    old.group_by("party_id", maintain_order=True).agg(pl.col("number").first().alias(f"{column}_{status}")),
                    on="party_id",
                    how="left",
                    maintain_order="left",
                )
        return out

    @cached_property
    def people(self) -> pl.DataFrame:
        """Borrowers and parties in one frame, with identity numbers; ``is_borrower`` tells them apart."""
        borrowers = self.portfolio.table("borrowers").drop(ROW).rename({"borrower_id": "party_id"}).with_columns(is_borrower=pl.lit(True))
        parties = self.portfolio.table("parties").drop(ROW).with_columns(is_borrower=pl.lit(False))
        both = pl.concat([borrowers, parties], how="diagonal").unique("party_id", keep="first", maintain_order=True)
        return both.join(self.identity_numbers, on="party_id", how="left", maintain_order="left")

    @cached_property
    def _guarantor(self) -> pl.DataFrame:
        """loan_parties that stand on as_of as guarantor or co-borrower, with loan and person (``party_*``)."""
        links = self.portfolio.table("loan_parties").drop(ROW).filter(pl.col("role").is_in(["guarantor", "co_borrower"]))
        links = links.rename({"contract_no": "guarantee_contract_no", "amount": "guarantee_amount", "from_on": "guaranteed_from_on"})
        joined = links.join(self.loan.drop("in_scope", strict=False), on="loan_id", how="inner", maintain_order="left").filter(
            (pl.col("guaranteed_from_on").is_null() | (pl.col("guaranteed_from_on") <= pl.col("as_of")))
            & (pl.col("released_on").is_null() | (pl.col("released_on") > pl.col("as_of")))
        )
        people = self.people.rename({c: f"party_{c}" for c in self.people.columns if c != "party_id"})
        return joined.join(people, on="party_id", how="left", maintain_order="left").sort("borrower_id", "loan_id", "party_id", nulls_last=True)

    @cached_property
    def _collateral_link(self) -> pl.DataFrame:
        """collateral_links with loan, collateral (``collateral_*``), its owner (``owner_*``) and the pack's own columns of it."""
        links = self.portfolio.table("collateral_links").drop(ROW).rename({"contract_no": "collateral_contract_no"})
        things = self._things
        joined = links.join(self.loan.drop("in_scope", strict=False), on="loan_id", how="inner", maintain_order="left").join(
            things, on="collateral_id", how="inner", maintain_order="left"
        )
        return joined.sort("borrower_id", "loan_id", "collateral_id", nulls_last=True)

    @cached_property
    def _things(self) -> pl.DataFrame:
        things = self.portfolio.table("collateral").drop(ROW).filter(~pl.col("status").is_in(["released", "sold"]).fill_null(False))
        things = things.rename(
            {c: f"collateral_{c}" for c in things.columns if c not in ("collateral_id", "owner_id", "currency_code")}
            | {"currency_code": "collateral_currency_code"}
        )
        extra = f"{self.pack.id}_collateral"
        if extra in self.pack.own_tables:
            things = things.join(self.own_table(extra), on="collateral_id", how="left", maintain_order="left")
        numbers = self.identity_numbers
        owners = numbers.rename({c: f"owner_{c}" for c in numbers.columns if c != "party_id"})
        return things.join(owners, left_on="owner_id", right_on="party_id", how="left", maintain_order="left")

    @cached_property
    def _collateral(self) -> pl.DataFrame:
        """Each collateral that secures a loan of the filing, once, with the first borrower whose loan it secures; ``_links`` are those loans."""
        used = self._collateral_link.group_by("collateral_id").agg(
            _links=pl.col("loan_id").unique().sort(),
            _first=pl.col("borrower_id").min(),
            as_of=pl.col("as_of").max(),
            loan_currency=pl.col("currency_code").first(),
        )
        out = self._things.join(used, on="collateral_id", how="inner", maintain_order="left")
        return (
            out.with_columns(currency_code=pl.col("collateral_currency_code").fill_null(pl.col("loan_currency"))).sort("_first", "collateral_id").drop("_first")
        )

    @cached_property
    def _guarantee(self) -> pl.DataFrame:
        """Guarantors and collateral links one under the other; ``is_person`` tells them apart."""
        persons = self._guarantor.with_columns(is_person=pl.lit(True))
        things = self._collateral_link.with_columns(is_person=pl.lit(False))
        return pl.concat([persons, things], how="diagonal").sort(
            "borrower_id",
            "loan_id",
            "is_person",
            pl.coalesce("collateral_id", "party_id") if "party_id" in persons.columns else "collateral_id",
            nulls_last=True,
        )

    @cached_property
    def _disbursement(self) -> pl.DataFrame:
        """Disbursements of the loans, as of as_of; with the loan they refinance (``old_*``) where there is one."""
        rows = self.portfolio.table("disbursements").drop(ROW).rename({"booked_on": "disbursement_booked_on", "amount": "disbursed_amount"})
        joined = rows.join(self.loan.drop("in_scope", strict=False), on="loan_id", how="inner", maintain_order="left").filter(
            (pl.col("paid_on") <= pl.col("as_of")) & pl.col("reverses_id").is_null()
        )
        everyone = self._all_loans.select(
            refinanced_loan_id="loan_id",
            old_contract_no="contract_no",
            old_status="status",
            old_settled_on="settled_on",
            old_written_off_on="written_off_on",
            old_last_paid_amount="last_paid_amount",
            old_overdue_interest="overdue_interest",
            old_accrued_interest="accrued_interest",
        )
        last = self._last_payment_parts
        joined = joined.join(everyone, on="refinanced_loan_id", how="left", maintain_order="left").join(
            last, on="refinanced_loan_id", how="left", maintain_order="left"
        )
        return joined.sort("borrower_id", "loan_id", "disbursement_id", nulls_last=True)

    @cached_property
    def _last_payment_parts(self) -> pl.DataFrame:
        paid = self.positions.payments.sort("loan_id", "paid_on")
        return (
            paid.group_by("loan_id", maintain_order=True)
            .agg(
                old_last_principal=pl.col("to_principal").filter(pl.col("paid_on") == pl.col("paid_on").max()).sum(),
                old_last_interest=pl.col("to_interest").filter(pl.col("paid_on") == pl.col("paid_on").max()).sum(),
            )
            .rename({"loan_id": "refinanced_loan_id"})
        )

    @cached_property
    def _relation(self) -> pl.DataFrame:
        """Relations of the filing's borrowers: borrower (``borrower_*``) and the related person (``party_*``)."""
        borrowers = self.loan.group_by("borrower_id", maintain_order=True).agg(
            _links=pl.col("loan_id").unique().sort(),
            as_of=pl.col("as_of").max(),
            currency_code=pl.col("currency_code").first(),
            borrower_kind=pl.col("borrower_kind").first(),
            **{c: pl.col(c).first() for c in self.loan.columns if c.startswith("borrower_id_")},
        )
        relations = self.portfolio.table("relations").drop(ROW).rename({"kind": "relation_kind", "party_id": "borrower_id", "related_id": "party_id"})
        joined = relations.join(borrowers, on="borrower_id", how="inner", maintain_order="left")
        people = self.people.rename({c: f"party_{c}" for c in self.people.columns if c != "party_id"})
        return joined.join(people, on="party_id", how="left", maintain_order="left").sort("borrower_id", "relation_kind", "party_id", nulls_last=True)

    @cached_property
    def _person(self) -> pl.DataFrame:
        """Everyone the filing names, once, with the first borrower whose loan names them: roles as flags, those loans (``_links``)."""
        named = [self.loan.select("borrower_id", party_id="borrower_id", loan_id="loan_id", role=pl.lit("borrower"))]
        rows_used = {r.rows for r in self.pack.records(self.as_of)} | {g.rows for r in self.pack.records(self.as_of) for g in r.groups}
        rows_used |= set(self.pack.data.get("names_people_of", []))  # views that the pack's own views are made from
        if rows_used & {"guarantor", "guarantee"}:
            named.append(self._guarantor.select("borrower_id", "party_id", "loan_id", role=pl.col("role")))
        if rows_used & {"collateral", "collateral_link", "guarantee"}:
            owned = self._collateral_link.filter(pl.col("owner_id").is_not_null())
            named.append(owned.select("borrower_id", party_id="owner_id", loan_id="loan_id", role=pl.lit("owner")))
        if "relation" in rows_used:
            kinds = list(self.pack.data.get("relation_kinds", []))
            related = self._relation.filter(pl.col("relation_kind").is_in(kinds) & (pl.col("borrower_kind") == "legal_entity"))
            named.append(related.explode("_links").select("borrower_id", "party_id", loan_id="_links", role=pl.lit("related")))
        roles = (
            pl.concat(named)
            .group_by("party_id")
            .agg(_links=pl.col("loan_id").unique().sort(), roles=pl.col("role").unique(), _first=pl.col("borrower_id").min())
        )
        about = self.loan.group_by("borrower_id").agg(
            business_loans=pl.col("product")
            .is_in(["personal_business", "farmer_production", "working_capital", "startup_guaranteed", "enterprise"])
            .sum()
            .cast(pl.Int64),
            loans_here=pl.len().cast(pl.Int64),
            first_loan_on=pl.col("disbursed_on").min(),
        )
        lender = (
            self.portfolio.table("relations").filter(pl.col("kind") == "related_to_lender").group_by("party_id").agg(lender_share_pct=pl.col("share_pct").max())
        )
        lender = lender.with_columns(related_to_lender=pl.lit(True))
        return (
            roles.join(self.people, on="party_id", how="left")
            .join(about, left_on="party_id", right_on="borrower_id", how="left")
            .join(lender, on="party_id", how="left")
            .with_columns(
                pl.col("business_loans", "loans_here").fill_null(0),
                pl.col("related_to_lender").fill_null(False),
                has_loan=pl.col("roles").list.contains("borrower"),
                as_of=pl.lit(self.as_of),
                currency_code=pl.col("income_currency_code").fill_null(self.portfolio.institution.currency_code),
            )
            .sort("_first", "party_id")
            .drop("roles", "_first")
        )

    def file(self, made_at: datetime, totals: Mapping[str, int]) -> pl.DataFrame:
        """The file itself, in one row: when and for whom it is made, the institution's names and numbers, and ``total_*``."""
        institution = self.portfolio.institution
        numbers = {f"institution_{i.scheme.replace('.', '_')}": i.value for i in institution.identifiers}
        contact = {f"institution_{k}": v for k, v in institution.contact.items()}
        wanted = [f"institution_{c}" for c in self.pack.data.get("institution", [])]
        row: dict[str, Any] = {
            **dict.fromkeys(wanted),
            **contact,
            **numbers,
            "institution_name": institution.local_name if self.pack.data.get("local_names") and institution.local_name else institution.name,
            "institution_country": institution.country,
            "as_of": self.as_of,
            "made_at": made_at.replace(tzinfo=None),
            "made_on": made_at.date(),
            "currency_code": institution.currency_code,
            **{f"total_{n}": v for n, v in totals.items()},
        }
        schema = dict.fromkeys(wanted, pl.String())
        return self.finished(pl.DataFrame([row], schema_overrides={c: t for c, t in schema.items() if row.get(c) is None}))

    def own_table(self, name: str) -> pl.DataFrame:
        """A table that the pack declares, typed; empty where the portfolio has none."""
        declared = self.pack.own_tables[name]
        frame, findings = type_own_table(declared, self.portfolio.extra.get(name))
        if findings and self.findings is not None:
            self.findings.extend(f for f in findings if f not in self.findings)
        return frame

    def finished(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds settings, minor digits and mapped codes; a value that a map does not know is an error finding."""
        if "currency_code" in frame.columns:
            frame = frame.with_columns(currency_digits=pl.col("currency_code").replace_strict(currencies(), default=2, return_dtype=pl.Int64))
        frame = frame.with_columns([pl.lit(v, pl.String).alias(f"set_{n}") for n, v in self.settings.items() if f"set_{n}" not in frame.columns])
        frame = self._mapped(frame)
        for d in self.pack.data.get("derive", []):
            try:
                expression = compile_sql(d["value"], frame.columns, self.pack.functions)
            except RefusedExpression:
                continue  # a view that lacks the columns has no use for it; the record that needs it says so
            frame = frame.with_columns(evaluate_one(frame, expression).alias(d["name"]))
        return frame

    def _mapped(self, frame: pl.DataFrame) -> pl.DataFrame:
        for m in self.pack.maps:
            if m.column not in frame.columns or m.into in frame.columns:
                continue
            dtype = pl.Int64 if m.whole else pl.String
            values: dict[str, Any] = {k: int(v) if m.whole else v for k, v in m.values.items()}
            frame = frame.with_columns(pl.col(m.column).cast(pl.String).replace_strict(values, default=None, return_dtype=dtype).alias(m.into))
            unknown = frame.filter(pl.col(m.column).is_not_null() & pl.col(m.into).is_null())
            if unknown.height and self.findings is not None:
                self._report_unmapped(unknown, m.column, m.file)
        return frame

    def _report_unmapped(self, unknown: pl.DataFrame, column: str, file: str) -> None:
        assert self.findings is not None
        key = "loan_id" if "loan_id" in unknown.columns else "party_id" if "party_id" in unknown.columns else None
        for row in unknown.iter_rows(named=True):
            loans = [row["loan_id"]] if row.get("loan_id") else row.get("_links") or [None]
            for loan in loans:
                finding = UNMAPPED.finding(field=column, value=str(row[column]), key=str(row[key]) if key else None, loan_id=loan, map=f"codes/{file}")
                if finding not in self.findings:
                    self.findings.append(finding)


_OWN_TYPES: dict[str, pl.DataType] = {"text": pl.String(), "date": pl.Date(), "amount": pl.Int64(), "percent": pl.Int64(), "whole": pl.Int64()}


def type_own_table(declared: OwnTable, raw: pl.DataFrame | None) -> tuple[pl.DataFrame, list[Finding]]:
    """A side table typed by its declaration. Amounts are in major units with two decimals at most, kept as cents."""
    schema = {name: _OWN_TYPES[kind] for name, (kind, _, _) in declared.columns.items()}
    if raw is None:
        return pl.DataFrame(schema=schema), []
    findings: list[Finding] = []
    columns = []
    for name, (kind, required, _) in declared.columns.items():
        text = raw[name].cast(pl.String) if name in raw.columns else pl.Series(name, [None] * raw.height, dtype=pl.String)
        text = pl.select(pl.when(text != "").then(text)).to_series()
        column = _typed_own(kind, text)
        bad = text.is_not_null() & column.is_null()
        if required:
            bad = bad | text.is_null()
        for i in bad.arg_true().to_list():
            findings.append(
                SIDE_TABLE.finding(table=declared.name, field=name, value=text[i], row=i + 2, reason="required" if text[i] is None else f"not a {kind}")
            )
        columns.append(column.alias(name))
    return pl.DataFrame(columns), findings


def _typed_own(kind: str, text: pl.Series) -> pl.Series:
    if kind == "date":
        return text.str.to_date("%Y-%m-%d", strict=False)
    if kind == "whole":
        return text.cast(pl.Int64, strict=False)
    if kind in ("amount", "percent"):
        digits = 2 if kind == "amount" else 7
        ok = text.str.contains(rf"^-?[0-9]{{1,13}}(\.[0-9]{{1,{digits}}})?$")
        good = pl.select(pl.when(ok).then(text)).to_series()
        whole = good.str.extract(r"^-?([0-9]+)", 1).cast(pl.Int64)
        fraction = good.str.extract(r"\.([0-9]+)$", 1).fill_null("").str.pad_end(digits, "0").cast(pl.Int64)
        value = whole * 10**digits + fraction
        return pl.select(pl.when(good.str.starts_with("-")).then(-value).otherwise(value)).to_series()
    return text
