"""Identity numbers: each part's failure separate; where python-stdnum is wrong, ours is shown to differ."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.br import cpf as stdnum_cpf
from stdnum.cn import ric, uscc
from stdnum.sv import nit as stdnum_nit

from mloan_report.identity import check_column, check_number, passes
from mloan_report.testing.sample.countries.china import credit_code, resident_number, zhongzheng
from mloan_report.testing.sample.countries.salvador import dui, nit

SCHEME = {"resident_id": "cn.ric", "resident_id_15": "cn.ric", "uscc": "cn.uscc", "organisation_code": "cn.gb11714", "credit_reference_code": "cn.zhongzheng"}


def parts(scheme: str, number: str) -> dict[str, bool]:
    return {f.part: f.soft for f in check_number(scheme, number)}


def test_the_fact_tables_cases_come_out_as_they_say(shared: Path) -> None:
    with (shared / "formats" / "cn_supervision" / "identifiers.csv").open(encoding="utf-8", newline="") as stream:
        cases = [r for r in csv.DictReader(stream) if r["row_kind"] == "case"]
    assert len(cases) >= 20
    for case in cases:
        found = check_number(SCHEME[case["id"]], case["input"])
        if case["expected"].startswith("invalid: check"):
            assert [f.part for f in found] == ["check_digit"], case
        else:
            assert all(f.soft for f in found), case


@pytest.mark.parametrize(
    ("scheme", "number", "part"),
    [
        ("cn.ric", "11010119900307001", "length"),
        ("cn.ric", "1101011990030700A1", "characters"),
        ("cn.ric", "11010119900307001x", "characters"),
        ("cn.ric", "110101199002300010", "date"),
        ("cn.ric", "110101199003070012", "check_digit"),
        ("cn.ric", "469100199001010017", "place"),
        ("cn.uscc", "9111000060003734", "length"),
        ("cn.uscc", "91110000600O37341L", "characters"),
        ("cn.uscc", "91110000600037341M", "check_digit"),
        ("cn.gb11714", "60003734-2", "check_digit"),
        ("cn.zhongzheng", "110100000000129", "length"),
        ("cn.zhongzheng", "1101000000001294", "check_digit"),
        ("sv.dui", "00112233", "length"),
        ("sv.dui", "001122335", "check_digit"),
        ("sv.nit", "06143913901010", "date"),
        ("bank_card", "6222021234567890129", "check_digit"),
        ("br.cpf", "1234567890", "length"),
        ("br.cpf", "1234567890X", "characters"),
        ("br.cpf", "12345678919", "check_digit"),
        ("br.cpf", "12345678908", "check_digit"),
        ("br.cpf", "11111111111", "check_digit"),
        ("br.cnpj", "1122233300018", "length"),
        ("br.cnpj", "1122233300018X", "characters"),
        ("br.cnpj", "11222333000182", "check_digit"),
        ("br.cnpj", "12ABC34501DE36", "check_digit"),
        ("cn.mobile", "12345678901", "prefix"),
        ("cn.mobile", "1381234567", "length"),
    ],
)
def test_each_part_fails_on_its_own(scheme: str, number: str, part: str) -> None:
    assert part in parts(scheme, number)


def test_sex_and_birth_date_of_the_holder_are_compared() -> None:
    good = "110101199003070011"
    assert check_number("cn.ric", good, sex="male", born_on=date(1990, 3, 7)) == []
    assert [f.part for f in check_number("cn.ric", good, sex="female", born_on=date(1990, 3, 8))] == ["birth_mismatch", "sex_mismatch"]


def test_genuine_numbers_that_python_stdnum_refuses_pass_here() -> None:
    for number in ("810000199001010019", "440306199001010014"):
        assert not ric.is_valid(number)
        assert check_number("cn.ric", number) == []
    with pytest.raises(KeyError):
        ric.validate("469100199001010017")
    assert parts("cn.ric", "469100199001010017") == {"place": True}
    assert not uscc.is_valid("N2110000MA0000015H")
    assert check_number("cn.uscc", "N2110000MA0000015H") == []


def test_any_stdnum_scheme_comes_through_the_same_door() -> None:
    assert check_number("br.cpf", "390.533.447-05") == []
    assert [f.part for f in check_number("br.cpf", "390.533.447-06")] == ["check_digit"]
    with pytest.raises(KeyError):
        check_number("xx.nothing", "1")


@given(st.text(max_size=24))
def test_no_text_whatever_makes_a_check_raise(text: str) -> None:
    for scheme in ("cn.ric", "cn.uscc", "cn.gb11714", "cn.zhongzheng", "sv.dui", "sv.nit", "bank_card", "cn.mobile", "br.cpf"):
        check_number(scheme, text)


@given(st.integers(1, 10**6), st.dates(date(1940, 1, 1), date(2005, 12, 31)), st.sampled_from(("male", "female")))
def test_made_up_numbers_hold_in_every_part(number: int, born: date, sex: str) -> None:
    assert check_number("cn.ric", resident_number("110101", born, number, sex), sex=sex, born_on=born) == []
    assert check_number("cn.uscc", credit_code("310101", number)) == []
    assert check_number("cn.zhongzheng", zhongzheng(number)) == []
    assert check_number("sv.dui", dui(number)) == []
    assert check_number("sv.nit", nit("0614", number)) == []
    assert stdnum_nit.is_valid(nit("0614", number))


@given(st.integers(1, 10**6), st.integers(0, 17), st.sampled_from("0123456789"))
def test_one_changed_digit_is_always_noticed(number: int, place: int, digit: str) -> None:
    good = resident_number("110101", date(1990, 3, 7), number, "male")
    changed = good[:place] + digit + good[place + 1 :]
    if changed != good:
        assert check_number("cn.ric", changed)


def test_a_column_and_its_values_one_by_one_agree() -> None:
    numbers = ["110101199003070011", "110101199003070012", None, "1", "110101900307001"]
    column = pl.Series("n", numbers, dtype=pl.String)
    whole = check_column("cn.ric", column)
    for i, number in enumerate(numbers):
        if number is not None:
            assert {p for p, (_, where) in whole.items() if where[i]} == set(parts("cn.ric", number))
    assert passes("cn.ric", column).to_list() == [True, False, None, False, True]


@given(st.text("0123456789", min_size=9, max_size=9), st.integers(0, 99))
def test_a_cpf_is_good_exactly_where_python_stdnum_says_so(body: str, checks: int) -> None:
    number = f"{body}{checks:02d}"
    assert passes("br.cpf", pl.Series([number]))[0] == stdnum_cpf.is_valid(number)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12))
def test_a_cnpj_with_letters_has_the_check_digits_of_the_tax_office(body: str) -> None:
    def check(text: str) -> int:
        total = sum((ord(c) - 48) * w for c, w in zip(reversed(text), [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6], strict=False))
        return 0 if total % 11 < 2 else 11 - total % 11

    first = check(body)
    number = f"{body}{first}{check(f'{body}{first}')}"
    assert passes("br.cnpj", pl.Series([number]))[0] == (number != "0" * 14)
    assert not passes("br.cnpj", pl.Series([f"{number[:13]}{(int(number[13]) + 1) % 10}"]))[0]


def test_the_tax_offices_own_example_of_a_cnpj_with_letters_is_good() -> None:
    assert passes("br.cnpj", pl.Series(["12.ABC.345/01DE-35", "11.222.333/0001-81", None])).to_list() == [True, True, None]
