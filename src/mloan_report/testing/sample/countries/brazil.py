"""Made-up people and companies of Brazil: fictitious names and numbers that follow their rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING

from mloan_report.testing.sample.country import Country, Row

if TYPE_CHECKING:
    from mloan_report.testing.sample.book import SampleBook

WOMEN = ("MARIA", "ANA", "FRANCISCA", "ANTONIA", "ADRIANA", "JULIANA", "MARCIA", "PATRICIA")
MEN = ("JOSE", "JOAO", "ANTONIO", "FRANCISCO", "CARLOS", "PAULO", "PEDRO", "LUCAS")
FAMILIES = ("SILVA", "SANTOS", "OLIVEIRA", "SOUZA", "LIMA", "PEREIRA", "FERREIRA", "COSTA", "RODRIGUES", "ALMEIDA", "NASCIMENTO", "PRADO")
TOWNS = (("2304400", "CE"), ("2611606", "PE"), ("2927408", "BA"), ("3550308", "SP"), ("3304557", "RJ"), ("2211001", "PI"))
"""Number of the municipality and letters of its state."""
ACTIVITIES = ("4721102", "4781400", "9602501")
GUARANTEES = {"vehicle": "0424", "residential_property": "0426", "machinery": "0323", "cash_deposit": "0210"}
PRODUCTS = {
    "personal_consumption": ("0203", "N"),
    "personal_business": ("0212", "S"),
    "farmer_production": ("0801", "N"),
    "vehicle": ("0401", "N"),
    "enterprise": ("0215", "N"),
}

INSTITUTION = """name = "Sample microcredit company"
local_name = "Sociedade de credito ao microempreendedor de amostra"
country = "BR"
currency_code = "BRL"
time_zone = "America/Sao_Paulo"
made_up = "everything: people, numbers and amounts are fictitious"
identifiers = [{ scheme = "br.cnpj", value = "11222333000181" }]

[contact]
responsible = "Ana Prado"
email = "ana@example.org"
phone = "1133334444"

[licence]
kind = "microcredit_company"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
to_on = 2024-12-31
classification = "BR-CMN-2682"

[[policies]]
from_on = 2025-01-01
classification = "BR-CMN-4966"
provisions = "BR-BCB-352"

[packs.br_bcb_scr3040]
joint_operations = "main_borrower"
tp_vlr_gar = "01"
minimum_wage = "1600.00"
"""


@dataclass(frozen=True)
class Brazil(Country):
    """A microcredit company in Brazil, reais."""

    code: str = "BR"
    currency: str = "BRL"
    regime: str = "BR-CMN-4966"
    scale: int = 4
    zone: str = "America/Sao_Paulo"
    branches: tuple[tuple[str, str], ...] = (("2304400", "CE"), ("3550308", "SP"))
    industry: tuple[str, str] = ("4721102", "br.cnae")
    use_region: str | None = "CE"
    funding_source: str = "0101"
    institution: str = INSTITUTION

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """One given name, two family names, a town, a CPF."""
        given = rng.choice(WOMEN if sex == "female" else MEN)
        family, second = rng.choice(FAMILIES), rng.choice(FAMILIES)
        row = self._place(rng, number, "RUA") | {
            "name": f"{given} {family} {second}",
            "given_name": given,
            "family_name": family,
            "second_family_name": second,
            "sex": sex,
            "born_on": born.isoformat(),
            "phone": f"859{rng.randrange(10**8):08d}",
            "email": f"u{number}@example.org",
            "industry_code": rng.choice(ACTIVITIES),
            "industry_scheme": "br.cnae",
            "occupation_code": str(rng.randint(1, 20)),
            "occupation_scheme": "lender",
        }
        return row, [{"scheme": "br.cpf", "value": cpf(number), "issuing_country": "BR"}]

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A company with a CNPJ."""
        row = self._place(rng, number, "AVENIDA") | {
            "name": f"COMERCIO {rng.choice(FAMILIES)} {number} LTDA",
            "phone": f"113{rng.randrange(10**7):07d}",
            "industry_code": "4721102",
            "industry_scheme": "br.cnae",
        }
        return row, [{"scheme": "br.cnpj", "value": cnpj(number), "issuing_country": "BR"}]

    def _place(self, rng: Random, number: int, street: str) -> Row:
        town, state = rng.choice(TOWNS)
        return {
            "nationality": "BR",
            "residence_country": "BR",
            "region_code": state,
            "district_code": town,
            "address": f"{street} {number}",
            "postal_code": "60010000",
        }

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """A CPF or CNPJ for another number."""
        return cpf(number) if scheme == "br.cpf" else cnpj(number)

    def collateral(self, book: SampleBook, collateral_id: str, kind: str) -> None:
        """The guarantee's type in the register."""
        book.add("br_bcb_scr3040_collateral", collateral_id=collateral_id, tp=GUARANTEES[kind])

    def finish(self, book: SampleBook, as_of: date) -> None:
        """What document 3040 asks beside the book: modalities, postcodes, indexes, consents to consult the register."""
        for product, (modality, quota) in PRODUCTS.items():
            book.add("br_bcb_scr3040_products", product=product, mod=modality, micro_quota=quota, cosif="16121004")
        for branch, postcode in (("BR01", "60010000"), ("BR02", "01310100")):
            book.add("br_bcb_scr3040_branches", branch_id=branch, cep=postcode)
        book.add("br_bcb_scr3040_indexes", base_rate_code="LPR_1Y", indx="31", perc="100")
        for row in book.tables["borrowers"][::2]:
            book.add("consents", party_id=row["borrower_id"], kind="bureau_query", given_on=row["customer_since_on"])


def cpf(number: int) -> str:
    """A fictitious CPF whose check digits hold; never one of eleven equal digits."""
    body = f"{(number + 1) % 10**9:09d}"
    for start in (10, 11):
        total = sum(int(c) * w for c, w in zip(body, range(start, 1, -1), strict=True))
        body += str(0 if total % 11 < 2 else 11 - total % 11)
    return body


def cnpj(number: int) -> str:
    """A fictitious CNPJ of a head office whose check digits hold."""
    body = f"{number % 10**8:08d}0001"
    for _ in range(2):
        weights = [2 + i % 8 for i in range(len(body))][::-1]
        total = sum(int(c) * w for c, w in zip(body, weights, strict=True))
        body += str(0 if total % 11 < 2 else 11 - total % 11)
    return body


COUNTRY = Brazil()
