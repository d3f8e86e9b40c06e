"""Every rule of the two packs fires on a filing that breaks it, at the record that breaks it, and on nothing else.

A good filing is built from a made-up portfolio, and records that such a portfolio lacks are added by hand. Each row of the
pack's ``examples/bad.csv`` spoils one record (or one file); rows of one ``group`` are judged in one run.

``index`` picks the record: empty for the first that no row of the group has taken, else conditions joined by ``;``
(``field=text``, ``field!=text``, ``has:Segment``, ``no:Segment``; an empty text is a nil, empty or absent element).
``field`` and ``value`` may hold several parts joined by ``|``; the value ``@empty`` is the empty element, ``@nil`` a nil one,
``@blank`` blanks of both widths, ``@own`` the identity number of the record itself, ``@debtor`` the debtor of its reference.
``note`` names the other codes that the same mutation must raise at the record (``also: A, B;``) and at other records or files
(``brings: C;``), and says after ``xfail:`` what is not so yet.
"""

from __future__ import annotations

import copy
import csv
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from lxml import etree

import mloan_report
from mloan_report.filing import build, check_files
from mloan_report.filing.checking import CheckResult
from mloan_report.model.finding import Finding
from mloan_report.packs import packs
from mloan_report.portfolio import read_portfolio
from mloan_report.testing.sample import make_sample

PACKS = {"sv_ssf_ctri": ("SV", 150), "cn_pbc_credit": ("CN", 46)}
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
SECTION = "Z99999999H0001"

# Rules that no file alone can break, with the reason.
NOT_RUN = {
    "sv_ssf_ctri": {"SVCTRI-095": "needs last month's filing, which a check of one filing does not have"},
    "cn_pbc_credit": {},
}
WARNED_OF_ALWAYS = {"CN_PBC_CREDIT-OPEN"}
# Rules that no example makes fire yet, with the reason: to be worked off.
NOT_YET: dict[str, dict[str, str]] = {
    "sv_ssf_ctri": {},
    "cn_pbc_credit": {
        "ABR006": "nothing raises it: an unreadable record is CN_PBC_CREDIT-007",
    },
}


@dataclass(frozen=True)
class Row:
    """One line of bad.csv."""

    pack: str
    number: int
    code: str
    file: str
    index: str
    field: str
    action: str
    value: str
    group: str
    note: str

    @property
    def also(self) -> set[str]:
        return self._codes("also")

    @property
    def brings(self) -> set[str]:
        return self._codes("brings")

    def _codes(self, word: str) -> set[str]:
        found = re.search(rf"\b{word}: ([^;]*)", self.note)
        return {c.strip() for c in found.group(1).split(",")} if found else set()

    @property
    def xfail(self) -> str | None:
        found = re.search(r"xfail: ([^;]*)", self.note)
        return found.group(1) if found else None


def rows_of(pack: str) -> list[Row]:
    path = Path(mloan_report.__file__).parent / "packs" / pack / "examples" / "bad.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Row(pack, n, r["code"], r["file_or_record"], r["index"], r["field"], r["action"], r["value"], r["group"], r["note"])
            for n, r in enumerate(csv.DictReader(stream), start=2)
        ]


ROWS = [r for p in PACKS for r in rows_of(p)]


# --- A filing taken apart and put together again


@dataclass
class File:
    """One file of a filing: the lines before, the records (each written on one line), the lines after."""

    record: str
    name: str
    head: list[str]
    records: list[etree._Element | bytes]
    tail: list[str]
    edits: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    count: bool = True

    def content(self) -> bytes:
        head = list(self.head)
        if self.count and head and head[0].startswith("A050"):
            head[0] = f"{head[0][:43]}{len(self.records):07d}"
        lines = [h.encode() for h in head]
        lines += [r if isinstance(r, bytes) else _one_line(r) for r in self.records]
        data = b"\n".join([*lines, *(t.encode() for t in self.tail)]) + b"\n"
        for old, new, times in self.edits:
            assert old in data, f"{self.name} does not hold {old!r}"
            data = data.replace(old, new, times)
        return data

    def line_of(self, element: etree._Element | bytes) -> int:
        return len(self.head) + 1 + next(i for i, r in enumerate(self.records) if r is element)


def _one_line(element: etree._Element) -> bytes:
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    if element.tag == "Document":
        return re.sub(r"<(\w+)/>", r"<\1></\1>", text).encode()
    return re.sub(r' xmlns(:xsi)?="[^"]*"', "", text, count=2).encode()


