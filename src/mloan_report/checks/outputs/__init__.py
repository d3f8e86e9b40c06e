"""Forms in which findings are shown, one file a form: ``text``, ``json`` ...; a form is added by adding its file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence

from mloan_report.model.finding import Finding

Writer = Callable[[Sequence[Finding]], str]


def output_forms() -> list[str]:
    """The names of the forms there are."""
    return sorted(m.name.removesuffix("_form") for m in pkgutil.iter_modules(__path__) if m.name.endswith("_form"))


def writer(form: str) -> Writer:
    """The function that writes findings in *form*; KeyError when there is none."""
    if form not in output_forms():
        raise KeyError(form)
    function: Writer = importlib.import_module(f"{__name__}.{form}_form").write
    return function
