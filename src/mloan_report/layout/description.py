"""The published schema of a text file: record kinds, positions, types, code lists and counts, as plain data for a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mloan_report.layout.definition import CodeList, LayoutField, RecordLayout


def description(layouts: Sequence[RecordLayout], envelope: Mapping[str, Any], codes: Mapping[str, CodeList], totals: Sequence[Any]) -> dict[str, Any]:
    """What a program must know to read or write such a file without this library."""
    form = {k: v for k, v in envelope.items() if k not in ("kind", "codes")}
    used = sorted({c for x in layouts for f in x.fields for c in f.codes if c in codes})
    return {
        "description": 1,
        "form": form,
        "records": [_record(x) for x in layouts],
        "code_lists": {name: _codes(codes[name]) for name in used},
        "totals": [{"name": t.name, "record": t.record, "value": t.value, **({"where": t.where} if t.where else {})} for t in totals],
    }


def _record(layout: RecordLayout) -> dict[str, Any]:
    out: dict[str, Any] = {"name": layout.name, "place": layout.place, "fields_count": len(layout.value_fields)}
    if layout.also:
        out["also_read_as"] = list(layout.also)
    if layout.parent:
        out |= {"stands_in": layout.parent, "may_repeat": layout.many, "at_least": layout.least}
    out["fields"] = [_field(f) for f in layout.value_fields]
    return out


def _field(f: LayoutField) -> dict[str, Any]:
    out: dict[str, Any] = {"position": f.position, "name": f.name, "title": f.title_en, "type": f.type, "required": f.required}
    optional = {
        "start": f.start,
        "length": f.length,
        "min_length": f.min_length,
        "decimals": f.scale or None,
        "format": f.format or None,
        "pattern": f.pattern,
        "minimum": f.minimum,
        "maximum": f.maximum,
        "codes": list(f.codes) or None,
        "rounding": f.rounding if f.type in ("amount", "percent") else None,
        "condition": f.condition or None,
        "personal": bool(f.pii) or None,
    }
    return out | {k: v for k, v in optional.items() if v is not None} | {"certainty": f.certainty}


def _codes(listed: CodeList) -> dict[str, Any]:
    out: dict[str, Any] = {"codes": {c: listed.labels.get(c, "") for c in listed.active}}
    if listed.is_open or listed.is_external or listed.warns:
        out["other_values"] = "warning"
    return out
