"""What a report is made of: a few kinds of block that every human-readable format can render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias


class Tone(StrEnum):
    """How a text is meant; a terminal may colour it."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; `tone` colours all of it."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with their values, one a line."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell drawn as a bar that is full at 1; formats without drawings leave its column out."""

    fraction: float


Cell: TypeAlias = str | Bar


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title and side; a flexible column wraps when the table is wider than the page."""

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under columns; `strong` holds the numbers of the rows that stand out."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: frozenset[int] = frozenset()


Block: TypeAlias = Heading | Paragraph | Facts | Bullets | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """One table for programs: the columns in order, and rows that may lack some of them."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One answer in the three shapes that the formats need.

    `document` is what JSON and YAML print, `blocks` what text and Markdown show, `flat` what CSV lists.
    """

    document: Mapping[str, Any]
    blocks: tuple[Block, ...]
    flat: Flat


def left(title: str) -> Column:
    """A column of words."""
    return Column(title)


def right(title: str) -> Column:
    """A column of numbers."""
    return Column(title, align="right")


def wrapped(title: str) -> Column:
    """A column of sentences, which wraps."""
    return Column(title, flexible=True)
