"""A made-up loan book: borrowers, and one loan after another, each with a story (current, late at each age, restructured ...).

Everything is drawn from one generator in a fixed order, so that a seed gives the same book on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from mloan_report.schedule import PlanTerms, add_months, due_dates, repayment_plan
from mloan_report.testing.sample.country import Country, Row

STORIES = (
    "current",
    "current",
    "current",
    "settled",
    "late_10",
    "current",
    "guaranteed",
    "settled_early",
    "current",
    "late_40",
    "collateral",
    "current",
    "new",
    "late_75",
    "current",
    "extended",
    "business",
    "settled",
    "late_120",
    "current",
    "written_off",
    "restructured",
    "current",
    "guaranteed",
    "late_200",
    "enterprise",
    "current",
    "co_lent",
    "reversed",
    "settled_early",
    "late_400",
    "current",
    "recovered",
    "holiday",
    "refinanced",
    "current",
    "sold",
    "revolving",
    "recovered_this_month",
    "court",
    "drawdowns",
    "paid_by_guarantor",
    "enterprise_late",
    "interest_only",
    "current",
    "settled_now",
    "line",
)
"""One after another over the loans: in 150 loans each happens at least three times."""

BUSINESS = ("business", "enterprise", "enterprise_late", "collateral")


@dataclass
class SampleBook:
    """The rows of every table, as text."""

    tables: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, table_name: str, /, **row: object) -> None:
        """One row; None and empty values are left out."""
        self.tables.setdefault(table_name, []).append({k: str(v) for k, v in row.items() if v is not None})


def make_book(loans: int, country: Country, seed: int, as_of: date) -> SampleBook:
    """A book of *loans* loans at *as_of*."""
    rng = Random(f"{country.code}-{seed}")
    book = SampleBook()
    maker = _Maker(book, country, rng, as_of)
    maker.institution_tables()
    for number in range(1, loans + 1):
        maker.loan(number, STORIES[(number - 1) % len(STORIES)])
    country.finish(book, as_of)
    return book


@dataclass
class _Maker:
    book: SampleBook
    country: Country
    rng: Random
    as_of: date
    parties: int = 0
    borrower_of: dict[str, str] = field(default_factory=dict)
    last_person: str = ""

    def institution_tables(self) -> None:
        c, add = self.country, self.book.add
        year_end = date(self.as_of.year - 1, 12, 31)
        for n, (district, region) in enumerate(c.branches, start=1):
            add("branches", branch_id=f"BR{n:02d}", name=f"Branch {n}", district_code=district, region_code=region, address=f"Main street {n}")
        for day in (year_end, self.as_of):
            add(
                "financials",
                as_of=day,
                scope="solo",
                audited="true" if day == year_end else "false",
                currency_code=c.currency,
                net_assets="50000000.00",
                regulatory_capital="48000000.00",
                risk_weighted_assets="60000000.00",
                total_assets="90000000.00",
                total_liabilities="40000000.00",
                paid_in_capital="30000000.00",
                provision_balance="1500000.00",
                nonstandard_financing="20000000.00",
                standardised_financing="0.00",
                undrawn_commitments="100000.00",
                off_balance_guarantees="0.00",
                interest_income="9000000.00",
                fee_income="500000.00",
                operating_expense="4000000.00",
                funding_expense="1000000.00",
                impairment_expense="800000.00",
                credit_officers=24,
            )
        add(
            "ledger_balances",
            as_of=self.as_of,
            account="1141",
            title="Loans",
            branch_id="BR01",
            currency_code=c.currency,
            balance="1000000.00",
            maps_to="on_book_principal",
        )
        add(
            "exchange_rates",
            currency_code="USD" if c.currency != "USD" else "EUR",
            to_currency_code=c.currency,
            as_of=self.as_of,
            rate="7.1034" if c.currency != "USD" else "1.0832",
        )
        for months in (12, 0):
            add("reference_rates", code="LPR_1Y", as_of=add_months(self.as_of.replace(day=20), -months), rate_pct="3.1")
        add("benchmarks", ratio_id="par_30", as_of=year_end, peer_group=f"{c.code}-MFI", value="0.056", source="made up")
        add(
            "adjustments",
            adjustment_id="ADJ-1",
            table="branches",
            key="BR02",
            field="name",
            old_value="Branch 2",
            new_value="Branch 2 North",
            reason="renamed",
            entered_by="ana",
            approved_by="luis",
            entered_on=self.as_of,
            valid_to=add_months(self.as_of, 12),
        )

    # People

    def person(self, number: int, table: str = "borrowers", story: str = "") -> str:
        rng, c = self.rng, self.country
        enterprise = story.startswith("enterprise")
        sex = rng.choice(("female", "male"))
        born = birth_date(number)
        row, numbers = c.company(rng, number) if enterprise else c.person(rng, number, born, sex)
        party_id = f"B{number:06d}" if table == "borrowers" else f"P{number:06d}"
        since = date(2022, 1, 1) + timedelta(days=number % 500)
        if enterprise:
            row |= {"founded_on": "2015-06-01", "enterprise_size": "small", "is_new_enterprise": "false"}
        if table == "parties":
            self.book.add("parties", party_id=party_id, kind="legal_entity" if enterprise else "natural_person", **row)
        else:
            self._borrower(number, party_id, row, since, story)
        for i, entry in enumerate(numbers):
            self.book.add(
                "identifiers",
                party_id=party_id,
                is_primary="true" if i == 0 else "false",
                status="current",
                issued_on="2016-03-07",
                expires_on="2036-03-07",
                **entry,
            )
        return party_id

    def _borrower(self, number: int, party_id: str, row: Row, since: date, story: str) -> None:
        rng = self.rng
        common = {
            "annual_income": f"{rng.randint(40, 90) * 100 * self.country.scale}.00",
            "annual_revenue": f"{rng.randint(200, 900) * 100 * self.country.scale}.00",
            "taxed_income": f"{rng.randint(30, 40) * 100 * self.country.scale}.00",
            "income_currency_code": self.country.currency,
            "income_assessed_on": since + timedelta(days=20),
            "customer_since_on": since,
            "branch_id": f"BR{1 + number % 2:02d}",
            "household_id": f"H{number:05d}",
            "household_annual_income": f"{rng.randint(60, 120) * 100 * self.country.scale}.00",
            "household_monthly_expense": f"{rng.randint(2, 5) * 100 * self.country.scale}.00",
            "employees": 1 + number % 8,
        }
        if story.startswith("enterprise"):
            self.book.add("borrowers", borrower_id=party_id, kind="legal_entity", segment="small_enterprise", **row, **common)
            return
        kind = "sole_trader" if story in BUSINESS else "natural_person"
        married = number % 3 == 0
        spouse = None
        spouse_name = None
        if married:
            self.parties += 1
            spouse = self.person(70_000_000 + self.parties, "parties")
            spouse_name = self.book.tables["parties"][-1]["name"]
        jobs = ("clerk", "worker", "self_employed", "professional", "manager", "farmer", "freelance")
        job = "self_employed" if kind == "sole_trader" else jobs[number % len(jobs)]
        employed = job in ("clerk", "worker", "professional", "manager")
        place = row["district_code"]
        employer: dict[str, object] = {}
        if employed:
            employer = {
                "employer_name": f"Employer {number % 17}",
                "employer_kind": ("private_enterprise", "public_institution", "state_enterprise")[number % 3],
                "employer_industry_code": "C",
                "employer_address": f"Industry road {number}",
                "employer_postal_code": "100010",
                "employer_district_code": place,
                "employer_phone": "01065009876",
                "employed_since_year": 2010 + number % 12,
                "job_title": "ordinary",
                "professional_title": "none",
            }
        education = ("senior_secondary", "bachelor", "junior_college", "primary", "postgraduate")[number % 5]
        degree = {"bachelor": "bachelor", "postgraduate": "master"}.get(education, "none")
        updated = since + timedelta(days=10)
        self.book.add(
            "borrowers",
            borrower_id=party_id,
            kind=kind,
            marital_status="married" if married else "single",
            spouse_name=spouse_name,
            spouse_id=spouse,
            education=education,
            degree=degree,
            employment_status=job,
            housing_status=("owned", "rented", "mortgaged", "relatives_home")[number % 4],
            home_phone="01065005555",
            registered_address=row["address"],
            registered_district_code=place,
            mailing_address=row["address"],
            mailing_postal_code="100010",
            mailing_district_code=place,
            segment="microenterprise" if kind == "sole_trader" else "consumer",
            enterprise_size="micro" if kind == "sole_trader" else None,
            is_new_enterprise="false" if kind == "sole_trader" else None,
            group_kind="jlg" if number % 40 == 7 else None,
            identity_updated_on=updated,
            spouse_updated_on=updated,
            education_updated_on=updated,
            employment_updated_on=updated,
            housing_updated_on=updated,
            mailing_updated_on=updated,
            income_updated_on=updated,
            **row,
            **common,
            **employer,
        )
        if spouse:
            self.book.add("relations", party_id=party_id, related_id=spouse, kind="spouse", from_on=since)
        if number % 7 == 0:
            self.book.add("bank_accounts", party_id=party_id, number=card_number(number), kind="card", bank="ICBC", purpose="repayment")
            self.book.add(
                "party_events",
                party_id=party_id,
                kind="moved",
                occurred_on=since,
                booked_on=since,
                old_value="Old street 1",
                new_value=row["address"],
                reference=f"EV-{number}",
                loan_id=f"L{number:06d}",
            )
        if number % 5 == 0:
            withdrawn = self.as_of if number % 50 == 0 else None
            self.book.add("consents", party_id=party_id, kind="bureau_report", given_on=since, withdrawn_on=withdrawn, reference=f"C-{number}")
            self.book.add(
                "external_debts",
                borrower_id=party_id,
                source="bureau",
                as_of=since,
                lender="Other lender",
                balance="350.00",
                overdue="0.00",
                days_past_due=0,
                category="1",
                instalment="40.00",
                currency_code=self.country.currency,
            )

    # Loans

    def loan(self, number: int, story: str) -> None:
        rng = self.rng
        if story in ("refinanced",) or (number % 9 == 5 and self.last_person and not story.startswith("enterprise")):
            borrower = self.last_person or self.person(number, story=story)
        else:
            borrower = self.person(number, story=story)
            if not story.startswith("enterprise"):
                self.last_person = borrower
        loan_id = f"L{number:06d}"
        amount = rng.randint(5, 60) * 1000 * self.country.scale // 10 * 10 * 100 // 10
        _Story(self, number, story, borrower, loan_id, amount).tell()

    def guarantor(self, story: str = "") -> str:
        self.parties += 1
        return self.person(80_000_000 + self.parties, "parties", story)


@dataclass
class _Story:
    maker: _Maker
    number: int
    story: str
    borrower: str
    loan_id: str
    principal: int
    changed: bool = False

    def tell(self) -> None:
        term, disbursed, target = self._shape()
        _m, rng = self.maker, self.maker.rng
        rate = Decimal(rng.choice(("18", "15.4", "20", "23.5")))
        method = "interest_only_bullet" if self.story == "interest_only" else "equal_principal" if self.number % 11 == 0 else "equal_instalment"
        first_due = add_months(disbursed, 1)
        dues = due_dates(first_due, term)
        rows = _plan_rows(self.principal, rate, term, method)
        status, status_on, reason = "active", disbursed, None
        payments = list(self._payments(dues, rows, target))
        outcome = self._events(disbursed, dues, rows, payments, rate)
        if outcome is not None:
            status, status_on, reason = outcome
        self._loan_row(disbursed, dues, rate, method, status, status_on, reason)
        if rows:
            self._instalments(dues, rows)
        for i, (on, principal, interest, kind) in enumerate(payments, start=1):
            self._repayment(i, on, principal, interest, kind)
        if self.story not in ("drawdowns", "refinanced", "line") and self.number % 4 == 0:
            self._disbursement(1, disbursed, self.principal)
        self._application(disbursed)
        if self.number % 6 == 0:
            self._charge(disbursed)
        self._given(disbursed)

    def _given(self, disbursed: date) -> None:
        """The lender's own figures of new loans, a declined application, a reversed draw, a rating of a late loan."""
        add, as_of = self.maker.book.add, self.maker.as_of
        if self.story == "new":
            whole = _money(self.principal)
            none = dict.fromkeys(("overdue_principal", "overdue_interest", "overdue_amount"), "0.00")
            add("positions", loan_id=self.loan_id, as_of=as_of, claim_principal=whole, on_book_principal=whole, days_past_due=0, **none)
            add(
                "applications",
                application_id=f"N{self.number:06d}",
                borrower_id=self.borrower,
                applied_on=disbursed - timedelta(days=90),
                currency_code=self.maker.country.currency,
                decision="declined",
                decided_on=disbursed - timedelta(days=85),
                decline_reasons="income",
            )
        if self.story == "late_120":
            since = as_of - timedelta(days=20)
            add(
                "classifications",
                loan_id=self.loan_id,
                regime=self.maker.country.regime,
                as_of=since,
                known_at=since,
                category=self.maker.country.category_late,
                reasons="own review",
                since_on=since,
                npa_since_on=since,
                provision="0.00",
                source="auditor",
            )

    def _shape(self) -> tuple[int, date, int | None]:
        """Term in months, day of disbursement, and how many days past due the loan is to be (None: pays on time)."""
        as_of, rng = self.maker.as_of, self.maker.rng
        late = {
            "late_10": 10,
            "late_40": 40,
            "late_75": 75,
            "late_120": 120,
            "late_200": 200,
            "late_400": 400,
            "written_off": 420,
            "recovered": 430,
            "court": 150,
            "enterprise_late": 100,
        }
        if self.story == "new":
            return 12, as_of.replace(day=min(as_of.day, 1 + self.number % 27)), None
        if self.story in ("settled", "settled_now"):
            ended = add_months(as_of, -3) if self.story == "settled" else as_of
            day = ended.replace(day=1 + self.number % 20)
            return 6, add_months(day, -6), None
        if self.story in late:
            days = late[self.story] + self.number % 3
            due = as_of - timedelta(days=days)
            if due.day > 28:
                due = due.replace(day=28)
            before = 3 + self.number % 3
            return 24 if days > 300 else 18, add_months(due, -before), days
        months = 2 + self.number % 8
        return 12, add_months(as_of, -months).replace(day=1 + rng.randrange(26)), None

    def _payments(self, dues: list[date], rows: list[tuple[int, int]], target: int | None) -> Iterator[tuple[date, int, int, str]]:
        as_of = self.maker.as_of
        for i, (due, (principal, interest)) in enumerate(zip(dues, rows, strict=True)):
            if due > as_of:
                return
            if target is not None and (as_of - due).days <= target + 4:
                return
            if self.story == "recovered_this_month" and i >= 1 and due < as_of - timedelta(days=20) and dues[i] >= add_months(as_of, -2):
                yield as_of - timedelta(days=min(9, as_of.day - 1)), principal, interest, "scheduled"
                continue
            if self.story == "paid_by_guarantor" and due >= add_months(as_of, -1):
                return
            delay = 2 if (self.number + i) % 13 == 0 and due + timedelta(days=2) <= as_of and due.month == (due + timedelta(days=2)).month else 0
            yield due + timedelta(days=delay), principal, interest, "scheduled"

    def _events(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None] | None:
        handler = getattr(self, f"_{self.story}", None)
        if handler is not None:
            return handler(disbursed, dues, rows, payments, rate)  # type: ignore[no-any-return]
        return None

    def _settled(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None]:
        return "settled", payments[-1][0], "paid off"

    _settled_now = _settled

    def _settled_early(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None]:
        left = sum(p for p, _ in rows) - sum(p[1] for p in payments)
        last = payments[-1][0] if payments else disbursed
        on = min(last + timedelta(days=9), self.maker.as_of)
        interest = rows[len(payments)][1] * 9 // 30 if len(payments) < len(rows) else 0
        payments.append((on, left, interest, "payoff"))
        return "settled", on, "paid early"

    def _guaranteed(self, disbursed: date, *_: object) -> None:
        self._guarantor("guarantor", disbursed)

    def _paid_by_guarantor(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> None:
        self._guarantor("guarantor", disbursed)
        if len(payments) < len(dues) and dues[len(payments)] <= self.maker.as_of:
            principal, interest = rows[len(payments)]
            payments.append((self.maker.as_of, principal // 2, interest, "guarantor"))

    def _collateral(self, disbursed: date, *_: object) -> None:
        self._pledge(("vehicle", "residential_property", "cash_deposit")[self.number % 3], disbursed)

    def _business(self, disbursed: date, *_: object) -> None:
        self._pledge("machinery", disbursed)

    def _enterprise(self, disbursed: date, *_: object) -> None:
        for kind, share, code in (("partner", "60", None), ("director", None, "01")):
            other = self.maker.guarantor()
            self.maker.book.add(
                "relations",
                party_id=self.borrower,
                related_id=other,
                kind=kind,
                share_pct=share,
                position_code=code,
                from_on="2020-01-01",
                to_on="2030-12-31" if code else None,
            )

    def _enterprise_late(self, disbursed: date, *rest: object) -> None:
        self._enterprise(disbursed)

    def _line(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        """A revolving line: statements take the place of instalments; every minimum was paid."""
        del rows[:]
        del payments[:]
        add, line = self.maker.book.add, f"F{self.number:06d}"
        add(
            "facilities",
            facility_id=line,
            borrower_id=self.borrower,
            kind="revolving",
            limit_amount=_money(self.principal * 2),
            currency_code=self.maker.country.currency,
            from_on=disbursed,
            booked_on=disbursed,
        )
        closed = f"G{self.number:06d}"
        add(
            "facilities",
            facility_id=closed,
            borrower_id=self.borrower,
            kind="revolving",
            limit_amount=_money(self.principal),
            currency_code=self.maker.country.currency,
            from_on=disbursed,
            cancelled_on=add_months(disbursed, 1),
            booked_on=disbursed,
            shares_limit_with=line,
        )
        balance = self.principal
        for i in range(1, 4):
            bill = add_months(disbursed.replace(day=1), i)
            due = bill + timedelta(days=19)
            if due > self.maker.as_of:
                break
            minimum = balance // 10
            add("statements", facility_id=line, statement_on=bill, due_on=due, closing_balance=_money(balance), minimum_due=_money(minimum), booked_on=bill)
            payments.append((due, minimum, 0, "scheduled"))
            balance -= minimum

    def _extended(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        self._new_version("extended", "term", disbursed, dues, rows, payments, rate, extra=3, difficulty=False)

    def _restructured(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        self._new_version("restructured", "term", disbursed, dues, rows, payments, rate, extra=6, difficulty=True)

    def _holiday(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        keep = max(1, len(payments) - 1)
        del payments[keep:]
        start = dues[keep] if keep < len(dues) else dues[-1]
        self.maker.book.add(
            "payment_holidays",
            loan_id=self.loan_id,
            from_on=start,
            to_on=add_months(self.maker.as_of, 1),
            booked_on=start,
            defers="both",
            interest="accrues",
            days_past_due="frozen",
            granted_by="lender",
            programme_code="FLOOD",
        )
        self.maker.book.add("arrears_flags", loan_id=self.loan_id, from_on=start, to_on=start + timedelta(days=2), booked_on=start, kind="operational_delay")

    def _written_off(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None]:
        on = add_months(self.maker.as_of, -2)
        left = self.principal - sum(p[1] for p in payments)
        if self.number % 2 == 0:
            self.maker.book.add(
                "write_offs",
                loan_id=self.loan_id,
                number=9,
                written_off_on=add_months(on, -2),
                booked_on=add_months(on, -2),
                principal=_money(left // 4),
                interest="0.00",
                fees="0.00",
                claim_kept="true",
                reversed_on=add_months(on, -1),
            )
        self.maker.book.add(
            "write_offs",
            loan_id=self.loan_id,
            number=1,
            written_off_on=on,
            booked_on=on,
            principal=_money(left),
            interest="0.00",
            fees="0.00",
            claim_kept="true",
            reversed_on=None,
        )
        return "written_off", on, "loss"

    def _recovered(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None]:
        result = self._written_off(disbursed, dues, rows, payments, rate)
        payments.append((add_months(self.maker.as_of, -1), rows[len(payments)][0], 0, "recovery_after_write_off"))
        return result

    def _court(self, *_: object) -> None:
        self.changed = True

    def _co_lent(self, disbursed: date, *_: object) -> None:
        for funder, role, share, on in (("SELF", "own", "40", "true"), ("BANK-A", "partner", "60", "false")):
            self.maker.book.add(
                "funding_shares",
                loan_id=self.loan_id,
                funder_id=funder,
                role=role,
                share_pct=share,
                from_on=disbursed,
                to_on=add_months(disbursed, 48),
                booked_on=disbursed,
                on_balance=on,
                files_to_bureau=on,
                loss_cover_pct="20" if role == "partner" else "0",
            )

    def _reversed(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        if not payments:
            return
        on, principal, interest, _ = payments[0]
        add = self.maker.book.add
        for suffix, kind, back in (("X", "scheduled", None), ("Y", "reversal", f"R{self.number:06d}-X")):
            add(
                "repayments",
                repayment_id=f"R{self.number:06d}-{suffix}",
                loan_id=self.loan_id,
                paid_on=on,
                booked_on=on,
                amount=_money(principal + interest),
                principal_paid=_money(principal),
                interest_paid=_money(interest),
                fees_paid="0.00",
                penalty_paid="0.00",
                kind=kind,
                reverses_id=back,
                payer_name="ANONYMOUS",
            )

    def _refinanced(self, disbursed: date, *_: object) -> None:
        loans = self.maker.book.tables.get("loans", [])
        old = next((x for x in reversed(loans) if x["borrower_id"] == self.borrower), None)
        self._disbursement(2, disbursed, self.principal, refinances=old["loan_id"] if old else None)

    def _drawdowns(self, disbursed: date, *_: object) -> None:
        half = self.principal // 2
        self._disbursement(1, disbursed, half)
        wrong = {"loan_id": self.loan_id, "paid_on": disbursed, "booked_on": disbursed, "amount": _money(half), "payee_kind": "borrower"}
        self.maker.book.add("disbursements", disbursement_id=f"D{self.number:06d}-8", **wrong)
        self.maker.book.add("disbursements", disbursement_id=f"D{self.number:06d}-9", reverses_id=f"D{self.number:06d}-8", **wrong)
        self._disbursement(2, disbursed + timedelta(days=10), self.principal - half)

    def _sold(
        self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal
    ) -> tuple[str, date, str | None]:
        left = self.principal - sum(p[1] for p in payments)
        on = self.maker.as_of - timedelta(days=3)
        del payments[sum(1 for p in payments if p[0] <= on) :]
        left = self.principal - sum(p[1] for p in payments)
        buyer = self.maker.guarantor("enterprise")
        self.maker.book.add(
            "transfers",
            transfer_id=f"T{self.number:06d}",
            loan_id=self.loan_id,
            direction="out",
            transferred_on=on,
            booked_on=on,
            counterparty_id=buyer,
            counterparty_kind="asset_manager",
            share_pct="100",
            principal=_money(left),
            price=_money(left * 9 // 10),
            derecognised="true",
            servicing_kept="false",
            original_creditor="Sample lender",
            original_account_no=self.loan_id,
        )
        return "transferred", on, "sold"

    def _revolving(self, disbursed: date, dues: list[date], rows: list[tuple[int, int]], payments: list[tuple[date, int, int, str]], rate: Decimal) -> None:
        self.maker.book.add(
            "facilities",
            facility_id=f"F{self.number:06d}",
            borrower_id=self.borrower,
            kind="non_revolving",
            limit_amount=_money(self.principal * 2),
            currency_code=self.maker.country.currency,
            from_on=disbursed,
            to_on=add_months(disbursed, 24),
            booked_on=disbursed,
            shares_limit_with=None,
            cancelled_on=None,
        )

    def _new_version(
        self,
        reason: str,
        kind: str,
        disbursed: date,
        dues: list[date],
        rows: list[tuple[int, int]],
        payments: list[tuple[date, int, int, str]],
        rate: Decimal,
        *,
        extra: int,
        difficulty: bool,
    ) -> None:
        """Replaces what is left of the schedule from the day after the last payment due before a month ago."""
        as_of, add = self.maker.as_of, self.maker.book.add
        keep = max(1, len(payments) - 2)
        del payments[keep:]
        on = payments[-1][0] + timedelta(days=5)
        left = self.principal - sum(p[1] for p in payments)
        count = len(rows) - keep + extra
        new_rate = rate - 1
        new_rows = _plan_rows(left, new_rate, count, "equal_instalment")
        new_dues = due_dates(add_months(dues[keep - 1], 1), count)
        for version, day, why in ((1, disbursed, "origination"), (2, on, reason)):
            add(
                "schedules",
                loan_id=self.loan_id,
                schedule_version=version,
                effective_on=day,
                booked_on=day,
                reason=why,
                carried_oldest_due_on=dues[keep - 1] if version == 2 and not difficulty else None,
                carried_arrears_principal="0.00" if version == 2 else None,
                carried_arrears_interest="0.00" if version == 2 else None,
            )
        for i, (due, (principal, interest)) in enumerate(zip(new_dues, new_rows, strict=True), start=1):
            add(
                "instalments",
                loan_id=self.loan_id,
                schedule_version=2,
                number=i,
                due_on=due,
                principal_due=_money(principal),
                interest_due=_money(interest),
                fees_due="0.00",
            )
            if due <= as_of:
                payments.append((due, principal, interest, "scheduled"))
        add("rates", loan_id=self.loan_id, from_on=on, booked_on=on, annual_rate_pct=new_rate, base_rate_code="LPR_1Y", margin_pct="3")
        add(
            "restructurings",
            loan_id=self.loan_id,
            number=1,
            agreed_on=on,
            booked_on=on,
            kind=kind,
            financial_difficulty="true" if difficulty else "false",
            old_loan_ids=self.loan_id if difficulty else None,
            days_past_due_before=0,
            category_before=self.maker.country.category_before,
            principal_forgiven="0.00",
            interest_forgiven="0.00",
            arrears_capitalised="0.00",
            probation_until=add_months(on, 12) if difficulty else None,
            cured_on=None if difficulty else on,
        )

    # Rows

    def _loan_row(self, disbursed: date, dues: list[date], rate: Decimal, method: str, status: str, status_on: date, reason: str | None) -> None:
        m, c = self.maker, self.maker.country
        business = self.story in BUSINESS
        product = (
            "enterprise"
            if self.story.startswith("enterprise")
            else "personal_business"
            if business
            else ("personal_consumption", "vehicle", "farmer_production")[self.number % 3 if self.number % 5 == 0 else 0]
        )
        mode = {
            "guaranteed": "guaranteed",
            "paid_by_guarantor": "guaranteed",
            "collateral": "pledged" if self.number % 3 == 2 else "mortgaged",
            "business": "mortgaged",
        }.get(self.story, "unsecured")
        m.book.add(
            "loans",
            loan_id=self.loan_id,
            borrower_id=self.borrower,
            contract_no=f"CR-{disbursed.year}-{self.number:06d}",
            facility_id=f"F{self.number:06d}" if self.story in ("revolving", "line") else None,
            application_id=f"A{self.number:06d}",
            product=product,
            product_code="MC12",
            product_scheme="lender",
            purpose_code=c.purpose[0],
            purpose_scheme=c.purpose[1],
            use_industry_code=c.industry[0],
            use_industry_scheme=c.industry[1],
            use_region_code=c.use_region,
            use_country=c.code,
            currency_code=c.currency,
            principal=_money(self.principal),
            contract_on=disbursed,
            disbursed_on=disbursed,
            first_due_on=dues[0],
            matures_on=dues[-1],
            finance_kind="interest",
            annual_rate_pct=rate,
            rate_type="variable" if self.number % 10 == 0 else "fixed",
            base_rate_code="LPR_1Y" if self.number % 10 == 0 else None,
            margin_pct="12" if self.number % 10 == 0 else None,
            day_count="30/360",
            penalty_rate_pct=rate * 3 / 2,
            grace_days=3 if self.number % 8 == 0 else None,
            effective_rate_pct=rate + Decimal("2.5"),
            repayment_method=method,
            repayment_frequency="monthly",
            interest_frequency="monthly",
            guarantee_mode=mode,
            other_security="none",
            channel=("branch", "online", "partner")[self.number % 3],
            branch_id=f"BR{1 + self.number % 2:02d}",
            officer_id=f"O{self.number % 12:02d}",
            previous_loan_id=f"L{self.number - 1:06d}" if self.story == "refinanced" else None,
            loan_cycle=1 + self.number % 4,
            payroll_deduction="false",
            pledged_to=c.pledged_to if self.number % 23 == 0 else None,
            funding_source_code=c.funding_source,
            intended_for_transfer="false",
            first_home="false",
            status=status,
            status_on=status_on,
            status_booked_on=status_on,
            status_reason=reason,
            accrual_stopped_on=add_months(m.as_of, -1) if self.story in ("late_200", "late_400") else None,
            bad_debt_recognised_on=add_months(m.as_of, -3) if self.story == "late_400" else None,
            court_stage="filed" if self.changed else None,
            court_filed_on=add_months(m.as_of, -1) if self.changed else None,
        )
        if self.number % 12 == 0 and status == "active":
            m.book.add(
                "classifications",
                loan_id=self.loan_id,
                regime=c.regime,
                as_of=add_months(m.as_of, -1),
                known_at=m.as_of,
                category=c.category_first,
                reasons="own review",
                since_on=disbursed,
                npa_since_on=None,
                provision="0.00",
                source="lender",
            )

    def _instalments(self, dues: list[date], rows: list[tuple[int, int]]) -> None:
        for i, (due, (principal, interest)) in enumerate(zip(dues, rows, strict=True), start=1):
            self.maker.book.add(
                "instalments",
                loan_id=self.loan_id,
                schedule_version=1,
                number=i,
                due_on=due,
                principal_due=_money(principal),
                interest_due=_money(interest),
                fees_due="0.00",
            )

    def _repayment(self, number: int, on: date, principal: int, interest: int, kind: str) -> None:
        split = self.number % 5 != 1 or kind != "scheduled"
        self.maker.book.add(
            "repayments",
            repayment_id=f"R{self.number:06d}-{number:02d}",
            loan_id=self.loan_id,
            paid_on=on,
            booked_on=on,
            amount=_money(principal + interest),
            principal_paid=_money(principal) if split else None,
            interest_paid=_money(interest) if split else None,
            fees_paid="0.00" if split else None,
            penalty_paid="0.00" if split else None,
            kind=kind,
            payer_name="ANONYMOUS" if kind != "scheduled" else None,
        )

    def _disbursement(self, number: int, on: date, amount: int, refinances: str | None = None) -> None:
        self.maker.book.add(
            "disbursements",
            disbursement_id=f"D{self.number:06d}-{number}",
            loan_id=self.loan_id,
            paid_on=on,
            booked_on=on,
            amount=_money(amount),
            net_paid_amount=_money(amount),
            payee_kind="borrower",
            payee_name="BORROWER",
            refinanced_loan_id=refinances,
            use_code="001",
            use_verified_on=on + timedelta(days=20),
        )

    def _application(self, disbursed: date) -> None:
        applied = disbursed - timedelta(days=7)
        self.maker.book.add(
            "applications",
            application_id=f"A{self.number:06d}",
            borrower_id=self.borrower,
            applied_on=applied,
            product="personal_consumption",
            channel="branch",
            purpose_code="100099",
            amount_applied=_money(self.principal),
            currency_code=self.maker.country.currency,
            decision="approved",
            decided_on=disbursed,
            amount_approved=_money(self.principal),
            loan_id=self.loan_id,
            decline_reasons=None,
        )

    def _charge(self, disbursed: date) -> None:
        self.maker.book.add(
            "charges",
            charge_id=f"X{self.number:06d}",
            loan_id=self.loan_id,
            kind="processing",
            payee="lender",
            assessed_on=disbursed,
            booked_on=disbursed,
            due_on=disbursed,
            amount="10.00",
            withheld_at_disbursement="true",
            in_annual_rate="true",
        )
        if self.number % 12 == 0 and disbursed + timedelta(days=45) <= self.maker.as_of:
            self.maker.book.add(
                "charges",
                charge_id=f"Y{self.number:06d}",
                loan_id=self.loan_id,
                kind="late_penalty",
                payee="lender",
                assessed_on=disbursed + timedelta(days=40),
                booked_on=disbursed + timedelta(days=40),
                due_on=disbursed + timedelta(days=40),
                amount="2.50",
                withheld_at_disbursement="false",
                waived_on=disbursed + timedelta(days=45),
                waived_amount="2.50",
                in_annual_rate="false",
            )

    def _guarantor(self, role: str, disbursed: date) -> None:
        person = self.maker.guarantor()
        self.maker.book.add(
            "loan_parties",
            loan_id=self.loan_id,
            party_id=person,
            role=role,
            share_pct="100",
            liability="up_to_amount",
            amount=_money(self.principal),
            from_on=disbursed,
            booked_on=disbursed,
            contract_no=f"G-{self.number:06d}",
            released_on=add_months(self.maker.as_of, 14) if self.number % 2 else None,
        )

    def _pledge(self, kind: str, disbursed: date) -> None:
        value = _money(self.principal // 2)
        self.maker.book.add(
            "collateral",
            collateral_id=f"C{self.number:06d}",
            owner_id=self.borrower,
            kind=kind,
            value=value,
            market_value=value,
            contract_value=value,
            currency_code=self.maker.country.currency,
            lien_rank=1,
            status="active",
            valued_on=disbursed,
            valued_by="VALUOS SA",
            registered_on=disbursed,
            registration_no=f"R-{self.number}",
            location_code=self.maker.country.branches[0][0],
            description=f"{kind} {self.number}",
            from_on=disbursed,
            to_on=add_months(disbursed, 60),
        )
        self.maker.book.add(
            "collateral_links",
            loan_id=self.loan_id,
            collateral_id=f"C{self.number:06d}",
            booked_on=disbursed,
            allocated_value=value,
            contract_no=f"M-{self.number:06d}",
        )
        self.maker.country.collateral(self.maker.book, f"C{self.number:06d}", kind)


def birth_date(number: int) -> date:
    """With the sequence of an identity number (number mod 499), another pair for each of seven million numbers."""
    return date(1960, 1, 1) + timedelta(days=(number // 499 + number % 499 * 28) % 14000)


def _money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def card_number(number: int) -> str:
    """A fictitious card number whose check digit holds."""
    body = f"622202{number:012d}"
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c) * (2 if i % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return f"{body}{-total % 10}"


def _plan_rows(principal: int, rate: Decimal, count: int, method: str) -> list[tuple[int, int]]:
    """Principal and interest of each row in minor units."""
    rounding: Literal["half_up", "down"] = "down" if method == "equal_principal" else "half_up"
    terms = PlanTerms(principal=Decimal(principal), annual_rate_pct=rate, term=count, method=method, unit=Decimal(1), payment_rounding=rounding)
    return [(int(r.principal), int(r.interest)) for r in repayment_plan(terms).rows]