def open_filing(pack: str, folder: Path) -> dict[str, File]:
    """The files of *folder* by record kind."""
    out: dict[str, File] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            continue
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        if pack == "sv_ssf_ctri":
            records: list[etree._Element | bytes] = list(etree.parse(path).getroot())
            out[path.stem] = File(path.stem, path.name, lines[:2], records, lines[-1:])
        else:
            kind = lines[0][4:7]
            out[kind] = File(kind, path.name, lines[:1], [etree.fromstring(x) for x in lines[1:]], [])
    return out


def write_filing(files: dict[str, File], folder: Path) -> None:
    for file in files.values():
        (folder / file.name).write_bytes(file.content())


# --- Records by hand, for what a made-up portfolio lacks


def sv_record(kind: str, values: dict[str, str | None]) -> etree._Element:
    """A record of the layout with *values*; what is not given is nil."""
    layout = next(r for r in packs()["sv_ssf_ctri"].records() if r.name == kind)
    ns = f"http://validador.ssf.gob.sv/ctri/{kind}"
    record = etree.Element(f"{{{ns}}}{kind}", nsmap={None: ns, "xsi": "http://www.w3.org/2001/XMLSchema-instance"})
    assert set(values) <= {f.name for f in layout.fields}
    for f in layout.fields:
        child = etree.SubElement(record, f"{{{ns}}}{f.name}")
        child.text = values.get(f.name)
        if child.text is None:
            child.set(XSI_NIL, "true")
    return record


def sv_file(kind: str) -> File:
    ns = f"http://validador.ssf.gob.sv/ctri/{kind}"
    head = ['<?xml version="1.0" encoding="UTF-8"?>', f'<ctri xmlns="{ns}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">']
    return File(kind, f"{kind}.xml", head, [], ["</ctri>"])


SV_GUARANTEES: dict[str, tuple[str, dict[str, str | None]]] = {
    "garantia_hipotecaria": (
        "HA",
        {
            "estado": "1",
            "cod_ubicacion": "0614",
            "fecha_valuo": "2026-01-01",
            "valor_pericial": "1700.00",
            "valor_contractual": "1700.00",
            "valor_mercado": "1700.00",
            "grado_hipoteca": "1",
            "cod_perito": "P-001",
            "nombre_perito": "VALUOS SA",
            "tipo_perito": "E",
        },
    ),
    "garantia_prendaria": (
        "PR",
        {
            "estado": "1",
            "cod_ubicacion": "0614",
            "fecha_valuo": "2026-01-01",
            "valor_pericial": "900.00",
            "valor_contractual": "900.00",
            "valor_mercado": "900.00",
            "grado_hipoteca": "1",
            "cod_perito": "P-001",
            "nombre_perito": "VALUOS SA",
            "tipo_perito": "E",
        },
    ),
    "garantia_pignorada": ("PI", {"fecha_deposito": "2026-01-05", "valor_deposito": "500.00", "tipo_deposito": "DE"}),
    "garantia_aval": ("AV", {"cod_banco": "BC03", "monto_aval": "500.00", "fecha_otorgamiento": "2026-01-05", "fecha_vencimiento": "2027-01-05"}),
    "garantia_bono": (
        "BP",
        {
            "tipo_prenda": "02",
            "descripcion": "MERCADERIA",
            "fecha_certificado": "2026-01-05",
            "valor_prenda": "500.00",
            "saldo_prenda": "500.00",
            "cod_almacenadora": "ALDESA",
        },
    ),
    "garantia_fondo": ("FG", {"valor_garantia": "500.00", "valor_porcentual": "50.00", "tipo_fondo": "PRO", "estado": "1"}),
    "garantia_poliza": (
        "PO",
        {
            "monto_poliza": "500.00",
            "fecha_inicial": "2026-01-05",
            "fecha_final": "2027-01-05",
            "nombre_asegurado": "SANDRA CRUZ",
            "monto_reserva": "0.00",
            "valor_garantia": "500.00",
        },
    ),
    "garantia_prenda": (
        "PV",
        {
            "denominacion_titulo": "LETE",
            "local_extranjera": "L",
            "monto_inversion": "500.00",
            "fecha_vencimiento": "2027-01-05",
            "clasificacion": "AAA",
            "nombre_clasificadora": "CLASIFICADORA SA",
        },
    ),
}


