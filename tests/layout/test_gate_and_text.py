"""The gate before SQL refuses what is unsafe or silently wrong; numbers print exactly; nulls never reach the text."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from mloan_report.layout.definition import LayoutField, RecordLayout, RefusedLayout
from mloan_report.layout.records import make_records
from mloan_report.layout.rules import parse_rules, run_rules
from mloan_report.layout.text import from_text, scaled_text
from mloan_report.layout.xml_reader import read_lines
from mloan_report.layout.xml_writer import record_texts
from mloan_report.packs import packs
from mloan_report.packs.sql_functions import common_functions
from mloan_report.portfolio.sql import RefusedExpression, compile_sql, condition, evaluate_one

FRAME = pl.DataFrame(
    {
        "a": [5, None, -3],
        "b": [2, 0, 7],
        "d": [date(2026, 3, 31), None, date(2024, 2, 29)],
        "e": [date(2026, 1, 31), date(2026, 1, 1), date(2023, 2, 28)],
        "s": ["x", None, "yy"],
    }
)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM read_csv('/etc/passwd')",
        "a; b",
        "a -- comment",
        "a /* x */",
        "a / b",
        "a * 1.5",
        "CURRENT_DATE",
        "now()",
        "SUM(a) OVER (PARTITION BY b)",
        "a FROM t",
        "REGEXP_LIKE(s, '\\d')",
        "REGEXP_LIKE(s, '\\w+')",
        "unknown > 1",
        '"unknown" > 1',
        "ROUND(a)",
        "CONCAT(s, s)",
        "SUM(a)",
        "read_parquet('x')",
        "a ? b",
        "DAYS(d",
        "DAYS(d, e, e)",
    ],
)
def test_the_gate_refuses(sql: str) -> None:
    with pytest.raises(RefusedExpression):
        compile_sql(sql, FRAME.columns)


def test_macros_are_exact() -> None:
    def value(sql: str) -> list[object]:
        return evaluate_one(FRAME, compile_sql(sql, FRAME.columns)).to_list()

    assert value("DAYS(d, e)") == [59, None, 366]
    assert value("MONTHS(d, e)") == [2, None, 12]
    assert value("HALF_UP(a, b)") == [3, None, 0]
    assert value("HALF_UP(a * 10, 4)") == [13, None, -8]
    assert value("ADD_DAYS(d, 1)") == [date(2026, 4, 1), None, date(2024, 3, 1)]
    assert value("LENGTH(s) - 5") == [-4, None, -3]
    assert value("MONTH(d) * 100") == [300, None, 200]
    assert condition(FRAME, "(a > 0) IS DISTINCT FROM (b > 0)").to_list() == [False, True, True]


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_half_up_is_the_decimal_one(n: int, d: int) -> None:
    got = evaluate_one(pl.DataFrame({"n": [n], "d": [d]}), compile_sql("HALF_UP(n, d)", ["n", "d"]))[0]
    size = (Decimal(abs(n)) / Decimal(d)).quantize(Decimal(1), "ROUND_HALF_UP") if abs(n) % d * 2 != d else Decimal(abs(n) // d + 1)
    assert got == (int(size) if n >= 0 else -int(size))


@given(st.integers(-(10**15), 10**15), st.integers(1, 3))
def test_a_scaled_number_prints_and_reads_back_exactly(value: int, scale: int) -> None:
    frame = pl.DataFrame({"v": [value]})
    text = frame.select(scaled_text(pl.col("v"), scale).alias("t"))["t"]
    assert Decimal(text[0]) == Decimal(value).scaleb(-scale)
    assert from_text(field("v", "amount", scale=scale), text)[0] == value


def field(name: str, kind: str, *, scale: int = 0, required: str = "M", value: str | None = None) -> LayoutField:
    return LayoutField(
        "R",
        "",
        1,
        name,
        name,
        name,
        name,
        kind,
        200,
        None,
        scale,
        required,
        False,
        (),
        False,
        None,
        None,
        None,
        False,
        None,
        None,
        None,
        value or name,
        "",
        "official",
    )  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=20)),
            st.one_of(st.none(), st.dates(date(1901, 1, 1))),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_reads_back_equal(rows: list[tuple[str | None, date | None]]) -> None:
    layout = RecordLayout("R", "R", "loan", None, (), ("t",), "empty_element", (field("t", "text", required="O"), field("d", "date", required="O")))
    view = pl.DataFrame({"t": [r[0] for r in rows], "d": [r[1] for r in rows]}, schema={"t": pl.String, "d": pl.Date})
    made = make_records(layout, view, {}, {}, {})
    texts = [t for s in record_texts(made) for t in s.to_list()]
    anything = etree.XMLSchema(etree.fromstring('<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema"><x:element name="Document"/></x:schema>'))
    reading = read_lines(((i, f"<Document>{t}</Document>".encode()) for i, t in enumerate(texts)), layout, "Document", anything)
    assert reading.defects == []
    assert reading.schema_errors == []
    again = reading.collector.record_set()
    assert again.text.fill_null("").equals(made.text.fill_null(""))
    assert again.typed["d"].to_list() == [r[1] for r in rows]


def test_every_record_text_of_the_packs_is_well_formed() -> None:
    for pack in packs().values():
        for layout in pack.records():
            assert etree.QName(layout.root)
            assert [f.position for f in layout.value_fields if not f.segment] == sorted(f.position for f in layout.value_fields if not f.segment)


def test_a_value_of_the_wrong_type_stops_the_build() -> None:
    layout = RecordLayout("R", "R", "loan", None, (), ("t",), "absent", (field("t", "int", value="s"),))
    with pytest.raises(RefusedLayout, match=r"R\.t"):
        make_records(layout, pl.DataFrame({"s": ["x"]}), {}, {}, {})


def test_values_that_need_each_other_are_refused() -> None:
    fields = (field("x", "int", value="y + 1"), field("y", "int", value="x + 1"))
    with pytest.raises(RefusedLayout, match="need each other"):
        make_records(RecordLayout("R", "R", "loan", None, (), ("x",), "absent", fields), pl.DataFrame({"a": [1]}), {}, {}, {})


def test_a_condition_that_is_null_is_counted_as_not_judged() -> None:
    layout = RecordLayout("R", "R", "loan", None, (), ("t",), "absent", (field("t", "int", value="a"),))
    made = make_records(layout, FRAME, {}, {}, {})
    base = {"id": "X-1", "record": "R", "severity": "error", "message": "m", "fix": "f", "source": "s", "certainty": "official"}
    rules = parse_rules([{**base, "violated_if": "t > 0", "fields": ["t"]}], "x.toml")
    run = run_rules(rules, {"R": made}, {}, {}, {})
    assert run.not_judged == {"X-1": 1}
    assert len(run.findings) == 1
    with pytest.raises(RefusedLayout, match="severity"):
        parse_rules([{**base, "severity": "bad"}], "x.toml")
    with pytest.raises(RefusedLayout, match="fix"):
        parse_rules([{k: v for k, v in base.items() if k != "fix"}], "x.toml")


def test_settings_of_every_pack_say_what_they_mean() -> None:
    for pack in packs().values():
        for setting in pack.settings.values():
            assert setting.meaning
        assert pack.versions
        assert [v.effective_from for v in pack.versions] == sorted({v.effective_from for v in pack.versions})


@pytest.mark.parametrize(
    ("text", "folded", "odd"), [("Müller-Óñå", "Muller-Ona", False), ("ﬁne Å", "fine A", False), ("Łuk", " uk", True), ("王a", " a", True)]
)
def test_letters_are_folded_to_ascii_and_what_cannot_be_is_a_blank_that_can_be_asked_for(text: str, folded: str, odd: bool) -> None:
    frame = pl.DataFrame({"t": [text, None]})
    functions = common_functions()
    assert evaluate_one(frame, compile_sql("FOLD_ASCII(t)", frame.columns, functions)).to_list() == [folded, None]
    assert evaluate_one(frame, compile_sql("UNFOLDABLE(t)", frame.columns, functions)).to_list() == [odd, None]
