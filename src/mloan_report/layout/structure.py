"""What a reader says of a file that is not built as its layout says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StructureDefect:
    """Something that is not where or what the layout says: kind, line, record number (1-based), element and detail."""

    kind: str
    line: int
    record: int | None
    element: str
    detail: str
    inside: str = ""
    """The element that it stands in, where its code depends on it: ``[codes] "order Op"`` goes before ``order``."""
