"""What any id that appears anywhere means: rules, ratios, regimes, provision tables, fields, settings, columns, packs."""

from __future__ import annotations

from mloan_report.checks import all_rules
from mloan_report.filing.building import NOTHING
from mloan_report.filing.manifest import UNEQUAL, UNRECONCILED
from mloan_report.filing.verification import DIFFERENT
from mloan_report.measures import provision_tables, ratio_definitions, regimes
from mloan_report.measures.regime import Band
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
    if name in ratio_definitions():
        r = ratio_definitions()[name]
        out.append(
            f"ratio {r.id}: {r.en} ({r.zh})\n  formula: {r.formula}\n  source: {r.source} (certainty {r.certainty})" + (f"\n  note: {r.note}" if r.note else "")
        )
    if name in regimes():
        out.append(_regime(name))
    if name in provision_tables():
        t = provision_tables()[name]
        rates = ", ".join(f"{code} {rate / 10**7:g} %" for code, rate in t.specific)
        out.append(
            f"provision table {t.id}: {t.en}\n  rates: {rates}; general {t.general / 10**7:g} % on all\n  base: {t.base}\n  for: {', '.join(t.regimes)}\n  source: {t.source} (certainty {t.certainty})"
        )
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


def _regime(name: str) -> str:
    r = regimes()[name]
    lines = [
        f"regime {r.id}: {r.en}" + (f" ({r.local})" if r.local else ""),
        f"  in force: {r.effective_from or 'from an unknown day'} to {r.effective_to or 'now'}",
        f"  unit: {r.unit}; counts {r.counts_in.replace('_', ' ')}s by {r.dpd_method}: {r.days}",
    ]
    lines += [f"  setting {s.name} = {s.value}: {s.meaning}" for s in r.settings]
    for s in r.segments:
        dates = f", {s.effective_from or ''} to {s.effective_to or 'now'}" if s.effective_from or s.effective_to else ""
        for x in s.securities:
            lines.append(f"  {s.name}{' / ' + x.name if x.name != 'any' else ''}{dates} (certainty {s.certainty}): {'; '.join(map(_band, x.bands))}")
    open_codes = [c.code for c in r.categories if c.npl is None]
    lines.append(
        f"  non-performing: {', '.join(c.code for c in r.categories if c.npl) or 'none stated'}"
        + (f"; not stated: {', '.join(open_codes)}" if open_codes else "")
    )
    lines += [f"  at least {t.at_least}: {t.reason} ({t.source}; {t.certainty})" for t in r.triggers]
    lines += [f"  contagion: {c.reason} ({c.source}; {c.certainty})" for c in r.contagion]
    lines += [f"  stays in {', '.join(c.categories)}: {c.reason} ({c.source}; {c.certainty})" for c in r.cures]
    lines += [f"  {', '.join(i.categories)}: {i.reason} ({i.source}; {i.certainty})" for i in r.improvements]
    if r.general:
        lines.append(f"  general provision {r.general.pct} % of {r.general.base} ({r.general.source}; {r.general.certainty})")
    if r.rate_certainty:
        lines.append(f"  rates: certainty {r.rate_certainty}" + (f"; base {r.provision_base_note or r.provision_base}" if r.provision_base else ""))
    lines.append(f"  source: {r.source} (certainty {r.certainty}; instrument {r.instrument_certainty})")
    if r.note:
        lines.append(f"  note: {r.note}")
    return "\n".join(lines)


def _band(band: Band) -> str:
    if band.provision_pct is not None:
        secured = f" ({band.secured_pct} % of the secured part)" if band.secured_pct is not None else ""
        return f"{band.text} {band.code} {band.provision_pct} %{secured}"
    return f"{band.text} {band.code}" + (f" {band.provision_low}-{band.provision_high} %" if band.provision_high is not None else "")
