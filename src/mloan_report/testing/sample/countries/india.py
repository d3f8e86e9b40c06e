"""Made-up members of an Indian microfinance lender: fictitious names and numbers that follow their rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING

from stdnum import luhn, verhoeff

from mloan_report.testing.sample.country import Country, Row

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

WOMEN = ("LAKSHMI", "SUNITA", "MEENA", "KAVITA", "RADHA", "SARITA", "ANJALI", "GEETA")
MEN = ("RAVI", "SURESH", "MOHAN", "ANIL", "GANESH", "VIJAY", "RAMESH", "ARUN")
FAMILIES = ("DEVI", "KUMAR", "REDDY", "NAIR", "PATIL", "YADAV", "SAHU", "MURUGAN", "GHOSH", "SHARMA", "DAS", "NAIK")
PLACES = (
    ("TN", "600", "CHENNAI"),
    ("KA", "560", "BENGALURU"),
    ("UP", "226", "LUCKNOW"),
    ("BR", "800", "PATNA"),
    ("MH", "411", "PUNE"),
    ("WB", "700", "KOLKATA"),
)
WORK = ("DAIRY", "TAILORING", "VEGETABLES", "GROCERY SHOP", "WEAVING", "POULTRY")
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT")


INSTITUTION = """name = "Sample Grameen Finance Ltd"
country = "IN"
currency_code = "INR"
time_zone = "Asia/Kolkata"
made_up = "everything: people, numbers and amounts are fictitious"

[contact]
email = "reports@example.org"

[licence]
kind = "nbfc_mfi"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "IN-RBI-IRACP"

