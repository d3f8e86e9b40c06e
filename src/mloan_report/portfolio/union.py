"""Disjoint sets of ids."""

from __future__ import annotations


class Union:
    """Disjoint sets of ids; the smallest id of a set stands for it, whatever the order of joining."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def root(self, item: str) -> str:
        """The id that stands for *item*'s set."""
        self.parent.setdefault(item, item)
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, a: str, b: str) -> None:
        """Makes one set of the sets of *a* and *b*."""
        first, second = sorted((self.root(a), self.root(b)))
        self.parent[second] = first

    def roots(self) -> dict[str, str]:
        """Every id that is not its own root, with its root."""
        return {item: self.root(item) for item in list(self.parent) if self.root(item) != item}