def add_sv_records(files: dict[str, File]) -> None:
    """Six guarantees of each kind (their parts of 0.00 leave every sum as it is), uses, units, refinancings, two grants to one person."""
    for kind in ("referencia_gasto", "referencia_unidad", "referencia_cancelada", *SV_GUARANTEES):
        files.setdefault(kind, sv_file(kind))
    linked = {text(r, "num_referencia") for r in files["referencia_garantia"].records}
    free = [r for r in files["referencia"].records if text(r, "estado_credito") == "1" and text(r, "num_referencia") not in linked]
    number = iter(range(100, 999))
    for kind, (letters, values) in SV_GUARANTEES.items():
        names = {f.name for r in packs()["sv_ssf_ctri"].records() if r.name == kind for f in r.fields}
        for reference in free[:8]:
            key: dict[str, str | None] = {n: text(reference, n) for n in ("num_referencia", "cod_cartera", "cod_activo")}
            own: dict[str, str | None] = {"identificacion_garantia": f"H{next(number)}"}
            files["referencia_garantia"].records.append(
                sv_record("referencia_garantia", {**key, **own, "tipo_garantia": letters, "valor_garantia_proporcional": "0.00"})
            )
            who: dict[str, str | None] = {n: text(reference, "nit_deudor") for n in ("nit_propietario", "nit_depositante")}
            files[kind].records.append(sv_record(kind, {**{n: v for n, v in {**key, **who}.items() if n in names}, **own, **values}))
    for reference in free[8:14]:
        key = {n: text(reference, n) for n in ("num_referencia", "cod_cartera", "cod_activo")}
        amount = text(reference, "monto_referencia")
        files["referencia_gasto"].records.append(sv_record("referencia_gasto", {**key, "codigo_gasto": "001", "tipo_gasto": "1", "monto_gasto": amount}))
        files["referencia_unidad"].records.append(sv_record("referencia_unidad", {**key, "codigo_unidad": "02", "cantidad_unidad": "3.00"}))
        set_text(reference, "tipo_credito", "RF")
        values = {
            **key,
            "cod_cartera_canc": "01",
            "cod_activo_canc": "PD",
            "num_referencia_canc": f"OLD-{next(number)}",
            "pago_capital": "10.00",
            "pago_interes": "1.00",
            "saldo_total_interes": "0.00",
            "fecha_cancelacion": "2026-10-05",
        }
        files["referencia_cancelada"].records.append(sv_record("referencia_cancelada", values))
    _add_two_grants(files)


def _add_two_grants(files: dict[str, File]) -> None:
    """One debtor with two good references, granted in 2024 and 2026."""
    good = next(
        r
        for r in files["referencia"].records
        if text(r, "categoria_riesgo_ref") == "A1" and text(r, "dias_mora_k") == "0" and text(r, "monto_desembolsado") == "0.00" and not text(r, "tipo_credito")
    )
    owner = next(p for p in files["persona"].records if text(p, "nit_persona") == text(good, "nit_deudor") and text(p, "tipo_persona") == "1")
    person = copy.deepcopy(owner)
    for name, value in {"nit_persona": "099999995", "dui": "099999995", "numero_cliente": "TWO-GRANTS", "categoria_riesgo": "A1", "reserva": "0.00"}.items():
        set_text(person, name, value)
    for n, (granted, months) in enumerate({"2024-01-15": "36", "2026-01-15": "12"}.items()):
        made = copy.deepcopy(good)
        for name, value in {
            "nit_deudor": "099999995",
            "num_referencia": f"TWO-{n}",
            "fecha_otorgamiento": granted,
            "fecha_vencimiento": "2027-01-15",
            "plazo_credito": months,
            "saldo_referencia": "100.00",
            "saldo_vigente_k": "100.00",
            "saldo_vigente_i": "0.00",
            "riesgo_neto": "100.00",
            "valor_garantia_cons": "0.00",
        }.items():
            set_text(made, name, value)
        files["referencia"].records.append(made)
    set_text(person, "riesgo_consolidado", "200.00")
    files["persona"].records.append(person)


def cn_record(kind: str, segments: dict[str, object]) -> etree._Element:
    """A line of the layout from segments, items and (as a list) groups, in the order of the layout."""
    layout = next(r for r in packs()["cn_pbc_credit"].records() if r.name == kind)
    document = etree.Element("Document")
    record = etree.SubElement(document, layout.root)
    _fill(record, segments)
    order = [s.name for s in layout.segments]
    _in_order(record, order)
    for segment in record:
        _in_order(segment, [f.name for f in layout.fields if f.segment == segment.tag])
    return document


def _in_order(parent: etree._Element, names: list[str]) -> None:
    for child in sorted(parent, key=lambda e: names.index(str(e.tag))):
        parent.append(child)


def _fill(parent: etree._Element, values: dict[str, object]) -> None:
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            child = etree.SubElement(parent, name)
            if isinstance(one, dict):
                _fill(child, one)
            else:
                child.text = str(one)


