"""A made-up portfolio, the same for the same seed; or made-up identities for real loans.

Examples: mloan-report sample --loans 300 --country CN --seed 1 --out book
mloan-report sample --identities-for real --country SV --out named
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mloan_report.cli.shared import CannotUse, day, progress


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder to write, new or empty.")],
    country: Annotated[str, typer.Option("--country", help="The country, ISO code: CN, SV, ...")],
    loans: Annotated[int | None, typer.Option("--loans", help="How many loans.", min=1)] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same book.")] = 1,
    as_of: Annotated[str, typer.Option("--as-of", help="The date the book is at.")] = "2026-10-31",
    form: Annotated[str, typer.Option("--format", help="csv or parquet: both hold the same data.")] = "csv",
    faults: Annotated[bool, typer.Option("--faults", help="Put known defects in and list them in faults.json.")] = False,
    identities_for: Annotated[Path | None, typer.Option("--identities-for", help="A portfolio of real loans that lack names and numbers.")] = None,
) -> int:
    from mloan_report.testing.sample import add_identities, make_sample
    from mloan_report.testing.sample.country import countries

    if form not in ("csv", "parquet"):
        raise CannotUse(f"--format {form!r} is neither csv nor parquet")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CannotUse(f"{out} exists and is not an empty folder")
    try:
        if identities_for is not None:
            add_identities(identities_for, country, out)
        elif loans is None:
            raise CannotUse("--loans is missing: how many loans the sample shall have")
        else:
            with progress("making the sample"):
                make_sample(loans, country, seed, out, as_of=day(as_of), file_format=form, faults=faults)
    except KeyError:
        raise CannotUse(f"there is no sample for the country {country!r}; there are {', '.join(countries())}") from None
    print(f"{out}: {sum(1 for _ in out.iterdir())} files")
    return 0
