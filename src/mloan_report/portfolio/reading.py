"""A portfolio from a folder of CSV and Parquet files, or from any Arrow-speaking frames."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from mloan_report.model import CORE, Institution, table_models
from mloan_report.model.finding import Finding
from mloan_report.portfolio.adjustments import apply_adjustments
from mloan_report.portfolio.portfolio import Portfolio
from mloan_report.portfolio.shape_rules import SHAPE_RULES
from mloan_report.portfolio.typing import TableTyper

SUFFIXES = (".csv", ".parquet")


class UnusableInput(Exception):
    """The input cannot be used at all: exit status 2, said in one line."""


def read_portfolio(folder: str | Path) -> Portfolio:
    """The portfolio in *folder*: institution.toml and one file a table.

    Values that break the contract become findings and nulls, never exceptions. Raises :class:`UnusableInput` when the
    folder or its institution.toml is not there or not usable.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UnusableInput(f"{path} is not a folder")
    if (path / "buckets.json").is_file():
        raise UnusableInput(f"{path} is laid out in buckets: open_book reads it bucket by bucket, and its whole() puts it together in memory")
    institution = read_institution(path / "institution.toml")
    raw: dict[str, pl.DataFrame] = {}
    files: dict[str, str] = {}
    digests = {"institution.toml": file_digest(path / "institution.toml")}
    findings: list[Finding] = []
    for file in sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file()):
        name = file.stem
        if name in raw:
            findings.append(SHAPE_RULES["TAB-017"].finding(table=name, file=files[name], other=file.name))
            continue
        frame, unreadable = _read_file(file)
        digests[file.name] = file_digest(file)
        findings.extend(unreadable)
        if frame is not None:
            raw[name] = frame
            files[name] = file.name
    return build_portfolio(institution, raw, files=files, digests=digests, findings=findings)


def portfolio_from_frames(institution: Institution | Mapping[str, Any], frames: Mapping[str, Any]) -> Portfolio:
    """A portfolio from data frames by table name: Polars, pandas, PyArrow, DuckDB relations, or anything that speaks
    the Arrow capsule interface. Amounts come as Decimal, integers or text in major units, never as floats.
    """
    who = institution if isinstance(institution, Institution) else Institution.model_validate(dict(institution))
    raw = {name: to_polars(frame) for name, frame in frames.items()}
    return build_portfolio(who, raw, files={name: name for name in raw})


def to_polars(frame: Any) -> pl.DataFrame:
    """Any Arrow-speaking frame as a Polars frame."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if hasattr(frame, "__arrow_c_stream__"):
        return pl.DataFrame(frame)
    if hasattr(frame, "columns") and hasattr(frame, "index"):
        return pl.from_pandas(frame)
    if hasattr(frame, "arrow"):
        return pl.DataFrame(frame.arrow())
    raise UnusableInput(f"{type(frame).__name__} is not a data frame that Arrow can read")


def build_portfolio(
    institution: Institution,
    raw: Mapping[str, pl.DataFrame],
    *,
    files: Mapping[str, str],
    digests: Mapping[str, str] | None = None,
    findings: list[Finding] | None = None,
    settled: Mapping[str, frozenset[str]] | None = None,
) -> Portfolio:
    """Types the raw tables, currencies first, then applies the adjustments. *settled* are columns that are typed already."""
    found = list(findings or [])
    models = table_models()
    extra = {name: frame for name, frame in raw.items() if name not in models}
    typers = {
        name: TableTyper(models[name], frame, files.get(name, name), (settled or {}).get(name, frozenset())) for name, frame in raw.items() if name in models
    }
    for name in CORE:
        if name not in typers:
            found.append(SHAPE_RULES["TAB-001"].finding(table=name))
    maps = currency_maps(lambda table, columns: pl.DataFrame({c: typers[table].text_column(c) for c in columns}) if table in typers else None)
    tables: dict[str, pl.DataFrame] = {}
    for name in models:
        if name not in typers:
            continue
        typer = typers[name]
        tables[name] = typer.typed(currency_of_row(typer, institution.currency_code, maps))
        found.extend(typer.findings)
    for name in extra:
        found.append(SHAPE_RULES["TAB-016"].finding(table=name, file=files.get(name, name)))
    portfolio = Portfolio(institution, tables, tuple(found), dict(files), dict(digests or {}), extra)
    return apply_adjustments(portfolio)


def read_institution(path: Path) -> Institution:
    """The institution in its TOML file; :class:`UnusableInput` where it is not there or breaks the contract."""
    try:
        return parse_institution(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UnusableInput(f"{path} is not there: it says who files, in which country and currency") from None
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path} cannot be read: {error}") from None


def parse_institution(text: str, path: str) -> Institution:
    """The institution from the text of its TOML file; *path* is named where it breaks the contract."""
    try:
        return Institution.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UnusableInput(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableInput(f"{path}: {where}: {first['msg']}") from None


def _read_file(file: Path) -> tuple[pl.DataFrame | None, list[Finding]]:
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file), []
        file.read_bytes().decode("utf-8-sig")
        return pl.read_csv(file, infer_schema=False), []
    except pl.exceptions.NoDataError:
        reason = "it is empty, without even a header row"
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 (byte {error.start})"
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n")[0]
    return None, [SHAPE_RULES["TAB-013"].finding(table=file.stem, file=file.name, reason=reason)]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def currency_maps(keys: Callable[[str, tuple[str, ...]], pl.DataFrame | None]) -> dict[str, pl.DataFrame]:
    """The currency of each loan and facility; *keys* gives the named columns of a table as text."""
    out = {}
    for kind, table, key in (("loan", "loans", "loan_id"), ("facility", "facilities", "facility_id")):
        rows = keys(table, (key, "currency_code"))
        if rows is None:
            rows = pl.DataFrame(schema={key: pl.String, "currency_code": pl.String})
        out[kind] = rows.select(key, currency="currency_code").drop_nulls(key).unique(key, keep="first", maintain_order=True)
    return out


def currency_of_row(typer: TableTyper, home: str, maps: Mapping[str, pl.DataFrame]) -> pl.Series:
    """The ISO code of each row's amounts, null where it is not known."""
    by = typer.model.CURRENCY_BY
    height = typer.raw.height
    if by == "institution":
        return pl.Series("currency", [home]).new_from_index(0, height)
    if by in maps:
        key = "loan_id" if by == "loan" else "facility_id"
        keys = pl.DataFrame({key: typer.text_column(key)})
        return keys.join(maps[by], on=key, how="left", maintain_order="left")["currency"]
    own = typer.text_column(by)
    return own.fill_null(home)
