"""Made-up people and companies of El Salvador: fictitious names and numbers that follow their rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING

from mloan_report.testing.sample.country import Country, Row

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

WOMEN = ("ROSA", "ANA", "MARIA", "KARLA", "SANDRA", "GLORIA", "MIRNA", "YESENIA")
MEN = ("JOSE", "LUIS", "CARLOS", "MARIO", "OSCAR", "RENE", "WALTER", "EDWIN")
FAMILIES = ("MENA", "LUNA", "PAZ", "RIVAS", "PORTILLO", "ALFARO", "MEJIA", "GUEVARA", "ORELLANA", "CRUZ", "AYALA", "BONILLA")
DISTRICTS = ("0614", "0101", "0210", "0315", "0511", "1101", "1217", "0608")
ACTIVITIES = ("120202", "010101", "010103")


INSTITUTION = """name = "Sample savings and credit company"
local_name = "Sociedad de ahorro y credito de muestra"
country = "SV"
currency_code = "USD"
time_zone = "America/El_Salvador"
made_up = "everything: people, numbers and amounts are fictitious"

[contact]
email = "reports@example.org"

[licence]
kind = "savings_and_credit_company"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "SV-NCB-022"

[packs.sv_ssf_ctri]
cod_cartera = "01"
"""


@dataclass(frozen=True)
class Salvador(Country):
    """A savings and credit company in El Salvador, US dollars."""

    code: str = "SV"
    currency: str = "USD"
    regime: str = "SV-NCB-022"
    scale: int = 1
    zone: str = "America/El_Salvador"
    branches: tuple[tuple[str, str], ...] = (("0614", "06"), ("0210", "02"))
    purpose: tuple[str, str] = ("100099", "sv.t24")
    industry: tuple[str, str] = ("100099", "sv.t24")
    use_region: str | None = "06"
    category_first: str = "A1"
    funding_source: str = "01"
    pledged_to: str | None = "BANDESAL"
    category_late: str = "C2"
    category_before: str = "A2"
    institution: str = INSTITUTION

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """Two family names, two given names, a district, a DUI."""
        names = WOMEN if sex == "female" else MEN
        given, middle = rng.choice(names), rng.choice(names)
        family, second = rng.choice(FAMILIES), rng.choice(FAMILIES)
        district = rng.choice(DISTRICTS)
        row = {
            "name": f"{given} {middle} {family} {second}",
            "given_name": given,
            "middle_name": middle,
            "family_name": family,
            "second_family_name": second,
            "sex": sex,
            "born_on": born.isoformat(),
            "nationality": "SV",
            "residence_country": "SV",
            "region_code": district[:2],
            "district_code": district,
            "address": f"Calle {number}",
            "postal_code": "1101",
            "phone": f"7{rng.randrange(10**7):07d}",
            "email": f"u{number}@example.org",
            "industry_code": rng.choice(ACTIVITIES),
            "industry_scheme": "sv.t19",
            "occupation_code": str(rng.randint(1, 20)),
            "occupation_scheme": "sv.t25",
        }
        if sex == "female" and number % 5 == 0:
            row["married_name"] = f"DE {rng.choice(FAMILIES)}"
        return row, [{"scheme": "sv.dui", "value": dui(number), "issuing_country": "SV"}]

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A company with a NIT."""
        district = rng.choice(DISTRICTS)
        row = {
            "name": f"COMERCIAL {rng.choice(FAMILIES)} {number} SA DE CV",
            "nationality": "SV",
            "residence_country": "SV",
            "region_code": district[:2],
            "district_code": district,
            "address": f"Avenida {number}",
            "postal_code": "1101",
            "phone": f"2{rng.randrange(10**7):07d}",
            "industry_code": "120202",
            "industry_scheme": "sv.t19",
        }
        return row, [{"scheme": "sv.nit", "value": nit(district, number), "issuing_country": "SV"}]

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """A DUI or NIT for another number."""
        return dui(number) if scheme == "sv.dui" else nit(value[:4], number)

    def collateral(self, book: SampleBook, collateral_id: str, kind: str) -> None:
        """What the register asks of a collateral."""
        book.add(
            "sv_ssf_ctri_collateral",
            collateral_id=collateral_id,
            estado="1",
            tipo_deposito="DE" if kind == "cash_deposit" else None,
            cod_perito="P-001",
            tipo_perito="E",
        )


def dui(number: int) -> str:
    """A fictitious DUI whose check digit holds."""
    body = f"{number % 10**8:08d}"
    total = sum(int(c) * w for c, w in zip(body, range(9, 1, -1), strict=True))
    return f"{body}{(10 - total % 10) % 10}"


def nit(district: str, number: int) -> str:
    """A fictitious NIT whose check digit holds (serial numbers above 100), another for each number."""
    rest = number // 899
    body = f"{district}{1 + rest % 28:02d}{1 + rest // 28 % 12:02d}{15 + rest // 336 % 8:02d}{101 + number % 899:03d}"
    total = sum(int(c) * w for c, w in zip(body, (2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True))
    return f"{body}{-total % 11 % 10}"


COUNTRY = Salvador()
