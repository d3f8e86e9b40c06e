"""The meaning, formula and source of a rule, ratio, regime, provision table, field, setting or column.

Example: mloan-report explain par_30
"""

from __future__ import annotations

from typing import Annotated

import typer

from mloan_report.cli.shared import CannotUse


def command(name: Annotated[str, typer.Argument(help="An id, as it stands in a finding, a result or a layout.")]) -> int:
    from mloan_report.filing.explanation import explain

    texts = explain(name)
    if not texts:
        raise CannotUse(f"nothing is known under the id {name!r}: rules, ratios, regimes, provision tables, pack fields and columns have one")
    print("\n\n".join(texts))
    return 0
