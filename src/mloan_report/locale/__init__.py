"""Message catalogs: English is the source; a catalog is a JSON file of templates by rule id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

from mloan_report.model.finding import Finding

LANGUAGES = {"en": "en", "zh_CN": "zh_CN", "zh": "zh_CN", "es": "es", "pt_BR": "pt_BR", "pt": "pt_BR"}


def catalog_name(lang: str) -> str:
    """The catalog of a language; KeyError when there is none."""
    return LANGUAGES[lang]


@cache
def catalog(lang: str) -> dict[str, dict[str, str]]:
    """Templates (``message``, ``fix``) by rule id; empty for English."""
    entry = files("mloan_report.locale").joinpath(f"{lang}.json")
    if lang == "en" or not entry.is_file():
        return {}
    data: dict[str, dict[str, str]] = json.loads(entry.read_text(encoding="utf-8"))
    return data


def translated(findings: Sequence[Finding], lang: str) -> list[Finding]:
    """The findings with their templates in *lang*; what has no translation stays English."""
    words = catalog(catalog_name(lang))
    if not words:
        return list(findings)
    return [replace(f, template=words[f.code].get("message", f.template), fix=words[f.code].get("fix", f.fix)) if f.code in words else f for f in findings]
