"""The regime and provision table that a call or the policy names, with what must be said about their use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

from mloan_report.cli.shared import CannotUse
from mloan_report.measures import Regime, load_regime, provision_tables, regime_with, regimes
from mloan_report.measures.classify import check_dates
from mloan_report.measures.provision import ProvisionTable
from mloan_report.model import Institution

Chosen = TypeVar("Chosen")


def chosen_regime(
    name: str | None,
    institution: Institution,
    as_of: date,
    *,
    allow_expired: bool,
    allow_uncertain: bool,
    settings: Mapping[str, str] | None = None,
    also_npl: Sequence[str] = (),
) -> Regime | None:
    """The regime named (or a file), else the policy's, else None. An expired one needs --allow-expired, unless the policy names it.

    *settings* are its whole numbers (``--set name=value``); *also_npl* categories that it leaves open.
    """
    policy = institution.policy_on(as_of)
    wanted = name or policy.classification
    if wanted is None:
        return None
    if wanted.endswith(".toml"):
        if not Path(wanted).is_file():
            raise CannotUse(f"{wanted} is not there")
        regime = load_regime(wanted, _numbers(settings))
    elif wanted in regimes():
        regime = regime_with(wanted, _numbers(settings)) if settings else regimes()[wanted]
    else:
        raise CannotUse(f"there is no regime {wanted}; there are {', '.join(regimes())}")
    if also_npl:
        try:
            regime = regime.counting_as_npl(also_npl)
        except ValueError as e:
            raise CannotUse(str(e)) from None
    named_by_policy = policy.classification == regime.id
    why = check_dates(regime, as_of, allow_expired=allow_expired or named_by_policy)
    if why is not None:
        raise CannotUse(why)
    if not regime.in_force(as_of):
        print(f"warning: {regime.id} is not in force on {as_of}", file=sys.stderr)
    if not allow_uncertain:
        sure = regime.without_uncertain()
        if sure is None:
            raise CannotUse(f"{regime.id} is only remembered and its edges may be wrong (certainty knowledge_low): give --allow-uncertain to use it")
        for segment in set(regime.segments) - set(sure.segments):
            print(f"warning: {regime.id}: segment {segment.name} is only remembered and not used; --allow-uncertain uses it", file=sys.stderr)
        regime = sure
    if regime.certainty == "knowledge":
        print(f"warning: the bands of {regime.id} are unverified (certainty knowledge)", file=sys.stderr)
    return regime


def _numbers(settings: Mapping[str, str] | None) -> dict[str, int]:
    out = {}
    for name, value in (settings or {}).items():
        if not value.isdecimal():
            raise CannotUse(f"--set {name}={value}: {value!r} is not a whole number")
        out[name] = int(value)
    return out


def chosen_provisions(name: str | None, institution: Institution, as_of: date) -> ProvisionTable | None:
    """The provision table named, else the policy's, else None."""
    wanted = name or institution.policy_on(as_of).provisions
    if wanted is None:
        return None
    if wanted not in provision_tables():
        raise CannotUse(f"there is no provision table {wanted}; there are {', '.join(provision_tables())}")
    return provision_tables()[wanted]


def chosen_set(name: str, what: str, known: Mapping[str, Chosen], load: Callable[[str], Chosen]) -> Chosen:
    """The set of rules named *name*, or the one in a user's file."""
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise CannotUse(f"{name} is not there")
        return load(name)
    if name not in known:
        raise CannotUse(f"there is no set of {what} {name}; there are {', '.join(known)}")
    return known[name]
