"""Sources as numbered notes: a long citation once, below, instead of in every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from planner.reports.blocks import Block, Facts, Heading


def numbered(sources: Iterable[str]) -> Mapping[str, int]:
    """Each source with its number, in the order in which they are first cited.

    >>> dict(numbered(["b", "a", "", "b"]))
    {'b': 1, 'a': 2}
    """
    return {source: number for number, source in enumerate(dict.fromkeys(filter(None, sources)), start=1)}


def mark(source: str | None, numbers: Mapping[str, int]) -> str:
    """How a row cites its source."""
    number = numbers.get(source or "")
    return "" if number is None else f"[{number}]"


def source_blocks(numbers: Mapping[str, int]) -> Iterator[Block]:
    """The list that the marks refer to."""
    if numbers:
        yield Heading("Sources")
        yield Facts(tuple((f"[{number}]", source) for source, number in numbers.items()))
