"""Made-up people and companies of the Philippines: fictitious names and numbers of the right shape."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING

from mloan_report.testing.sample.country import Country, Row

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

WOMEN = ("MARICEL", "LUZ", "ROWENA", "JOCELYN", "ANGELICA", "CRISTINA", "LIWAYWAY", "NIÑA")
MEN = ("JOSE", "RAMON", "DANILO", "ERNESTO", "ROLANDO", "VICENTE", "BAYANI", "AGUSTIN")
FAMILIES = ("MERCADO", "ABAD", "DELA CRUZ", "SANTOS", "REYES", "BAUTISTA", "OCAMPO", "VILLANUEVA", "NUÑEZ", "PANGILINAN", "MAGSAYSAY", "SALAZAR")
PLACES = (("TALAMBAN", "CEBU CITY", "CEBU"), ("BUHANGIN", "DAVAO CITY", "DAVAO DEL SUR"), ("LAHUG", "CEBU CITY", "CEBU"), ("SAN ROQUE", "ANTIPOLO", "RIZAL"))
CODES = ("072217", "112402", "045802", "137404")

INSTITUTION = """name = "Sample microfinance NGO"
country = "PH"
currency_code = "PHP"
time_zone = "Asia/Manila"
made_up = "everything: people, numbers and amounts are fictitious"

[contact]
email = "reports@example.org"

[licence]
kind = "microfinance_ngo"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "PH-BSP-MF"

