"""Roots of a function of one Decimal: bracketed first, then narrowed; never a bare Newton step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

from mloan_report.schedule.rounding import EXACT

Function = Callable[[Decimal], Decimal]
TOLERANCE = Decimal("1e-20")


def brackets(f: Function, grid: Sequence[Decimal]) -> list[tuple[Decimal, Decimal]]:
    """Neighbours of *grid* between which *f* changes its sign; a root that lies on the grid is a bracket of no width."""
    out: list[tuple[Decimal, Decimal]] = []
    before, at = None, None
    for x in grid:
        value = f(x)
        if value == 0:
            out.append((x, x))
        elif before is not None and at is not None and before != 0 and (before < 0) != (value < 0):
            out.append((at, x))
        before, at = value, x
    return out


def first_bracket(f: Function, grid: Sequence[Decimal]) -> list[tuple[Decimal, Decimal]]:
    """The first of `brackets`, for a function known to have one root: no value beyond it is worked out."""
    at = f(grid[0])
    if at == 0:
        return [(grid[0], grid[0])]
    for before, x in pairwise(grid):
        if (f(x) < 0) != (at < 0):
            return [(min(before, x), max(before, x))]
    return []


def narrowed(f: Function, low: Decimal, high: Decimal) -> Decimal:
    """The root between *low* and *high* to 1e-20, by the Illinois rule, with a bisection whenever that does not halve the bracket."""
    at_low, at_high = f(low), f(high)
    if at_low == 0 or low == high:
        return low
    if at_high == 0:
        return high
    while high - low > TOLERANCE:
        width = high - low
        for _ in range(3):
            x = EXACT.divide(EXACT.subtract(EXACT.multiply(low, at_high), EXACT.multiply(high, at_low)), EXACT.subtract(at_high, at_low))
            if not low < x < high:
                break
            value = f(x)
            if value == 0:
                return x
            if (value < 0) == (at_low < 0):
                low, at_low, at_high = x, value, at_high / 2
            else:
                high, at_high, at_low = x, value, at_low / 2
        # The halved ends above steer only the next guess: the signs, which are what brackets the root, are true.
        if high - low > width / 2:
            middle = EXACT.divide(EXACT.add(low, high), Decimal(2))
            value = f(middle)
            if value == 0:
                return middle
            if (value < 0) == (at_low < 0):
                low, at_low = middle, value
            else:
                high, at_high = middle, value
    return EXACT.divide(EXACT.add(low, high), Decimal(2))
