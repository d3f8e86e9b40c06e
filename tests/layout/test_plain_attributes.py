"""Blocks read by columns say what reading element by element says, of good files and of files spoilt anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mloan_report.layout.forms import attributes
from mloan_report.layout.forms.attributes import AttributesForm
from mloan_report.layout.forms.batch import Batch
from mloan_report.layout.forms.plain_attributes import plain_batch
from mloan_report.layout.records import TOP
from mloan_report.layout.trees import joined_batches
from mloan_report.packs import packs
from mloan_report.testing.pack_examples import examples_of, spoilings_of, spoilt

PACK = packs()["br_bcb_scr3040"]
FORM = PACK.form(None, PACK.settings_for({}, {}, need=False))
FILES = {n: data for n, data in examples_of(PACK).items() if n.endswith(".xml")}
SPOILT = {f"bad.csv {r.number}": spoilt(r)[1] for r in spoilings_of(PACK) if r.action not in ("settings", "name")}


def read(data: bytes) -> Batch:
    return joined_batches(list(FORM.read(BytesIO(data), "f.xml")))


def by_element(data: bytes) -> Batch:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attributes, "plain_batch", lambda *_: None)
        return read(data)


def assert_same(data: bytes) -> None:
    one, two = read(data), by_element(data)
    assert one.defects == two.defects
    assert one.records.keys() == two.records.keys()
    for name, records in one.records.items():
        other = two.records[name]
        assert records.text.equals(other.text), name
        assert records.typed.equals(other.typed), name
        assert records.state.equals(other.state), name
        assert records.lines is not None
        assert other.lines is not None
        assert records.lines.equals(other.lines), name


@pytest.mark.parametrize("name", FILES)
def test_a_good_file_is_plain_and_read_the_same(name: str) -> None:
    data = FILES[name]
    start = data.index(b">", data.index(b"<Doc3040")) + 1
    assert plain_batch(FORM, data[start : data.rindex(b"</Doc3040>")], "utf-8", 1, name, None) is not None
    assert_same(data)


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_file_is_read_the_same(name: str) -> None:
    assert_same(SPOILT[name])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.floats(0, 1),
    st.sampled_from([b"<", b">", b'"', b"&", b"/", b" x='1'", b"<!-- -->", b"&#65;", b"\n", b"\t", b"", b"<Op/>", b' Tp="1"']),
)
@example("complete_2026-10.xml", 0.9921875, b"<")  # what was read before a fault was lost in one of the two ways
def test_a_file_with_a_sign_put_in_or_taken_out_is_read_the_same(name: str, where: float, sign: bytes) -> None:
    data = FILES[name]
    at = int(len(data) * where)
    assert_same(data[:at] + sign + data[at + (0 if sign else 7) :])


def test_of_a_torn_file_whole_clients_are_read_and_the_torn_one_is_not() -> None:
    data = FILES["complete_2026-10.xml"]
    whole = read(data).records
    third = data.index(b"<Op ", [m.start() for m in re.finditer(b"<Cli ", data)][2])
    assert_same(data[: third + 9])
    torn = read(data[: third + 9]).records
    assert torn["Cli"].height == 2
    for name, records in torn.items():
        if name != "Doc3040":
            assert records.text.equals(whole[name].text.head(records.height)), name
            assert records.height == (whole[name].typed[TOP] < 2).sum(), name


def test_small_blocks_say_what_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["complete_2026-10.xml"]
    whole = read(data)
    monkeypatch.setattr(attributes, "BLOCK", 1500)
    parts = read(data)
    assert parts.defects == whole.defects
    for name, records in whole.records.items():
        assert records.typed.equals(parts.records[name].typed), name
        assert records.lines is not None
        assert parts.records[name].lines is not None
        assert records.lines.equals(parts.records[name].lines), name  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "demand"), [("ConIpocs", {"least": 1}), ("Cli", {"many": False}), ("Agreg", {"least": 1}), ("Cli", {"least": 99})])
@pytest.mark.parametrize("file", FILES)
def test_what_the_root_must_hold_is_asked_both_ways(file: str, name: str, demand: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = [replace(x, **demand) if x.name == name else x for x in PACK.records(None)]
    monkeypatch.setitem(globals(), "FORM", AttributesForm(layouts, PACK.envelope))
    assert_same(FILES[file])