CN_C: dict[str, object] = {
    "BusiLines": "1",
    "BusiDtlLines": "91",
    "OpenDate": "2026-01-05",
    "Cy": "CNY",
    "LoanAmt": "9000",
    "Flag": "0",
    "DueDate": "2027-01-05",
    "RepayMode": "11",
    "RepayFreqcy": "03",
    "RepayPrd": "12",
    "ApplyBusiDist": "310101",
    "GuarMode": "4",
    "OthRepyGuarWay": "0",
    "AssetTrandFlag": "0",
    "FundSou": "1",
    "LoanForm": "1",
}
CN_H: dict[str, object] = {
    "Month": "2026-10",
    "SettDate": "2026-10-05",
    "AcctStatus": "1",
    "AcctBal": "900",
    "RemRepPrd": "3",
    "FiveCate": "1",
    "FiveCateAdjDate": "2026-10-31",
    "RpyStatus": "N",
    "OverdPrd": "0",
    "TotOverd": "0",
    "OverdPrinc": "0",
    "Oved31_60Princ": "0",
    "Oved61_90Princ": "0",
    "Oved91_180Princ": "0",
    "OvedPrinc180": "0",
    "CurRpyAmt": "300",
    "ActRpyAmt": "300",
    "LatRpyDate": "2026-10-05",
    "CloseDate": "",
}
CN_CLOSED = {**CN_H, "AcctStatus": "3", "AcctBal": "0", "RemRepPrd": "0", "RpyStatus": "C", "CloseDate": "2026-10-31"}
CN_LATE = {**CN_H, "AcctStatus": "2", "RpyStatus": "2", "OverdPrd": "2", "TotOverd": "600", "OverdPrinc": "500", "Oved31_60Princ": "250"}
CN_J: dict[str, object] = {
    "AcctStatus": "1",
    "AcctBal": "900",
    "FiveCate": "1",
    "FiveCateAdjDate": "2026-10-31",
    "RemRepPrd": "3",
    "RpyStatus": "N",
    "OverdPrd": "0",
    "TotOverd": "0",
    "LatRpyAmt": "300",
    "LatRpyDate": "2026-10-20",
    "CloseDate": "",
}
CN_D: dict[str, object] = {
    "RltRepymtNm": "2",
    "RltRepymtInf": [
        {
            "InfoIDType": "1",
            "ArlpName": "郭平",
            "ArlpCertType": "10",
            "ArlpCertNum": "440103198301242138",
            "ArlpType": "2",
            "ArlpAmt": "9000",
            "WartySign": "0",
            "MaxGuarMcc": f"{SECTION}G1",
        },
        {"InfoIDType": "1", "ArlpName": "郭安", "ArlpCertType": "2", "ArlpCertNum": "E12345678", "ArlpType": "1"},
    ],
}
CN_E: dict[str, object] = {"CcNm": "2", "CccInf": [{"Ccc": f"{SECTION}K1"}, {"Ccc": f"{SECTION}K2"}]}
CN_F: dict[str, object] = {"Mcc": f"{SECTION}M1"}
CN_G: dict[str, object] = {"InitCredName": "某银行", "InitCredOrgNm": "", "OrigDbtCate": "1", "InitRpySts": "7"}
CN_I: dict[str, object] = {"SpecLine": "5000", "SpecEfctDate": "2026-01-05", "SpecEndDate": "2027-01-05", "UsedInstAmt": "100"}
CN_K: dict[str, object] = {
    "CagOfTrdNm": "2",
    "CagOfTrdInf": [
        {"ChanTranType": "1", "TranDate": "2026-10-01", "TranAmt": "0", "DueTranMon": "3", "DetInfo": ""},
        {"ChanTranType": "4", "TranDate": "2026-10-05", "TranAmt": "100", "DueTranMon": "0", "DetInfo": ""},
    ],
}


def without(values: dict[str, object], *names: str) -> dict[str, object]:
    return {n: v for n, v in values.items() if n not in names}


