"""Made-up people and companies of the United States: fictitious names and numbers that follow their rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

from mloan_report.testing.sample.country import Country, Row

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

WOMEN = ("ANNA", "RITA", "CAROL", "DIANE", "HELEN", "JOYCE", "MARTHA", "RUTH")
MEN = ("PAUL", "HENRY", "FRANK", "WALTER", "GEORGE", "RALPH", "LOUIS", "OSCAR")
FAMILIES = ("MUSTER", "SPECIMEN", "EXAMPLE", "SAMPLE", "PLACEHOLDER", "FICTION", "O'NOBODY", "NOVÁK-MODEL", "DUMMY", "TESTWELL", "MOCKER", "PROTOTYPE")
PLACES = (("ANYTOWN", "OH", "44000"), ("SAMPLEVILLE", "TX", "75000"), ("MODEL CITY", "NY", "14000-0001"), ("EXAMPLE FALLS", "GA", "30000"))


INSTITUTION = """name = "Example micro lending company"
country = "US"
currency_code = "USD"
time_zone = "America/New_York"
made_up = "everything: people, numbers and amounts are fictitious"

[contact]
email = "reports@example.org"
phone = "330-555-0100"
address = "100 Sample Road, Anytown OH 44000"

[licence]
kind = "microlender"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "US-FFIEC-URCC"

[packs.us_metro2]
identification_number = "EXML0001"
equifax_id = "12345"

[packs.us_cfpb_sbl]
lei = "9999EXAMPLELENDR0095"
profile = "2025"
"""


@dataclass(frozen=True)
class UnitedStates(Country):
    """A microlender in the United States, US dollars."""

    code: str = "US"
    currency: str = "USD"
    numbered: tuple[str, ...] = ("application_no", "uid")
    regime: str = "US-FFIEC-URCC"
    scale: int = 1
    zone: str = "America/New_York"
    branches: tuple[tuple[str, str], ...] = (("ANYTOWN", "OH"), ("SAMPLEVILLE", "TX"))
    category_first: str = "P"
    category_before: str = "P"
    category_late: str = "L"
    institution: str = INSTITUTION
    settings: str = '[packs.us_metro2]\nidentification_number = "EXML0001"\nreporter_address = "100 SAMPLE ROAD ANYTOWN OH 44000"\n'

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """One family name, two given names, an address, a Social Security number."""
        names = WOMEN if sex == "female" else MEN
        given, middle, family = rng.choice(names), rng.choice(names), rng.choice(FAMILIES)
        place, state, postal = rng.choice(PLACES)
        row = {
            "name": f"{given} {middle} {family}",
            "given_name": given,
            "middle_name": middle,
            "family_name": family,
            "sex": sex,
            "born_on": born.isoformat(),
            "nationality": "US",
            "residence_country": "US",
            "region_code": state,
            "district_code": place,
            "address": f"{1 + number % 9999} Elm Street" + (f", Apartment {number % 50}, Building of the North Side" if number % 10 == 3 else ""),
            "postal_code": postal,
            "phone": f"{200 + number % 700}-555-01{number % 100:02d}",
            "email": f"u{number}@example.org",
        }
        return row, [{"scheme": "us.ssn", "value": ssn(number), "issuing_country": "US"}]

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A company with an employer identification number."""
        place, state, postal = rng.choice(PLACES)
        row = {
            "name": f"{rng.choice(FAMILIES)} & Partners {number} LLC",
            "nationality": "US",
            "residence_country": "US",
            "region_code": state,
            "district_code": place,
            "address": f"{1 + number % 9999} Market Road",
            "postal_code": postal,
            "phone": f"{200 + number % 700}-555-01{number % 100:02d}",
        }
        return row, [{"scheme": "us.ein", "value": ein(number), "issuing_country": "US"}]

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """A Social Security or employer number for another number."""
        return ssn(number) if scheme == "us.ssn" else ein(number)

    def finish(self, book: SampleBook, as_of: date) -> None:
        """ZIP codes of employers; and what only this file asks for: an agency, a job, a new number, a bankruptcy, a dispute, a bought debt, a spouse
        who owes as well.
        """
        add_register(book, as_of)
        people = {p["party_id"]: p for p in book.tables.get("parties", [])}
        homes = {b["borrower_id"]: b for b in book.tables.get("borrowers", [])}
        for home in homes.values():
            if "employer_postal_code" in home:
                home["employer_postal_code"] = "44001"
        running = [x for x in book.tables.get("loans", []) if x["status"] == "active"]
        month = as_of.replace(day=1)
        for n, loan in enumerate(running):
            loan_id, borrower = loan["loan_id"], loan["borrower_id"]
            if n % 25 == 1:
                book.add("us_metro2_facts", loan_id=loan_id, field="AgencyIdentifier", value="00")
                book.add("us_metro2_facts", loan_id=loan_id, field="MortgageIdentificationNumber", value=f"1000{n:014d}")
            elif n % 25 == 2:
                book.add("us_metro2_facts", loan_id=loan_id, field="Occupation", value="Baker")
                book.add("us_metro2_facts", loan_id=loan_id, field="EmployerName", value="Model bakery")
            elif n % 25 == 3:
                book.add("us_metro2_facts", loan_id=loan_id, field="NewConsumerAccountNumber", value=f"N{loan_id}", **{"from": month, "to": as_of})
            elif n % 25 == 4:
                filed = max(month, date.fromisoformat(loan["disbursed_on"]))
                book.add("party_events", party_id=borrower, kind="bankruptcy_filed", occurred_on=filed, booked_on=filed)
                book.add("us_metro2_facts", loan_id=loan_id, field="ConsumerInformationIndicator", value="A", **{"from": filed})
            elif n % 25 == 5:
                book.add("party_events", party_id=borrower, kind="dispute_opened", occurred_on=month, booked_on=month, loan_id=loan_id)
            elif n % 25 == 6:
                book.add("us_metro2_facts", loan_id=loan_id, field="OriginalCreditorName", value="First example bank")
                book.add("us_metro2_facts", loan_id=loan_id, field="CreditorClassification", value="08")
                book.add("us_metro2_facts", loan_id=loan_id, field="PurchasedIndicator", value="1")
                book.add("us_metro2_facts", loan_id=loan_id, field="PurchasedName", value="First example bank")
            spouse = homes[borrower].get("spouse_id")
            if spouse and n % 2:
                people[spouse] |= {c: homes[borrower][c] for c in ("address", "postal_code", "district_code", "region_code")}
                book.add("loan_parties", loan_id=loan_id, party_id=spouse, role="co_borrower", liability="joint_and_several", from_on=loan["disbursed_on"])


