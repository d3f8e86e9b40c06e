"""Every composed pack: good examples are good and written back the same bytes, every rule is broken once and found at its line,
a built sample reads back as it was made, and a file spoilt anywhere is found.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pytest

from mloan_report.filing import build, check_files
from mloan_report.filing.checking import CheckResult
from mloan_report.model.finding import Finding
from mloan_report.packs import Pack, packs
from mloan_report.portfolio import read_portfolio
from mloan_report.testing.pack_examples import Spoiling, _read, example_settings, examples_of, not_run_of, spoilings_of, spoilt_together, together, written
from mloan_report.testing.sample import make_sample

COMPOSED = {p.id: p for p in packs().values() if p.is_composed}
GOOD = [(p.id, name) for p in COMPOSED.values() for name in examples_of(p)]
RUNS = together([r for p in COMPOSED.values() for r in spoilings_of(p)])
AS_OF = date(2026, 10, 31)
# A register of one past year, to which few loans belong.
SAMPLE_DATES = {"us_cfpb_sbl": date(2025, 12, 31)}
LEAST_FILED = {"us_cfpb_sbl": 5}


def judged(pack: str, folder: Path, name: str, data: bytes, settings: dict[str, str]) -> CheckResult:
    path = folder / name
    path.write_bytes(data)
    given = {k: v for k, v in settings.items() if k != "today"}
    before = os.environ.get("SOURCE_DATE_EPOCH")
    day = date.fromisoformat(settings.get("today", "2026-11-15"))
    os.environ["SOURCE_DATE_EPOCH"] = str(int(datetime(day.year, day.month, day.day, 12).timestamp()))
    try:
        return check_files([path], pack, settings=given)
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def marks(result: CheckResult) -> Counter[tuple[str, str | None, str | None]]:
    return Counter((f.code, f.key, f.field) for f in result.findings)


@pytest.mark.parametrize(("pack", "name"), GOOD)
def test_a_good_example_has_no_error_and_is_written_back_the_same(pack: str, name: str, tmp_path: Path) -> None:
    p = COMPOSED[pack]
    result = judged(pack, tmp_path, name, examples_of(p)[name], example_settings(p, name))
    assert [str(f.message) for f in result.findings if f.severity == "error"] == []
    assert sum(result.records.values()) > 0
    form, batch, settings = _read(pack, name)
    assert written(p, form, batch.records, settings, right_totals=False) == examples_of(p)[name]
    assert written(p, form, batch.records, settings, right_totals=True) == examples_of(p)[name], "the totals are not those of the records"


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Counter[tuple[str, str | None, str | None]]]:
    return {}


@pytest.mark.parametrize("run", RUNS, ids=lambda r: f"{r[0].pack}-{r[0].number}-{r[0].code}{f'-and-{len(r) - 1}-more' if len(r) > 1 else ''}")
def test_the_rule_is_broken_by_the_spoilt_file_and_not_by_its_good_twin(run: list[Spoiling], tmp_path: Path, twins: dict) -> None:  # type: ignore[type-arg]
    first = run[0]
    p = COMPOSED[first.pack]
    settings = example_settings(p, first.file) | dict(first.settings)
    like = example_settings(p, first.file) if first.action == "settings" else settings
    key = (first.pack, first.file, str(sorted(like.items())))
    if key not in twins:
        twins[key] = marks(judged(first.pack, tmp_path, first.file, examples_of(p)[first.file], like))
    name, data = spoilt_together(run)
    result = judged(first.pack, tmp_path, name, data, settings)
    new = {code for code, _, _ in marks(result) - twins[key]}
    expected = set().union(*({r.code} | r.also for r in run))
    assert new == expected, [f.message for f in result.findings if f.code in new ^ expected]
    for row in run:
        own = [f for f in result.findings if f.code == row.code]
        assert all(f.file == name for f in own)
        if row.line is not None and row.action in ("set", "replace"):
            assert row.line in {f.row for f in own}, (row, {f.row for f in own})


@pytest.mark.parametrize("pack", COMPOSED)
def test_every_rule_has_a_file_that_breaks_it_or_a_reason(pack: str) -> None:
    p = COMPOSED[pack]
    broken = {r.code for r in spoilings_of(p)} | {c for r in spoilings_of(p) for c in r.also}
    excused = not_run_of(p)
    rules = {r.id for r in p.rules}
    assert sorted(rules - broken - set(excused)) == []
    assert sorted((broken | set(excused)) - rules) == [], "named in the examples and no rule"
    assert sorted(broken & set(excused)) == [], "excused and broken all the same"
    assert all(excused.values())


@pytest.mark.parametrize("pack", COMPOSED)
def test_rules_are_documented(pack: str) -> None:
    for r in COMPOSED[pack].rules:
        assert all((r.message, r.fix, r.why, r.source, r.certainty)), r.id


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    return {}


def sample(p: Pack, built: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sample's portfolio and the file built from it (with loans at fault left out)."""
    if p.id not in built:
        folder = tmp_path_factory.mktemp(p.id)
        as_of = SAMPLE_DATES.get(p.id, AS_OF)
        make_sample(300, p.country, 3, folder / "book", as_of=as_of)
        result = build(p, read_portfolio(folder / "book"), as_of, folder / "out", quarantine=True, jobs=1)
        assert not result.refused, [f.message for f in result.findings if f.severity == "error"][:5]
        assert result.manifest is not None
        assert result.manifest["loans"]["reconciles"]
        assert result.manifest["loans"]["loans_filed"] >= LEAST_FILED.get(p.id, 100), result.manifest["loans"]
        assert all(t["agrees"] for t in result.manifest["control_totals"])
        built[p.id] = (folder / "book", folder / "out" / result.files[0].name)
    return built[p.id]


