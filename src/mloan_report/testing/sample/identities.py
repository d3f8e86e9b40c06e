"""Made-up identities for real loans: names, numbers, addresses, codes and rate 0; amounts, dates and currency stay."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random

from mloan_report.portfolio import UnusableInput, read_portfolio, text_frame
from mloan_report.testing.sample.book import birth_date
from mloan_report.testing.sample.country import Row, country_for

_MARK = "names, identity numbers, addresses, codes and rates are made up; amounts, dates and currency are real"


def add_identities(folder: str | Path, country: str, out: str | Path) -> Path:
    """The portfolio of *folder* with what a pack of *country* needs added, written to *out*, marked as made up.

    Every loan, instalment and repayment stays as it is. Raises :class:`UnusableInput` when *out* is not empty.
    """
    source, target = Path(folder), Path(out)
    if target.exists() and any(target.iterdir()):
        raise UnusableInput(f"{target} exists and is not empty")
    portfolio = read_portfolio(source)
    c = country_for(country)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and path.stem not in ("institution", "borrowers", "loans", "identifiers", "branches"):
            shutil.copyfile(path, target / path.name)
    rng = Random(f"identities-{country}")
    people, numbers = [], []
    for i, row in enumerate(text_frame(portfolio, "borrowers").iter_rows(named=True), start=1):
        known = {k: v for k, v in row.items() if v is not None}
        born = birth_date(i)
        made, ids = c.person(rng, i, born, ("female", "male")[i % 2])
        people.append(
            {
                **made,
                "marital_status": "single",
                "education": "unknown",
                "degree": "unknown",
                "employment_status": "unknown",
                "housing_status": "unknown",
                "mailing_address": made["address"],
                "mailing_postal_code": "100010",
                "customer_since_on": "2018-01-01",
                "branch_id": "BR01",
                "borrower_id": known["borrower_id"],
                "kind": known["kind"],
            }
        )
        numbers += [{"party_id": known["borrower_id"], **entry} for entry in ids]
    loans = []
    added = {
        "annual_rate_pct": "0",
        "effective_rate_pct": "0",
        "branch_id": "BR01",
        "purpose_code": c.purpose[0],
        "purpose_scheme": c.purpose[1],
        **({"use_region_code": c.use_region} if c.use_region else {}),
        "use_country": country,
        "funding_source_code": "01",
    }
    for row in text_frame(portfolio, "loans").iter_rows(named=True):
        loans.append({**added, **{k: v for k, v in row.items() if v is not None}})
    _write(target / "borrowers.csv", people)
    _write(target / "identifiers.csv", numbers)
    _write(target / "loans.csv", loans)
    _write(target / "branches.csv", [{"branch_id": "BR01", "name": "Branch 1", "district_code": c.branches[0][0]}])
    _institution(portfolio.institution.name, portfolio.institution.currency_code, country, target)
    return target


def _write(path: Path, rows: list[Row] | list[Mapping[str, str]]) -> None:
    columns = list(dict.fromkeys(k for row in rows for k in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _institution(name: str, currency: str, country: str, target: Path) -> None:
    c = country_for(country)
    quoted = name.replace('"', "'")
    (target / "institution.toml").write_text(
        f'name = "{quoted}"\ncountry = "{country}"\ncurrency_code = "{currency}"\ntime_zone = "{c.zone}"\nmade_up = "{_MARK}"\n\n'
        f'[[policies]]\nfrom_on = 2000-01-01\nclassification = "{c.regime}"\n\n{c.settings}',
        encoding="utf-8",
    )
