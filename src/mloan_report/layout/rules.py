"""Rules of a record format as data: what a layout implies, and what rules/*.toml says.

Three values: true = violated, false = passed, null = not judged (counted and shown). A rule about another record, or about
a file that was not given, is not run. Type, length, code list, presence and structure come from the layout under the codes
that the pack names; they are never written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from mloan_report.layout.combinations import NotACondition, quiet, verdicts
from mloan_report.layout.definition import CodeList, LayoutField, Lookup, RecordLayout, RefusedLayout
from mloan_report.layout.records import ABSENT, EMPTY, NIL, ROWNUM, VALUE, RecordSet, with_lookups
from mloan_report.model.finding import Finding, Rule, Severity
from mloan_report.model.masking import mask
from mloan_report.portfolio.sql import Expression, Function, RefusedExpression, compile_sql, condition, evaluate_one

OF_FILE = "file"
"""The ``record`` of a rule about the file as such."""


@dataclass(frozen=True)
class RefersTo:
    """The key of a record must stand in another record."""

    record: str
    on: tuple[str, ...]
    their: tuple[str, ...]
    where: str | None = None


@dataclass(frozen=True)
class RecordRule:
    """One rule of a pack."""

    id: str
    number: str | None
    severity: Severity
    records: tuple[str, ...]
    fields: tuple[str, ...]
    message: str
    why: str
    fix: str
    source: str
    certainty: str
    violated_if: str | None = None
    when: str | None = None
    group: str | None = None
    unique: tuple[str, ...] = ()
    refers_to: RefersTo | None = None
    lookups: tuple[Lookup, ...] = ()
    needs: tuple[str, ...] = ()
    for_each: tuple[str, ...] = ()
    offline: bool = True
    every: bool = False
    """Of a key that must stand once, every record with it is reported, not only those after the first."""
    phase: int = 0
    """Where the recipient checks in phases, the one of this rule: it stops after a phase with errors."""
    starts: str = ""
    ends: str = "9999"
    """The first and the last day (ISO) of the layouts that the rule is about."""

    def in_force(self, as_of: date | None) -> bool:
        """Whether the rule is about files of *as_of* (every rule is where the date is not known)."""
        return as_of is None or self.starts <= as_of.isoformat() <= self.ends

    @property
    def others(self) -> set[str]:
        """The kinds of record that it looks at beside its own."""
        return {x.record for x in self.lookups} | ({self.refers_to.record} if self.refers_to else set())

    @property
    def is_of_file(self) -> bool:
        """Whether it looks at the file as such (its name, settings, what its head says), not at a record."""
        return self.records == (OF_FILE,)

    @property
    def rule(self) -> Rule:
        """Its documentation as a rule like any other."""
        title = self.message.split(": ", 1)[-1]
        return Rule(self.id, self.severity, title, self.message, self.why, self.fix, self.source, self.certainty)


@dataclass
class RuleRun:
    """What a run of rules gave: findings, how many rows each rule could not judge, and the rules not run with the reason."""

    findings: list[Finding] = field(default_factory=list)
    not_judged: dict[str, int] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    run: set[str] = field(default_factory=set)
    unjudged: list[tuple[str, str, pl.Series]] = field(default_factory=list)
    """Rule, record kind, and the records (by number from 0; once for each row of a group) that it could not judge."""


def parse_rules(tables: Iterable[Mapping[str, Any]], file: str) -> list[RecordRule]:
    """The rules of one TOML file; refused without id, severity, message, fix, source and certainty."""
    out = []
    for data in tables:
        for name in ("id", "severity", "record", "message", "fix", "source", "certainty"):
            if not data.get(name):
                raise RefusedLayout(f"{file}: rule {data.get('id', '?')}: {name} is missing")
        if data["severity"] not in ("error", "warning", "information"):
            raise RefusedLayout(f"{file}: rule {data['id']}: severity {data['severity']!r}")
        records = (data["record"],) if isinstance(data["record"], str) else tuple(data["record"])
        refers = data.get("refers_to")
        rule = RecordRule(
            id=data["id"],
            number=data.get("rule_no"),
            severity=data["severity"],
            records=records,
            fields=tuple(data.get("fields", ())),
            message=data["message"],
            why=data.get("why", ""),
            fix=data["fix"],
            source=data["source"],
            certainty=data["certainty"],
            violated_if=data.get("violated_if"),
            when=data.get("when"),
            group=data.get("group"),
            unique=tuple(data.get("unique", ())),
            refers_to=RefersTo(refers["record"], tuple(refers["on"]), tuple(refers.get("their", refers["on"])), refers.get("where")) if refers else None,
            lookups=tuple(
                Lookup(x["name"], x["record"], tuple(x["on"]), tuple(x.get("their", x["on"])), x["value"], x.get("where")) for x in data.get("lookup", ())
            ),
            needs=tuple(data.get("needs", ())),
            for_each=tuple(data.get("for_each", ())),
            offline=data.get("offline", True),
            every=data.get("every", False),
            phase=data.get("phase", 0),
            starts=str(data.get("from", "")),
            ends=str(data.get("to", "9999")),
        )
        out.extend(_expanded(rule))
    return out


def _expanded(rule: RecordRule) -> list[RecordRule]:
    """``for_each``: the same rule once for each field, {each} standing for its name; or for the name of a repeated block, where fields hold {each} too."""
    if not rule.for_each:
        return [rule]
    return [
        replace(
            rule,
            fields=_each(rule.fields, name) if any("{each}" in f for f in rule.fields) else (name, *rule.fields),
            message=rule.message.replace("{each}", name),
            violated_if=(rule.violated_if or "").replace("{each}", name),
            when=rule.when.replace("{each}", name) if rule.when else None,
            lookups=tuple(replace(x, on=_each(x.on, name)) for x in rule.lookups),
            for_each=(),
        )
        for name in rule.for_each
    ]


def _each(names: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(n.replace("{each}", name) for n in names)


def run_rules(
    rules: Sequence[RecordRule],
    records: Mapping[str, RecordSet],
    constants: Mapping[str, Any],
    functions: Mapping[str, Function],
    missing_records: Mapping[str, str],
) -> RuleRun:
    """Runs *rules* over *records*. *constants* become columns (settings ``set_*``, ``as_of``); one that is None makes the
    rules that need it not run. *missing_records* are record kinds that were not given, with the reason.
    """
    out = RuleRun()
    waiting: dict[str, list[RecordRule]] = {}
    for rule in rules:
        if not rule.offline:
            out.not_run[rule.id] = "needs the recipient's own register"
            continue
        unknown = [n for n in rule.needs if constants.get(n) is None]
        if unknown:
            out.not_run[rule.id] = f"{', '.join(unknown)} is not known"
            continue
        absent = sorted(o for o in rule.others if o in missing_records)
        if absent:
            out.not_run[rule.id] = f"{', '.join(absent)}: {missing_records[absent[0]]}"
            continue
        for name in rule.records:
            if name in records and records[name].height:
                out.run.add(rule.id)
                waiting.setdefault(name, []).append(rule)
    kept: dict[Any, pl.DataFrame] = {}
    done = {name: _verdicts(records[name], mine, records, constants, functions, kept) for name, mine in waiting.items()}
    asked = {name: {id(r) for r in mine} for name, mine in waiting.items()}
    for rule in rules:  # findings come in the order of rules
        for name in rule.records:
            if id(rule) in asked.get(name, ()):
                _run_one(rule, records[name], records, constants, functions, out, done[name])
    return out


def run_file_rules(rules: Sequence[RecordRule], constants: Mapping[str, Any], functions: Mapping[str, Function], file: str) -> RuleRun:
    """Runs those of *rules* that are about the file as such, on *constants* alone."""
    out = RuleRun()
    frame = pl.DataFrame([dict(constants)])
    for rule in rules:
        if not rule.is_of_file or not rule.violated_if:
            continue
        unknown = [n for n in rule.needs if constants.get(n) is None]
        if unknown or not rule.offline:
            out.not_run[rule.id] = f"{', '.join(unknown)} is not known" if unknown else "needs the recipient's own register"
            continue
        out.run.add(rule.id)
        applies = condition(frame, rule.when, functions)[0] if rule.when else True
        said = condition(frame, rule.violated_if, functions)[0] if applies else False
        if said is None:
            out.not_judged[rule.id] = 1
        elif said:
            shown = {name: "nothing" if constants.get(name) is None else str(constants.get(name)) for name in rule.fields}
            first = next(iter(rule.fields), None)
            value = shown.get(first) if first else None
            out.findings.append(rule.rule.finding(file=file, row=1, field=first, value=value, key="file", record=OF_FILE, **shown))
    return out


def _with_constants(frame: pl.DataFrame, constants: Mapping[str, Any]) -> pl.DataFrame:
    return frame.with_columns([pl.lit(value).alias(name) for name, value in constants.items() if name not in frame.columns])


def _is_plain(rule: RecordRule) -> bool:
    """Whether a rule is a condition on a record and what is looked up for it: such rules are evaluated together."""
    return not (rule.group or rule.unique or rule.refers_to)


@dataclass(frozen=True)
class _Together:
    """The frame of one record kind with the constants, and by rule (an id may stand for several) what its plain rules say."""

    frame: pl.DataFrame
    looked_up: Mapping[int, pl.DataFrame]
    """The frames of rules with lookups."""
    violated: Mapping[int, pl.Series]
    loud: frozenset[int]
    """Rules that a record breaks, or that could not judge one."""


def _verdicts(
    subject: RecordSet,
    rules: Sequence[RecordRule],
    records: Mapping[str, RecordSet],
    constants: Mapping[str, Any],
    functions: Mapping[str, Function],
    kept: dict[Any, pl.DataFrame],
) -> _Together:
    frame = _with_constants(subject.typed, constants)
    violated: dict[int, pl.Series] = {}
    looked_up: dict[int, pl.DataFrame] = {}
    for lookups, mine in _by_lookups([r for r in rules if _is_plain(r)]):
        looked = with_lookups(frame, lookups, records, constants, functions, kept)
        violated |= _evaluated(subject, looked, mine, functions)
        looked_up |= {id(r): looked for r in mine if r.lookups}
    names = {str(i): key for i, key in enumerate(violated)}
    both = pl.DataFrame([violated[key].alias(n) for n, key in names.items()])
    hits = both.sum().row(0, named=True) if names else {}
    nulls = both.null_count().row(0, named=True) if names else {}
    return _Together(frame, looked_up, violated, frozenset(key for n, key in names.items() if hits[n] or nulls[n]))


def _by_lookups(rules: Sequence[RecordRule]) -> list[tuple[list[Lookup], list[RecordRule]]]:
    """Rules whose lookups do not use one name for two things, with all their lookups."""
    out: list[tuple[dict[str, Lookup], list[RecordRule]]] = []
    for rule in rules:
        own = {x.name: x for x in rule.lookups}
        home = next((pair for pair in out if all(pair[0].get(n, x) == x for n, x in own.items())), None)
        if home is None:
            home = ({}, [])
            out.append(home)
        home[0].update(own)
        home[1].append(rule)
    return [(list(known.values()), mine) for known, mine in out]


def _evaluated(subject: RecordSet, frame: pl.DataFrame, rules: Sequence[RecordRule], functions: Mapping[str, Function]) -> dict[int, pl.Series]:
    """What *rules* say of each row; only of those that a row may break."""
    compiled: dict[int, tuple[Expression, Expression | None]] = {}
    columns = frozenset(frame.columns)
    for i, rule in enumerate(rules):
        try:
            broken = compile_sql(rule.violated_if or "FALSE", columns, functions)
            compiled[i] = (broken, compile_sql(rule.when, columns, functions) if rule.when else None)
        except RefusedExpression as error:
            raise RefusedLayout(f"rule {rule.id} on {subject.layout.name}: {error}") from None
    fine, values = quiet(frame, compiled, (subject.layout, tuple((r.violated_if, r.when) for r in rules)))
    for i in fine:
        del compiled[i]
    if not compiled:
        return {}
    try:
        said = verdicts(frame, compiled, values)
    except NotACondition as error:
        raise RefusedLayout(f"rule {rules[error.rule].id} on {subject.layout.name} is {error}") from None
    return {id(rules[i]): said[str(i)] for i in compiled}


def _run_one(
    rule: RecordRule,
    subject: RecordSet,
    records: Mapping[str, RecordSet],
    constants: Mapping[str, Any],
    functions: Mapping[str, Function],
    out: RuleRun,
    together: _Together,
) -> None:
    if _is_plain(rule) and id(rule) not in together.loud:
        return
    frame, judged = together.looked_up.get(id(rule), together.frame), subject
    if rule.group:
        judged = subject.groups[rule.group]
        parent = subject.typed.drop([c for c in judged.typed.columns if c in subject.typed.columns and c != ROWNUM])
        frame = _with_constants(judged.typed.join(parent, on=ROWNUM, how="left", maintain_order="left"), constants)
    if not _is_plain(rule):
        frame = with_lookups(frame, rule.lookups, records, constants, functions, {})
    try:
        violated = together.violated[id(rule)] if _is_plain(rule) else _violated(rule, frame, records, functions)
    except RefusedExpression as error:
        raise RefusedLayout(f"rule {rule.id} on {subject.layout.name}: {error}") from None
    nulls = violated.null_count()
    if nulls:
        out.not_judged[rule.id] = out.not_judged.get(rule.id, 0) + nulls
        out.unjudged.append((rule.id, subject.layout.name, frame[ROWNUM].filter(violated.is_null())))
    hits = violated.fill_null(False).arg_true()
    if hits.len():
        out.findings.extend(_findings(rule, subject, judged, frame, hits, {x.name: _scale(x, records) for x in rule.lookups}))


def _violated(rule: RecordRule, frame: pl.DataFrame, records: Mapping[str, RecordSet], functions: Mapping[str, Function]) -> pl.Series:
    if rule.unique:
        key = pl.struct(list(rule.unique))
        given = pl.any_horizontal([pl.col(c).is_not_null() for c in rule.unique])
        again = key.is_duplicated() & given
        again = again if rule.every else again & (key.cum_count().over(list(rule.unique)) > 1)
        violated = frame.select(again.alias("v"))["v"]
    elif rule.refers_to:
        target = rule.refers_to
        if target.record not in records:
            violated = pl.Series([True]).new_from_index(0, frame.height)
        else:
            theirs = records[target.record].typed
            if target.where:
                theirs = theirs.filter(condition(theirs, target.where, functions).fill_null(False))
            known = theirs.select(pl.col(list(target.their))).unique().with_columns(_known=pl.lit(True))
            joined = frame.join(known, left_on=list(target.on), right_on=list(target.their), how="left", maintain_order="left")
            violated = joined["_known"].is_null()
        named = frame.select(pl.all_horizontal([pl.col(c).is_not_null() for c in target.on]).alias("g"))["g"]
        violated = violated & named
    else:
        violated = condition(frame, rule.violated_if or "FALSE", functions)
    if rule.when:
        applies = condition(frame, rule.when, functions).fill_null(False)
        return pl.select(pl.when(applies).then(violated).otherwise(False)).to_series()
    return violated


def unique_hashes(
    rules: Sequence[RecordRule], records: RecordSet, functions: Mapping[str, Function], constants: Mapping[str, Any] | None = None
) -> dict[str, pl.Series]:
    """For each rule that a key stands once: a hash of the key of every record that the rule is about, null for the others.

    Equal hashes in two parts of a file are where the rule must look again.
    """
    out = {}
    for rule in rules:
        if not rule.unique or rule.group or records.layout.name not in rule.records:
            continue
        given = pl.any_horizontal([pl.col(c).is_not_null() for c in rule.unique])
        keyed = records.typed.select(pl.when(given).then(pl.struct(list(rule.unique)).hash(4)).alias("h"))["h"]
        if rule.when:
            known = _with_constants(records.typed, constants or {})
            keyed = pl.select(pl.when(condition(known, rule.when, functions).fill_null(False)).then(keyed)).to_series()
        out[f"unique {rule.id}"] = keyed
    return out


def _findings(rule: RecordRule, subject: RecordSet, judged: RecordSet, frame: pl.DataFrame, hits: pl.Series, scales: Mapping[str, int]) -> Iterator[Finding]:
    """A finding for each row of *hits*, with what the rule shows of it; *scales* are the decimals of what it looked up."""
    shown = [n for n in dict.fromkeys((ROWNUM, "loan_id", "_links", *rule.fields)) if n in frame.columns]
    rows = frame.select(pl.col(shown).gather(hits))
    told = [n for n in rule.fields if n in judged.text.columns] if judged.text.height == frame.height else []
    texts = judged.text.select(pl.col(told).gather(hits)).rows(named=True) if told else [{}] * rows.height
    fields = {n: subject.layout.by_column.get(n) or judged.layout.by_column.get(n) for n in rule.fields}
    for row, text, place in zip(rows.iter_rows(named=True), texts, _places(subject, rows[ROWNUM]), strict=True):
        yield _finding(rule, subject, row, {n: _shown(f, text.get(n, row.get(n)), scales.get(n, 0)) for n, f in fields.items()}, place)


def _scale(lookup: Lookup, records: Mapping[str, RecordSet]) -> int:
    """The decimals of what *lookup* adds up or picks: those of the fields that it names."""
    if lookup.value.startswith("COUNT(") or "*" in lookup.value or lookup.record not in records:
        return 0
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", lookup.value))
    scales = {f.scale for f in records[lookup.record].layout.value_fields if f.column in words}
    return scales.pop() if len(scales) == 1 else 0


def _places(records: RecordSet, numbers: pl.Series) -> Iterator[dict[str, Any]]:
    """Key, file and line of the records of those numbers."""
    for number, key in zip(numbers.to_list(), record_keys(records, numbers), strict=True):
        yield {"key": key, "file": _at(records.files, number), "row": _at(records.lines, number)}


def _finding(rule: RecordRule, subject: RecordSet, row: Mapping[str, Any], shown: Mapping[str, str], place: Mapping[str, Any]) -> Finding:
    first = next(iter(rule.fields), None)
    return rule.rule.finding(
        table=subject.layout.name,
        field=first,
        value=shown.get(first) if first else None,
        loan_id=row.get("loan_id"),
        loans=tuple(row.get("_links") or ()),
        record=subject.layout.name,
        record_no=int(row[ROWNUM]) + 1,
        **place,
        **{name: value for name, value in shown.items() if name not in ("key", "table", "field", "value", "file", "row")},
    )


def _shown(layout_field: LayoutField | None, value: Any, scale: int) -> str:
    text = "nothing" if value is None else f"{Decimal(value).scaleb(-scale):.{scale}f}" if scale else str(value)
    return mask(text, layout_field.pii) or "" if layout_field and layout_field.pii and value is not None else text  # type: ignore[arg-type]


def record_keys(records: RecordSet, numbers: pl.Series) -> list[str]:
    """The keys of the records of those numbers, their personal parts masked; the kind of record where it has no key."""
    columns = [c for c in records.layout.key if c in records.text.columns]
    if not columns:
        return [records.layout.name] * numbers.len()
    kinds = [f.pii if (f := records.layout.by_column.get(c)) else None for c in columns]
    own = records.text.select(pl.col(columns).gather(numbers)).rows()
    return ["|".join(str(mask(v, k) or "") for v, k in zip(values, kinds, strict=True)) for values in own]  # type: ignore[arg-type]


def _links(records: RecordSet, i: int) -> list[str]:
    if "_links" not in records.typed.columns:
        return []
    loans = records.typed["_links"][i]
    return [] if loans is None else [str(loan) for loan in loans]


def _at(column: pl.Series | None, i: int) -> Any:
    return None if column is None or i >= column.len() else column[i]


@dataclass(frozen=True)
class LayoutCodes:
    """The codes under which what the layout implies is reported: missing, type, length, code, presence, structure ..."""

    codes: Mapping[str, str]
    rules: Mapping[str, Rule]

    def rule(self, kind: str) -> Rule:
        """The rule for a kind of defect; kinds without a code of their own fall under ``type``."""
        return self.rules[self.codes.get(kind, self.codes["type"])]

    def rules_for(self, f: LayoutField, kind: str) -> list[Rule]:
        """The field's own rules for a kind (the finer kinds of ``type`` are one), else the pack's."""
        own = dict(f.ids).get("type" if kind.startswith("type_") else kind.removesuffix("_warning"))
        return [self.rules[i] for i in own] if own else [self.rule(kind)]


def check_layout(records: RecordSet, codes: Mapping[str, CodeList], named: LayoutCodes, checks: Mapping[str, Function]) -> list[Finding]:
    """What the layout says of each field, checked on text and state: given, type, length, list, bounds, presence, counts."""
    own = records.layout.value_fields if records.layout.segments else tuple(x for x in records.layout.fields if not x.is_container)
    out = _check_fields(records, records, own, codes, named)
    for path, group in records.groups.items():
        out.extend(_check_count(records, path, named))
        out.extend(_check_fields(records, group, group.layout.fields, codes, named))
    return out


@dataclass(frozen=True)
class _Demand:
    """What is wrong with a field where ``broken`` holds (over the columns of :func:`_field_frame`). ``hit`` says whether it holds
    anywhere, or may: it is cheaper, so that what no record breaks costs little.
    """

    field: LayoutField
    rule: Rule
    broken: pl.Expr
    hit: pl.Expr
    args: Mapping[str, Any]
    of_values: bool
    """Whether only a field that holds a value can break it."""


def _check_fields(records: RecordSet, own: RecordSet, fields: Sequence[LayoutField], codes: Mapping[str, CodeList], named: LayoutCodes) -> list[Finding]:
    fields = [f for f in fields if f.column in own.text.columns and f.type != "size"]  # a length word is the form's own
    if not fields or own.height == 0:
        return []
    frame = _field_frame(own, fields)
    held = frame.select([(pl.col(f"{f.column}__s") == VALUE).any().alias(f.column) for f in fields]).row(0, named=True)
    columns = set(frame.columns)
    due = {f.column for f in fields if f"{f.column}__p" in columns}
    every = [d for f in fields for d in _demands(records.layout, f, codes, named, f.column in due)]
    demands = [d for d in every if held[d.field.column] or not d.of_values]
    if not demands:
        return []
    hit = frame.select([d.hit.alias(str(i)) for i, d in enumerate(demands)]).row(0)
    out: list[Finding] = []
    for d, any_hit in zip(demands, hit, strict=True):
        if any_hit:
            where = frame.select(d.broken.fill_null(False).alias("x"))["x"]
            out.extend(_layout_finding(records, own, d.field, int(i), d.rule, d.args) for i in where.arg_true().to_list())
    return out


def _field_frame(own: RecordSet, fields: Sequence[LayoutField]) -> pl.DataFrame:
    """Of each field its text (``x__t``), state (``x__s``), value (``x__v``) and whether it is due (``x__p``), and the segments that appear."""
    names = [f.column for f in fields]
    valued = [c for c in names if c in own.typed.columns]
    shown = [c for c in own.typed.columns if c.startswith("has_")]
    text, state, typed = own.text.select(names), own.state.select(names), own.typed.select(*valued, *shown)
    text.columns, state.columns, typed.columns = [f"{c}__t" for c in names], [f"{c}__s" for c in names], [*(f"{c}__v" for c in valued), *shown]
    frame = text.hstack(state).hstack(typed)
    for f in fields:
        expected = _expected(own, f)
        if expected is not None:
            frame = frame.with_columns(expected.alias(f"{f.column}__p"))
    return frame


_DEMANDS: dict[tuple[Any, ...], tuple[LayoutCodes, list[_Demand]]] = {}
"""The demands of a field, made once in a process; the codes stand beside them so that their id stays theirs."""


def _demands(layout: RecordLayout, f: LayoutField, codes: Mapping[str, CodeList], named: LayoutCodes, has_due: bool) -> list[_Demand]:
    key = (layout.null_as, bool(layout.segments), f, id(named), has_due)
    if key not in _DEMANDS:
        _DEMANDS[key] = (named, list(_demands_of(layout, f, codes, named, has_due)))
    return _DEMANDS[key][1]


def _demands_of(layout: RecordLayout, f: LayoutField, codes: Mapping[str, CodeList], named: LayoutCodes, has_due: bool) -> Iterator[_Demand]:
    text, state, value = pl.col(f"{f.column}__t"), pl.col(f"{f.column}__s"), pl.col(f"{f.column}__v")
    flag = f"has_{f.segment.split('/')[0]}"
    shown = pl.col(flag) if f.segment and layout.segments and "[]" not in f.segment else pl.lit(True)

    def demand(kind: str, where: pl.Expr, screen: pl.Expr | None = None, **args: Any) -> Iterator[_Demand]:
        for rule in named.rules_for(f, kind):
            hit = (where if screen is None else screen).fill_null(False).any()
            of_values = kind not in ("absent", "missing", "nil", "empty") and not (kind == "length" and f.min_length)
            yield _Demand(f, rule, where, hit, {"detail": _what_is_wrong(kind, args), **args}, of_values)

    given = state == VALUE
    if f.present_rule and has_due:
        expected = pl.col(f"{f.column}__p")
        wrong = shown & ((state != ABSENT) != expected)
        yield _Demand(f, named.rules[f.present_rule], wrong, wrong.fill_null(False).any(), {}, False)
        due = shown & expected & (state != ABSENT)
    else:
        due = shown
        if not f.present and (layout.null_as != "absent" or f.required == "M"):
            yield from demand("absent", shown & (state == ABSENT))
    never_empty = layout.null_as == "nil" and f.type not in ("text", "code", "digits", "alnum")
    if f.required == "M":
        blank = given & (text.str.strip_chars(" \t\r\n　") == "")
        nothing = (state == NIL) if never_empty or layout.null_as == "absent" else (state == EMPTY) | (state == NIL)
        yield from demand("missing", due & (nothing | blank))
    elif not f.nillable:
        yield from demand("nil", shown & (state == NIL))
    if never_empty or layout.null_as == "absent":
        yield from demand("empty", shown & (state == EMPTY))
    breaks = _breaks_type(f, text)
    unreadable = given & value.is_null()
    yield from demand(_type_kind(f, named), unreadable if breaks is None else unreadable | (given & breaks), type=_type_words(f))
    if f.length and not f.is_number:
        yield from demand("length", given & (text.str.len_chars() > f.length), given & (text.str.len_bytes() > f.length), length=f.length)
    if f.min_length:
        wanted = given | (state == EMPTY) if f.required == "M" else given
        yield from demand("length", wanted & (text.fill_null("").str.len_chars() < f.min_length), length=f.length)
    if f.type in ("amount", "percent", "decimal") and f.length and f.scale:
        long = given & (text.str.len_bytes() > f.length)
        yield from demand("digits", given & _too_many_digits(f, text), long, length=f.length, scale=f.scale)
    if (listed := _code_demand(f, text, codes)) is not None:
        kind, unknown = listed
        yield from demand(kind, given & unknown, lists=", ".join(f.codes))
    if f.type in ("date", "month"):
        yield from demand("date", given & _outside(value, f), minimum=f.minimum, maximum=f.maximum)
    elif f.type == "year":
        late = (text.str.len_chars() == 4) & ~text.is_between(pl.lit("1901"), pl.lit("2099"))
        yield from demand("date", given & late, minimum="1901", maximum="2099")
    elif f.is_number and (f.minimum or f.maximum):
        beyond = given & _beyond(value, f) & ~(pl.lit(False) if breaks is None else breaks)
        yield from demand(_type_kind(f, named), beyond, type=f"between {f.minimum or 'any'} and {f.maximum or 'any'}")


def _what_is_wrong(kind: str, args: Mapping[str, Any]) -> str:
    """A defect of a field in words, for codes under which several kinds are told."""
    if kind in ("absent", "missing", "nil", "empty"):
        return "is missing" if kind == "absent" else "is empty" if kind == "empty" else "has no value"
    if kind in ("code", "code_warning"):
        return f"is not a code of {args['lists']}"
    if kind == "length":
        return f"is longer or shorter than its length {args['length']}"
    if kind == "digits":
        return f"has more than {args['length']} digits"
    if kind == "date":
        return f"is not a day from {args['minimum'] or '1901-01-01'} to {args['maximum'] or '2099-12-31'}"
    return f"is not {args['type']}"


def _type_kind(f: LayoutField, named: LayoutCodes) -> str:
    group = "decimal" if f.type in ("amount", "percent", "decimal") and f.scale else "int" if f.is_number else "date" if f.type == "date" else "text"
    return f"type_{group}" if f"type_{group}" in named.codes else "type"


def _expected(own: RecordSet, f: LayoutField) -> pl.Series | None:
    if not f.present:
        return None
    return evaluate_one(own.typed, compile_sql(f.present, own.typed.columns)).fill_null(False)


def _breaks_type(f: LayoutField, text: pl.Expr) -> pl.Expr | None:
    """Where the text has not the form of its type; None where reading it as a value says it all."""
    if f.type == "year":
        return ~text.str.contains(r"^[0-9]{4}$")
    if f.type == "digits":
        return ~text.str.contains(r"^[0-9]+$")
    if f.type == "alnum":
        return ~text.str.contains(r"^[0-9A-Za-z]+$")
    if f.type == "size":
        return None
    if f.is_number and not f.scale:
        if f.type not in ("int", "short") and not f.segment:
            signed = "-?" if f.minimum is None else ""
            return ~text.str.contains(rf"^{signed}[0-9]{{1,{f.length or 18}}}$")
        if f.segment:
            signed = "-?" if f.minimum is None and f.type == "int" else ""
            return ~text.str.contains(rf"^{signed}(0|[1-9][0-9]{{0,{(f.length or 15) - 1}}})$")
        bound = 32767 if f.type == "short" else 2**31 - 1
        value = text.cast(pl.Int64, strict=False)
        return (value > bound) | (value < -bound - 1)
    if f.pattern:
        return ~text.str.contains(f"^(?:{f.pattern})$")
    if f.type == "month" and not f.format:
        return ~text.str.contains(r"^[0-9]{4}-(0[1-9]|1[0-2])$")
    return None


def _type_words(f: LayoutField) -> str:
    words = {"digits": "digits only", "alnum": "letters and digits only", "date": "a date as YYYY-MM-DD", "month": "a month as YYYY-MM", "year": "a year"}
    if f.type in ("date", "month", "moment") and f.format:
        spelled = f.format
        for part, letters in {"%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "hh", "%M": "mm", "%S": "ss"}.items():
            spelled = spelled.replace(part, letters)
        return f"a {'moment' if f.type == 'moment' else f.type} as {spelled}"
    if f.type in ("amount", "percent", "decimal") and f.scale:
        return f"a number with at most {f.scale} decimals"
    return words.get(f.type, "a whole number" if f.is_number else "text of the given pattern")


def _too_many_digits(f: LayoutField, text: pl.Expr) -> pl.Expr:
    digits = text.str.replace_all(r"^[-+]?0*", "").str.strip_suffix(".")
    whole = digits.str.extract(r"^([0-9]*)", 1).fill_null("").str.len_bytes()
    fraction = digits.str.extract(r"\.([0-9]*)$", 1).fill_null("").str.strip_chars_end("0").str.len_bytes()
    return (whole + fraction) > (f.length or 18)


def _code_demand(f: LayoutField, text: pl.Expr, codes: Mapping[str, CodeList]) -> tuple[str, pl.Expr] | None:
    lists = [codes[name] for name in f.codes if name in codes]
    if not lists:
        return None
    known: set[str] = set().union(*(set(x.active) for x in lists))
    if not known and any(x.is_external for x in lists):
        return None  # a public standard whose table is not carried here
    soft = any(x.is_open or x.is_external or x.warns for x in lists)
    return "code_warning" if soft else "code", ~text.is_in(sorted(known))


def _outside(day: pl.Expr, f: LayoutField) -> pl.Expr:
    low, high = date.fromisoformat(f.minimum or "1901-01-01"), date.fromisoformat(f.maximum or "2099-12-31")
    return (day < low) | (day > high)


def _beyond(value: pl.Expr, f: LayoutField) -> pl.Expr:
    unit: int = 10**f.scale

    def scaled(text: str) -> int:
        whole, _, fraction = text.partition(".")
        return int(whole) * unit + (int(fraction.ljust(f.scale, "0")[: f.scale]) if f.scale and fraction else 0)

    low = value < scaled(f.minimum) if f.minimum else pl.lit(False)
    high = value > scaled(f.maximum) if f.maximum else pl.lit(False)
    return low | high


def _check_count(records: RecordSet, path: str, named: LayoutCodes) -> list[Finding]:
    """The count element of a segment equals the number of its groups; no two groups are the same."""
    segment, _, name = path.rpartition("/")
    counter = next((f for f in records.layout.fields if f.segment == segment and f.type == "int" and f.position < _position(records.layout, path)), None)
    out: list[Finding] = []
    if counter is not None and f"{name}_count" in records.typed.columns:
        wrong = records.typed[f"has_{segment}"] & (records.typed[counter.column] != records.typed[f"{name}_count"])
        out += [_layout_finding(records, records, counter, int(i), named.rule("count"), {}) for i in wrong.fill_null(False).arg_true().to_list()]
        group = records.groups[path]
        if group.height:
            same = pl.concat([group.typed.select(ROWNUM), group.text], how="horizontal").is_duplicated()
            rows = sorted(set(group.typed[ROWNUM].filter(same).to_list()))
            out += [_layout_finding(records, records, counter, int(i), named.rule("same_group"), {}) for i in rows]
    return out


def _position(layout: RecordLayout, path: str) -> int:
    segment, _, name = path.rpartition("/")
    return next(f.position for f in layout.fields if f.segment == segment and f.name == name)


def _layout_finding(records: RecordSet, own: RecordSet, f: LayoutField, i: int, rule: Rule, args: Mapping[str, Any]) -> Finding:
    parent = int(own.typed[ROWNUM][i]) if own is not records else i
    value = mask(own.text[f.column][i], f.pii)  # type: ignore[arg-type]
    loan = records.typed["loan_id"][parent] if "loan_id" in records.typed.columns else None
    return rule.finding(
        table=records.layout.name,
        field=f.column,
        value=value,
        key=record_keys(records, pl.Series([parent]))[0],
        file=_at(records.files, parent),
        row=_at(records.lines, parent),
        loan_id=loan,
        loans=tuple(_links(records, parent)),
        record=records.layout.name,
        record_no=parent + 1,
        name=f.name,
        **args,
    )