CN_LINE = {**without(CN_C, "LoanAmt", "Flag"), "AcctCredLine": "9000"}  # R1
CN_CARD = {**without(CN_LINE, "RepayMode", "RepayFreqcy", "RepayPrd"), "BusiLines": "2", "BusiDtlLines": "81", "CreditID": "1234"}  # R2 and R3
CN_CARD_H = {**CN_H, "PridAcctBal": "0", "UsedAmt": "0", "NotIsuBal": "0", "RpyPrct": "0"}
CN_COLLECTED = {**without(CN_C, "Flag", "DueDate", "RepayMode", "RepayFreqcy", "RepayPrd"), "BusiLines": "5", "BusiDtlLines": "A1"}
CN_C1_J = {**CN_J, "FiveCate": "", "FiveCateAdjDate": "", "RemRepPrd": "", "RpyStatus": "", "OverdPrd": "", "TotOverd": ""}
C, D, E, F, G, H, I, J, K = (  # noqa: E741
    "AcctBsInfSgmt",
    "RltRepymtInfSgmt",
    "MotgaCltalCtrctInfSgmt",
    "AcctCredSgmt",
    "OrigCreditorInfSgmt",
    "AcctMthlyBlgInfSgmt",
    "SpecPrdSgmt",
    "AcctDbtInfSgmt",
    "AcctSpecTrstDspnSgmt",
)
# How many, account type, report point, segments.
CN_ACCOUNTS: list[tuple[int, str, str, dict[str, object]]] = [
    (24, "D1", "31", {C: CN_C, H: CN_H}),
    (8, "D1", "10", {C: CN_C, H: CN_H}),
    (8, "D1", "30", {H: CN_H}),
    (8, "D1", "20", {H: CN_CLOSED}),
    (8, "D1", "32", {H: CN_CLOSED}),
    (10, "D1", "40", {J: CN_J}),
    (6, "D1", "31", {C: CN_C, H: CN_LATE}),
    (6, "D1", "31", {C: {**CN_C, "GuarMode": "3"}, D: CN_D, H: CN_H}),
    (3, "D1", "31", {C: CN_C, E: CN_E, H: CN_H}),
    (6, "D1", "31", {C: CN_C, H: CN_H, K: CN_K}),
    (3, "D1", "31", {C: {**CN_C, "Flag": "2"}, F: CN_F, H: CN_H}),
    (2, "D1", "10", {C: {**CN_C, "Flag": "2"}, F: CN_F, H: CN_H}),
    (3, "D1", "31", {C: {**CN_C, "BusiDtlLines": "11", "LoanConCode": "HT-1", "FirstHouLoanFlag": "01"}, H: CN_H}),
    (3, "R1", "10", {C: CN_LINE, F: CN_F, H: CN_H}),
    (3, "R1", "31", {C: CN_LINE, F: CN_F, H: CN_H}),
    (3, "R2", "10", {C: CN_CARD, F: CN_F, H: CN_CARD_H, I: CN_I}),
    (3, "R2", "20", {H: {**CN_CARD_H, **CN_CLOSED, "AcctStatus": "4"}}),
    (2, "R2", "31", {C: {**CN_CARD, "BusiDtlLines": "82"}, H: CN_CARD_H}),
    (3, "R3", "31", {C: {**CN_CARD, "BusiDtlLines": "71"}, F: CN_F, H: {**CN_H, "OvedrawBaOve180": "0"}}),
    (6, "C1", "10", {C: CN_COLLECTED, G: CN_G, J: CN_C1_J}),
    (3, "C1", "20", {J: {**CN_C1_J, "AcctStatus": "2", "AcctBal": "0", "CloseDate": "2026-10-31"}}),
]
CN_PERSON: dict[str, object] = {
    "FcsInfSgmt": {
        "Sex": "2",
        "DOB": "1960-06-08",
        "Nation": "CHN",
        "HouseAdd": "示例路1号",
        "HhDist": "110105",
        "CellPhone": "13101945734",
        "Email": "u1@example.org",
        "FcsInfoUpDate": "2022-01-12",
    },
    "EduInfSgmt": {"EduLevel": "20", "AcaDegree": "4", "EduInfoUpDate": "2022-01-12"},
    "OctpnInfSgmt": {
        "EmpStatus": "24",
        "CpnName": "某公司",
        "CpnType": "10",
        "Industry": "C",
        "CpnAddr": "工业路1号",
        "CpnPc": "100010",
        "CpnDist": "110105",
        "CpnTEL": "01065009876",
        "Occupation": "5",
        "Title": "3",
        "TechTitle": "0",
        "WorkStartDate": "2011",
        "OctpnInfoUpDate": "2022-01-12",
    },
    "SpsInfSgmt": {
        "MariStatus": "20",
        "SpoName": "",
        "SpoIDType": "10",
        "SpoIDNum": "110105196108082416",
        "SpoTel": "",
        "SpsCmpyNm": "",
        "SpsInfoUpDate": "2022-01-12",
    },
    "RedncInfSgmt": {"ResiStatus": "5", "ResiAddr": "示例路1号", "ResiPc": "100010", "ResiDist": "110105", "HomeTel": "", "ResiInfoUpDate": "2022-01-12"},
    "MlgInfSgmt": {"MailAddr": "示例路1号", "MailPc": "100010", "MailDist": "110105", "MlgInfoUpDate": "2022-01-12"},
    "IncInfSgmt": {"AnnlInc": "90000", "TaxIncome": "64000", "IncInfoUpDate": "2022-01-12"},
    "IDSgmt": {
        "IDNm": "2",
        "IDInfoUpDate": "2022-01-12",
        "IDRec": [{"Alias": "赵红", "OthIDType": "2", "OthIDNum": "E10000001"}, {"Alias": "赵红", "OthIDType": "2", "OthIDNum": "E10000002"}],
    },
}


