"""Findings and the rules they come from: errors are data, collected and never raised at the first one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["error", "warning", "information"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information")


@dataclass(frozen=True)
class Rule:
    """What is checked and why: the documentation, the message template and the advice of one code.

    ``message`` is a template in English over the finding's arguments; translations are looked up by ``id``.
    ``source`` names the law and article, or the standard and clause, where there is one.
    """

    id: str
    severity: Severity
    title: str
    message: str
    why: str
    fix: str
    source: str = "data contract (docs/model)"
    certainty: str = "official"

    def finding(self, **where: Any) -> Finding:
        """A finding of this rule; keywords are those of :class:`Finding`, the rest are arguments of the message."""
        known = {k: where.pop(k) for k in list(where) if k in _PLACES}
        return Finding(code=self.id, severity=self.severity, template=self.message, args=dict(where), fix=self.fix, source=self.source, **known)


@dataclass(frozen=True)
class Finding:
    """One defect: where it is, what is wrong, why, and what to do.

    ``value`` is already masked when it is personal. ``row`` is the line of a text file or the row of a table (the header
    is row 1). ``key`` identifies the row: parts joined by ``|``. ``loans`` are the loans that a record about a person or a
    thing rests on.
    """

    code: str
    severity: Severity
    template: str
    args: Mapping[str, Any] = field(default_factory=dict)
    table: str | None = None
    key: str | None = None
    field: str | None = None
    value: str | None = None
    file: str | None = None
    row: int | None = None
    loan_id: str | None = None
    loans: tuple[str, ...] = ()
    fix: str = ""
    source: str = ""

    @property
    def message(self) -> str:
        """The message in English."""
        return render(self.template, self)

    @property
    def advice(self) -> str:
        """What to do, in English."""
        return render(self.fix, self)

    def with_severity(self, severity: Severity) -> Finding:
        """The same finding under another severity (a settings file may lower or raise it)."""
        return replace(self, severity=severity)


_PLACES = {"table", "key", "field", "value", "file", "row", "loan_id", "loans"}


class _Missing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def render(template: str, finding: Finding) -> str:
    """*template* filled with the finding's arguments and places."""
    places = {name: getattr(finding, name) for name in _PLACES}
    return template.format_map(_Missing({n: "nothing" if v is None else v for n, v in {**places, **finding.args}.items()}))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any finding is an error: what the exit status tells."""
    return any(f.severity == "error" for f in findings)
