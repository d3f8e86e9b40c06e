"""Makes the generated pages, schemas and example portfolios; with --check, says what is not current and exits 1.

Run: python docs/generate.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from mloan_report.checks import all_rules
from mloan_report.filing.explanation import FILING_RULES
from mloan_report.filing.measures_explained import explain_measure
from mloan_report.identity import SCHEMES
from mloan_report.layout.description import description
from mloan_report.layout.xsd import attributes_schema, document_schema, line_schema
from mloan_report.measures import provision_tables, ratio_definitions, regimes
from mloan_report.measures.limit import limit_sets
from mloan_report.measures.period import figures, period_ratio_definitions
from mloan_report.measures.ratio import Ratio
from mloan_report.measures.warning import warning_sets
from mloan_report.model import Institution, fields_of, table_models
from mloan_report.model.finding import Rule
from mloan_report.packs import Pack, packs
from mloan_report.position import POSITION_COLUMNS
from mloan_report.schedule import CONVENTIONS, simple_annual_rate
from mloan_report.testing.cases import load_case
from mloan_report.testing.sample import make_sample

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = {"cn": (300, "CN", 1), "sv": (150, "SV", 1)}
NOTE = "<!-- made by docs/generate.py from the data: change the data, not this page -->\n\n"


def pages() -> Iterator[tuple[str, str]]:
    """Path and content of every generated text file."""
    yield "docs/model.md", _model()
    yield "docs/rules.md", _rules()
    yield "docs/position.md", _position()
    yield "docs/regimes.md", _regimes()
    yield "docs/ratios.md", _ratios()
    yield "docs/limits.md", _limits()
    yield "docs/schedules.md", _schedules()
    yield "docs/identity.md", _identity()
    yield "docs/cases.md", _cases()
    for pack in packs().values():
        yield f"docs/packs/{pack.id}.md", _pack(pack)
    for name, model in table_models().items():
        schema = model.model_json_schema()
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["x-title-zh"] = model.TITLE_ZH
        yield f"schemas/model/{name}.json", _json(schema)
    yield "schemas/model/institution.json", _json(Institution.model_json_schema())
    yield "schemas/findings.json", _json(_findings_schema())
    yield "schemas/manifest.json", _json(_manifest_schema())
    for pack in packs().values():
        yield from _schemas(pack)


def main(arguments: list[str]) -> int:
    """Writes everything, or checks it."""
    check = "--check" in arguments
    stale = []
    wanted = dict(pages())
    for path, content in wanted.items():
        target = ROOT / path
        if check:
            if not target.is_file() or target.read_text(encoding="utf-8") != content:
                stale.append(path)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
    extra = [str(p.relative_to(ROOT)) for p in (ROOT / "schemas").rglob("*") if p.is_file() and str(p.relative_to(ROOT)) not in wanted]
    stale += [f"{p} (no longer made)" for p in extra]
    for name, (loans, country, seed) in EXAMPLES.items():
        stale += _example(name, loans, country, seed, check=check)
    for path in stale:
        print(f"not current: {path}")
    return 1 if stale and check else 0


def _example(name: str, loans: int, country: str, seed: int, *, check: bool) -> list[str]:
    target = ROOT / "docs" / "examples" / name
    if not check:
        for old in target.glob("*"):
            old.unlink()
        make_sample(loans, country, seed, target)
        return []
    with tempfile.TemporaryDirectory() as folder:
        made = make_sample(loans, country, seed, Path(folder) / name)
        names = {p.name for p in made.iterdir()} | ({p.name for p in target.iterdir()} if target.is_dir() else set())
        return [
            f"docs/examples/{name}/{n}"
            for n in sorted(names)
            if not (target / n).is_file() or not (made / n).is_file() or (target / n).read_bytes() != (made / n).read_bytes()
        ]


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "--|" * len(header)]
    lines += ["| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _model() -> str:
    out = [NOTE + "# The data model\n\nOne file a table, CSV or Parquet, in a folder with institution.toml. R = required. Schemas: schemas/model/.\n"]
    for name, model in table_models().items():
        rows: list[tuple[object, ...]] = []
        for column, field in fields_of(model).items():
            what = ", ".join(field.values) if field.values else field.column.unit or ""
            rows.append(
                (
                    f"`{column}`",
                    "R" if field.required else "",
                    field.column.kind,
                    field.column.en,
                    field.column.zh,
                    what,
                    field.column.pii or "",
                    f"`{field.column.example}`",
                )
            )
        out.append(f"\n## {name}: {model.TITLE_EN} / {model.TITLE_ZH}\n\n{(model.__doc__ or '').strip()} Key: {', '.join(model.KEY)}.\n\n")
        out.append(_table(("column", "", "kind", "English", "中文", "values or unit", "personal data", "example"), rows))
    return "".join(out)


def _rule_section(rule: Rule) -> str:
    return f"\n### {rule.id}: {rule.title}\n\nSeverity {rule.severity}. {rule.why}\n\nMessage: {rule.message}\n\nWhat to do: {rule.fix}\n\nSource: {rule.source} ({rule.certainty}).\n"


def _rules() -> str:
    rules = {**all_rules(), **FILING_RULES}
    return (
        NOTE
        + f"# Portfolio rules\n\n{len(rules)} rules. Ids never change meaning; `mloan-report explain ID` prints the same.\n"
        + "".join(_rule_section(r) for r in sorted(rules.values(), key=lambda r: r.id))
    )


def _position() -> str:
    rows: list[tuple[object, ...]] = [(f"`{c.name}`", c.kind, c.title_en, c.title_zh, c.definition) for c in POSITION_COLUMNS]
    return (
        NOTE
        + "# The position of a loan on a date\n\nAt the end of as_of, with what was booked by known_at.\n\n"
        + _table(("column", "kind", "English", "中文", "definition"), rows)
    )


LEFT_OUT = {
    "CN-MOF-2012-20": "rates on a category that is already known, not a classification: it is the provision table CN-2012-20",
    "IN-RBI-NBFC-MFI": "a provision of the portfolio as a whole, without categories: it is the provision table IN-RBI-NBFC-MFI",
    "KZ-ARDFM-2025": "the category follows the size of a provision that is assessed one by one: there is no band to load; give the lender's ratings",
    "MX-SOFIPO-AnexoD-pre2024": "only two of its rows are known: not enough for a regime",
}
METHODS = {
    "oldest_unpaid": "as_of minus the due date of the oldest instalment not fully paid",
    "inclusive": "the same, the due date being day 1, judged at day-end",
    "cumulative_contractual": "from the contractual due date, nothing taken out",
    "consecutive_material": "days in a row on which the past-due amount exceeds an amount and a share of the exposure",
    "periods_missed": "unpaid instalments, by the loan's own frequency",
    "months": "completed calendar months since the oldest unpaid due date",
    "months_as_npa": "months begun since the loan became non-performing (classifications, else the present arrears)",
}


def _regimes() -> str:
    out = [NOTE + "# Regimes and provision tables\n\nHow each counts:\n\n"]
    out.append(_table(("method", "what is counted"), [(f"`{name}`", text) for name, text in METHODS.items()]))
    out.append("\nLeft out, and why:\n\n" + _table(("id", "reason"), list(LEFT_OUT.items())))
    for r in regimes().values():
        text = "\n\n".join(explain_measure(r.id)).replace("\n  ", "\n- ")
        heading, _, rest = text.partition("\n")
        out.append(f"\n## {r.id}\n\n{heading.removeprefix(f'regime {r.id}: ')}\n\n{rest}\n")
    out.append("\n# Provision tables\n")
    for t in provision_tables().values():
        heading, _, rest = explain_measure(t.id)[0].replace("\n  ", "\n- ").partition("\n")
        out.append(f"\n## {t.id}\n\n{heading.removeprefix('provision table ')}\n\n{rest}\n")
    return "".join(out)


def _ratios() -> str:
    def rows(known: dict[str, Ratio]) -> list[tuple[object, ...]]:
        return [(f"`{r.id}`", r.en, r.zh, r.formula, r.source, r.certainty, r.note or "") for r in known.values()]

    header = ("id", "English", "中文", "formula", "source", "certainty", "note")
    return (
        NOTE
        + "# Ratios\n\nA value is a pure number; undefined is null with the reason, never 0.\n\n## Of one date\n\n"
        + _table(header, rows(dict(ratio_definitions())))
        + "\n## Of a period (`ratios --from D`)\n\n"
        + _table(header, rows(period_ratio_definitions()))
        + "\nThe figures they are made of; those of kind input come with `--input name=value`:\n\n"
        + _table(
            ("figure", "kind", "by group", "definition"), [(f"`{f.name}`", f.kind, "yes" if f.grouped else "no", f.definition) for f in figures().values()]
        )
    )


def _limits() -> str:
    out = [
        NOTE + "# Limits and early warnings\n\n`limits --rules ID` compares; a breach of an error limit, or one that cannot be computed, ends with status 1.\n"
    ]
    for s in limit_sets().values():
        out.append(f"\n## {s.id}: {s.en}\n\n{s.note or ''}\n\n")
        rows: list[tuple[object, ...]] = [
            (
                f"`{x.id}`",
                x.en,
                x.zh,
                x.measure,
                f"{x.operator} {x.value:f} {x.unit}",
                x.base,
                x.severity if x.enabled else "off",
                f"{x.source}, {x.article}",
                x.certainty,
            )
            for x in s.limits
        ]
        out.append(_table(("id", "English", "中文", "measure", "limit", "of", "severity", "source, article", "certainty"), rows))
    for w in warning_sets().values():
        out.append(f"\n## Early warnings: {w.id}\n\n{w.en}.\n\n")
        warned: list[tuple[object, ...]] = [
            (f"`{x.id}`", x.en, x.zh, f"`{x.ratio}`", ", ".join(x.by), f"{x.test} {x.level:f}", x.severity, x.source, x.certainty) for x in w.warnings
        ]
        out.append(_table(("id", "English", "中文", "ratio", "by", "fires when", "severity", "source", "certainty"), warned))
        advised: list[tuple[object, ...]] = [(f"`{a.action}`", a.en, a.zh, f"{a.count} of {a.severity} or worse", a.due_days) for a in w.advice]
        out.append("\n" + _table(("advice", "English", "中文", "when", "due, days"), advised))
    return "".join(out)


def _schedules() -> str:
    rows: list[tuple[object, ...]] = [(f"`{c.id}`", c.kind, c.how, c.source, c.certainty) for c in CONVENTIONS.values()]
    rows.append(("`cn_simple`", "simple", simple_annual_rate([]).how, simple_annual_rate([]).source, simple_annual_rate([]).certainty))
    return (
        NOTE
        + SCHEDULES
        + "\n## Annual rates\n\nA rate without its kind says nothing: 9.69 % nominal is 10.13 % effective.\n\n"
        + _table(("convention", "kind", "how", "source", "certainty"), rows)
    )


SCHEDULES = """# Repayment plans and annual rates