[packs.in_mfi_cdf]
member_id = "MFI0000ABC"
relation_list = "relation_crif"
co_lent_amounts = "full"
"""


@dataclass(frozen=True)
class India(Country):
    """A microfinance company in India, rupees."""

    code: str = "IN"
    currency: str = "INR"
    regime: str = "IN-RBI-IRACP"
    scale: int = 20
    zone: str = "Asia/Kolkata"
    branches: tuple[tuple[str, str], ...] = (("CHENNAI", "TN"), ("PATNA", "BR"))
    purpose: tuple[str, str] = ("DAIRY", "lender")
    industry: tuple[str, str] = ("A", "lender")
    use_region: str | None = "TN"
    category_late: str = "NPA"
    category_before: str = "SMA-0"
    category_first: str = "STD"
    settings: str = '[packs.in_mfi_cdf]\nmember_id = "MFI0000ABC"\n'
    institution: str = INSTITUTION

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """A name, a village, a mobile number, a voter id, a PAN or an Aadhaar number."""
        given, family = rng.choice(WOMEN if sex == "female" else MEN), rng.choice(FAMILIES)
        state, pin, city = rng.choice(PLACES)
        row = {
            "name": f"{given} {family}",
            "given_name": given,
            "family_name": family,
            "sex": sex,
            "born_on": born.isoformat(),
            "nationality": "IN",
            "residence_country": "IN",
            "region_code": state,
            "district_code": city,
            "address": f"{1 + number % 900} TEMPLE STREET, {city}",
            "postal_code": f"{pin}{1 + number % 99:03d}",
            "phone": f"{rng.choice('6789')}{rng.randrange(10**9):09d}",
            "email": f"u{number}@example.org",
            "industry_code": "A",
            "industry_scheme": "lender",
            "occupation_code": rng.choice(WORK),
            "occupation_scheme": "lender",
        }
        numbers: list[Row] = [{"scheme": "in_.epic", "value": voter_id(number), "issuing_country": "IN"}]
        if number % 3 == 0:
            numbers.append({"scheme": "in_.pan", "value": pan(number, "P", family[0]), "issuing_country": "IN"})
        if number % 4 == 0:
            numbers.append({"scheme": "in_.aadhaar", "value": aadhaar(number), "issuing_country": "IN"})
        if number % 5 == 0:
            numbers.append({"scheme": "in.ration_card", "value": f"RC{number:08d}", "issuing_country": "IN"})
        if number % 6 == 0:
            numbers.append({"scheme": "in.driving_licence", "value": f"{state}01{2010 + number % 10}{number % 10**7:07d}", "issuing_country": "IN"})
        return row, numbers

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A company with a PAN."""
        state, pin, city = rng.choice(PLACES)
        name = rng.choice(FAMILIES)
        row = {
            "name": f"{name} TRADING {number} PVT LTD",
            "nationality": "IN",
            "residence_country": "IN",
            "region_code": state,
            "district_code": city,
            "address": f"{1 + number % 900} MARKET ROAD, {city}",
            "postal_code": f"{pin}{1 + number % 99:03d}",
            "phone": f"{rng.choice('6789')}{rng.randrange(10**9):09d}",
            "industry_code": "F",
            "industry_scheme": "lender",
        }
        return row, [{"scheme": "in_.pan", "value": pan(number, "C", name[0]), "issuing_country": "IN"}]

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """The number of a person for another number; a PAN keeps its holder type and initial."""
        if scheme == "in_.pan":
            return pan(number, value[3], value[4])
        return voter_id(number) if scheme == "in_.epic" else aadhaar(number) if scheme == "in_.aadhaar" else f"{value[:2]}{number:08d}"

    def finish(self, book: SampleBook, as_of: date) -> None:
        """What the credit information companies ask beside the portfolio: centres, groups, nominees, meetings, insurance."""
        for n, b in enumerate(book.tables["borrowers"]):
            if b["kind"] == "legal_entity":
                continue
            b["household_annual_income"] = f"{216_000 + n % 8 * 12_000}.00"  # within the limit of the microfinance directions
            single = "spouse_name" not in b
            book.add(
                "in_mfi_cdf_members",
                borrower_id=b["borrower_id"],
                kendra_id=f"K{1 + n % 12:02d}",
                group_id=f"G{1 + n % 30:02d}",
                key_person_name=f"{MEN[n % 8]} {FAMILIES[n % 12]}" if single else None,
                key_person_relation=("father", "brother", "son")[n % 3] if single else None,
                relation_name_1=f"{WOMEN[n % 8]} {FAMILIES[n % 12]}" if n % 4 == 0 else None,
                relation_1="mother" if n % 4 == 0 else None,
                nominee_name=f"{WOMEN[(n + 3) % 8]} {FAMILIES[n % 12]}" if n % 2 else None,
                nominee_relation="daughter" if n % 2 else None,
                nominee_age=19 + n % 20 if n % 2 else None,
                owns_assets="YN"[n % 2],
                dependents=n % 5,
                religion=f"R0{1 + n % 9}",
                group_leader="Y" if n % 5 == 0 else "N",
                centre_leader="U" if n % 7 == 0 else "N",
            )
        for n, loan in enumerate(book.tables["loans"]):
            book.add(
                "in_mfi_cdf_accounts",
                loan_id=loan["loan_id"],
                loan_category=("T02", "T02", "T01", "T03")[n % 4],
                purpose=WORK[n % 6],
                write_off_reason="X09" if loan["status"] == "written_off" else None,
                meetings_held=10 + n % 20,
                meetings_missed=n % 3,
                insured="N" if n % 3 == 2 else None,
                insurance_type=None if n % 3 == 2 else "L01",
                sum_assured=None if n % 3 == 2 else loan["principal"],
                meeting_day=DAYS[n % 6],
                meeting_time=f"{8 + n % 9:02d}:{(n % 4) * 15:02d}",
            )
        for n, account in enumerate(book.tables.get("bank_accounts", [])):
            account.update(kind="account" if n % 2 else account["kind"], bank="STATE BANK OF INDIA")


def voter_id(number: int) -> str:
    """A fictitious voter id whose Luhn digit holds."""
    body, high = f"{number % 10**6:06d}", number // 10**6
    letters = "".join(chr(65 + high // 26**i % 26) for i in (2, 1, 0))
    return f"{letters}{body}{luhn.calc_check_digit(body)}"


def pan(number: int, holder: str, initial: str) -> str:
    """A fictitious PAN: three letters and four digits count, then a letter."""
    serial, rest = number % 9999 + 1, number // 9999
    letters = "".join(chr(65 + rest // 26**i % 26) for i in (2, 1, 0))
    return f"{letters}{holder}{initial}{serial:04d}{chr(65 + number % 26)}"


def aadhaar(number: int) -> str:
    """A fictitious Aadhaar number whose Verhoeff digit holds."""
    body = f"2{number:010d}"
    return f"{body}{verhoeff.calc_check_digit(body)}"


COUNTRY = India()
