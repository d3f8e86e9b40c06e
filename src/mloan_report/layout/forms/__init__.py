"""How records of several kinds stand in one file: written as text and read back, each form in its own module.

A form takes flat records, one :class:`RecordSet` a kind, whose ``_parent`` and ``_top`` say what stands in what. Writing
gives the text of each outermost record with all that stands in it; reading gives the same records back in batches, so that
memory does not grow with the file, with the line of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mloan_report.layout.definition import RecordLayout, RefusedLayout
from mloan_report.layout.forms.attributes import AttributesForm
from mloan_report.layout.forms.batch import Batch, Form
from mloan_report.layout.forms.delimited import DelimitedForm
from mloan_report.layout.forms.fixed import FixedForm
from mloan_report.layout.forms.tagged import TaggedForm

FORMS: dict[str, Callable[[Sequence[RecordLayout], Mapping[str, Any]], Form]] = {
    "delimited": DelimitedForm,
    "fixed": FixedForm,
    "tagged": TaggedForm,
    "attributes": AttributesForm,
}

__all__ = ["FORMS", "Batch", "Form", "form_of"]


def form_of(layouts: Sequence[RecordLayout], spec: Mapping[str, Any]) -> Form:
    """The form that *spec* (a pack's envelope) asks for, of records laid out as *layouts*."""
    if spec.get("form") not in FORMS:
        raise RefusedLayout(f"envelope: form {spec.get('form')!r} is not one of {', '.join(FORMS)}")
    return FORMS[spec["form"]](layouts, spec)
