"""What we build validates under the official schemas, and our own schemas accept and reject what they do."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mloan_report.filing import build
from mloan_report.layout.definition import LayoutField, RecordLayout
from mloan_report.layout.xsd import document_schema
from mloan_report.packs import packs
from mloan_report.portfolio import read_portfolio
from mloan_report.testing.sample import add_identities

PACK = packs()["sv_ssf_ctri"]
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
DATE = date(2026, 10, 31)


def official(shared: Path, record: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(shared / "official" / "sv_ssf_ctri" / f"ssf_ctri_{record}.xsd")))


@pytest.fixture(scope="module")
def filing(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sv") / "filing"
    result = build("sv_ssf_ctri", read_portfolio(root / "docs" / "examples" / "sv"), DATE, out, made_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert not result.refused
    return out


def test_every_file_of_the_example_filing_is_valid_under_the_official_schema(shared: Path, filing: Path) -> None:
    files = sorted(filing.glob("*.xml"))
    assert len(files) >= 4
    for path in files:
        schema = official(shared, path.stem)
        assert schema.validate(etree.parse(str(path))), [str(e) for e in schema.error_log][:3]


def test_real_loans_with_made_up_identities_are_filed_and_valid(shared: Path, tmp_path: Path) -> None:
    add_identities(shared / "data" / "portfolios" / "xente_ug", "SV", tmp_path / "named")
    book = read_portfolio(tmp_path / "named")
    assert "made up" in (book.institution.made_up or "")
    result = build("sv_ssf_ctri", book, date(2019, 3, 31), tmp_path / "filing")
    assert not result.refused, [f.message for f in result.findings if f.severity == "error"][:5]
    assert result.manifest is not None
    totals = {t["name"]: t for t in result.manifest["control_totals"]}
    assert all(t["agrees"] for t in totals.values())
    assert totals["outstanding principal"]["files"] == "6806768.00"
    for path in sorted((tmp_path / "filing").glob("*.xml")):
        assert official(shared, path.stem).validate(etree.parse(str(path)))
    text = (tmp_path / "filing" / "referencia.xml").read_text(encoding="utf-8")
    assert "<codigo_moneda>2</codigo_moneda>" in text
    assert "<codigo_moneda>1</codigo_moneda>" not in text


def good_record(layout: RecordLayout) -> Any:
    """A record whose every field has a plain value of its type."""
    namespace = PACK.envelope["namespace"].format(record=layout.name)
    root = etree.Element(f"{{{namespace}}}ctri", nsmap={None: namespace, "xsi": "http://www.w3.org/2001/XMLSchema-instance"})
    record = etree.SubElement(root, f"{{{namespace}}}{layout.name}")
    for f in layout.value_fields:
        etree.SubElement(record, f"{{{namespace}}}{f.name}").text = plain_value(f)
    return root


def plain_value(f: LayoutField) -> str:
    if f.codes:
        return PACK.codes[f.codes[0]].active[0]
    if f.type == "date":
        return "2020-01-31"
    if f.is_number:
        return "1.50" if f.scale else "1"
    return "1" * (f.min_length or 1)


def mutations(f: LayoutField) -> dict[str, Any]:
    def text(value: str) -> Any:
        return lambda e: setattr(e, "text", value)

    out: dict[str, Any] = {
        "missing": lambda e: e.getparent().remove(e),
        "nil": lambda e: (setattr(e, "text", None), e.set(NIL, "true")),
        "empty": text(""),
        "twice": lambda e: e.getparent().append(copy.deepcopy(e)),
        "nil with content": lambda e: e.set(NIL, "true"),
        "bad code": text("~"),
        "blank inside": text(" 1 "),
    }
    if f.length and not f.is_number:
        out["too long"] = text("1" * (f.length + 1))
        out["just long enough"] = text("1" * f.length)
    if f.is_number:
        out |= {
            "bad decimal": text("1.234"),
            "comma": text("1,5"),
            "word": text("abc"),
            "negative": text("-1"),
            "large": text("9" * 20),
            "40000": text("40000"),
            "32": text("32"),
            "exponent": text("1e3"),
            "plus": text("+1"),
        }
        if f.scale and f.length:
            out["most digits"] = text("9" * (f.length - f.scale) + "." + "9" * f.scale)
            out["a digit more"] = text("9" * (f.length - f.scale + 1) + "." + "9" * f.scale)
    if f.type == "date":
        out |= {
            "day first": text("31-01-2020"),
            "no such day": text("2020-02-30"),
            "before 1800": text("1799-12-31"),
            "1850": text("1850-01-01"),
            "with time": text("2020-01-31T00:00:00"),
        }
    return out


@pytest.mark.parametrize("layout", PACK.records(), ids=lambda r: r.name)
def test_our_schema_accepts_and_rejects_what_the_official_one_does(shared: Path, layout: RecordLayout) -> None:
    theirs = official(shared, layout.name)
    ours = etree.XMLSchema(etree.fromstring(document_schema(layout, PACK.envelope["namespace"].format(record=layout.name), "ctri", dict(PACK.codes))))
    base = good_record(layout)
    assert theirs.validate(base), [str(e) for e in theirs.error_log][:3]
    assert ours.validate(base), [str(e) for e in ours.error_log][:3]
    differ = []
    for i, f in enumerate(layout.value_fields):
        for name, mutate in mutations(f).items():
            changed = copy.deepcopy(base)
            mutate(changed[0][i])
            document = etree.fromstring(etree.tostring(changed))
            if theirs.validate(document) != ours.validate(document):
                differ.append(f"{f.name}: {name}")
    assert differ == []


def test_the_committed_schema_is_the_one_the_layout_makes(root: Path) -> None:
    for layout in PACK.records():
        text = document_schema(layout, PACK.envelope["namespace"].format(record=layout.name), "ctri", dict(PACK.codes))
        assert (root / "schemas" / "sv_ssf_ctri" / f"{layout.name}.xsd").read_bytes() == text
