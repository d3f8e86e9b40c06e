"""A written file is proved in slices: whatever is changed in it is found, with its line, and nothing is filed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mloan_report.filing import build, building, check_files, foreign, joining, slices
from mloan_report.filing.building import BuildResult
from mloan_report.model.finding import Finding
from mloan_report.portfolio import Portfolio, read_portfolio
from mloan_report.testing.sample import make_sample

DAY = date(2026, 10, 31)
MADE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
PACKS = {"sv_ssf_ctri": "SV", "cn_pbc_credit": "CN"}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Portfolio]:
    folder = tmp_path_factory.mktemp("books")
    return {pack: read_portfolio(make_sample(60, country, 5, folder / pack)) for pack, country in PACKS.items()}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few records, read in chunks of one or two."""
    monkeypatch.setattr(joining, "SLICE", 15_000)
    monkeypatch.setattr(slices, "CHUNK", 4_000)


def harmed(pack: str, book: Portfolio, out: Path, monkeypatch: pytest.MonkeyPatch, name: str, harm: Callable[[bytes], bytes]) -> BuildResult:
    """A build whose file *name* is changed between writing and verification."""
    verdicts = building._Build._verdicts

    def first_harmed(self: Any, files: Any) -> Any:
        path = next(p for p in self.work.iterdir() if name in p.name)
        path.write_bytes(harm(path.read_bytes()))
        return verdicts(self, files)

    monkeypatch.setattr(building._Build, "_verdicts", first_harmed)
    return build(pack, book, DAY, out, made_at=MADE, jobs=1)


def found_after(pack: str, book: Portfolio, out: Path, name: str, harms: Mapping[str, Callable[[bytes], bytes]]) -> dict[str, list[Finding]]:
    """What verification finds after each of *harms* to the file *name* of one build, the file being made good again after each."""
    verdicts = building._Build._verdicts
    found: dict[str, list[Finding]] = {}

    def each_harmed(self: Any, files: Any) -> Any:
        path = next(p for p in self.work.iterdir() if name in p.name)
        good = path.read_bytes()
        for harm, change in harms.items():
            path.write_bytes(change(good))
            assert path.read_bytes() != good, harm
            found[harm] = [f for v in verdicts(self, [f for f in files if f.name == path.name]) for f in v.findings]
        path.write_bytes(good)
        return verdicts(self, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "SLICE", 60_000)
        patch.setattr(slices, "CHUNK", 20_000)
        patch.setattr(building._Build, "_verdicts", each_harmed)
        assert not build(pack, book, DAY, out, made_at=MADE, jobs=1).refused
    return found


@pytest.mark.parametrize("pack", PACKS)
def test_slices_of_any_size_take_what_is_good(pack: str, books: dict[str, Portfolio], tmp_path: Path) -> None:
    result = build(pack, books[pack], DAY, tmp_path / "out", made_at=MADE, jobs=1)
    assert result.folder is not None
    assert max(len(f.slices) for f in result.files) >= 5
    for f in result.files:
        data = (result.folder / f.name).read_bytes()
        for s in f.slices:
            assert s.first_line == data[: s.offset].count(b"\n") + 1
        assert sum(s.records for s in f.slices) == f.records


def _line_of(data: bytes, text: bytes, n: int) -> int:
    """The line of the *n*-th occurrence of *text*."""
    at = -1
    for _ in range(n):
        at = data.index(text, at + 1)
    return data[:at].count(b"\n") + 1


SV_HARMS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another amount": (lambda b: b.replace(b"<saldo_referencia>2", b"<saldo_referencia>3", 1), "differs from the one made"),
    "a record less": (lambda b: b[: b.index(b"<referencia>")] + b[b.index(b"</referencia>\n") + 14 :], ""),
    "a wrong root": (lambda b: b.replace(b"<ctri ", b"<other ").replace(b"</ctri>", b"</other>"), ""),
    "an element nobody knows": (lambda b: b.replace(b"</referencia>", b"<extra>1</extra></referencia>", 30), ""),
    "text between records": (lambda b: b.replace(b"</referencia>\n", b"</referencia>surprise\n", 1), ""),
    "an entity": (lambda b: b.replace(b"<cod_cartera>01", b"<cod_cartera>&x;", 1), ""),
    "not utf-8": (lambda b: b.replace(b"<cod_cartera>01", b"<cod_cartera>\xff1", 1), ""),
    "truncated": (lambda b: b[:-400], ""),
    "a doctype": (lambda b: b.replace(b"?>\n", b"?>\n<!DOCTYPE ctri>", 1), ""),
}