P principal, r rate of a period, n periods, B the balance. Everything in Decimal; each figure is rounded to the currency's unit by the rounding asked for.

| method | 中文 | rule |
|--|--|--|
| equal_instalment | 等额本息 | the payment x of P = sum of x / product of (1 + r); interest = B r; the last row takes the residue |
| equal_principal | 等额本金 | P / n each, interest = B r |
| interest_only_bullet | 先息后本 | interest each period, P in the last |
| bullet | 一次性还本付息 | P (1 + R t) at the end, simple interest |
| flat | 等本等息 | P R T spread evenly over the rows |
| sum_of_digits | 78法则 | P R T, row k bears (n - k + 1) / (n (n + 1) / 2) of it |
| graduated | 等额累进 | the payment grows by step_amount every step_every rows |
| graduated_geometric | 等比累进 | the payment grows by step_pct percent every step_every rows |
| irregular | 不规则还款 | given due dates, interest by day count; principal given, or equal payments |

Graces: principal (interest is paid), capitalised (interest is added to principal), deferred (interest waits, without interest on it, and is paid in equal parts
afterwards). Due dates keep their anchor day: 31 January, 28 February, 31 March. Holidays come from a file, or from the extra `calendars`; a year that a calendar
does not hold is an error.
"""


def _identity() -> str:
    rows: list[tuple[object, ...]] = [
        (f"`{s.id}`", s.title_en, s.title_zh, s.source, s.certainty, ", ".join(sorted(s.soft)) or "none") for s in SCHEMES.values()
    ]
    return (
        NOTE
        + "# Identity numbers\n\nAny other module of python-stdnum (`br.cpf`) comes through the same door.\n\n"
        + _table(("scheme", "English", "中文", "source", "certainty", "parts that only warn"), rows)
    )


def _cases() -> str:
    out = [NOTE + "# The case book\n\nStories with expected figures, run as tests; add a file under tests/cases.\n"]
    for path in sorted((ROOT / "tests" / "cases").rglob("*.yaml")):
        case = load_case(path)
        out.append(f"\n## {case.title}\n\n{path.relative_to(ROOT)}. Rests on: {case.data['rests_on']}\n")
    return "".join(out)


def _pack(pack: Pack) -> str:
    out = [
        NOTE
        + f"# {pack.id}: {pack.title}\n\n{pack.data['regulator']}. {pack.data['law']}.\n\nStatus: {pack.data['status']} (certainty {pack.data['certainty']}).\n\n"
    ]
    readme = pack.folder.joinpath("README.md")
    if readme.is_file():
        out.append(readme.read_text(encoding="utf-8") + "\n")
    out.append(
        "## Settings\n\n"
        + _table(
            ("setting", "default", "choices", "meaning", "source"),
            [(f"`{s.name}`", s.default or "", ", ".join(s.choices), s.meaning, s.source) for s in pack.settings.values()],
        )
    )
    out.append("\n## Left out of a filing\n\n" + _table(("when", "reason", "source"), [(f"`{s.out_if}`", s.reason, s.source) for s in pack.scope_rules]))
    for r in pack.records():
        out.append(f"\n## Record {r.name}\n\nFrom the view `{r.rows}`{f', where `{r.where}`' if r.where else ''}; key {', '.join(r.key)}.\n\n")
        rows: list[tuple[object, ...]] = [
            (
                f.segment,
                f.name,
                f.title_en,
                f.title_local,
                f"{f.type}{' ' + str(f.length) if f.length else ''}",
                f.required,
                f.condition,
                f"`{f.value}`" if f.value else "not filled",
                f.certainty,
            )
            for f in r.fields
        ]
        out.append(_table(("segment", "field", "English", "local", "type", "", "condition", "value", "certainty"), rows))
    out.append("\n## Rules\n\n")
    out.append(
        _table(
            ("id", "severity", "record", "message", "why", "certainty", "run here"),
            [(r.id, r.severity, ", ".join(r.records), r.message, r.why, r.certainty, "yes" if r.offline else "no") for r in pack.rules],
        )
    )
    return "".join(out)


def _schemas(pack: Pack) -> Iterator[tuple[str, str]]:
    """XSD where the file is XML, a JSON description where it is text; one for each layout where they differ by the file's date."""
    if not pack.is_composed:
        for r in pack.records():
            if pack.envelope["kind"] == "document":
                text = document_schema(r, pack.envelope["namespace"].format(record=r.name), pack.envelope["root"], dict(pack.codes))
            else:
                text = line_schema(r, pack.envelope["root"], dict(pack.codes))
            yield f"schemas/{pack.id}/{r.name}.xsd", text.decode("utf-8")
        return
    for version in pack.versions:
        day = date.fromisoformat(version.effective_from)
        name = f"schemas/{pack.id}/{pack.id}-" + re.sub("[^A-Za-z0-9.]+", "-", version.id)
        if pack.envelope["form"] == "attributes":
            yield f"{name}.xsd", attributes_schema(pack.records(day), dict(pack.codes)).decode("utf-8")
        else:
            yield f"{name}.json", _json(description(pack.records(day), pack.envelope, pack.codes, pack.totals))


