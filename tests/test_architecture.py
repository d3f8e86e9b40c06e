"""The rooms import only rooms before them, and importing the package loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ORDER = ["model", "portfolio", "identity", "checks", "schedule", "position", "measures", "layout", "packs", "filing", "testing", "locale", "cli"]
SRC = Path(__file__).resolve().parent.parent / "src" / "mloan_report"


def imported_rooms(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    return {n.split(".")[1] for n in names if n.startswith("mloan_report.") and n.count(".") >= 1}


def test_a_room_imports_only_rooms_before_it() -> None:
    wrong = []
    for path in SRC.rglob("*.py"):
        room = path.relative_to(SRC).parts[0]
        if room in ORDER:
            wrong += [f"{path.relative_to(SRC)} imports {r}" for r in imported_rooms(path) if r in ORDER and ORDER.index(r) > ORDER.index(room)]
    assert wrong == []


def test_every_room_is_in_the_order() -> None:
    assert {p.name for p in SRC.iterdir() if p.is_dir() and p.name not in ("__pycache__", "schemas")} == set(ORDER)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, mloan_report; print([m for m in ('polars', 'pydantic', 'lxml', 'xmlschema', 'typer') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


FLOATS = {"measures/all_in_cost.py": "rates of a whole book are narrowed in floats; whatever is near a limit is decided in Decimal"}


def test_no_float_stands_in_the_sources() -> None:
    found = [
        f"{p.relative_to(SRC)}:{n.lineno}"
        for p in SRC.rglob("*.py")
        if p.relative_to(SRC).as_posix() not in FLOATS
        for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(n, ast.Constant) and isinstance(n.value, float)
    ]
    assert found == []


def test_every_public_name_loads() -> None:
    import mloan_report

    for name in mloan_report.__all__:
        assert getattr(mloan_report, name) is not None
