"""Identity numbers by scheme: ours where python-stdnum is wrong or silent, python-stdnum through the same door.

``check_number`` for one number, ``check_column`` for a column, ``passes`` for a yes or no.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

import polars as pl

from mloan_report.identity.china import CHINA
from mloan_report.identity.india import INDIA
from mloan_report.identity.international import INTERNATIONAL
from mloan_report.identity.others import OTHERS
from mloan_report.identity.philippines import PHILIPPINES
from mloan_report.identity.scheme import Scheme

SCHEMES: dict[str, Scheme] = {s.id: s for s in (*CHINA, *INDIA, *INTERNATIONAL, *OTHERS, *PHILIPPINES)}

__all__ = ["SCHEMES", "Failure", "Scheme", "check_column", "check_number", "passes", "read_holder", "scheme_for"]


@dataclass(frozen=True)
class Failure:
    """A part of a number that does not hold; ``soft`` ones are warnings."""

    part: str
    soft: bool


def check_number(scheme: str, number: str, *, sex: str | None = None, born_on: object | None = None) -> list[Failure]:
    """The parts of *number* that fail, none when it is good; *sex* and *born_on* of its holder are compared where the
    number tells them. KeyError when neither we nor python-stdnum know the scheme.
    """
    column = pl.Series("number", [number], dtype=pl.String)
    failed = [Failure(part, soft) for part, (soft, where) in check_column(scheme, column).items() if where[0]]
    told = read_holder(scheme, column)
    if told is not None and not failed:
        if born_on is not None and told["born_on"][0] is not None and told["born_on"][0] != born_on:
            failed.append(Failure("birth_mismatch", False))
        if sex in ("male", "female") and told["sex"][0] is not None and told["sex"][0] != sex:
            failed.append(Failure("sex_mismatch", False))
    return failed


def check_column(scheme: str, numbers: pl.Series) -> dict[str, tuple[bool, pl.Series]]:
    """By part: whether it is soft, and where it fails (False for nulls)."""
    chosen = scheme_for(scheme)
    return {part: (part in chosen.soft, where.fill_null(False)) for part, where in chosen.parts(numbers).items()}


def passes(scheme: str, numbers: pl.Series) -> pl.Series:
    """Whether each number holds in every hard part; null for null."""
    bad = pl.Series([False]).new_from_index(0, numbers.len())
    for soft, where in check_column(scheme, numbers).values():
        if not soft:
            bad = bad | where
    return pl.select(pl.when(numbers.is_not_null()).then(~bad)).to_series()


def read_holder(scheme: str, numbers: pl.Series) -> pl.DataFrame | None:
    """What the numbers say of their holders (born_on, sex), or None where the scheme says nothing."""
    chosen = scheme_for(scheme)
    return chosen.reads(numbers) if chosen.reads else None


@cache
def scheme_for(scheme: str) -> Scheme:
    """The scheme by its id; any module of python-stdnum (``br.cpf``) comes through the same door."""
    if scheme in SCHEMES:
        return SCHEMES[scheme]
    try:
        module = importlib.import_module(f"stdnum.{scheme}")
    except ImportError:
        raise KeyError(scheme) from None
    if not hasattr(module, "validate"):  # a country's package, not a number of it
        raise KeyError(scheme)

    def parts(numbers: pl.Series) -> dict[str, pl.Series]:
        values = numbers.drop_nulls().unique().to_list()
        outcome = {v: _stdnum_outcome(module, v) for v in values}
        names = ("length", "characters", "check_digit", "component")
        return {n: numbers.replace_strict({v: o == n for v, o in outcome.items()}, default=False, return_dtype=pl.Boolean) for n in names}

    return Scheme(scheme, (module.__doc__ or scheme).strip().split("\n")[0], scheme, "python-stdnum", "public_code", parts)


def _stdnum_outcome(module: object, number: str) -> str | None:
    from stdnum import exceptions

    try:
        module.validate(number)  # type: ignore[attr-defined]
    except exceptions.InvalidLength:
        return "length"
    except exceptions.InvalidFormat:
        return "characters"
    except exceptions.InvalidChecksum:
        return "check_digit"
    except Exception:
        # InvalidComponent, and whatever a module raises on odd input: the number does not hold, and nothing escapes.
        return "component"
    return None