def _findings_schema() -> dict[str, object]:
    text = {"type": ["string", "null"]}
    properties: dict[str, object] = dict.fromkeys(("message", "table", "key", "field", "value", "file", "loan_id", "fix", "source"), text)
    properties |= {"code": {"type": "string"}, "severity": {"enum": ["error", "warning", "information"]}, "row": {"type": ["integer", "null"]}}
    item = {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Findings", "type": "array", "items": item}


def _manifest_schema() -> dict[str, object]:
    sha = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    output = {
        "type": "object",
        "required": ["file", "record", "records", "bytes", "sha256", "packed"],
        "properties": {
            "file": {"type": "string"},
            "record": {"type": "string"},
            "records": {"type": "integer"},
            "bytes": {"type": "integer"},
            "sha256": sha,
            "packed": {"type": ["string", "null"]},
        },
    }
    total = {"type": "object", "required": ["name", "currency", "portfolio", "portfolio_rounded_as_filed", "files", "rounding", "agrees"]}
    loans = {
        "type": "object",
        "required": ["loans_given", "loans_filed", "loans_quarantined", "loans_out_of_scope", "out_of_scope_reasons", "quarantine_codes", "reconciles"],
    }
    required = [
        "manifest",
        "library",
        "pack",
        "institution",
        "as_of",
        "known_at",
        "made_at",
        "settings",
        "regime",
        "inputs",
        "adjustments",
        "outputs",
        "loans",
        "control_totals",
        "quarantined",
        "out_of_scope",
        "rules",
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of a filing",
        "type": "object",
        "required": required,
        "properties": {
            "manifest": {"const": 1},
            "inputs": {"type": "array", "items": {"type": "object", "required": ["file", "sha256"], "properties": {"sha256": sha}}},
            "outputs": {"type": "array", "items": output},
            "control_totals": {"type": "array", "items": total},
            "loans": loans,
        },
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
