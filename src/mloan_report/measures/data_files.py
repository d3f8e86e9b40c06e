"""The data files of measures/: adding a rule is adding a file; and what every kind of file is refused for."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mloan_report.measures.regime import CERTAINTIES, RefusedRegime


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Definition = TypeVar("Definition", bound=_Identified)


@cache
def toml_files(folder: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Name and content of every TOML file of measures/*folder*, by name."""
    found = sorted(files("mloan_report.measures").joinpath(folder).iterdir(), key=lambda e: e.name)
    return tuple((e.name, tomllib.loads(e.read_text(encoding="utf-8"))) for e in found if e.name.endswith(".toml"))


def toml_file(name: str) -> dict[str, Any]:
    """The content of measures/*name*, a single fact with its source."""
    data = tomllib.loads(files("mloan_report.measures").joinpath(name).read_text(encoding="utf-8"))
    require(data, ("source", "certainty"), name)
    return data


def load_toml(path: str | Path) -> tuple[str, dict[str, Any]]:
    """Name and content of a user's own file. RefusedRegime where it is no TOML."""
    file = Path(path)
    try:
        return file.name, tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise RefusedRegime(f"{file.name}: {e}") from None


def definitions(folder: str, table: str, parse: Callable[[dict[str, Any], str], Definition]) -> dict[str, Definition]:
    """Every ``[[table]]`` of the files of measures/*folder* by its id, which must not stand twice."""
    found: dict[str, Definition] = {}
    for name, data in toml_files(folder):
        for raw in data[table]:
            made = parse(raw, name)
            if made.id in found:
                raise RefusedRegime(f"{name}: {table} {made.id} stands twice")
            found[made.id] = made
    return found


def require(data: Mapping[str, Any], names: Sequence[str], where: str) -> list[Any]:
    """The values of *names*; refused where one is missing or empty, or the certainty is no word of ours."""
    for name in names:
        if data.get(name) in (None, "", [], {}):
            raise RefusedRegime(f"{where} has no {name}")
    if "certainty" in data:
        one_of(data["certainty"], CERTAINTIES, f"{where}: certainty")
    return [data[n] for n in names]


def one_of(value: str, words: Sequence[str], where: str) -> str:
    """*value*, refused where it is not among *words*."""
    if value not in words:
        raise RefusedRegime(f"{where} {value!r} is not one of {', '.join(words)}")
    return value


def number(text: Any, where: str, *, low: int | None = None, high: int | None = None) -> Decimal:
    """A decimal written in quotes, so that no float ever stands between; refused outside *low* to *high*."""
    try:
        value = Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or (low is not None and value < low) or (high is not None and value > high):
        within = "" if high is None else f" from {low} to {high}"
        raise RefusedRegime(f"{where}: {text!r} is not a number in quotes{within}")
    return value
