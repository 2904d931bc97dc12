"""The kinds of entries: their tables, and what people call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from planner.errors import InputError, UnknownNameError

USER: Final = "user"
"""The user's layer, as `planner.catalog.tables` names it; not imported from there, where reading needs no tables."""
TABLES: Final = {
    "models": "architecture",
    "accelerators": "accelerator",
    "nodes": "node",
    "clusters": "cluster",
    "prices": "price",
    "links": "link",
    "vendors": "vendor",
    "sources": "source",
    "carbon": "carbon_intensity",
    "pue": "pue",
    "power": "power_draw",
    "footprints": "footprint",
    "failures": "failure_rate",
    "checkpoints": "checkpoint_write",
    "goodput": "goodput",
}
"""The kinds of entries with a slug, and the table of each."""
EFFICIENCIES: Final = "efficiencies"
KINDS: Final[Mapping[str, str]] = {**TABLES, EFFICIENCIES: "efficiency"}
"""Every kind of entry that a user may have, and its table; efficiencies have no slug of their own."""

_ONE_OF: Final = {
    EFFICIENCIES: "efficiency",
    "carbon": "carbon intensity",
    "pue": "PUE",
    "power": "power draw",
    "failures": "failure rate",
    "checkpoints": "checkpoint write",
}
"""What one entry of a kind is called, where that is not the kind without its s."""


def table_of(kind: str) -> str:
    """The table of a kind. Raises UnknownNameError."""
    if kind not in TABLES:
        raise UnknownNameError("kind of entry", kind, TABLES)
    return TABLES[kind]


def singular(kind: str) -> str:
    """One entry of a kind.

    >>> singular("models"), singular("efficiencies"), singular("carbon")
    ('model', 'efficiency', 'carbon intensity')
    """
    return _ONE_OF.get(kind, kind.removesuffix("s"))


def kind_named(typed: str, known: Mapping[str, str] = TABLES) -> str:
    """The kind that a user means: its name, or one of it, or what most people call an accelerator. Raises InputError."""
    word = typed.strip().casefold()
    for name in (word, f"{word}s", word.replace("gpu", "accelerator").removesuffix("s") + "s", f"{word[:-1]}ies"):
        if name in known:
            return name
    raise InputError(f"unknown kind {typed[:40]!r}", hint=f"there are {', '.join(known)}")
