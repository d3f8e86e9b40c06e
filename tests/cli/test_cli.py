"""The command line: exit statuses, one-line errors, help that teaches, JSON that machines read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from mloan_report.cli.app import command_names
from mloan_report.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        status = main([str(a) for a in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


@pytest.fixture(scope="module")
def sv(root: Path) -> Path:
    return root / "docs" / "examples" / "sv"


def test_version_is_quick_and_loads_nothing(run: Run) -> None:
    assert run("--version") == (0, "mloan-report 0.1.0\n", "")
    heavy = "('polars', 'pydantic', 'lxml', 'xmlschema', 'typer')"
    code = f"import sys; from mloan_report.cli.main import main; main(['--version']); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.endswith("[]\n")


@pytest.mark.parametrize("name", command_names())
def test_every_command_has_help_with_an_example(run: Run, name: str) -> None:
    status, out, _ = run(name, "--help")
    assert status == 0
    assert f"mloan-report {name}" in " ".join(out.split())


def test_formats_lists_the_packs(run: Run) -> None:
    status, out, _ = run("formats", "--json")
    assert status == 0
    rows = {r["id"]: r for r in json.loads(out)}
    assert set(rows) >= {"cn_pbc_credit", "sv_ssf_ctri"}
    assert set(rows["sv_ssf_ctri"]) == {"id", "country", "regulator", "title", "layout", "versions", "certainty", "status"}


def test_the_whole_walk_exits_zero(run: Run, tmp_path: Path) -> None:
    book, out = tmp_path / "book", tmp_path / "filing"
    assert run("sample", "--loans", 47, "--country", "CN", "--seed", 7, "--out", book)[0] == 0
    assert run("validate", book)[0] == 0
    assert run("gaps", "cn_pbc_credit", book)[0] == 0
    assert run("scope", "cn_pbc_credit", book, "--as-of", "2026-10-31")[0] == 0
    status, text, err = run("build", "cn_pbc_credit", book, "--as-of", "2026-10-31", "--out", out)
    assert (status, err) == (0, "")
    assert "records in 2 files" in text
    assert run("check", out)[0] == 0
    assert run("build", "cn_pbc_credit", book, "--as-of", "2026-10-31", "--out", out)[0] == 2
    assert run("build", "cn_pbc_credit", book, "--as-of", "2026-10-31", "--out", out, "--replace")[0] == 0


def test_both_forms_of_a_sample_hold_the_same_data(run: Run, tmp_path: Path) -> None:
    from mloan_report.portfolio import read_portfolio

    for form in ("csv", "parquet"):
        assert run("sample", "--loans", 47, "--country", "SV", "--seed", 2, "--out", tmp_path / form, "--format", form)[0] == 0
    a, b = read_portfolio(tmp_path / "csv"), read_portfolio(tmp_path / "parquet")
    assert set(a.tables) == set(b.tables)
    assert all(a.table(t).drop("_row").equals(b.table(t).drop("_row")) for t in a.tables)


def test_faults_are_found_and_the_exit_status_shows_it(run: Run, tmp_path: Path) -> None:
    book = tmp_path / "book"
    run("sample", "--loans", 47, "--country", "SV", "--seed", 1, "--out", book, "--faults")
    status, out, _ = run("validate", book, "--output", "json")
    assert status == 1
    found = {(f["code"], f["table"]) for f in json.loads(out)}
    for fault in json.loads((book / "faults.json").read_text(encoding="utf-8")):
        assert (fault["code"], fault["table"]) in found, fault
    status, out, err = run("build", "sv_ssf_ctri", book, "--as-of", "2026-10-31", "--out", tmp_path / "f")
    assert status == 1
    assert "nothing was written" in err
    status, _, err = run("build", "sv_ssf_ctri", book, "--as-of", "2026-10-31", "--out", tmp_path / "f", "--quarantine")
    assert status == 0
    assert "loans with errors were left out" in err


def test_severities_and_selection_come_from_a_settings_file(run: Run, tmp_path: Path) -> None:
    book = tmp_path / "book"
    run("sample", "--loans", 47, "--country", "SV", "--seed", 1, "--out", book, "--faults")
    (tmp_path / "s.toml").write_text('select = ["KEY"]\n[severity]\n"KEY-" = "warning"\n"KEY-001" = "information"\n')
    status, out, _ = run("validate", book, "--settings", tmp_path / "s.toml", "--output", "json")
    assert status == 0
    codes = {f["code"]: f["severity"] for f in json.loads(out)}
    assert codes["KEY-001"] == "information"
    assert codes["KEY-002"] == "warning"
    assert all(c.startswith("KEY") for c in codes)


def test_position_and_classes_are_written_by_the_ending_of_the_file(run: Run, sv: Path, tmp_path: Path) -> None:
    for name in ("p.csv", "p.parquet", "p.json"):
        assert run("position", sv, "--as-of", "2026-10-31", "--out", tmp_path / name)[0] == 0
    rows = pl.read_csv(tmp_path / "p.csv", infer_schema=False)
    assert rows.height == 150
    assert rows["claim_principal"].str.contains(r"^[0-9]+\.[0-9]{2}$").all()
    assert json.loads((tmp_path / "p.json").read_text())[0]["loan_id"] == rows["loan_id"][0]
    status, out, _ = run("position", sv, "--as-of", "2026-10-31", "--out", "-")
    assert (status, out) == (0, (tmp_path / "p.csv").read_text())
    status, _, err = run("classify", sv, "--as-of", "2026-10-31", "--out", tmp_path / "c.csv")
    assert status == 0
    assert "SV-NCB-022: A1" in err


def test_ratios_are_strings_in_major_units_with_their_definition(run: Run, sv: Path) -> None:
    status, out, _ = run("ratios", sv, "--as-of", "2026-10-31", "--json", "--by", "region_code")
    assert status == 0
    rows = json.loads(out)
    par = [r for r in rows if r["id"] == "par_30"]
    assert len(par) >= 1
    assert set(par[0]["group"]) == {"region_code"}
    assert Decimal(par[0]["value"]) == (Decimal(par[0]["numerator"]) / Decimal(par[0]["denominator"])).quantize(Decimal("1e-15"))
    assert next(r for r in rows if r["id"] == "npl_ratio")["value"] is None
    assert all(r["reason"] for r in rows if r["value"] is None)


def test_control_totals_equal_the_ratios(run: Run, sv: Path, tmp_path: Path) -> None:
    run("build", "sv_ssf_ctri", sv, "--as-of", "2026-10-31", "--out", tmp_path / "f")
    totals = {t["name"]: Decimal(t["files"]) for t in json.loads((tmp_path / "f" / "manifest.json").read_text())["control_totals"]}
    rows = pl.read_csv(_position(run, sv, tmp_path), infer_schema=False).filter(pl.col("status").is_in(["active", "written_off"]))
    assert totals["outstanding principal"] == sum(Decimal(v) for v in rows["claim_principal"])


def _position(run: Run, sv: Path, tmp_path: Path) -> Path:
    run("position", sv, "--as-of", "2026-10-31", "--out", tmp_path / "p.csv")
    return tmp_path / "p.csv"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("build", "sv_ssf_ctri", "nowhere", "--as-of", "2026-10-31", "--out", "x"),
        ("build", "no_pack", "nowhere", "--as-of", "2026-10-31", "--out", "x"),
        ("validate", "nowhere"),
        ("position", "nowhere", "--as-of", "31.10.2026", "--out", "-"),
        ("check", "nowhere.xml"),
        ("explain", "NO-SUCH-ID"),
        ("sample", "--loans", "5", "--country", "XX", "--out", "never"),
        ("build",),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(run: Run, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("mloan-report: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_options_that_cannot_be_used_are_said_too(run: Run, sv: Path, tmp_path: Path) -> None:
    base = ("build", "sv_ssf_ctri", sv, "--as-of", "2026-10-31", "--out", tmp_path / "f")
    for more in (("--set", "colour=red"), ("--set", "x"), ("--made-at", "2026-11-01"), ("--output", "pdf"), ("--lang", "xx"), ("--set", "saldo_vencido=never")):
        status, _, err = run(*base, *more)
        assert status == 2, more
        assert err.count("\n") == 1
    assert run("ratios", sv, "--as-of", "2026-10-31", "--by", "no_column")[0] == 2
    assert run("classify", sv, "--as-of", "2026-10-31", "--regime", "CN-NFRA-2023-9", "--out", "-")[0] == 2
    assert run("classify", sv, "--as-of", "2020-10-31", "--regime", "CN-NFRA-2023-1", "--out", "-")[0] == 2


@pytest.mark.parametrize(
    "name",
    [
        "par_30",
        "CN-NFRA-2023-1",
        "CN-2002-98",
        "KEY-001",
        "TAB-003",
        "SVCTRI-036",
        "BLE020",
        "FIL-002",
        "saldo_referencia",
        "claim_principal",
        "loans",
        "loans.status",
        "history",
        "sv_ssf_ctri",
        "MAP-001",
    ],
)
def test_explain_knows_every_kind_of_id(run: Run, name: str) -> None:
    status, out, _ = run("explain", name)
    assert status == 0
    assert name in out


def test_every_id_that_appears_anywhere_is_explained() -> None:
    from mloan_report.checks import all_rules
    from mloan_report.filing.explanation import explain
    from mloan_report.measures import provision_tables, ratio_definitions, regimes
    from mloan_report.measures.limit import limit_sets
    from mloan_report.measures.period import figures, period_ratio_definitions
    from mloan_report.measures.warning import warning_sets
    from mloan_report.packs import packs
    from mloan_report.schedule import CONVENTIONS

    ids = [*all_rules(), *regimes(), *ratio_definitions(), *provision_tables()] + [r.id for p in packs().values() for r in p.rules]
    ids += [*period_ratio_definitions(), *figures(), *limit_sets(), *warning_sets(), *CONVENTIONS]
    ids += [limit.id for s in limit_sets().values() for limit in s.limits] + [w.id for s in warning_sets().values() for w in s.warnings]
    ids += [a.action for s in warning_sets().values() for a in s.advice]
    assert [i for i in ids if not explain(i)] == []


@pytest.fixture(scope="module")
def cn(root: Path) -> Path:
    return root / "docs" / "examples" / "cn"


def test_a_schedule_is_rows_of_strings(run: Run) -> None:
    status, out, _ = run(
        "schedule", "--principal", 12000, "--annual-rate-pct", 15, "--term", 48, "--frequency", "monthly", "--method", "equal_instalment", "--json"
    )
    assert status == 0
    rows = json.loads(out)
    assert len(rows) == 48
    assert rows[0] == {"number": 1, "due_on": None, "payment": "333.97", "principal": "183.97", "interest": "150.00", "balance": "11816.03"}
    assert rows[-1]["balance"] == "0.00"
    whole = run("schedule", "--principal", 30000000, "--annual-rate-pct", 1, "--term", 360, "--unit", 1, "--payment-rounding", "down", "--json")
    assert json.loads(whole[1])[0]["payment"] == "96491"


@pytest.mark.parametrize(
    "more",
    [
        ("--principal", "x"),
        ("--term", "0"),
        ("--method", "magic"),
        ("--frequency", "hourly"),
        ("--day-count", "31/361"),
        ("--day-count", "ACT/360"),
        ("--currency", "XXZ"),
        ("--roll", "following"),
        ("--holidays", "nowhere.csv"),
        ("--grace", "principal"),
        ("--method", "graduated"),
        ("--method", "irregular"),
        ("--payment-rounding", "sideways"),
    ],
)
def test_a_schedule_that_makes_no_plan_is_said_in_one_line(run: Run, more: tuple[str, str]) -> None:
    given = {"--principal": "100", "--annual-rate-pct": "12", "--term": "6", more[0]: more[1]}
    status, out, err = run("schedule", *[x for pair in given.items() for x in pair], "--json")
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_annual_rates_say_their_kind_and_no_rate_says_why(run: Run, tmp_path: Path) -> None:
    flows = tmp_path / "flows.csv"
    flows.write_text("on,amount\n1994-01-01,1000\n1995-07-01,-1200\n", encoding="utf-8")
    found = {}
    for convention in ("us_reg_z", "eu", "uk", "rbi_microfinance", "cn_irr", "cn_simple", "xirr"):
        status, out, _ = run("apr", "--convention", convention, "--flows", flows, "--unit-period", "monthly", "--json")
        assert status == 0
        found[convention] = json.loads(out)
    assert {c for c, f in found.items() if f["kind"] == "effective"} == {"eu", "uk", "cn_irr", "xirr"}
    assert {c for c, f in found.items() if f["kind"] == "nominal"} == {"us_reg_z", "rbi_microfinance"}
    assert found["cn_simple"]["kind"] == "simple"
    assert found["xirr"]["rate_pct"].startswith("12.9620")
    assert all(f["how"] and f["source"] for f in found.values())
    flows.write_text("on,amount\n1994-01-01,1000\n1995-07-01,1200\n", encoding="utf-8")
    none = json.loads(run("apr", "--convention", "eu", "--flows", flows, "--json")[1])
    assert none["rate_pct"] is None
    assert "no change of sign" in none["reason"]
    flows.write_text("on,amount\n1994-13-01,1000\n", encoding="utf-8")
    status, _, err = run("apr", "--convention", "eu", "--flows", flows)
    assert status == 2
    assert "line 2" in err
    assert run("apr", "--convention", "none", "--flows", flows)[0] == 2


def test_two_regimes_side_by_side_and_a_memory(run: Run, cn: Path, tmp_path: Path) -> None:
    book = tmp_path / "book"
    shutil.copytree(cn, book)
    out, differ = tmp_path / "classes.csv", tmp_path / "differ.csv"
    base = ("classify", book, "--regime", "CN-NFRA-2023-1", "--regime", "IN-RBI-IRACP", "--out", out, "--store")
    status, _, err = run(*base, "--as-of", "2026-09-30", "--differences", differ)
    assert status == 0
    assert "CN-NFRA-2023-1 1 / IN-RBI-IRACP STD" in err
    first = pl.read_csv(out, infer_schema=False)
    assert set(first["regime"]) == {"CN-NFRA-2023-1", "IN-RBI-IRACP"}
    stored = pl.read_csv(book / "classifications.csv", infer_schema=False).filter(pl.col("source") == "computed")
    assert stored.height == first.filter(pl.col("category").is_not_null()).height
    run(*base, "--as-of", "2026-09-30")
    assert pl.read_csv(book / "classifications.csv", infer_schema=False).filter(pl.col("source") == "computed").height == stored.height, "the same again"
    run(*base, "--as-of", "2026-10-31")
    second = pl.read_csv(out, infer_schema=False)
    npl = second.filter((pl.col("npl") == "true") & (pl.col("previous_category").is_not_null()) & (pl.col("regime") == "CN-NFRA-2023-1"))
    assert npl.height > 0
    assert npl["npa_since_on"].null_count() == 0
    assert (npl["since_on"] <= npl["as_of"]).all()
    assert run("validate", book)[0] == 0
    assert run("classify", book, "--as-of", "2026-10-31", "--regime", "NG-CBN-MFB", "--also-npl", "3", "--out", out)[0] == 2
    assert run("classify", book, "--as-of", "2026-10-31", "--regime", "IFRS9", "--set", "colour=2", "--out", out)[0] == 2
    assert run("classify", book, "--as-of", "2026-10-31", "--regime", "VN-SBV-11-2021", "--out", out)[0] == 2, "no longer in force"
    assert run("classify", book, "--as-of", "2026-10-31", "--regime", "RU-CBR-5391-U", "--out", out)[0] == 2, "only remembered"
    assert run("classify", book, "--as-of", "2026-10-31", "--regime", "RU-CBR-5391-U", "--out", out, "--allow-uncertain")[0] == 0


def test_measures_of_a_book_from_the_command_line(run: Run, cn: Path) -> None:
    status, out, _ = run("limits", cn, "--as-of", "2026-10-31", "--rules", "cn_microlender", "--json")
    limits = {r["id"]: r for r in json.loads(out)}
    assert status == 1, "the made-up loans cost more than 24 %"
    assert limits["CN_ALL_IN_24"]["status"] == "breach"
    assert limits["CN_SINGLE_BORROWER"]["status"] == "kept"
    assert all(r["source"] and r["article"] and r["certainty"] for r in limits.values())
    assert run("limits", cn, "--as-of", "2026-10-31", "--rules", "nowhere")[0] == 2
    status, out, _ = run("ratios", cn, "--as-of", "2026-10-31", "--from", "2025-12-31", "--average", "months", "--input", "inflation=0.02", "--json")
    assert status == 0
    values = {r["id"]: r for r in json.loads(out)}
    assert values["write_off_ratio"]["value"] is not None
    assert values["fss"]["reason"] == "needs the input inflation_on_equity"
    assert run("ratios", cn, "--as-of", "2026-10-31", "--ratio", "oss")[0] == 2, "a ratio of a period without a period"
    assert run("ratios", cn, "--as-of", "2026-10-31", "--from", "2026-12-31")[0] == 2
    assert run("ratios", cn, "--as-of", "2026-10-31", "--from", "2025-12-31", "--input", "luck=1")[0] == 2
    matrix = json.loads(run("migration", cn, "--from", "2026-09-30", "--as-of", "2026-10-31", "--json")[1])
    rows = [r["shares"].values() for r in matrix["rows"].values() if r["weights"]]
    assert all(abs(sum(Decimal(s) for s in shares) - 1) < Decimal("1e-10") for shares in rows)
    assert json.loads(run("roll-rates", cn, "--as-of", "2026-10-31", "--months", 1, "--json")[1])[0]["from"] == "0"
    assert run("roll-rates", cn, "--as-of", "2026-10-31", "--edges", "30,0")[0] == 2
    cells = json.loads(run("vintage", cn, "--as-of", "2026-10-31", "--months", 3, "--by", "product", "--json")[1])
    assert cells[-1]["rates"][-1] is None
    assert run("vintage", cn, "--as-of", "2026-10-31", "--by", "no_column")[0] == 2
    tables = json.loads(run("provisions", cn, "--as-of", "2026-10-31", "--table", "CN-2002-98", "--table", "CN-TAX-2017-48", "--json")[1])
    assert [(t["purpose"], t["held"] is None) for t in tables] == [("regulatory", False), ("tax", True)]
    households = json.loads(run("repayment-ability", cn, "--as-of", "2026-10-31", "--json")[1])
    assert all((h["debt_service_ratio"] is None) == (h["reason"] is not None) for h in households)


def test_warnings_from_a_file_of_ones_own(run: Run, cn: Path, tmp_path: Path) -> None:
    rules = tmp_path / "mine.toml"
    text = '[[warning]]\nid = "MINE"\nen = "PAR rose"\nratio = "par_30"\nby = ["{by}"]\ntest = "change_points"\n'
    text += 'level = "0.001"\nseverity = "critical"\nsource = "us"\ncertainty = "official"\n'
    advice = '[[advice]]\naction = "supplementary_filing"\nen = "now"\nseverity = "critical"\ncount = 1\ndue_days = 1\nsource = "us"\n'
    rules.write_text('id = "mine"\nen = "mine"\n' + text.format(by="branch_id") + advice, encoding="utf-8")
    status, out, _ = run("warnings", cn, "--as-of", "2026-10-31", "--rules", rules, "--json")
    found = json.loads(out)
    assert status == 0
    fired = [w for w in found["warnings"] if w["status"] == "fired"]
    assert fired
    assert all(w["loans"] and w["before"] and Decimal(w["value"]) > Decimal(w["before"]) for w in fired)
    assert found["advice"][0]["due_on"] == "2026-11-01"
    rules.write_text('id = "mine"\nen = "mine"\n' + text.format(by="no_column"), encoding="utf-8")
    status, _, err = run("warnings", cn, "--as-of", "2026-10-31", "--rules", rules)
    assert status == 2
    assert "no_column" in err