def ric(serial: int) -> str:
    """An identity number of a made-up woman born on 1960-06-08, with its check character."""
    body = f"11010519600608{serial * 2:03d}"
    total = sum(int(c) * (2 ** (17 - i) % 11) for i, c in enumerate(body))
    return body + "10X98765432"[total % 11]


def add_cn_records(files: dict[str, File]) -> None:
    """Accounts of every type and report point, and thirty persons with spouse and other identities."""
    number = iter(range(1, 999))
    for times, kind, point, segments in CN_ACCOUNTS:
        for _ in range(times):
            base = {
                "InfRecType": "210",
                "AcctType": kind,
                "AcctCode": f"{SECTION}X{next(number):03d}",
                "RptDate": "2026-10-31",
                "RptDateCode": point,
                "Name": "赵红玉",
                "IDType": "10",
                "IDNum": "110105196006080049",
                "MngmtOrgCode": SECTION,
            }
            files["210"].records.append(cn_record("210", {"AcctBsSgmt": base, **segments}))
    for n in range(30):
        person = {
            "InfRecType": "110",
            "Name": "赵红",
            "IDType": "10",
            "IDNum": ric(n + 100),
            "InfSurcCode": SECTION,
            "RptDate": "2026-10-31",
            "RptDateCode": "10",
            "Cimoc": SECTION,
            "CustomerType": "11",
        }
        files["110"].records.append(cn_record("110", {"BsSgmt": person, **CN_PERSON}))


# --- Finding and spoiling a record


def element(record: etree._Element | bytes, path: str) -> etree._Element | None:
    """The element of a name, or of Segment/name (the first of them)."""
    if isinstance(record, bytes):
        return None
    steps = path.split("/")
    found: list[etree._Element] = [record]
    for step in steps:
        found = [e for f in found for e in f.iter() if e is not f and isinstance(e.tag, str) and etree.QName(e).localname == step]
    return found[0] if found else None


def text(record: etree._Element | bytes, path: str) -> str:
    found = element(record, path)
    return "" if found is None else found.text or ""


def set_text(record: etree._Element | bytes, path: str, value: str) -> None:
    found = element(record, path)
    assert found is not None, path
    if value == "@nil":
        found.text = None
        found.set(XSI_NIL, "true")
        return
    found.attrib.pop(XSI_NIL, None)
    found.text = None if value == "@empty" else value.replace("@blank", "　 ")


def fits(record: etree._Element | bytes, conditions: str) -> bool:
    for one in filter(None, conditions.split(";")):
        if one.startswith(("has:", "no:")):
            verb, _, name = one.partition(":")
            if (element(record, name) is not None) != (verb == "has"):
                return False
        else:
            name, sign, value = re.split(r"(!?=)", one, maxsplit=1)
            if (text(record, name) == value) != (sign == "="):
                return False
    return True


def _namespaced(like: etree._Element, name: str) -> str:
    namespace = etree.QName(like).namespace
    return f"{{{namespace}}}{name}" if namespace else name


def _set(file: File, record: etree._Element, row: Row) -> None:
    values = row.value.split("|")
    for name, value in zip(row.field.split("|"), values, strict=True):
        set_text(record, name, value)


def _nil(file: File, record: etree._Element, row: Row) -> None:
    for name in row.field.split("|"):
        set_text(record, name, "@nil")


def _remove(file: File, record: etree._Element, row: Row) -> None:
    for name in row.field.split("|"):
        found = element(record, name)
        assert found is not None, name
        found.getparent().remove(found)


def _twice(file: File, record: etree._Element, row: Row) -> None:
    """The element (or group) once more, right after itself."""
    found = element(record, row.field)
    assert found is not None, row.field
    found.addnext(copy.deepcopy(found))


def _add(file: File, record: etree._Element, row: Row) -> None:
    """A new element: ``Segment/name`` before or after the item that value names (``>Item=text``), else at the end."""
    place, _, name = row.field.rpartition("/")
    parent = element(record, place) if place else record
    assert parent is not None, place
    before, _, value = row.value.rpartition("=")
    child = etree.Element(_namespaced(parent, name))
    child.text = value or None
    if before:
        sibling = element(parent, before)
        assert sibling is not None, before
        sibling.addprevious(child)
    else:
        parent.append(child)


def _add_segment(file: File, record: etree._Element, row: Row) -> None:
    """The segment as the first record that has it holds it, at its place in the order."""
    kind = next(r for r in packs()["cn_pbc_credit"].records() if r.name == file.record)
    order = [s.name for s in kind.segments]
    for name in row.field.split("|"):
        given = next(element(r, name) for r in file.records if element(r, name) is not None and r is not record)
        assert given is not None
        new = copy.deepcopy(given)
        record[0].append(new)
        _in_order(record[0], order)


