"""Document 3040: figures worked out by hand, exits, both regimes, months without a layout, and the Central Bank's own examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from lxml import etree

from mloan_report.filing import build, check_files
from mloan_report.filing.building import BuildResult
from mloan_report.filing.ledger import SqliteLedger
from mloan_report.packs import packs
from mloan_report.packs.br_bcb_scr3040.functions import FUNCTIONS, GROUPED_BY, codes_of, effective_year, limit_in_month, rows_of
from mloan_report.portfolio import read_portfolio
from mloan_report.portfolio.buckets import Buckets
from mloan_report.portfolio.partition import partition_portfolio
from mloan_report.testing.pack_examples import examples_of, spoilings_of, spoilt
from mloan_report.testing.sample import make_sample
from mloan_report.testing.sample.countries.brazil import INSTITUTION, cnpj, cpf

PACK = "br_bcb_scr3040"
MADE = datetime(2026, 11, 5, 8, tzinfo=UTC)
PERSON, SURETY, SHOP, BUYER = cpf(7), cpf(8), cnpj(11444777), cnpj(55666777)
Rows = Sequence[Mapping[str, object]]


def write(folder: Path, tables: Mapping[str, Rows], institution: str = INSTITUTION) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "institution.toml").write_text(institution, encoding="utf-8")
    for name, rows in tables.items():
        columns = list(dict.fromkeys(c for r in rows for c in r))
        columns = columns or ["repayment_id", "loan_id", "paid_on", "amount", "kind"]
        text = {c: [None if r.get(c) is None else str(r[c]) for r in rows] for c in columns}
        pl.DataFrame(text, schema=dict.fromkeys(columns, pl.String)).write_csv(folder / f"{name}.csv")
    return folder


def loan(loan_id: str, borrower: str, disbursed: str, matures: str, principal: str, **more: object) -> dict[str, object]:
    return {
        "loan_id": loan_id,
        "borrower_id": borrower,
        "contract_no": loan_id,
        "product": "personal_consumption",
        "currency_code": "BRL",
        "principal": principal,
        "contract_on": disbursed,
        "disbursed_on": disbursed,
        "matures_on": matures,
        "finance_kind": "interest",
        "annual_rate_pct": "12",
        "rate_type": "fixed",
        "day_count": "30/360",
        "repayment_method": "irregular",
        "repayment_frequency": "irregular",
        "guarantee_mode": "unsecured",
        "branch_id": "BR01",
        "status": "active",
        "status_on": disbursed,
    } | more


def instalments(loan_id: str, rows: Sequence[tuple[str, str, str]]) -> list[dict[str, object]]:
    return [
        {"loan_id": loan_id, "schedule_version": 1, "number": n, "due_on": due, "principal_due": principal, "interest_due": interest, "fees_due": "0.00"}
        for n, (due, principal, interest) in enumerate(rows, start=1)
    ]


def paid(loan_id: str, on: str, principal: str, interest: str, kind: str = "scheduled") -> dict[str, object]:
    amount = f"{float(principal) + float(interest):.2f}"
    return {
        "repayment_id": f"R-{loan_id}-{on}",
        "loan_id": loan_id,
        "paid_on": on,
        "booked_on": on,
        "amount": amount,
        "principal_paid": principal,
        "interest_paid": interest,
        "fees_paid": "0.00",
        "penalty_paid": "0.00",
        "kind": kind,
    }


def one_loan(year: int) -> dict[str, Rows]:
    """900.00 in three instalments: of 10 October (21 days late on the 31st), of the 31st itself, and of 10 February (102 days ahead). Nothing was paid."""
    due = [(f"{year}-10-10", "300.00", "30.00"), (f"{year}-10-31", "300.00", "20.00"), (f"{year + 1}-02-10", "300.00", "10.00")]
    return {
        "borrowers": [
            {
                "borrower_id": "B1",
                "kind": "natural_person",
                "name": "MARIA SILVA",
                "born_on": "1990-03-08",
                "annual_income": "19200.00",
                "customer_since_on": f"{year}-01-05",
            }
        ],
        "identifiers": [{"party_id": "B1", "scheme": "br.cpf", "value": PERSON, "status": "current", "is_primary": "true"}],
        "branches": [{"branch_id": "BR01", "name": "Centro", "region_code": "CE"}],
        "loans": [loan("L1", "B1", f"{year}-07-10", f"{year + 1}-02-10", "900.00")],
        "instalments": instalments("L1", due),
        "repayments": [],
        f"{PACK}_products": [{"product": "personal_consumption", "mod": "0203", "cosif": "16121004"}],
        f"{PACK}_branches": [{"branch_id": "BR01", "cep": "60010-000"}],
    }


def made(folder: Path, tables: Mapping[str, Rows], as_of: date, **settings: str) -> BuildResult:
    return build(PACK, read_portfolio(write(folder / "book", tables)), as_of, folder / "out", settings=settings, made_at=MADE, jobs=1)


def document(result: BuildResult) -> etree._Element:
    assert result.folder is not None, [f.message for f in result.findings if f.severity == "error"]
    return etree.parse(str(result.folder / result.files[0].name)).getroot()


def told(element: etree._Element | None) -> dict[str, str]:
    assert element is not None
    return {str(k): str(v) for k, v in element.attrib.items()}


def test_a_late_loan_is_spread_over_the_buckets_and_provided_for_by_its_days(tmp_path: Path) -> None:
    root = document(made(tmp_path, one_loan(2026), date(2026, 10, 31)))
    assert told(root)["TotalCli"] == "1"
    client, op = root.find("Cli"), root.find("Cli/Op")
    assert told(client) == {"Cd": PERSON, "Tp": "1", "Autorzc": "N", "PorteCli": "2", "IniRelactCli": "2026-01-05", "FatAnual": "1600.00"}
    # 300 + 30 is 21 days late, 300 + 20 falls due on the day itself, 300 in 102 days: 950 in all.
    assert told(root.find("Cli/Op/Venc")) == {"v110": "320.00", "v140": "300.00", "v210": "330.00"}
    said = told(op)
    assert said["IPOC"] == f"1122233302031{PERSON}L1"
    assert (said["DiaAtraso"], said["DtaProxParcela"], said["VlrProxParcela"], said["CEP"]) == ("21", "2027-02-10", "310.00", "60010000")
    assert said["TaxEft"] == "12.6825030"  # 1.01 ^ 12
    assert said["ProvConsttd"] == "71.25"  # C5, 15 to 30 days: 7.5 % of 950.00
    # Earned to 31 October 30 + 20; to 30 September 900 x 12 % x 80 / 360 = 24.00.
    whole = {"ClasAtFin": "1", "VlrContBr": "950.00", "VlrPerdaAcum": "71.25", "TJE": "12.6825030", "RendMes": "26.00", "CartProvMin": "C5"}
    assert told(root.find("Cli/Op/ContInstFinRes4966")) == whole


def test_before_2025_the_class_by_days_decides(tmp_path: Path) -> None:
    root = document(made(tmp_path, one_loan(2024), date(2024, 10, 31)))
    assert "MetodApPE" not in told(root)
    assert told(root.find("Cli"))["ClassCli"] == "B"
    said = told(root.find("Cli/Op"))
    assert (said["ClassOp"], said["ProvConsttd"], said["Cosif"]) == ("B", "9.50", "16121004")  # 1 % of 950.00
    assert root.find("Cli/Op/ContInstFinRes4966") is None


def test_a_client_below_the_limit_is_summed_up_in_a_group(tmp_path: Path) -> None:
    tables = dict(one_loan(2026))
    tables["loans"] = [*tables["loans"], loan("L2", "B1", "2026-09-01", "2027-02-10", "40.00")]
    tables["instalments"] = [*tables["instalments"], *instalments("L2", [("2026-12-01", "20.00", "0.00"), ("2027-02-10", "20.00", "0.00")])]
    root = document(made(tmp_path, tables, date(2026, 10, 31), individual_limits="2026-10=1000.00,2026-11=200.00"))
    assert root.find("Cli") is None
    groups = [told(g) for g in root.findall("Agreg")]
    assert [(g["FaixaVlr"], g["DesempOp"], g["Localiz"], g["QtdOp"], g["QtdCli"], g["OrigemRec"]) for g in groups] == [
        ("1", "01", "10032", "1", "1", "0100"),
        ("3", "02", "10032", "1", "1", "0100"),
    ]
    assert told(root)["TotalCli"] == "1"  # the client of two groups counts once
    assert told(root.findall("Agreg")[1].find("Venc")) == {"v110": "320.00", "v140": "300.00", "v210": "330.00"}
    lone = made(tmp_path / "above", one_loan(2026), date(2026, 10, 31), individual_limits="950.00")
    assert document(lone).find("Agreg") is None


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> dict[str, etree._Element]:
    """A book in which loans leave in every way, by contract."""
    tables = dict(one_loan(2026))
    start, end = "2026-04-10", "2026-12-10"
    both = [("2026-10-05", "100.00", "0.00"), (end, "100.00", "0.00")]
    ends = {
        "AT-TERM": {"status": "settled", "status_on": "2026-10-05", "matures_on": "2026-10-05"},
        "EARLY": {"status": "settled", "status_on": "2026-10-06"},
        "LONG-AGO": {"status": "settled", "status_on": "2026-08-06"},
        "SOLD": {"status": "transferred", "status_on": "2026-10-20"},
        "SOLD-BANK": {"status": "transferred", "status_on": "2026-10-20"},
        "LOST-NEW": {"status": "written_off", "status_on": "2025-12-31", "disbursed_on": "2024-01-10", "contract_on": "2024-01-10"},
        "LOST-OLD": {"status": "written_off", "status_on": "2025-10-30", "disbursed_on": "2024-01-10", "contract_on": "2024-01-10"},
        "JOINT": {},
        "OLD": {"status": "settled", "status_on": "2026-10-15"},
        "NEW": {"contract_on": "2026-10-15", "disbursed_on": "2026-10-15"},
    }
    tables["loans"] = [*tables["loans"], *(loan(n, "B1", start, end, "200.00") | more for n, more in ends.items())]
    plans = dict.fromkeys(ends, both) | {
        "AT-TERM": [("2026-09-05", "100.00", "0.00"), ("2026-10-05", "100.00", "0.00")],
        "NEW": [("2026-12-10", "200.00", "0.00")],
    }
    for lost in ("LOST-NEW", "LOST-OLD"):
        plans[lost] = [("2024-06-10", "100.00", "0.00"), ("2024-12-10", "100.00", "0.00")]
    tables["instalments"] = [*tables["instalments"], *(row for n, plan in plans.items() for row in instalments(n, plan))]
    tables["repayments"] = [
        paid("AT-TERM", "2026-10-05", "200.00", "0.00"),
        paid("EARLY", "2026-10-06", "200.00", "0.00", "payoff"),
        paid("LONG-AGO", "2026-08-06", "200.00", "0.00", "payoff"),
        paid("OLD", "2026-10-15", "200.00", "0.00", "payoff"),
    ]
    off = {"interest": "0.00", "fees": "0.00", "claim_kept": "true", "number": 1, "principal": "200.00"}
    tables["write_offs"] = [
        {"loan_id": "LOST-NEW", "written_off_on": "2025-12-31", "booked_on": "2025-12-31", **off},
        {"loan_id": "LOST-OLD", "written_off_on": "2025-10-30", "booked_on": "2025-10-30", **off},
    ]
    sale = {"direction": "out", "transferred_on": "2026-10-20", "booked_on": "2026-10-20", "share_pct": "100", "principal": "200.00", "price": "150.00"}
    sale |= {"derecognised": "true", "servicing_kept": "false", "counterparty_id": "P1"}
    tables["transfers"] = [
        {"transfer_id": "T1", "loan_id": "SOLD", "counterparty_kind": "fund", **sale},
        {"transfer_id": "T2", "loan_id": "SOLD-BANK", "counterparty_kind": "bank", **sale},
    ]
    tables["disbursements"] = [{"disbursement_id": "D1", "loan_id": "NEW", "paid_on": "2026-10-15", "amount": "200.00", "refinanced_loan_id": "OLD"}]
    tables["parties"] = [
        {"party_id": "P1", "kind": "legal_entity", "name": "COMPRADOR SA"},
        {"party_id": "P2", "kind": "natural_person", "name": "JOSE SANTOS"},
    ]
    tables["identifiers"] = [
        *tables["identifiers"],
        {"party_id": "P1", "scheme": "br.cnpj", "value": BUYER, "status": "current", "is_primary": "true"},
        {"party_id": "P2", "scheme": "br.cpf", "value": SURETY, "status": "current", "is_primary": "true"},
    ]
    tables["loan_parties"] = [
        {"loan_id": "JOINT", "party_id": "P2", "role": "co_borrower", "from_on": start},
        {"loan_id": "L1", "party_id": "P2", "role": "group_member", "share_pct": "40", "from_on": "2026-07-10"},
    ]
    result = made(tmp_path_factory.mktemp("leaving"), tables, date(2026, 10, 31), joint_operations="leave_out")
    return {op.get("Contrt", ""): op for op in document(result).iter("Op")}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("SCR3040-029", "VlrContBr is 2030.02; v110 to v290 add up to 2030.00."),
        ("SCR3040-031", "VlrPerdaAcum is 152.24, ProvConsttd is 152.25."),
    ],
)
def test_sums_of_other_records_are_told_in_the_units_of_their_fields(code: str, said: str, tmp_path: Path) -> None:
    row = next(r for r in spoilings_of(packs()[PACK]) if r.code == code)
    name, data = spoilt(row)
    (tmp_path / name).write_bytes(data)
    assert said in [f.message for f in check_files([tmp_path / name], PACK, settings=dict(row.settings)).findings]


@pytest.mark.parametrize(
    ("contract", "exit_told"),
    [
        ("AT-TERM", {"Tp": "0301"}),
        ("EARLY", {"Tp": "0302"}),
        ("SOLD", {"Tp": "0304", "Cd": "2026-10-20", "Ident": BUYER[:8], "Valor": "150.00"}),
        ("SOLD-BANK", {"Tp": "0303", "Cd": "2026-10-20", "Ident": BUYER[:8], "Valor": "150.00"}),
        ("OLD", {"Tp": "0316", "Cd": f"1122233302031{PERSON}NEW", "Valor": "200.00", "Qtd": "2"}),
    ],
)
def test_a_loan_leaves_by_the_exit_of_what_happened(leaving: dict[str, etree._Element], contract: str, exit_told: dict[str, str]) -> None:
    op = leaving[contract]
    assert [told(i) for i in op.findall("Inf")] == [exit_told]
    assert op.find("Venc") is None
    assert told(op)["ProvConsttd"] == "0.00"


def test_what_left_before_and_what_is_left_out_is_not_told(leaving: dict[str, etree._Element]) -> None:
    assert {"LONG-AGO", "JOINT"} & set(leaving) == set()
    assert "NEW" in leaving


def test_a_written_off_loan_stands_by_the_months_since_then_and_nowhere_else(leaving: dict[str, etree._Element]) -> None:
    assert told(leaving["LOST-NEW"].find("Venc")) == {"v310": "200.00"}
    assert told(leaving["LOST-OLD"].find("Venc")) == {"v320": "200.00"}  # twelve months and a day
    assert told(leaving["LOST-NEW"])["ProvConsttd"] == "0.00"
    assert told(leaving["LOST-NEW"])["DiaAtraso"] == "873"  # since 10 June 2024


def test_a_member_of_the_group_who_stands_surety_makes_the_loan_c3(leaving: dict[str, etree._Element]) -> None:
    assert [told(g) for g in leaving["L1"].findall("Gar")] == [{"Tp": "0901", "Ident": SURETY, "PercGar": "40.00", "TpVlrGar": "01"}]
    assert told(leaving["L1"].find("ContInstFinRes4966"))["CartProvMin"] == "C3"
    assert told(leaving["L1"])["ProvConsttd"] == "33.25"  # 3.5 % of 950.00


def test_the_complete_method_takes_the_lenders_figure_and_the_tables_of_the_pack_fill_the_rest(tmp_path: Path) -> None:
    tables = dict(one_loan(2026))
    tables["loans"] = [*tables["loans"], loan("L2", "B1", "2026-09-01", "2027-02-10", "400.00")]
    tables["instalments"] = [*tables["instalments"], *instalments("L2", [("2027-02-10", "400.00", "0.00")])]
    given = {"regime": "BR-CMN-4966", "as_of": "2026-10-31", "category": "1", "source": "lender"}
    tables["classifications"] = [{"loan_id": "L1", "provision": "80.00", **given}, {"loan_id": "L2", "provision": "4.00", **given}]
    tables[f"{PACK}_stages"] = [{"loan_id": n, "motivo": "101", "allocated_on": "2026-09-15"} for n in ("L1", "L2")]
    tables[f"{PACK}_losses"] = [{"loan_id": "L1", "mot_perda": "01", "vlr_perda": "80.00"}]
    tables[f"{PACK}_links"] = [{"group_no": "G1", "loan_id": n} for n in ("L1", "L2")]
    tables[f"{PACK}_infos"] = [{"loan_id": "L1", "tp": "0402", "cd": "X-1", "ident": "20260710"}]
    tables[f"{PACK}_operations"] = [{"loan_id": "L2", "mod": "0801", "origem_rec": "0209", "carac_especial": "17;13", "cart_prov_min": "C4"}]
    tables[f"{PACK}_sicor"] = [{"loan_id": "L2", "ref_bacen": "20260001", "ordem": "1", "vlr_saldo_tot": "400.00"}]
    root = document(made(tmp_path, tables, date(2026, 10, 31), method="C"))
    first, second = root.findall("Cli/Op")
    assert told(root)["MetodApPE"] == "C"
    assert told(first)["ProvConsttd"] == "80.00"
    assert told(first.find("ContInstFinRes4966"))["EstInstFin"] == "1"
    assert told(first.find("ContInstFinRes4966/Estagio")) == {"Motivo": "101", "DtAlocacao": "2026-09"}
    assert told(first.find("ContInstFinRes4966/Perda")) == {"MotPerda": "01", "VlrPerda": "80.00"}
    assert told(first.find("Inf")) == {"Tp": "0402", "Cd": "X-1", "Ident": "20260710"}
    assert (told(second)["Mod"], told(second)["OrigemRec"], told(second)["CaracEspecial"]) == ("0801", "0209", "13;17")
    assert told(second.find("Sicor")) == {"RefBacen": "20260001", "Ordem": "1", "VlrSaldoTot": "400.00"}
    assert [told(i)["ipoc"] for i in root.findall("ConIpocs/ipocCon")] == [told(first)["IPOC"], told(second)["IPOC"]]


def test_a_product_without_a_modality_is_never_guessed(tmp_path: Path) -> None:
    tables = {n: rows for n, rows in one_loan(2026).items() if n != f"{PACK}_products"}
    result = made(tmp_path, tables, date(2026, 10, 31))
    assert result.refused
    assert [(f.loan_id, f.value) for f in result.findings if f.code == "MAP-001"] == [("L1", "personal_consumption")]


def test_a_month_without_a_known_layout_is_refused_until_the_lender_says_it_counts(tmp_path: Path) -> None:
    tables = one_loan(2026)
    refused = made(tmp_path / "a", tables, date(2026, 11, 30))
    assert refused.refused
    assert "SCR3040-007" in {f.code for f in refused.findings}
    assert told(document(made(tmp_path / "b", tables, date(2026, 11, 30), last_known_month="2026-11")))["DtBase"] == "2026-11"


def test_a_file_is_in_the_encoding_of_the_setting_and_declares_it(tmp_path: Path) -> None:
    book = write(tmp_path / "book", one_loan(2026), INSTITUTION.replace("Ana Prado", "João Prado"))
    result = build(PACK, read_portfolio(book), date(2026, 10, 31), tmp_path / "out", settings={"encoding": "iso-8859-1"}, made_at=MADE, jobs=1)
    assert result.folder is not None
    data = (result.folder / result.files[0].name).read_bytes()
    assert data.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>')
    assert 'NomeResp="João Prado"'.encode("latin-1") in data
    assert result.files[0].name == "11222333_3040_2026-10_1.xml"


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "US-ASCII", "UTF-16"])
def test_a_file_is_read_in_the_encoding_that_it_declares(encoding: str, tmp_path: Path) -> None:
    text = examples_of(packs()[PACK])["microcredit_2026-07.xml"].decode().replace("UTF-8", encoding, 1)
    path = tmp_path / "x.xml"
    path.write_bytes(text.encode(encoding))
    result = check_files([path], PACK)
    assert [f.message for f in result.findings if f.severity == "error"] == []
    assert result.records["Op"] == 1


def test_cnpjs_with_letters_count_from_july_2026(tmp_path: Path) -> None:
    text = (
        examples_of(packs()[PACK])["microcredit_2026-07.xml"].decode().replace("12345678021211", "12ABC345021211").replace('CNPJ="12345678"', 'CNPJ="12ABC345"')
    )
    found = {}
    for month in ("2026-06", "2026-07"):
        path = tmp_path / f"{month}.xml"
        path.write_text(text.replace('DtBase="2026-07"', f'DtBase="{month}"'), encoding="utf-8")
        found[month] = {f.code for f in check_files([path], PACK).findings}
    assert "SCR3040-012" in found["2026-06"]
    assert found["2026-07"] == set()


def test_no_finding_shows_who_it_is_about(tmp_path: Path) -> None:
    text = examples_of(packs()[PACK])["simplified_2025-11.xml"].decode()
    clients, sureties = re.findall(r'Cd="([0-9]{11})"', text), re.findall(r'Ident="([0-9]{11})"', text)
    path = tmp_path / "x.xml"
    wrong = text.replace(clients[0], clients[0][:-1] + "x").replace(sureties[0], sureties[0][:-1] + "x").replace("ana@example.test", "")
    path.write_text(wrong, encoding="utf-8")
    findings = check_files([path], PACK).findings
    assert {"SCR3040-013", "I08", "SCR3040-002"} <= {f.code for f in findings}
    shown = " ".join(f"{f.message} {f.key} {f.value} {f.advice}" for f in findings)
    assert clients[0][:-1] not in shown
    assert sureties[0][:-1] not in shown
    assert "Ana Prado" not in shown


OFFICIAL: dict[str, tuple[tuple[str, str, int], ...]] = {
    "exemploCessao_IF02533346Cessionaria": (("B01", "Cosif", 1), ("C28", "VlrContr", 1), ("SCR3040-011", "TotalCli", 1)),
    "exemploCessao_IF29507878Cedente": (("B01", "Cosif", 3), ("C28", "VlrContr", 3), ("SCR3040-011", "TotalCli", 1)),
    "exemploCreditosLiberar": (("B01", "Cosif", 1), ("C28", "VlrContr", 1), ("SCR3040-011", "TotalCli", 1)),
    "exemploDesempenhoOperacao": (("SCR3040-011", "TotalCli", 1),),
    "exemploDocPadraoInfosBasicas": (("B01", "Cosif", 2), ("C28", "VlrContr", 2)),
    "exemploLimiteCredito": (("B01", "Cosif", 1), ("SCR3040-011", "TotalCli", 1)),
}
"""What really is wrong in the examples: they leave out the ledger accounts and the contracted amount, and are excerpts of documents of 3000 clients."""


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_central_banks_examples_have_no_error_that_is_not_in_them(name: str, shared: Path) -> None:
    result = check_files([shared / "official" / PACK / f"{name}.xml"])
    assert result.pack == PACK
    errors = Counter((f.code, f.field) for f in result.findings if f.severity == "error")
    # Every example has letters (ddnnnnnnnn) where the telephone number goes.
    assert errors == Counter({("B01", "TelResp"): 1} | {(code, field): n for code, field, n in OFFICIAL[name]})
    warnings = {f.code for f in result.findings if f.severity == "warning"}
    assert warnings <= {"SCR3040-007W", "SCR3040-041W"}


def rate(portfolio: str, days: int | None, problem: bool = False, mod: str = "0203") -> int:
    row = {"p": [portfolio], "d": [days], "x": [problem], "m": [mod], "e": [date(2026, 10, 31)]}
    frame = pl.DataFrame(row, schema={"p": pl.String, "d": pl.Int64, "x": pl.Boolean, "m": pl.String, "e": pl.Date})
    return int(frame.select(FUNCTIONS["MINIMUM_RATE"](*(pl.col(c) for c in "pdxme"))).to_series()[0])


@pytest.mark.parametrize(
    ("portfolio", "days", "problem", "percent"),
    [
        ("C1", None, False, "1.4"),
        ("C2", 14, False, "1.4"),
        ("C3", 15, False, "3.5"),
        ("C4", 60, False, "13.0"),
        ("C5", 61, False, "38.0"),
        ("C5", 90, False, "38.0"),
        ("C5", 30, True, "53.4"),
        ("C5", 91, True, "53.4"),  # annex I of month 0 and the addition: 50.0 + 3.4
        ("C1", 121, True, "10.0"),  # in default since 1 October: 5.5 + 4.5
        ("C1", 122, True, "14.5"),  # since 30 September, a month before: 10.0 + 4.5
        ("C3", 171, True, "56.1"),  # since 12 August: 52.4 + 3.7
        ("C5", 900, True, "100"),
    ],
)
def test_the_least_provision_follows_portfolio_days_and_months_in_default(portfolio: str, days: int | None, problem: bool, percent: str) -> None:
    whole, _, part = percent.partition(".")
    assert rate(portfolio, days, problem) == int(whole) * 10**7 + int((part or "0").ljust(7, "0"))


def test_payroll_loans_not_late_need_half_a_percent() -> None:
    assert rate("C5", 14, mod="0202") == 5_000_000
    assert rate("C5", 14, problem=True, mod="0202") == 534_000_000
    assert rate("C5", 15, mod="0202") == 75_000_000


def test_rates_limits_and_features_from_text() -> None:
    assert effective_year(24 * 10**7) == 268_241_795  # 1.02 ^ 12 = 1.268241794562545
    assert limit_in_month("2014-05=1000.00,2016-06=200.00", date(2016, 5, 1)) == 100_000
    assert limit_in_month("2014-05=1000.00,2016-06=200.00", date(2016, 6, 30)) == 20_000
    assert limit_in_month("2014-05=1000.00", date(2014, 4, 30)) is None
    assert limit_in_month("200.00", date(2026, 1, 1)) == 20_000


def test_buckets_join_without_a_gap_and_every_inf_type_has_a_payload() -> None:
    for kind, first in (("due", 0), ("overdue", 1)):
        rows = [r for r in rows_of("maturity_buckets") if r["kind"] == kind]
        assert [int(r["min"]) for r in rows] == [first, *(int(r["max"]) + 1 for r in rows[:-1])]
        assert rows[-1]["max"] == ""
    assert {r["tp"] for r in rows_of("inf_payload")} == {r["code"] for r in codes_of("annex26")}
    assert {r["code"] for r in rows_of("guarantee_portfolios")} == {r["code"] for r in codes_of("annex12")}


@pytest.mark.parametrize("limit", ["200.00", "20000.00", "99999.00"])
def test_a_book_in_buckets_files_the_same_bytes_and_its_groups_are_added_up(limit: str, tmp_path: Path) -> None:
    folder = make_sample(40, "BR", 5, tmp_path / "book")
    partition_portfolio(folder, tmp_path / "buckets", 3)
    books = {"whole": read_portfolio(folder), "parts": Buckets(tmp_path / "buckets")}
    asked = {"individual_limits": limit}
    made_of = {n: build(PACK, b, date(2026, 10, 31), tmp_path / n, settings=asked, quarantine=True, made_at=MADE, jobs=1) for n, b in books.items()}
    said = {n: (r.folder / r.files[0].name).read_bytes() for n, r in made_of.items() if r.folder is not None}
    assert said["whole"] == said["parts"]
    groups = etree.fromstring(said["parts"]).findall("Agreg")
    told = [tuple(g.get(c) for c in GROUPED_BY) for g in groups]
    assert len(told) == len(set(told))
    if limit == "99999.00":
        assert groups
        assert any(int(g.get("QtdOp", 0)) > 1 for g in groups)
        totals = {t["name"]: t for t in (made_of["parts"].manifest or {})["control_totals"]}
        filed = sum(Decimal(v) for g in groups for v in g[0].attrib.values())
        assert filed == Decimal(totals["maturity buckets of groups"]["portfolio"])


def test_what_was_live_last_month_is_told_again_or_leaves(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    both = dict(one_loan(2026))
    both["loans"] = [*both["loans"], loan("L2", "B1", "2026-08-01", "2027-02-10", "400.00")]
    both["instalments"] = [*both["instalments"], *instalments("L2", [("2027-02-10", "400.00", "0.00")])]
    book = read_portfolio(write(tmp_path / "both", both))
    september = build(PACK, book, date(2026, 9, 30), tmp_path / "september", made_at=MADE, jobs=1, ledger=ledger)
    for step in ("sent", "accepted"):
        ledger.mark(september.ledger_id or 0, step)  # type: ignore[arg-type]
    found = {}
    for name, tables in (("whole", both), ("short", one_loan(2026))):
        result = made(tmp_path / name, tables, date(2026, 10, 31))
        assert result.folder is not None
        found[name] = [f.message for f in check_files([result.folder / result.files[0].name], ledger=ledger).findings if f.code == "SCR3040-020"]
    assert found["whole"] == []
    assert found["short"] == ["1 operations that were live in the last accepted document are not told in that of 2026-10."]
