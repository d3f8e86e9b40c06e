"""Forms of composed files: what is written is read back the same and written again as the same bytes; what is spoilt is found at its line."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mloan_report.layout.definition import LayoutField, Lookup, RecordLayout, read_fields
from mloan_report.layout.fingerprint import unit_fingerprints
from mloan_report.layout.forms import Form, form_of
from mloan_report.layout.forms.batch import records_of
from mloan_report.layout.records import PARENT, ROWNUM, TOP, RecordSet, with_lookups
from mloan_report.layout.rules import LayoutCodes, check_layout, parse_rules, unique_hashes
from mloan_report.layout.trees import inside, joined_batches
from mloan_report.model.finding import Rule


def fields(record: str, text: str) -> tuple[LayoutField, ...]:
    """Fields as ``name:type:length`` words; of fixed width one behind the other."""
    rows, start = ["record,segment,position,name,type,length,start"], 1
    for n, word in enumerate(text.split(), start=1):
        name, kind, length = word.split(":")
        rows.append(f"{record},,{n},{name},{kind},{length},{start}")
        start += int(length or 0)
    return read_fields("\n".join(rows), record, None, {"date": "%d%m%Y"})


def layout(name: str, text: str, **more: Any) -> RecordLayout:
    return RecordLayout(name, more.pop("root", name), "loan", None, (), (), more.pop("null_as", "empty_element"), fields(name, text), **more)


DELIMITED = form_of(
    [
        layout("HD", "tag:code:2 who:text:8", place="head"),
        layout("ID", "tag:code:2 no:text:9 name:text:20 born:date:8"),
        layout("FT", "tag:code:2 n:whole:9", place="foot"),
    ],
    {"form": "delimited", "separator": "|"},
)
QUOTED = form_of([layout("row", "uid:text:9 note:text:90 sum:text:9")], {"form": "delimited", "separator": ",", "quoted": True, "names": True})
FIXED = form_of(
    [
        layout("header", "rdw:size:4 sign:text:6 rest:blank:416", place="head"),
        layout("base", "rdw:size:4 kind:digits:1 name:text:20 amount:whole:9 born:date:8 rest:blank:384"),
        layout("J1", "tag:code:2 name:text:18", parent="base"),
        layout("N1", "tag:code:2 boss:text:18", parent="base", many=False),
        layout("trailer", "rdw:size:4 sign:text:7 n:whole:9 rest:blank:406", place="foot"),
    ],
    {"form": "fixed", "length_word": "rdw", "line_end": "\r\n", "encoding": "ascii", "signs": {"header": "HEADER", "trailer": "TRAILER"}},
)
TAGGED_KINDS = [
    layout("HDR", "tag:code:3 who:text:10", place="head"),
    layout("CNS", "tag:code:3 no:text:9 name:text:20"),
    layout("ADR", "tag:code:3 line:text:20", parent="CNS", many=False, least=1),
    layout("ACT", "tag:code:3 loan:text:9 sum:whole:9", parent="CNS", least=1),
    layout("TRL", "tag:code:3 rest:blank:7", place="foot"),
]
TAGGED = form_of(
    TAGGED_KINDS,
    {"form": "tagged", "separator": "|", "trailing": 1, "trailing_accepted": [0, 1], "foot_break": "\r\n", "encoding": "latin-1", "repeat_accepted": True},
)
REPEATED = form_of(
    TAGGED_KINDS,
    {"form": "tagged", "separator": "|", "trailing": 1, "break": "\r\n", "head_break": "\r\n", "final": "\r\n", "repeat": True, "encoding": "latin-1"},
)
XML = form_of(
    [
        layout("Doc", "Month:text:7 Total:whole:9", place="root", null_as="absent"),
        layout("Cli", "Cd:text:11 Tp:code:1", null_as="absent"),
        layout("Op", "Id:text:9 Sum:whole:9", parent="Cli", least=1, null_as="absent"),
        layout("Venc", "v110:whole:9 v120:whole:9", parent="Op", many=False, null_as="absent"),
        layout("Agreg", "Mod:code:4", null_as="absent"),
        layout("AgVenc", "v110:whole:9", parent="Agreg", root="Venc", many=False, null_as="absent"),
    ],
    {"form": "attributes", "encoding": "utf-8"},
)


def rows(form: Form, kind: str, texts: list[dict[str, str | None]], parents: list[int] | None = None, tops: list[int] | None = None) -> RecordSet:
    own = form.layouts[kind]
    frame = pl.DataFrame(texts, schema={f.column: pl.String for f in own.value_fields})
    place = None if own.parent is None else {PARENT: pl.Series(parents, dtype=pl.UInt32), TOP: pl.Series(tops or parents, dtype=pl.UInt32)}
    return records_of(own, frame, pl.Series([0] * len(texts), dtype=pl.UInt32), "", place)


def file_of(form: Form, records: dict[str, RecordSet]) -> bytes:
    body = "".join(t for x in form.tops if x.name in records for t in form.texts(records[x.name], inside(x.name, records[x.name], records)))
    return (form.head(records) + body + form.foot(records)).encode(form.encoding)


def read(form: Form, data: bytes) -> Any:
    return joined_batches(list(form.read(BytesIO(data), "f")))


NAMES = st.text(alphabet="ABCDEF &<>'", min_size=1, max_size=17).map(lambda t: "N" + t.strip())


def books(form: Form) -> dict[str, RecordSet]:
    if form is DELIMITED:
        people = [{"tag": "ID", "no": f"S{i}", "name": "A" if i % 2 else "", "born": "03071992"} for i in range(5)]
        return {"HD": rows(form, "HD", [{"tag": "HD", "who": "X"}]), "ID": rows(form, "ID", people), "FT": rows(form, "FT", [{"tag": "FT", "n": "5"}])}
    if form is QUOTED:
        texts = [{"uid": "1", "note": 'a "b", c\nd', "sum": "5"}, {"uid": "2", "note": "", "sum": "1.5"}, {"uid": "3", "note": "x,y", "sum": ""}]
        return {"row": rows(form, "row", texts)}
    if form is FIXED:
        base = [{"rdw": "", "kind": "1", "name": f"N{i}", "amount": str(i * 7), "born": "" if i == 1 else "03071992", "rest": ""} for i in range(3)]
        return {
            "header": rows(form, "header", [{"rdw": "", "sign": "HEADER", "rest": ""}]),
            "base": rows(form, "base", base),
            "J1": rows(form, "J1", [{"tag": "J1", "name": "B"}, {"tag": "J1", "name": "C"}, {"tag": "J1", "name": "D"}], [0, 0, 2]),
            "N1": rows(form, "N1", [{"tag": "N1", "boss": "E"}], [2]),
            "trailer": rows(form, "trailer", [{"rdw": "", "sign": "TRAILER", "n": "3", "rest": ""}]),
        }
    if form is XML:
        return {
            "Doc": rows(form, "Doc", [{"Month": "2026-07", "Total": "3"}]),
            "Cli": rows(form, "Cli", [{"Cd": "1", "Tp": "1"}, {"Cd": '2"&<', "Tp": None}]),
            "Op": rows(form, "Op", [{"Id": "a", "Sum": "1"}, {"Id": "b", "Sum": None}, {"Id": "c", "Sum": "3"}], [0, 0, 1]),
            "Venc": rows(form, "Venc", [{"v110": "1", "v120": None}, {"v110": None, "v120": "4"}], [1, 2], [0, 1]),
            "Agreg": rows(form, "Agreg", [{"Mod": "0212"}]),
            "AgVenc": rows(form, "AgVenc", [{"v110": "9"}], [0]),
        }
    return {
        "HDR": rows(form, "HDR", [{"tag": "HDR", "who": "LENDER"}]),
        "CNS": rows(form, "CNS", [{"tag": "CNS", "no": "1", "name": "A"}, {"tag": "CNS", "no": "2", "name": ""}]),
        "ADR": rows(form, "ADR", [{"tag": "ADR", "line": "x"}, {"tag": "ADR", "line": "y"}], [0, 1]),
        "ACT": rows(
            form, "ACT", [{"tag": "ACT", "loan": "a", "sum": "1"}, {"tag": "ACT", "loan": "b", "sum": ""}, {"tag": "ACT", "loan": "c", "sum": "7"}], [0, 0, 1]
        ),
        "TRL": rows(form, "TRL", [{"tag": "TRL", "rest": ""}]),
    }


FORMS = {"delimited": DELIMITED, "quoted": QUOTED, "fixed": FIXED, "tagged": TAGGED, "repeated": REPEATED, "xml": XML}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_written_is_read_back_and_written_again_the_same(name: str) -> None:
    form = FORMS[name]
    made = books(form)
    data = file_of(form, made)
    back = read(form, data)
    assert back.defects == []
    assert {n: r.height for n, r in back.records.items()} == {n: r.height for n, r in made.items()}
    for top in form.tops:
        a = unit_fingerprints(made[top.name], inside(top.name, made[top.name], made))
        b = unit_fingerprints(back.records[top.name], inside(top.name, back.records[top.name], back.records))
        assert a.to_list() == b.to_list(), top.name
    assert file_of(form, back.records) == data


@pytest.mark.parametrize("name", FORMS)
def test_a_record_moved_into_another_parent_has_another_fingerprint(name: str) -> None:
    form = FORMS[name]
    made = books(form)
    for kind, inner in made.items():
        if inner.layout.parent is None or inner.height < 2 or inner.typed[PARENT].n_unique() < 2:
            continue
        turned = RecordSet(inner.layout, inner.typed.with_columns(pl.col(PARENT).reverse(), pl.col(TOP).reverse()), inner.text, inner.state)
        top = form.layouts[kind]
        while top.parent:
            top = form.layouts[top.parent]
        before = unit_fingerprints(made[top.name], inside(top.name, made[top.name], made))
        other = {**made, kind: turned}
        assert before.to_list() != unit_fingerprints(made[top.name], inside(top.name, made[top.name], other)).to_list()


SPOILT = [
    # form, what is replaced, by what, the defect and its line
    ("delimited", b"ID|S2|", b"ID|S2||", "columns", 4),
    ("delimited", b"ID|S2|", b"XX|S2|", "unknown", 4),
    ("delimited", b"HD|X\n", b"", "root", 1),
    ("delimited", b"FT|5\n", b"", "foot", 7),
    ("delimited", b"FT|5\n", b"FT|5\nFT|5\n", "twice", 8),
    ("delimited", b"ID|S2|", b"\nID|S2|", "empty_line", 4),
    ("delimited", b"ID|S2|", b"ID|S\xff|", "encoding", 4),
    ("quoted", b"2,,1.5", b"2,1.5", "columns", 4),
    ("quoted", b"uid,note,sum", b"uid,note,total", "names", 1),
    ("quoted", b"uid,note,sum", b"\xef\xbb\xbfuid,note,sum", "bom", 1),
    ("fixed", b"0466", b"0465", "length_word", 2),
    ("fixed", b"HEADER", b"HEADRE", "root", 1),
    ("fixed", b"J1B", b"X1B", "unknown", 2),
    ("fixed", b"000000014", b"     0014", "padding", 4),
    ("fixed", b"N1E", b"J1E" + b" " * 17 + b"N1E", "length_word", 4),
    ("tagged", b"ACT|a|1|", b"ACT|a|", "columns", 1),
    ("tagged", b"HDR", b"XXX", "root", 1),
    ("tagged", b"TRL", b"TLR", "foot", 2),
    ("tagged", b"ADR|y|", b"", "absent_record", 1),
    ("tagged", b"ADR|y|", b"ADR|y|ADR|z|", "twice", 1),
    ("tagged", b"|\r\nTRL", b"|X\r\nTRL", "columns", 1),
    ("tagged", b"TRL  ", b"TRL ", "foot", 2),
    ("tagged", b"TRL  ", b"TRL   ", "after_foot", 2),
    ("repeated", b"ACT|c|7|\r\n", b"ACT|c|7||||\r\n", "columns", 4),
    ("repeated", b"ACT|c|7|\r\n", b"ACT|c|7|ACT|d|8|\r\n", "order", 4),
    ("xml", b'<Op Id="c"', b'<Po Id="c"', "unreadable", 12),
    ("xml", b' Sum="3"', b' Sum="3" Extra="1"', "attribute", 10),
    ("xml", b"</Doc>", b"", "unreadable", 18),
    ("xml", b'<Agreg Mod="0212">', b'<Agreg Mod="0212">text', "stray_text", 14),
    ("xml", b'<Cli Cd="1" Tp="1">', b'<Cli Cd="1" Tp="1"><Venc v110="1"/>', "unknown", 3),
    ("xml", b"<Doc ", b'<!DOCTYPE x [<!ENTITY a "b">]><Doc ', "forbidden", 1),
]


@pytest.mark.parametrize(("name", "old", "new", "kind", "line"), SPOILT)
def test_what_is_spoilt_is_found_at_its_line(name: str, old: bytes, new: bytes, kind: str, line: int) -> None:
    form = FORMS[name]
    data = file_of(form, books(form))
    assert old in data
    found = [(d.kind, d.line) for d in read(form, data.replace(old, new, 1)).defects]
    assert (kind, line) in found, found


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**9 - 1), st.integers(0, 3)), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_names_and_numbers_survive_a_file_of_fixed_width_and_one_of_xml(people: list[tuple[str, int, int]]) -> None:
    for form, top in ((FIXED, "base"), (XML, "Cli")):
        made = books(form)
        if form is FIXED:
            made["base"] = rows(form, "base", [{"rdw": "", "kind": "1", "name": n, "amount": str(a), "born": "", "rest": ""} for n, a, _ in people])
            made["J1"] = rows(
                form, "J1", [{"tag": "J1", "name": n} for n, _, k in people for _ in range(k)], [i for i, p in enumerate(people) for _ in range(p[2])]
            )
            made.pop("N1")
        else:
            made = {"Doc": made["Doc"], "Cli": rows(form, "Cli", [{"Cd": n, "Tp": "1"} for n, _, _ in people])}
            made["Op"] = rows(
                form, "Op", [{"Id": "x", "Sum": str(a)} for _, a, k in people for _ in range(k + 1)], [i for i, p in enumerate(people) for _ in range(p[2] + 1)]
            )
        back = read(form, file_of(form, made))
        assert back.defects == []
        a = unit_fingerprints(made[top], inside(top, made[top], made))
        b = unit_fingerprints(back.records[top], inside(top, back.records[top], back.records))
        assert a.to_list() == b.to_list()
        assert file_of(form, back.records) == file_of(form, made)


def test_line_feeds_between_segments_are_the_line_ends_of_the_envelope() -> None:
    spec = {"form": "tagged", "separator": "|", "trailing": 1, "break": "\n", "head_break": "\n", "final": "\n", "repeat": True, "encoding": "latin-1"}
    windows = file_of(REPEATED, books(REPEATED))
    assert file_of(form_of(TAGGED_KINDS, {**spec, "line_end": "\r\n"}), books(REPEATED)) == windows
    assert file_of(form_of(TAGGED_KINDS, {**spec, "line_end": "\n"}), books(REPEATED)) == windows.replace(b"\r\n", b"\n")


def test_where_a_key_must_stand_once_may_hang_on_a_setting() -> None:
    said = {"severity": "error", "record": "row", "message": "m", "why": "w", "fix": "f", "source": "s", "certainty": "official"}
    rules = parse_rules([{**said, "id": "A", "unique": ["uid"], "when": "set_once = 'yes'"}], "x.toml")
    twice = rows(QUOTED, "row", [{"uid": "1", "note": "", "sum": "5"}, {"uid": "1", "note": "", "sum": "6"}])
    assert unique_hashes(rules, twice, {}, {"set_once": "yes"})["unique A"].n_unique() == 1
    assert unique_hashes(rules, twice, {}, {"set_once": "no"})["unique A"].null_count() == 2


def fixed(**spec: Any) -> Form:
    """The form of fixed width with more said in its envelope."""
    return form_of(list(FIXED.layouts.values()), {**FIXED.spec, **spec})


def defects(form: Form, data: bytes) -> list[tuple[str, int | None]]:
    return [(d.kind, d.line) for d in read(form, data).defects]


def test_a_length_word_out_of_range_is_another_defect_than_one_that_does_not_fit() -> None:
    data = file_of(FIXED, books(FIXED))
    assert defects(FIXED, data.replace(b"0466", b"0425", 1)) == [("length_range", 2)]
    assert defects(FIXED, data.replace(b"0466", b"04A6", 1)) == [("length_range", 2)]
    assert defects(FIXED, data.replace(b"0466", b"0467", 1)) == [("length_word", 2)]


def test_reserved_columns_that_hold_something_are_no_padding() -> None:
    data = file_of(FIXED, books(FIXED))
    assert defects(FIXED, data.replace(b"HEADER ", b"HEADER1", 1)) == [("reserved", 1)]


def test_a_second_head_is_a_defect_unless_files_are_joined_and_a_second_foot_always() -> None:
    lines = file_of(FIXED, books(FIXED)).split(b"\r\n")
    twice = b"\r\n".join([*lines[:2], lines[0], *lines[2:]])
    assert defects(FIXED, twice) == [("root", 3)]
    assert defects(fixed(joined=True), twice) == []
    assert defects(fixed(joined=True), b"\r\n".join([*lines[:-1], lines[-2], b""])) == [("foot", 6), ("after_foot", 6)]


def test_a_lenient_reader_does_without_head_and_foot_and_says_so() -> None:
    lines = file_of(FIXED, books(FIXED)).split(b"\r\n")
    assert defects(fixed(lenient=True), b"\r\n".join([*lines[1:-2], b""])) == [("mended", 1), ("mended", 3)]
    assert defects(FIXED, b"\r\n".join([*lines[1:-2], b""])) == [("root", 1), ("foot", 3)]


def test_records_filled_to_one_length_are_read_back_the_same() -> None:
    form = fixed(pad_to=500)
    made = books(FIXED)
    data = file_of(form, made)
    assert {len(x) for x in data.split(b"\r\n") if x} == {500}
    back = read(form, data)
    assert back.defects == []
    assert file_of(form, back.records) == data
    assert file_of(FIXED, back.records) == file_of(FIXED, made)


def test_what_stands_where_a_tag_or_a_length_word_should_is_not_shown_when_it_may_be_a_name() -> None:
    data = file_of(FIXED, books(FIXED))
    shown = [d.detail for d in read(FIXED, data.replace(b"J1B", b"ANN", 1)).defects]
    assert shown
    assert not [s for s in shown if "AN" in s]
    assert [d for d in read(FIXED, data.replace(b"J1B", b"J7B", 1)).defects if "'J7'" in d.detail]
    assert not [d for d in read(FIXED, data.replace(b"0466", b"ANNA", 1)).defects if "ANNA" in d.detail]


def test_a_file_of_xml_is_read_in_the_encoding_that_it_declares_and_only_one_that_may_be_used() -> None:
    form = form_of(list(XML.layouts.values()), {"form": "attributes", "encoding": "utf-8", "encodings": ["UTF-8", "ISO-8859-1", "UTF-16"]})
    made = {"Doc": rows(form, "Doc", [{"Month": "2026-07", "Total": "1"}]), "Cli": rows(form, "Cli", [{"Cd": "JOÁO", "Tp": "1"}])}
    made["Op"] = rows(form, "Op", [{"Id": "a", "Sum": "1"}], [0])
    text = file_of(form, made).decode()
    for name in ("UTF-8", "ISO-8859-1", "UTF-16"):
        back = read(form, text.replace("UTF-8", name, 1).encode(name))
        assert back.defects == []
        assert back.records["Cli"].text["Cd"].to_list() == ["JOÁO"]
    assert [(d.kind, d.line) for d in read(form, text.replace("UTF-8", "ISO-8859-2", 1).encode("iso-8859-2")).defects] == [("encoding", 1)]
    assert [d.kind for d in read(form, ("<!DOCTYPE x>" + text).encode("utf-16")).defects] == ["forbidden"]


def test_a_defect_says_in_which_element_it_stands() -> None:
    data = file_of(XML, books(XML)).replace(b'<Agreg Mod="0212">', b'<Agreg Mod="0212"><Venc v110="1"/>', 1)
    assert [(d.kind, d.inside) for d in read(XML, data).defects] == [("twice", "Agreg")]


def test_fields_that_replace_one_another_by_date_are_one_field_where_the_date_is_not_known() -> None:
    text = "record,position,name,type,length,from,to\nGar,1,Ident,text,14,,2025-12-31\nGar,2,Ident,text,21,2026-01-01,\nGar,3,Perc,whole,3,,2025-12-31\n"
    assert [(f.name, f.length) for f in read_fields(text, "Gar", None)] == [("Ident", 21), ("Perc", 3)]
    assert [(f.name, f.length) for f in read_fields(text, "Gar", date(2025, 12, 31))] == [("Ident", 14), ("Perc", 3)]
    assert [(f.name, f.length) for f in read_fields(text, "Gar", date(2026, 1, 31))] == [("Ident", 21)]


def test_a_rule_is_about_the_layouts_between_its_days() -> None:
    said = {"severity": "error", "record": "Op", "message": "m", "why": "w", "fix": "f", "source": "s", "certainty": "official"}
    old, new = parse_rules([{**said, "id": "A", "to": "2024-12-31"}, {**said, "id": "B", "from": "2025-01-01"}], "x.toml")
    assert [r.in_force(date(2024, 12, 31)) for r in (old, new)] == [True, False]
    assert [r.in_force(date(2025, 1, 1)) for r in (old, new)] == [False, True]
    assert [r.in_force(None) for r in (old, new)] == [True, True]


def test_what_a_field_breaks_is_said_in_words_for_codes_that_stand_for_several_kinds() -> None:
    rule = Rule("X", "error", "t", "{name} {detail}.", "w", "f")
    own = layout("Op", "Id:code:2 Sum:whole:3", null_as="absent")
    text = pl.DataFrame({"Id": ["abc"], "Sum": ["x"]}, schema={"Id": pl.String, "Sum": pl.String})
    records = records_of(own, text, pl.Series([7], dtype=pl.UInt32), "f")
    found = check_layout(records, {}, LayoutCodes({"type": "X"}, {"X": rule}), {})
    assert [(f.message, f.row) for f in found] == [("Id is longer or shorter than its length 2.", 7), ("Sum is not a whole number.", 7)]


def test_a_lookups_value_may_end_in_a_bracket_of_its_own() -> None:
    made = dict(read(XML, file_of(XML, books(XML))).records)
    ops = made["Op"].typed
    summed = with_lookups(ops, [Lookup("sum", "Venc", (ROWNUM,), (PARENT,), "SUM(COALESCE(v110, 0) + COALESCE(v120, 0))")], made, {}, {}, {})
    assert summed["sum"].to_list() == [None, 1, 4]