def _replace_segment(file: File, record: etree._Element, row: Row) -> None:
    """Leaves out the segments before ``>`` (``A+B>field``) and sets the fields after it."""
    gone, _, names = row.field.partition(">")
    for name in gone.split("+"):
        found = element(record, name)
        assert found is not None, name
        found.getparent().remove(found)
    for name, value in zip(names.split("|"), row.value.split("|"), strict=True):
        set_text(record, name, value)


def _nil_content(file: File, record: etree._Element, row: Row) -> None:
    set_text(record, row.field, row.value)
    found = element(record, row.field)
    assert found is not None
    found.set(XSI_NIL, "true")


def _attribute(file: File, record: etree._Element, row: Row) -> None:
    found = element(record, row.field)
    assert found is not None
    name, _, value = row.value.partition("=")
    found.set(name, value)


def _tail(file: File, record: etree._Element, row: Row) -> None:
    found = element(record, row.field)
    assert found is not None
    found.tail = row.value


def _empty_segment(file: File, record: etree._Element, row: Row) -> None:
    found = element(record, row.field)
    assert found is not None
    for child in list(found):
        found.remove(child)


def _swap(file: File, record: etree._Element, row: Row) -> None:
    """Puts the element before the one that value names."""
    one, other = element(record, row.field), element(record, row.value)
    assert one is not None
    assert other is not None
    other.addprevious(one)


def _same_groups(file: File, record: etree._Element, row: Row) -> None:
    """The first group once more, with the count set to what value says."""
    counter, _, name = row.field.partition("|")
    found = element(record, name)
    assert found is not None
    found.addnext(copy.deepcopy(found))
    set_text(record, counter, row.value)


ON_ELEMENTS: dict[str, Callable[[File, etree._Element, Row], None]] = {
    "set": _set,
    "nil": _nil,
    "remove": _remove,
    "remove_segment": _remove,
    "twice": _twice,
    "add": _add,
    "add_segment": _add_segment,
    "replace": _replace_segment,
    "nil_content": _nil_content,
    "attribute": _attribute,
    "tail": _tail,
    "empty_segment": _empty_segment,
    "move_before": _swap,
    "same_groups": _same_groups,
}


def spoil(files: dict[str, File], row: Row, taken: set[int]) -> etree._Element | bytes | None:
    """Applies a row; gives the record that was spoilt, None for the file as such."""
    file = files[row.file]
    if row.action == "drop_all":
        file.records.clear()
        return None
    if row.action == "set_header":
        start, _, end = row.field.partition("-")
        head = file.content().decode().split("\n", 1)[0]
        file.head[0] = head[: int(start)] + row.value + head[int(end) :] if row.field else row.value
        file.count = False
        return None
    if row.action == "set_name":
        start, _, end = row.field.partition("-")
        file.name = file.name[: int(start)] + row.value + file.name[int(end) :]
        return None
    if row.action in ("raw", "raw_all"):
        old, _, new = row.value.partition("=>")
        file.edits.append((old.encode(), new.encode("latin-1").decode("unicode_escape").encode("latin-1"), 1 if row.action == "raw" else -1))
        return None
    index = next((i for i, r in enumerate(file.records) if id(r) not in taken and fits(r, row.index)), None)
    assert index is not None, f"no record of {row.file} left that fits {row.index}"
    record = file.records[index]
    taken.add(id(record))
    if row.action == "drop_record":
        del file.records[index]
        return None
    if row.action == "duplicate":
        new = copy.deepcopy(record)
        file.records.insert(index + 1, new)
        taken.add(id(new))
        for name, value in zip(filter(None, row.field.split("|")), row.value.split("|"), strict=False):
            set_text(new, name, value)
        return new
    if row.action == "raw_line":
        old, _, new_text = row.value.partition("=>")
        line = _one_line(record).decode()
        assert old in line
        made = line.replace(old, new_text, 1).encode()
        file.records[index] = made
        return made
    if row.value == "@debtor":
        owed = next(r for r in files["referencia"].records if text(r, "num_referencia") == text(record, "num_referencia"))
        row = replace(row, value=text(owed, "nit_deudor"))
    if "@own" in row.value:
        row = replace(row, value=row.value.replace("@own", text(record, "BsSgmt/IDNum")))
    ON_ELEMENTS[row.action](file, record, row)
    return record


# --- The runs


@dataclass
class Verdict:
    """What a run found, and where each row's record stands: (file, line), line None for the file as such."""

    result: CheckResult
    places: dict[int, tuple[str, int | None]]
    rows: list[Row]


