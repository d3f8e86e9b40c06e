"""Judging combinations of values finds what judging every record finds; blocks taken whole say what line by line says."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mloan_report.layout import combinations
from mloan_report.layout.combinations import NotACondition, quiet, verdicts
from mloan_report.layout.forms import Batch, delimited, tagged
from mloan_report.layout.forms.tagged import TaggedForm
from mloan_report.layout.trees import joined_batches
from mloan_report.packs import packs
from mloan_report.portfolio.sql import compile_sql, evaluate
from mloan_report.testing.pack_examples import examples_of, spoilings_of, spoilt

RULES = (
    "a = 'x' AND b = 'y'",
    "a IS NULL",
    "LENGTH(b) > 1",
    "n > 3",
    "a = b",
    "n = 1 AND a = 'x'",
    "b IS NOT NULL AND n < 0",
    "LISTED(a) AND NOT LONG(b)",
    "LONG(b)",
    "LISTED(b) OR FILLED(a)",
    "HALF_KNOWN(a)",
)
WHEN = (None, "a <> 'z'", None, "b = 'x'", "n IS NOT NULL", None, None, None, "LISTED(a)", "NOT FILLED(b)", None)
FUNCTIONS = {
    "LISTED": lambda c: c.is_in(["x", "z"]).fill_null(False),
    "LONG": lambda c: c.str.len_chars() > 1,
    "FILLED": lambda c: c.is_not_null(),
    "HALF_KNOWN": lambda c: pl.when(c == "y").then(None).otherwise(c == "x"),
}
ROW = st.tuples(st.sampled_from(["x", "y", "z", None]), st.sampled_from(["x", "y", "yy", None]), st.one_of(st.none(), st.integers(-1, 4)))


@pytest.fixture(autouse=True)
def few_rows_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combinations, "LONG", 8)
    monkeypatch.setattr(combinations, "_GROUPS", {})


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(ROW, min_size=2, max_size=6), min_size=1, max_size=4))
def test_a_rule_is_quiet_only_where_no_row_breaks_it_and_all_can_be_judged(blocks: list[list[tuple[str | None, str | None, int | None]]]) -> None:
    combinations._GROUPS.clear()
    for rows in blocks:
        frame = pl.DataFrame(rows * 8, schema={"a": pl.String, "b": pl.String, "n": pl.Int64}, orient="row")
        rules = {
            i: (compile_sql(sql, frame.columns, FUNCTIONS), compile_sql(w, frame.columns, FUNCTIONS) if w else None)
            for i, (sql, w) in enumerate(zip(RULES, WHEN, strict=True))
        }
        good, values = quiet(frame, rules, "rules")
        said_with_values = verdicts(frame, rules, values)
        for i, (broken, applies) in rules.items():
            said = evaluate(frame, {"s": broken})["s"].cast(pl.Boolean)
            if applies is not None:
                where = evaluate(frame, {"w": applies})["w"].fill_null(False)
                said = pl.select(pl.when(where).then(said).otherwise(False)).to_series()
            assert said_with_values[str(i)].equals(said.alias(str(i)))
            clean = not said.any() and said.null_count() == 0
            assert i not in good or clean, RULES[i]
            assert i in good or not clean or frame.unique().height > frame.height // 4, RULES[i]


def test_two_combinations_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = combinations._marks
    monkeypatch.setattr(combinations, "_marks", lambda rows: marks(rows).with_columns(a=pl.lit(0, pl.UInt64)))
    good = pl.DataFrame({"a": ["x"] * 40, "b": ["y", "w"] * 20})
    rules = {0: (compile_sql("a = 'z'", good.columns), None), 1: (compile_sql("b = 'z'", good.columns), None)}
    assert quiet(good, rules, "rules")[0] == {0, 1}
    assert quiet(good, rules, "rules")[0] == {0, 1}
    assert quiet(pl.concat([good, pl.DataFrame({"a": ["x"], "b": ["z"]})]), rules, "rules")[0] == {0}


def test_conditions_of_which_nothing_is_known_are_null_and_constant_ones_as_long_as_the_frame() -> None:
    frame = pl.DataFrame({"a": ["x", "y", None], "nothing": [None, None, None]}, schema={"a": pl.String, "nothing": pl.Null})
    wanted = {0: ("TRUE", None), 1: ("nothing", None), 2: ("a = 'x'", "nothing"), 3: ("FALSE", "a = 'x'"), 4: ("a = 'x'", "a IS NOT NULL")}
    rules = {k: (compile_sql(broken, frame.columns), compile_sql(when, frame.columns) if when else None) for k, (broken, when) in wanted.items()}
    said = verdicts(frame, rules)
    assert said.to_dict(as_series=False) == {"0": [True] * 3, "1": [None] * 3, "2": [False] * 3, "3": [False] * 3, "4": [True, False, False]}
    for broken, when in (("1 + 1", None), ("TRUE", "LENGTH(a)")):
        with pytest.raises(NotACondition, match="not a condition"):
            verdicts(frame, {7: (compile_sql(broken, frame.columns), compile_sql(when, frame.columns) if when else None)})


PACK = packs()["us_cfpb_sbl"]
FORM = PACK.form(None, PACK.settings_for({}, {}, need=False))
FILES = {n: d for n, d in examples_of(PACK).items() if n.endswith(".csv")}
FILES["no line end inside a value.csv"] = b"".join(
    line for line in FILES["register.csv"].splitlines(keepends=True) if line.endswith(b"\n") and line.count(b'"') % 2 == 0
)
SPOILT = {f"bad.csv {r.number}": spoilt(r)[1] for r in spoilings_of(PACK) if r.action in ("replace", "truncate", "insert", "repeat", "remove")}


def read(data: bytes) -> Batch:
    return joined_batches(list(FORM.read(BytesIO(data), "f.csv")))


def assert_same(data: bytes) -> bool:
    """Whether the file was plain; either way both readings agree."""
    taken: list[bool] = []
    plainly = delimited._Reading._plainly
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited._Reading, "_plainly", lambda *a: taken.append(plainly(*a)) or taken[-1])
        one = read(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited._Reading, "_plainly", lambda *_: False)
        two = read(data)
    assert one.defects == two.defects
    assert one.records.keys() == two.records.keys()
    for name, records in one.records.items():
        assert records.text.equals(two.records[name].text)
        assert records.state.equals(two.records[name].state)
        assert records.lines is not None
        assert records.lines.equals(two.records[name].lines)  # type: ignore[arg-type]
    return any(taken)


@pytest.mark.parametrize("name", FILES)
def test_a_good_register_is_read_the_same_both_ways(name: str) -> None:
    plain = assert_same(FILES[name])
    assert plain or name == "register.csv"


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_register_is_read_the_same_both_ways(name: str) -> None:
    assert_same(SPOILT[name])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.floats(0, 1), st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b'""', b'"x,y"', b"\xff", b"", b" "]))
def test_a_register_with_a_sign_put_in_or_taken_out_is_read_the_same_both_ways(name: str, where: float, sign: bytes) -> None:
    data = FILES[name]
    at = int(len(data) * where)
    assert_same(data[:at] + sign + data[at + (0 if sign else 5) :])


def test_the_last_line_of_a_register_may_lack_its_end(tmp_path: Path) -> None:
    assert assert_same(FILES["no line end inside a value.csv"].rstrip(b"\r\n"))


TAGGED = packs()["in_mfi_cdf"].form(None, packs()["in_mfi_cdf"].settings_for({}, {}, need=False))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["CNSCRD", "ACTCRD", "ADRCRD", "|", "|", "\n", "\r\n", "x", "\0"]), max_size=30).map("".join))
def test_text_is_cut_before_each_segment(text: str) -> None:
    assert isinstance(TAGGED, TaggedForm)
    pieces = [p for p in tagged._Reading(TAGGED, "f")._pieces(text).to_list() if p]
    assert pieces == [p for p in TAGGED.starts.split(text) if p]