def add_register(book: SampleBook, as_of: date) -> None:
    """Applications of businesses: one for each loan to a business, and as many that were denied."""
    kinds = {b["borrower_id"]: b["kind"] for b in book.tables.get("borrowers", [])}
    known = {
        "app_method": "3",
        "app_recipient": "1",
        "credit_purpose": "5",
        "amount_applied_for_flag": "900",
        "pricing_origination_charges": "0",
        "pricing_broker_fees": "0",
        "pricing_initial_charges": "0",
        "census_tract_adr_type": "2",
        "census_tract_number": "39153530101",
        "gross_annual_revenue_flag": "900",
        "gross_annual_revenue": "180000",
        "naics_code_flag": "900",
        "naics_code": "722",
        "number_of_workers": "2",
        "time_in_business_type": "1",
        "time_in_business": "4",
        "business_ownership_status": "988",
        "num_principal_owners_flag": "900",
        "num_principal_owners": "0",
    }
    denied = {
        "ct_credit_product": "2",
        "ct_guarantee": "999",
        "ct_loan_term_flag": "900",
        "ct_loan_term": "12",
        "action_taken": "3",
        "denial_reasons": "4;6",
        "pricing_interest_rate_type": "999",
        "pricing_adj_index_name": "999",
        "pricing_mca_addcost_flag": "999",
        "pricing_prepenalty_allowed": "999",
        "pricing_prepenalty_exists": "999",
    }
    for n, loan in enumerate(book.tables.get("loans", [])):
        if kinds[loan["borrower_id"]] == "natural_person" and loan["product"] not in ("personal_business", "farmer_production", "enterprise"):
            continue
        made = date.fromisoformat(loan["disbursed_on"])
        own = {"amount_applied_for": loan["principal"], "app_date": f"{made - timedelta(days=20):%Y%m%d}"}
        rate = {"pricing_adj_index_name": "1", "pricing_adj_index_value": "4.5"} if loan["rate_type"] == "variable" else {}
        number = f"A{n:06d}"
        book.add("us_cfpb_sbl_applications", application_no=number, loan_id=loan["loan_id"], uid=f"9999EXAMPLELENDR0095{number}", **known, **own, **rate)
        on = as_of - timedelta(days=10 + n % 100)
        asked = {"app_date": f"{on - timedelta(days=15):%Y%m%d}", "action_taken_date": f"{on:%Y%m%d}", "amount_applied_for": "8000"}
        without_price = {k: v for k, v in known.items() if not k.startswith("pricing")}
        number = f"D{n:06d}"
        book.add("us_cfpb_sbl_applications", application_no=number, uid=f"9999EXAMPLELENDR0095{number}", **without_price, **denied, **asked)


def ssn(number: int) -> str:
    """A made-up Social Security number: areas 850 to 899, which were not in use before numbers were drawn at random (2011)."""
    serial, rest = 1 + number % 9999, number // 9999
    group, area = 1 + rest % 99, 850 + rest // 99 % 50
    return f"{area:03d}-{group:02d}-{serial:04d}"


def ein(number: int) -> str:
    """A made-up employer identification number with a prefix of an internet campus; parties, numbered beyond ten million, have others than borrowers."""
    prefix = ("20", "26", "27", "45", "46", "47", "81", "82", "83")[number // 10**7 % 9]
    return f"{prefix}-{number % 10**7:07d}"


COUNTRY = UnitedStates()