[packs.ph_cic_csdf]
provider_code = "LC009999"
filer_type = "MFI"
"""

SETTINGS = '[packs.ph_cic_csdf]\nprovider_code = "LC009999"\nfiler_type = "MFI"\n'


@dataclass(frozen=True)
class Philippines(Country):
    """A microfinance NGO in the Philippines, pesos."""

    code: str = "PH"
    currency: str = "PHP"
    regime: str = "PH-BSP-MF"
    scale: int = 50
    zone: str = "Asia/Manila"
    branches: tuple[tuple[str, str], ...] = (("072217", "07"), ("112402", "11"))
    purpose: tuple[str, str] = ("23", "lender")
    industry: tuple[str, str] = ("4711", "ph.psic")
    category_first: str = "0"
    category_late: str = "PAR91"
    category_before: str = "PAR1"
    institution: str = INSTITUTION
    settings: str = SETTINGS

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """Given name, family name and mother's family name, a place, a TIN or an SSS number, and a national id."""
        given = rng.choice(WOMEN if sex == "female" else MEN)
        family, mothers = rng.choice(FAMILIES), rng.choice(FAMILIES)
        at = rng.randrange(len(PLACES))
        barangay, city, province = PLACES[at]
        row = {
            "name": f"{given} {mothers} {family}",
            "given_name": given,
            "family_name": family,
            "second_family_name": mothers,
            "sex": sex,
            "born_on": born.isoformat(),
            "nationality": "PH",
            "residence_country": "PH",
            "region_code": CODES[at][:2],
            "district_code": CODES[at],
            "address": f"{1 + number % 90} MANGO ST BRGY {barangay} {city} {province}",
            "postal_code": "6000",
            "phone": f"09{number % 10**9:09d}",
            "email": f"u{number}@example.org",
            "occupation_code": "5221",
            "occupation_scheme": "ph.psoc",
        }
        first = {"scheme": "ph.tin", "value": tin(number)} if number % 3 else {"scheme": "ph.sss", "value": f"{number % 10**10:010d}"}
        return row, [{**first, "issuing_country": "PH"}, {"scheme": "ph.philsys", "value": f"{number:016d}", "issuing_country": "PH"}]

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A firm with a TIN and a registration number."""
        at = rng.randrange(len(PLACES))
        barangay, city, province = PLACES[at]
        row = {
            "name": f"{rng.choice(FAMILIES)} TRADING {number} INC",
            "nationality": "PH",
            "residence_country": "PH",
            "region_code": CODES[at][:2],
            "district_code": CODES[at],
            "address": f"{number % 90} RIZAL AVE BRGY {barangay} {city} {province}",
            "postal_code": "6000",
            "phone": f"032{number % 10**7:07d}",
            "industry_code": "4711",
            "industry_scheme": "ph.psic",
        }
        numbers = [{"scheme": "ph.tin", "value": tin(number)}, {"scheme": "ph.sec", "value": f"CS{number:09d}"}]
        return row, [{**n, "issuing_country": "PH"} for n in numbers]

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """A number of the same scheme for another number."""
        made = {"ph.tin": tin(number), "ph.sss": f"{number % 10**10:010d}", "ph.philsys": f"{number:016d}", "ph.sec": f"CS{number:09d}"}
        return made[scheme]

    def finish(self, book: SampleBook, as_of: date) -> None:
        """The tables of the CSDF pack: products, what it asks of people, lines, and a few cards, services, events and goods."""
        tables = book.tables
        for product in sorted({r["product"] for r in tables["loans"]} | {"MC12"}):
            kind = {"vehicle": "17", "enterprise": "22", "personal_business": "22", "farmer_production": "10"}.get(product, "12")
            book.add("ph_cic_csdf_products", product=product, contract_type=kind, purpose_of_credit="23", transaction_type="NA", payment_method="CAS")
        for i, row in enumerate(tables.get("parties", [])):
            if row["kind"] == "natural_person" and i % 4:  # the others lack it, and stand in the borrower's record by name
                book.add("ph_cic_csdf_subjects", party_id=row["party_id"], civil_status="1", place_of_birth="CEBU CITY")
        people = [r for r in tables["borrowers"] if r["kind"] != "legal_entity"]
        for i, row in enumerate(people):
            if i % 3 == 0:
                _, city, province = PLACES[i % len(PLACES)]
                book.add(
                    "ph_cic_csdf_subjects",
                    party_id=row["borrower_id"],
                    place_of_birth="CEBU CITY",
                    country_of_birth_code="PH",
                    address_1_street_no=f"{1 + i % 90} MANGO ST" if i % 2 else None,
                    address_1_subdivision="SITIO UNO" if i % 2 else None,
                    address_1_city=city if i % 2 else None,
                    address_1_province=province if i % 2 else None,
                    number_of_dependents=i % 5,
                    mother_maiden_last_name=row["second_family_name"],
                    sole_trader_trade_name=f"SARI-SARI {i}" if row["kind"] == "sole_trader" and any_tin(book, row["borrower_id"]) else None,
                )
        for row in tables["loans"]:
            if row["product"] == "vehicle":
                book.add("ph_cic_csdf_goods", loan_id=row["loan_id"], good_type="16", good_value="45000.00", new_used_code="N", good_brand="TRIKE")
        for row in tables.get("facilities", []):
            if row["kind"] == "revolving" and row["facility_id"].startswith("F"):
                book.add(
                    "ph_cic_csdf_lines", facility_id=row["facility_id"], contract_type="70", contract_end_planned_date="2030-12-31", purpose_of_credit="23"
                )
        active = [r for r in tables["loans"] if r["status"] == "active"]
        for row in active[::60]:
            self._others(book, row, as_of)

    def _others(self, book: SampleBook, loan: Row, as_of: date) -> None:
        common = {
            "borrower_id": loan["borrower_id"],
            "contract_phase": "AC",
            "contract_start_date": "2026-01-05",
            "contract_end_planned_date": "2027-12-31",
            "payment_periodicity": "M",
            "next_payment_date": "2026-12-05",
            "outstanding_balance": "1200.00",
            "overdue_payments_number": "0",
            "overdue_payments_amount": "0.00",
            "overdue_days": "0",
        }
        card = {
            "credit_limit": "20000.00",
            "next_payment_minimum_payment_due": "500.00",
            "last_payment_amount": "300.00",
            "outstanding_balance_unbilled": "0.00",
        }
        use = {"installment_type": "V", "flag_card_used": "1", "times_card_used": "4", "transaction_type_sub_facility": "PCC"}
        book.add("ph_cic_csdf_cards", provider_contract_no=f"K-{loan['loan_id']}", contract_type="30", **common, **card, **use)
        service = {"next_payment": "120.00", "billed_amount": "120.00"}
        book.add("ph_cic_csdf_services", provider_contract_no=f"S-{loan['loan_id']}", contract_type="88", **common, **service)
        book.add(
            "ph_cic_csdf_events",
            party_id=loan["borrower_id"],
            event_code="M",
            event_detail="RETURNED CHEQUES",
            event_date="2026-05-04",
            event_status="CL",
            event_status_date="2026-06-01",
        )


def tin(number: int) -> str:
    """A fictitious TIN of twelve digits: nine and the branch code 000."""
    return f"{number % 10**9:09d}000"


def any_tin(book: SampleBook, party_id: str) -> bool:
    """Whether a person's numbers include a TIN."""
    return any(r["party_id"] == party_id and r["scheme"] == "ph.tin" for r in book.tables["identifiers"])


COUNTRY = Philippines()
