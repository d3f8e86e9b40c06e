"""What stands around the records of a composed file: its head and foot, its name, and what rules may know of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from mloan_report.filing.request import FilingRequest, constants
from mloan_report.layout import RecordSet, make_records
from mloan_report.model.institution import Institution
from mloan_report.packs.views import Views
from mloan_report.portfolio import Portfolio
from mloan_report.position import Positions


def file_records(request: FilingRequest, institution: Institution, totals: Mapping[str, int]) -> dict[str, RecordSet]:
    """The head, root and foot records of the file, with *totals* of all its other records."""
    pack = request.pack
    nothing = Positions(*(pl.DataFrame() for _ in range(4)))  # of the file only the institution and the settings speak
    views = Views(pack, Portfolio(institution, {}), nothing, None, request.settings, request.as_of)
    view = views.file(request.made_at, totals)
    around = [x for x in pack.records(request.as_of) if x.place != "body"]
    return {x.name: make_records(x, view, {}, {}, pack.functions) for x in around}


def head_constants(records: Mapping[str, RecordSet]) -> dict[str, Any]:
    """What the head of a file says, as ``head_<field>``, for rules about other records."""
    out: dict[str, Any] = {}
    for own in records.values():
        if own.layout.place in ("head", "root") and own.height:
            out |= {f"head_{f.column}": own.typed[f.column][0] for f in own.layout.value_fields}
    return out


def file_name(request: FilingRequest, records: Mapping[str, RecordSet]) -> str:
    """The file's name, from the envelope's pattern: settings, ``as_of``, ``made_at`` and, as ``head``, what the head says."""
    hidden = {f.column for own in records.values() for f in own.layout.value_fields if f.pii}
    head = {k.removeprefix("head_"): v for k, v in head_constants(records).items() if k.removeprefix("head_") not in hidden}
    pattern = request.settings.get("file_name") or request.pack.envelope["file"]
    values = {n: v or "" for n, v in request.pack.shown_settings(request.settings).items()}
    return str(pattern.format(**{**values, **head, "as_of": request.as_of, "made_at": request.made_at}))


def filing_constants(request: FilingRequest) -> dict[str, Any]:
    """What rules may name beside fields when a filing is made: dates, settings, and what name and head of the file will say."""
    if not request.pack.is_composed:
        return constants(request)
    records = file_records(request, request.portfolio.institution, dict.fromkeys([t.name for t in request.pack.totals], 0))
    return {**constants(request), **head_constants(records), "file_name": file_name(request, records)}
