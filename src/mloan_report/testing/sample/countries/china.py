"""Made-up people and companies of China: fictitious names and numbers that follow their rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random

from mloan_report.testing.sample.country import Country, Row

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建文玲红玉梅"
DISTRICTS = ("110101", "110105", "310101", "320102", "330106", "370102", "440103", "500103", "510104", "610102")
INDUSTRIES = ("A", "C", "F", "H", "O")
_RIC_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


INSTITUTION = """name = "Sample microloan company"
local_name = "示例小额贷款有限公司"
country = "CN"
currency_code = "CNY"
time_zone = "Asia/Shanghai"
made_up = "everything: people, numbers and amounts are fictitious"
identifiers = [{ scheme = "cn.uscc", value = "91110000600037341L" }]

[contact]
email = "reports@example.org"

[licence]
kind = "microloan_company"
areas = ["110000"]
online = true
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "CN-NFRA-2023-1"
provisions = "CN-2002-98"

[packs.cn_pbc_credit]
section_code = "Z99999999H0001"
joint_amounts = "full"

[packs.cn_pbc_credit.branches]
BR01 = "Z99999999H0001"
BR02 = "Z99999999H0002"
"""


@dataclass(frozen=True)
class China(Country):
    """A microloan company in China, yuan."""

    code: str = "CN"
    currency: str = "CNY"
    regime: str = "CN-NFRA-2023-1"
    scale: int = 20
    zone: str = "Asia/Shanghai"
    branches: tuple[tuple[str, str], ...] = (("110101", "110000"), ("310101", "310000"))
    industry: tuple[str, str] = ("F", "cn.gbt4754")
    use_region: str | None = "110000"
    settings: str = '[packs.cn_pbc_credit]\nsection_code = "Z99999999H0001"\n'
    institution: str = INSTITUTION

    def person(self, rng: Random, number: int, born: date, sex: str) -> tuple[Row, list[Row]]:
        """A Chinese name, a district, a mobile number, a resident identity number."""
        name = rng.choice(SURNAMES) + "".join(rng.choice(GIVEN) for _ in range(rng.choice((1, 2, 2))))
        district = rng.choice(DISTRICTS)
        row = {
            "name": name,
            "local_name": name,
            "family_name": name[0],
            "given_name": name[1:],
            "sex": sex,
            "born_on": born.isoformat(),
            "nationality": "CN",
            "residence_country": "CN",
            "region_code": district[:2] + "0000",
            "district_code": district,
            "address": f"示例路{number}号",
            "postal_code": "100010",
            "phone": f"1{rng.choice('3578')}{number % 10}{rng.randrange(10**8):08d}",
            "email": f"u{number}@example.org",
            "industry_code": rng.choice(INDUSTRIES),
            "industry_scheme": "cn.gbt4754",
            "occupation_code": rng.choice(("1", "3", "4", "5", "6")),
            "occupation_scheme": "cn_pbc_credit.occupation",
        }
        return row, [{"scheme": "cn.ric", "value": resident_number(district, born, number, sex), "issuing_country": "CN"}]

    def company(self, rng: Random, number: int) -> tuple[Row, list[Row]]:
        """A company with a unified social credit code."""
        district = rng.choice(DISTRICTS)
        row = {
            "name": f"示例{rng.choice(SURNAMES)}氏商贸{number}有限公司",
            "local_name": f"示例商贸{number}",
            "nationality": "CN",
            "residence_country": "CN",
            "region_code": district[:2] + "0000",
            "district_code": district,
            "address": f"示例大道{number}号",
            "postal_code": "100020",
            "phone": "01065001234",
            "industry_code": "F",
            "industry_scheme": "cn.gbt4754",
        }
        return row, [
            {"scheme": "cn.uscc", "value": credit_code(district, number), "issuing_country": "CN"},
            {"scheme": "cn.zhongzheng", "value": zhongzheng(number), "issuing_country": "CN"},
        ]

    def renumbered(self, scheme: str, value: str, number: int, born: date) -> str:
        """The number of a person or company for another number; its district and sex stay."""
        if scheme == "cn.ric":
            return resident_number(value[:6], born, number, "male" if int(value[16]) % 2 else "female")
        return credit_code(value[2:8], number) if scheme == "cn.uscc" else zhongzheng(number)


def resident_number(district: str, born: date, number: int, sex: str) -> str:
    """A fictitious number under GB 11643: the sequence is odd for men."""
    sequence = number % 499 * 2 + (1 if sex == "male" else 2)
    body = f"{district}{born:%Y%m%d}{sequence:03d}"
    total = sum(int(c) * w for c, w in zip(body, _RIC_WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


def credit_code(district: str, number: int) -> str:
    """A fictitious code under GB 32100 with an organisation code under GB 11714 inside."""
    organisation = f"MA{number % 10**6:06d}"
    values = [int(c) if c.isdigit() else ord(c) - 55 for c in organisation]
    rest = 11 - sum(v * w for v, w in zip(values, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    body = f"91{district}{organisation}{'0' if rest == 11 else 'X' if rest == 10 else rest}"
    total = sum(_USCC.index(c) * w for c, w in zip(body, _USCC_WEIGHTS, strict=True))
    return body + _USCC[(31 - total % 31) % 31]


def zhongzheng(number: int) -> str:
    """A fictitious credit reference code with its two check digits."""
    body = f"1101{number % 10**10:010d}"
    total = sum(int(c) * w for c, w in zip(body, (1, 3, 5, 7, 11, 2, 13, 1, 1, 17, 19, 97, 23, 29), strict=True))
    return f"{body}{total % 97 + 1:02d}"


COUNTRY = China()