class Bench:
    """The good filings, and the verdict of each group, worked out once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.good: dict[str, Path] = {}
        self.verdicts: dict[tuple[str, str], Verdict] = {}
        for pack, (country, loans) in PACKS.items():
            data = root / f"{pack}_portfolio"
            made = root / f"{pack}_built"
            make_sample(loans, country, 1, data)
            build(pack, read_portfolio(data), date(2026, 10, 31), made, made_at=datetime(2026, 11, 1, tzinfo=UTC))
            files = open_filing(pack, made)
            (add_sv_records if pack == "sv_ssf_ctri" else add_cn_records)(files)
            good = root / f"{pack}_good"
            good.mkdir()
            write_filing(files, good)
            shutil.copy(made / "manifest.json", good)
            self.good[pack] = good

    def verdict(self, pack: str, group: str) -> Verdict:
        key = (pack, group)
        if key not in self.verdicts:
            self.verdicts[key] = self._run(pack, group)
        return self.verdicts[key]

    def _run(self, pack: str, group: str) -> Verdict:
        rows = [r for r in ROWS if r.pack == pack and r.group == group]
        files = open_filing(pack, self.good[pack])
        taken: set[int] = set()
        spoilt = {r.number: spoil(files, r, taken) for r in rows}
        folder = self.root / f"{pack}_{group}"
        folder.mkdir()
        write_filing(files, folder)
        shutil.copy(self.good[pack] / "manifest.json", folder)
        places: dict[int, tuple[str, int | None]] = {}
        for r in rows:
            record = spoilt[r.number]
            places[r.number] = (files[r.file].name, files[r.file].line_of(record) if record is not None else None)
        return Verdict(check_files([folder]), places, rows)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("pack_rules"))


def here(f: Finding, place: tuple[str, int | None], row: Row) -> bool:
    """Whether a finding is at the row's record; a dropped record and a file as such are found anywhere in the filing."""
    if row.action == "drop_record":
        return True
    return f.file == place[0] and (place[1] is None or f.row == place[1])


def _params() -> list[object]:
    return [pytest.param(r, id=f"{r.pack}-{r.number}-{r.code}", marks=[pytest.mark.xfail(reason=r.xfail, strict=True)] if r.xfail else []) for r in ROWS]


@pytest.mark.parametrize("pack", PACKS)
def test_the_good_filing_has_no_finding(bench: Bench, pack: str) -> None:
    found = check_files([bench.good[pack]])
    # Of an open list no code is known, so each value of it is a warning, and nothing else is.
    assert [(f.code, f.file, f.row, f.message) for f in found.findings if f.code not in WARNED_OF_ALWAYS] == []
    assert set(found.records) == {r.name for r in packs()[pack].records()}


@pytest.mark.parametrize("row", _params())
def test_the_rule_fires_at_the_record_that_breaks_it(bench: Bench, row: Row) -> None:
    verdict = bench.verdict(row.pack, row.group)
    at = [f for f in verdict.result.findings if here(f, verdict.places[row.number], row)]
    assert row.code in {f.code for f in at}, sorted({(f.code, f.field) for f in at})
    if verdict.places[row.number][1] is not None:
        assert {f.code for f in at} - (WARNED_OF_ALWAYS - {row.code}) == {row.code} | row.also


def test_a_file_without_records_does_not_stop_the_check(bench: Bench, tmp_path: Path) -> None:
    files = open_filing("sv_ssf_ctri", bench.good["sv_ssf_ctri"])
    files["referencia"].records.clear()
    write_filing(files, tmp_path)
    shutil.copy(bench.good["sv_ssf_ctri"] / "manifest.json", tmp_path)
    assert "SVCTRI-002" in {f.code for f in check_files([tmp_path]).findings}


@pytest.mark.parametrize(("pack", "group"), sorted({(r.pack, r.group) for r in ROWS}))
def test_a_run_finds_what_its_rows_say_and_nothing_else(bench: Bench, pack: str, group: str) -> None:
    verdict = bench.verdict(pack, group)
    expected = set().union(*(r.also | r.brings | (set() if r.xfail else {r.code}) for r in verdict.rows))
    assert {f.code for f in verdict.result.findings} - WARNED_OF_ALWAYS == expected - WARNED_OF_ALWAYS


def test_an_example_names_rules_of_the_pack() -> None:
    for row in ROWS:
        assert {row.code, *row.also, *row.brings} <= {r.id for r in packs()[row.pack].rules}, row


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_has_an_example_or_a_reason(pack: str) -> None:
    rules = packs()[pack].rules
    ours = {r.id for r in rules if r.offline}
    shown = {r.code for r in ROWS if r.pack == pack and not r.xfail}
    assert ours - shown - set(NOT_RUN[pack]) - set(NOT_YET[pack]) == set()
    assert (set(NOT_RUN[pack]) | set(NOT_YET[pack])) - ours == set()
    assert (set(NOT_RUN[pack]) | set(NOT_YET[pack])) & shown == set()