@pytest.mark.parametrize("pack", COMPOSED)
def test_a_sample_is_built_and_checked_without_an_error(pack: str, built: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> None:
    _, path = sample(COMPOSED[pack], built, tmp_path_factory)
    result = check_files([path])
    assert result.pack == pack
    assert [f.message for f in result.findings if f.severity == "error"] == []


SPOILS = ("dropped", "shifted", "truncated", "a byte of another encoding", "a line twice")


@pytest.mark.parametrize("how", SPOILS)
@pytest.mark.parametrize("pack", COMPOSED)
def test_a_built_file_spoilt_anywhere_is_found(
    pack: str, how: str, built: dict[str, tuple[Path, Path]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    p = COMPOSED[pack]
    _, path = sample(p, built, tmp_path_factory)
    data = path.read_bytes()
    lines = data.split(b"\n")
    at = min(len(lines) // 2, len(lines) - 2) if len(lines) > 3 else 0
    separator = {"delimited": p.envelope.get("separator", ""), "tagged": p.envelope.get("separator", ""), "fixed": "", "attributes": " "}[p.envelope["form"]]
    if p.envelope["form"] == "attributes":
        at = next(i for i, text in enumerate(lines) if i >= at and b'="' in text)
    line = lines[at]
    if how == "shifted" and p.envelope["form"] == "attributes":
        lines[at] = line.replace(b'="', b'=" ', 1)  # a blank between attributes means nothing: one in a value does
    elif how == "dropped":
        parts = line.split(separator.encode(), 3) if separator else [line[:60], line[70:]]
        lines[at] = separator.encode().join([*parts[:1], *parts[2:]]) if separator else b"".join(parts)
    elif how == "shifted":
        lines[at] = line[:20] + (separator.encode() or b" ") + line[20:]
    elif how == "truncated":
        lines = [data[: len(data) * 2 // 3]]
    elif how == "a byte of another encoding":
        lines[at] = line[:30] + b"\xff\x00" + line[32:]
    else:
        lines.insert(at, line)
    bad = tmp_path / path.name
    bad.write_bytes(b"\n".join(lines))
    if bad.read_bytes() == data:
        pytest.skip("the file has one line only")
    before = Counter(f.code for f in check_files([path], pack).findings)
    found: list[Finding] = check_files([bad], pack).findings
    new = [f for f in found if f.severity == "error"]
    assert new, "nothing was found"
    assert Counter(f.code for f in found) != before
    assert all(f.file == bad.name and f.row for f in new)
