"""Filings: whole or not at all, the same bytes twice, everything accounted for, nothing believed of other people's files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mloan_report.filing import build, check_files, gaps, scope
from mloan_report.filing.building import BuildResult
from mloan_report.filing.envelope import read_file
from mloan_report.filing.request import today
from mloan_report.packs import packs
from mloan_report.portfolio import Portfolio, UnusableInput, read_portfolio
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
PACKS = {"sv_ssf_ctri": "SV", "cn_pbc_credit": "CN"}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Portfolio]:
    folder = tmp_path_factory.mktemp("books")
    return {pack: read_portfolio(make_sample(94, country, 5, folder / pack)) for pack, country in PACKS.items()}


@pytest.fixture(scope="module")
def filings(books: dict[str, Portfolio], tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuildResult]:
    folder = tmp_path_factory.mktemp("filings")
    return {pack: build(pack, book, DAY, folder / pack, made_at=MADE) for pack, book in books.items()}


@pytest.mark.parametrize("pack", PACKS)
def test_the_same_input_gives_the_same_bytes(pack: str, books: dict[str, Portfolio], filings: dict[str, BuildResult], tmp_path: Path) -> None:
    again = build(pack, books[pack], DAY, tmp_path / "again", made_at=MADE)
    first = filings[pack].folder
    assert first is not None
    assert again.folder is not None
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in again.folder.iterdir()}


@pytest.mark.parametrize("pack", PACKS)
def test_a_filing_holds_its_files_a_manifest_and_findings_and_they_reconcile(
    pack: str, books: dict[str, Portfolio], filings: dict[str, BuildResult], root: Path
) -> None:
    folder = filings[pack].folder
    assert folder is not None
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    findings = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, json.loads((root / "schemas" / "manifest.json").read_text(encoding="utf-8")))
    jsonschema.validate(findings, json.loads((root / "schemas" / "findings.json").read_text(encoding="utf-8")))
    assert {p.name for p in folder.iterdir()} == {o["file"] for o in manifest["outputs"]} | {"manifest.json", "findings.json"}
    loans = manifest["loans"]
    assert loans["loans_given"] == loans["loans_filed"] + loans["loans_quarantined"] + loans["loans_out_of_scope"] == books[pack].table("loans").height
    assert len(manifest["out_of_scope"]) == loans["loans_out_of_scope"]
    assert manifest["control_totals"]
    assert all(t["agrees"] for t in manifest["control_totals"])


@pytest.mark.parametrize("pack", PACKS)
def test_what_was_built_passes_the_check_of_anyones_files(pack: str, filings: dict[str, BuildResult]) -> None:
    folder = filings[pack].folder
    assert folder is not None
    result = check_files([folder])
    assert result.pack == pack
    assert [f.message for f in result.findings if f.severity == "error"] == []
    assert sum(result.records.values()) == sum(f.records for f in filings[pack].files)


def test_an_existing_folder_is_left_alone_unless_it_is_to_be_replaced(books: dict[str, Portfolio], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "keep.txt").write_text("mine")
    with pytest.raises(UnusableInput, match="not empty"):
        build("sv_ssf_ctri", books["sv_ssf_ctri"], DAY, out, made_at=MADE)
    assert [p.name for p in out.iterdir()] == ["keep.txt"]
    assert not build("sv_ssf_ctri", books["sv_ssf_ctri"], DAY, out, made_at=MADE, replace=True).refused
    assert not (out / "keep.txt").exists()


def test_a_refused_build_leaves_nothing_behind(tmp_path: Path) -> None:
    book = read_portfolio(make_sample(47, "SV", 2, tmp_path / "book", faults=True))
    result = build("sv_ssf_ctri", book, DAY, tmp_path / "out", made_at=MADE)
    assert result.refused
    assert [p.name for p in tmp_path.iterdir()] == ["book"]


def test_quarantine_leaves_loans_with_errors_out_and_lists_them(tmp_path: Path) -> None:
    book = read_portfolio(make_sample(94, "SV", 2, tmp_path / "book", faults=True))
    result = build("sv_ssf_ctri", book, DAY, tmp_path / "out", made_at=MADE, quarantine=True)
    assert not result.refused, [f.message for f in result.findings if f.severity == "error"]
    assert result.manifest is not None
    held = {q["loan_id"]: q["codes"] for q in result.manifest["quarantined"]}
    assert {"L000001", "L000002", "L000003", "L000004", "L000006", "L000007"} <= set(held)
    assert result.manifest["loans"]["reconciles"]
    text = (tmp_path / "out" / "referencia.xml").read_text(encoding="utf-8")
    assert not any(f"-{loan[1:]}<" in text for loan in held)
    assert not [f for f in check_files([tmp_path / "out"]).findings if f.severity == "error"]


def test_a_failure_while_writing_leaves_nothing_at_the_final_place(books: dict[str, Portfolio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mloan_report.filing.building.manifest", full)
    with pytest.raises(OSError, match="No space"):
        build("sv_ssf_ctri", books["sv_ssf_ctri"], DAY, tmp_path / "out", made_at=MADE)
    assert list(tmp_path.iterdir()) == []


def test_the_packing_hook_gives_the_packed_file_its_place_in_the_manifest(books: dict[str, Portfolio], tmp_path: Path) -> None:
    def pack(path: Path, folder: Path) -> Path:
        packed = folder / (path.stem + ".enc")
        packed.write_bytes(path.read_bytes()[::-1])
        return packed

    result = build("cn_pbc_credit", books["cn_pbc_credit"], DAY, tmp_path / "out", made_at=MADE, packing=pack)
    assert result.manifest is not None
    assert all(o["packed"] == o["file"].replace(".txt", ".enc") for o in result.manifest["outputs"])


def test_the_chinese_header_is_fifty_bytes_and_agrees_with_name_and_body(filings: dict[str, BuildResult]) -> None:
    folder = filings["cn_pbc_credit"].folder
    assert folder is not None
    for path in folder.glob("*.txt"):
        lines = path.read_bytes().split(b"\n")
        assert len(path.name) == 34
        assert len(lines[0]) == 50
        assert lines[0][4:7].decode() == path.name[22:25]
        assert lines[0][12:14] == (b"10" if path.name[22:25] == "110" else b"  ")
        assert lines[0][28:42] == b"20261101160000"
        assert int(lines[0][43:50]) == len(lines) - 2
        assert lines[-1] == b""
        assert all(x.startswith(b"<Document>") and x.endswith(b"</Document>") for x in lines[1:-1])


def test_reports_follow_what_was_filed_before(tmp_path: Path) -> None:
    book = read_portfolio(make_sample(94, "CN", 4, tmp_path / "book"))
    first = build("cn_pbc_credit", book, date(2026, 9, 20), tmp_path / "h" / "first", known_at=date(2026, 9, 20), made_at=MADE)
    assert not first.refused
    codes = re.findall(r"<RptDateCode>(\d+)", "".join(p.read_text("utf-8") for p in (tmp_path / "h" / "first").glob("*210*.txt")))
    assert set(codes) == {"10"}
    second = build("cn_pbc_credit", book, DAY, tmp_path / "second", settings={"history": str(tmp_path / "h")}, made_at=MADE)
    assert not second.refused, [f.message for f in second.findings if f.severity == "error"][:5]
    text = "".join(p.read_text("utf-8") for p in (tmp_path / "second").glob("*210*.txt"))
    found = set(re.findall(r"<RptDate>([0-9-]+)</RptDate><RptDateCode>(\d+)", text))
    assert ("2026-09-30", "30") in found
    assert ("2026-10-31", "30") in found
    assert {"10", "20", "30", "40"} <= {code for _, code in found}
    assert all(day > "2026-09-20" for day, _ in found)
    third = build("cn_pbc_credit", book, DAY, tmp_path / "third", settings={"history": str(tmp_path)}, made_at=MADE)
    assert [f.code for f in third.findings if f.severity == "error"] == ["FIL-004"]


def test_scope_gives_every_loan_a_place_and_a_reason(books: dict[str, Portfolio]) -> None:
    for pack, book in books.items():
        rows = scope(pack, book, DAY)
        assert rows.height == book.table("loans").height
        assert rows.filter(~pl.col("in_scope") & pl.col("reason").is_null()).height == 0


def test_gaps_name_the_fact_its_column_and_how_many_records_fail(books: dict[str, Portfolio]) -> None:
    book = books["sv_ssf_ctri"]
    assert gaps("sv_ssf_ctri", book, DAY).gaps == ()
    bare = book.with_table("identifiers", book.table("identifiers").clear())
    found = {(g.record, g.field): g for g in gaps("sv_ssf_ctri", bare, DAY).gaps}
    gap = found["referencia", "nit_deudor"]
    assert gap.filled == 0
    assert gap.rejected == gap.needed > 0
    assert "borrower_id_sv_dui" in gap.columns


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda b: b[: len(b) * 2 // 3],
    "not utf-8": lambda b: b.replace(b"<nit_deudor>0", b"<nit_deudor>\xff", 1),
    "external entity": lambda b: b.replace(b"<ctri", b'<!DOCTYPE ctri [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<ctri', 1).replace(
        b"<cod_cartera>01", b"<cod_cartera>&x;", 1
    ),
    "entity bomb": lambda b: b.replace(b"<ctri", b'<!DOCTYPE ctri [<!ENTITY a "' + b"a" * 9999 + b'">]>\n<ctri', 1),
    "wrong root": lambda b: b.replace(b"<ctri ", b"<other ", 1).replace(b"</ctri>", b"</other>"),
    "no records": lambda b: re.sub(rb"<referencia>.*</referencia>\n", b"", b, flags=re.DOTALL),
    "foreign element between records": lambda b: b.replace(b"</referencia>\n", b"</referencia>\n<foreign/>\n", 1),
    "text between records": lambda b: b.replace(b"</referencia>\n", b"</referencia>\nsurprise\n", 1),
    "empty": lambda b: b"",
    "not xml": lambda b: b"loan_id,amount\n1,2\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_broken_files_give_findings_with_a_line_never_a_trace(name: str, filings: dict[str, BuildResult], tmp_path: Path) -> None:
    folder = filings["sv_ssf_ctri"].folder
    assert folder is not None
    path = tmp_path / "referencia.xml"
    path.write_bytes(HOSTILE[name]((folder / "referencia.xml").read_bytes()))
    found = [f for f in check_files([path]).findings if f.severity == "error"]
    assert found
    assert all(f.file == "referencia.xml" and f.row is not None for f in found)
    assert "root:" not in "".join(f.message for f in found)


def test_ten_thousand_errors_are_all_collected(filings: dict[str, BuildResult], tmp_path: Path) -> None:
    folder = filings["sv_ssf_ctri"].folder
    assert folder is not None
    text = (folder / "referencia.xml").read_text(encoding="utf-8")
    record = re.search(r"<referencia>.*?</referencia>\n", text, re.DOTALL)
    assert record is not None
    bad = record.group().replace("<cod_cartera>01", "<cod_cartera>77").replace("<codigo_moneda>1", "<codigo_moneda>9")
    head, tail = text[: record.start()], "</ctri>\n"
    (tmp_path / "referencia.xml").write_text(head + "".join(bad.replace("CR-", f"C{i}-", 1) for i in range(5000)) + tail, encoding="utf-8")
    codes = [f for f in check_files([tmp_path / "referencia.xml"]).findings if f.code == "SVCTRI-010"]
    assert len(codes) == 10_000
    assert len({f.row for f in codes}) == 5000


def test_findings_of_files_never_show_a_whole_identity_number(filings: dict[str, BuildResult], tmp_path: Path) -> None:
    folder = filings["sv_ssf_ctri"].folder
    assert folder is not None
    shutil.copytree(folder, tmp_path / "f")
    path = tmp_path / "f" / "persona.xml"
    text = path.read_text(encoding="utf-8")
    numbers = re.findall(r"<nit_persona>(\d+)</nit_persona>", text)
    path.write_text(text.replace("<sexo_persona>", "<sexo_persona>X"), encoding="utf-8")
    shown = json.dumps([[f.message, f.value, f.key] for f in check_files([tmp_path / "f"]).findings])
    assert "SVCTRI" in "".join(f.code for f in check_files([tmp_path / "f"]).findings)
    assert not any(n in shown for n in numbers)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_whatever_make_a_check_raise(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in ("referencia.xml", "Z99999999H00012026110112100010.txt"):
            path = Path(folder) / name
            path.write_bytes(data)
            pack = "sv_ssf_ctri" if name.endswith("xml") else "cn_pbc_credit"
            assert check_files([path], pack).findings


@pytest.mark.parametrize("pack", ["sv_ssf_ctri", "cn_pbc_credit"])
def test_records_read_in_chunks_are_the_records(pack: str, filings: dict[str, BuildResult], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filings[pack].folder
    assert folder is not None
    files = [(folder / f.name, f.record) for f in filings[pack].files]
    whole = [read_file(packs()[pack], path, record).records for path, record in files]
    monkeypatch.setattr("mloan_report.layout.xml_reader.CHUNK", 3)
    chunked = [read_file(packs()[pack], path, record).records for path, record in files]
    for a, b in zip(whole, chunked, strict=True):
        assert a is not None
        assert b is not None
        assert a.height
        assert a.text.equals(b.text)
        assert a.state.equals(b.state)
        assert a.typed.equals(b.typed)


def test_of_a_secret_setting_only_that_it_is_set_is_told() -> None:
    """A pack that marks a setting secret: its value is neither in the manifest nor in a file's name nor in a refusal."""
    pack = packs()["sv_ssf_ctri"]
    marked = replace(pack, settings={**pack.settings, "cod_cartera": replace(pack.settings["cod_cartera"], secret=True)})
    assert marked.shown_settings({"cod_cartera": "hidden", "emision": "7"}) == {"cod_cartera": "set", "emision": "7"}
    assert marked.shown_settings({"cod_cartera": None}) == {"cod_cartera": None}
    choice = replace(pack.settings["residente_si"], secret=True)
    with pytest.raises(ValueError, match="residente_si is set, not one of"):
        replace(pack, settings={**pack.settings, "residente_si": choice}).settings_for({"residente_si": "wrong"}, {})


@pytest.mark.parametrize(
    ("pack", "moment", "day"), [("in_mfi_cdf", 1794594600 + 3600, date(2026, 11, 14)), ("us_metro2", 1794621600 + 3600, date(2026, 11, 13))]
)
def test_the_day_of_a_check_is_that_of_the_recipient(pack: str, moment: int, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(moment))
    assert today(packs()[pack].time_zone) == day
