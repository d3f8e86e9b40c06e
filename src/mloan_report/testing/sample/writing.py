"""Writes a made-up portfolio: institution.toml and one file a table, csv or parquet, the same data in both forms."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from mloan_report.model import fields_of, table_models
from mloan_report.portfolio import read_portfolio, write_portfolio
from mloan_report.testing.sample.book import SampleBook, make_book
from mloan_report.testing.sample.country import Row, country_for
from mloan_report.testing.sample.faults import add_faults

DEFAULT_AS_OF = date(2026, 10, 31)

_INSTITUTION = {
    "CN": """name = "Sample microloan company"
local_name = "示例小额贷款有限公司"
country = "CN"
currency_code = "CNY"
time_zone = "Asia/Shanghai"
made_up = "everything: people, numbers and amounts are fictitious"
identifiers = [{ scheme = "cn.uscc", value = "91110000600037341L" }]

[contact]
email = "reports@example.org"

[licence]
kind = "microloan_company"
areas = ["110000"]
online = true
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "CN-NFRA-2023-1"
provisions = "CN-2002-98"

[packs.cn_pbc_credit]
section_code = "Z99999999H0001"
joint_amounts = "full"

[packs.cn_pbc_credit.branches]
BR01 = "Z99999999H0001"
BR02 = "Z99999999H0002"
""",
    "SV": """name = "Sample savings and credit company"
local_name = "Sociedad de ahorro y credito de muestra"
country = "SV"
currency_code = "USD"
time_zone = "America/El_Salvador"
made_up = "everything: people, numbers and amounts are fictitious"

[contact]
email = "reports@example.org"

[licence]
kind = "savings_and_credit_company"
valid_from = 2020-01-01

[[policies]]
from_on = 2020-01-01
classification = "SV-NCB-022"

[packs.sv_ssf_ctri]
cod_cartera = "01"
""",
}


def make_sample(loans: int, country: str, seed: int, out: str | Path, *, as_of: date = DEFAULT_AS_OF, file_format: str = "csv", faults: bool = False) -> Path:
    """A made-up portfolio of *loans* loans in the folder *out*, the same bytes for the same arguments.

    With *faults*, known defects are put in and listed in faults.json. KeyError for a country without a sample.
    """
    folder = Path(out)
    where = country_for(country)
    folder.mkdir(parents=True, exist_ok=True)
    book = make_book(loans, where, seed, as_of)
    (folder / "institution.toml").write_text(_INSTITUTION[country], encoding="utf-8")
    if faults:
        add_faults(book, folder)
    if file_format == "parquet":
        _write_parquet(book, folder)
    else:
        for name, rows in book.tables.items():
            _write_csv(folder / f"{name}.csv", _columns(name, rows), rows)
    return folder


def _columns(name: str, rows: Sequence[Row]) -> list[str]:
    used = {k for row in rows for k in row}
    models = table_models()
    if name not in models:
        return list(dict.fromkeys(k for row in rows for k in row))
    known = fields_of(models[name])
    return [c for c in known if c in used or known[c].required] + sorted(used - set(known))


def _write_csv(path: Path, columns: list[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(book: SampleBook, folder: Path) -> None:
    for name, rows in book.tables.items():
        columns = _columns(name, rows)
        pl.DataFrame({c: [r.get(c) for r in rows] for c in columns}, schema=dict.fromkeys(columns, pl.String)).write_parquet(folder / f"{name}.parquet")
    typed = read_portfolio(folder)
    if not typed.findings or all(f.severity != "error" for f in typed.findings):
        keep = typed.table("branches")
        write_portfolio(typed.with_table("branches", keep), folder, "parquet")


__all__ = ["make_sample"]