@pytest.fixture(scope="module")
def found_in_sv(books: dict[str, Portfolio], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    harms = {name: harm for name, (harm, _) in SV_HARMS.items()}
    return found_after("sv_ssf_ctri", books["sv_ssf_ctri"], tmp_path_factory.mktemp("sv") / "out", "referencia.xml", harms)


@pytest.mark.parametrize("name", SV_HARMS)
def test_a_file_that_was_changed_is_found(name: str, found_in_sv: dict[str, list[Finding]]) -> None:
    errors = [f for f in found_in_sv[name] if f.severity == "error"]
    assert errors
    assert any(SV_HARMS[name][1] in f.message for f in errors)


def test_what_is_found_changed_is_not_filed(books: dict[str, Portfolio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = harmed("sv_ssf_ctri", books["sv_ssf_ctri"], tmp_path / "out", monkeypatch, "referencia.xml", SV_HARMS["another amount"][0])
    assert result.refused
    assert list(tmp_path.iterdir()) == []
    assert any("differs from the one made" in f.message for f in result.findings if f.severity == "error")


def test_the_line_of_what_a_schema_refuses_is_the_line_in_the_file(books: dict[str, Portfolio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[int] = []

    def harm(data: bytes) -> bytes:
        where.append(_line_of(data, b"<fecha_otorgamiento>2", 40))
        at = -1
        for _ in range(40):
            at = data.index(b"<fecha_otorgamiento>2", at + 1)
        return data[:at] + b"<fecha_otorgamiento>x" + data[at + 21 :]

    result = harmed("sv_ssf_ctri", books["sv_ssf_ctri"], tmp_path / "out", monkeypatch, "referencia.xml", harm)
    found = [f for f in result.findings if f.code == "SVCTRI-003"]
    assert [f.row for f in found] == where
    assert "fecha_otorgamiento" in found[0].message


CN_HARMS: dict[str, Callable[[bytes], bytes]] = {
    "another account": lambda b: b.replace(b"<AcctCode>Z", b"<AcctCode>Y", 1),
    "an empty line": lambda b: b.replace(b"</Document>\n", b"</Document>\n\n", 1),
    "another type in the head": lambda b: b.replace(b"A050210", b"A050110", 1),
    "another type in a record": lambda b: b.replace(b"<InfRecType>210", b"<InfRecType>110", 1),
}


def test_lines_are_proved_too(books: dict[str, Portfolio], tmp_path: Path) -> None:
    found = found_after("cn_pbc_credit", books["cn_pbc_credit"], tmp_path / "out", "2100", CN_HARMS)
    assert {name for name, fs in found.items() if any(f.severity == "error" for f in fs)} == set(CN_HARMS)


@pytest.mark.parametrize("pack", PACKS)
def test_a_file_checked_in_slices_is_judged_as_it_is_whole(pack: str, books: dict[str, Portfolio], tmp_path: Path) -> None:
    folder = build(pack, books[pack], DAY, tmp_path / "out", made_at=MADE, jobs=1).folder
    assert folder is not None
    harms: list[Callable[[bytes], bytes]] = [
        lambda b: b,
        lambda b: b.replace(b"</referencia>", b"<extra>1</extra></referencia>", 3).replace(b"<AcctCode>Z", b"<AcctCode>Y", 2),
        lambda b: b.replace(b"<saldo_referencia>2", b"<saldo_referencia>x2", 3).replace(b"<RptDate>2026", b"<RptDate>20x6", 2),
        lambda b: b[:-300],
        lambda b: b.replace(b"</referencia>\n", b"</referencia>\n<!-- a comment -->\n", 2),
    ]
    for n, harm in enumerate(harms):
        for path in folder.iterdir():
            if path.suffix in (".xml", ".txt"):
                path.write_bytes(harm(path.read_bytes()))
        whole = check_files([folder])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(foreign, "SLICE", 20_000)
            if n:  # by processes the first time; they would do the same again
                patch.setattr(foreign, "shared_out", lambda work, stretches, *_: map(work, stretches))
            sliced = check_files([folder], jobs=2)
        assert [(f.code, f.message, f.file, f.row, f.key) for f in sliced.findings] == [(f.code, f.message, f.file, f.row, f.key) for f in whole.findings]
        assert sliced.records == whole.records
