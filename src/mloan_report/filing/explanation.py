"""What any id that appears anywhere means: rules, ratios, regimes, provision tables, fields, settings, columns, packs."""

from __future__ import annotations

from mloan_report.checks import all_rules
from mloan_report.filing.building import NOTHING
from mloan_report.filing.manifest import UNEQUAL, UNRECONCILED
from mloan_report.filing.measures_explained import explain_measure
from mloan_report.filing.verification import DIFFERENT
from mloan_report.model import fields_of, table_models
from mloan_report.model.finding import Rule
from mloan_report.packs import packs
from mloan_report.packs.views import SIDE_TABLE, UNMAPPED
from mloan_report.position import POSITION_COLUMNS

FILING_RULES: dict[str, Rule] = {r.id: r for r in (DIFFERENT, UNEQUAL, UNRECONCILED, NOTHING, UNMAPPED, SIDE_TABLE)}


def explain(name: str) -> list[str]:
    """Every meaning that *name* has, each as a paragraph; none where nothing has that id."""
    out = []
    rule = all_rules().get(name) or FILING_RULES.get(name)
    if rule is not None:
        out.append(_rule(rule))
    out += explain_measure(name)
    for p in packs().values():
        if name == p.id:
            out.append(f"pack {p.id}: {p.title}\n  law: {p.data['law']}\n  certainty: {p.data['certainty']}; {p.data['status']}")
        for own in p.rules:
            if own.id == name or own.id.split("/")[0] == name:
                fields = f" ({', '.join(own.fields)})" if own.fields else ""
                out.append(
                    f"{p.id} on {', '.join(own.records)}{fields}\n{_rule(own.rule)}"
                    + ("" if own.offline else "\n  not run here: the recipient checks it against what it has stored")
                )
        for layout in p.records():
            for f in layout.fields:
                if name in (f.name, f"{layout.name}.{f.name}", f"{p.id}.{layout.name}.{f.name}"):
                    out.append(
                        f"field {p.id} {layout.name}.{f.name}: {f.title_en} ({f.title_local})\n  type {f.type}{f' {f.length}' if f.length else ''}; {f.condition or 'no condition'}\n  value: {f.value or 'not filled'}\n  certainty {f.certainty}"
                    )
        if name in p.settings:
            s = p.settings[name]
            out.append(
                f"setting {p.id} {s.name}: {s.meaning}\n  default: {s.default if s.default is not None else 'none'}{'; one of ' + ', '.join(s.choices) if s.choices else ''}"
            )
    for c in POSITION_COLUMNS:
        if name == c.name:
            out.append(f"position column {c.name}: {c.title_en} ({c.title_zh})\n  {c.definition}")
    for table, model in table_models().items():
        if name == table:
            out.append(f"table {table}: {model.TITLE_EN} ({model.TITLE_ZH})\n  key: {', '.join(model.KEY)}\n  columns: {', '.join(fields_of(model))}")
        for column, field in fields_of(model).items():
            if name in (column, f"{table}.{column}"):
                need = "required" if field.required else "optional"
                values = f"\n  values: {', '.join(field.values)}" if field.values else ""
                out.append(
                    f"column {table}.{column}: {field.column.en} ({field.column.zh}), {field.column.kind}, {need}; example {field.column.example}{values}"
                )
    return out


def _rule(rule: Rule) -> str:
    return f"rule {rule.id} ({rule.severity}): {rule.title}\n  message: {rule.message}\n  why: {rule.why}\n  what to do: {rule.fix}\n  source: {rule.source} (certainty {rule.certainty})"
