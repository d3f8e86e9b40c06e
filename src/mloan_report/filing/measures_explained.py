"""What the ids of measures mean: regimes, provision tables, ratios of a date or period, figures, limits, early warnings, annual rates."""

from __future__ import annotations

from mloan_report.measures import provision_tables, ratio_definitions, regimes
from mloan_report.measures.limit import Limit, limit_sets
from mloan_report.measures.period import figures, period_ratio_definitions
from mloan_report.measures.provision import Part, ProvisionTable
from mloan_report.measures.regime import Band
from mloan_report.measures.warning import warning_sets
from mloan_report.schedule import CONVENTIONS


def explain_measure(name: str) -> list[str]:
    """Every meaning of *name* among the measures."""
    out = []
    for known in (ratio_definitions(), period_ratio_definitions()):
        if name in known:
            r = known[name]
            note = f"\n  note: {r.note}" if r.note else ""
            out.append(f"ratio {r.id}: {r.en} ({r.zh})\n  formula: {r.formula}\n  source: {r.source} (certainty {r.certainty}){note}")
    if name in figures():
        f = figures()[name]
        out.append(f"figure of a period {f.name}: {f.definition}")
    if name in regimes():
        out.append(_regime(name))
    if name in provision_tables():
        out.append(_table(provision_tables()[name]))
    for s in limit_sets().values():
        if name == s.id:
            note = f"\n  note: {s.note}" if s.note else ""
            out.append(f"limits {s.id}: {s.en} ({s.zh or s.en})\n  limits: {', '.join(limit.id for limit in s.limits)}{note}")
    limits = {limit.id: limit for s in limit_sets().values() for limit in s.limits}
    if name in limits:
        out.append(_limit(limits[name]))
    for w in warning_sets().values():
        if name == w.id:
            out.append(
                f"early warnings {w.id}: {w.en} ({w.zh})\n  warnings: {', '.join(x.id for x in w.warnings)}\n  advice: {', '.join(a.action for a in w.advice)}"
            )
        for x in w.warnings:
            if name == x.id:
                by = f" by {', '.join(x.by)}" if x.by else ""
                out.append(
                    f"early warning {x.id} ({x.severity}): {x.en} ({x.zh})\n  {x.ratio}{by}: {x.test} {x.level:f}\n  source: {x.source} (certainty {x.certainty})"
                )
        for a in w.advice:
            if name == a.action:
                out.append(f"advice {a.action}: {a.en} ({a.zh})\n  when: {a.count} warnings of severity {a.severity} or worse\n  source: {a.source}")
    if name in CONVENTIONS:
        c = CONVENTIONS[name]
        out.append(f"annual rate {c.id} ({c.kind}): {c.how}\n  source: {c.source} (certainty {c.certainty})")
    return out


def _limit(limit: Limit) -> str:
    until = f"; a breach is a warning until {limit.warning_until}" if limit.warning_until else ""
    dates = f"{limit.effective_from or 'an unknown day'} to {limit.effective_to or 'now'}" + ("" if limit.enabled else "; switched off")
    what = (
        limit.sum or limit.figure or limit.ratio or f"with charges of {', '.join(limit.charge_kinds)}"
        if limit.measure not in ("loans", "debt_service")
        else "counted"
    )
    of = limit.reference_rate or limit.base
    lines = [
        f"limit {limit.id} ({limit.severity}{until}): {limit.en} ({limit.zh})",
        f"  {limit.measure} {what} {limit.operator} {limit.value:f} {limit.unit} of {of}" + (f" where {limit.where}" if limit.where else ""),
        f"  early warning from {limit.early_pct:f} % of it; in force {dates}",
        f"  source: {limit.source}, {limit.article} (certainty {limit.certainty})",
    ]
    return "\n".join([*lines, *([f"  note: {limit.note}"] if limit.note else [])])


def _part(p: Part) -> str:
    age = (
        ""
        if p.from_days is None
        else f" of instalments overdue {p.from_days} to {p.to_days} days"
        if p.to_days
        else f" of instalments overdue {p.from_days} days or more"
    )
    return f"{p.pct / 10**7:g} % of {p.base}{age}"


def _table(t: ProvisionTable) -> str:
    lines = [f"provision table {t.id} ({t.purpose}): {t.en}"]
    if t.specific:
        lines.append(f"  rates: {', '.join(f'{code} {rate / 10**7:g} %' for code, rate in t.specific)}; general {t.general / 10**7:g} %")
    for rule in t.rules:
        step = f" + {rule.step / 10**7:g} % for each of {rule.steps}" if rule.steps else ""
        lines.append(f"  {rule.pct / 10**7:g} %{step} where {rule.when}")
    for name, parts in t.alternatives:
        lines.append(f"  {name}: {' + '.join(_part(p) for p in parts)}")
    if t.alternatives:
        lines.append("  the greatest of these, over the whole book")
    else:
        lines += [f"  base: {t.base}", f"  for: {', '.join(t.regimes)}"]
    lines.append(f"  source: {t.source} (certainty {t.certainty})")
    return "\n".join([*lines, *([f"  note: {t.note}"] if t.note else [])])


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
