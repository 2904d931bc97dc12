"""What a machine or a scheduler says of its accelerators, whatever the tool: the formats, and how one is told from another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.files import read_text, shown_path
from planner.units import MIB

LARGEST_BYTES: Final = 64 * MIB
MOST_ACCELERATORS: Final = 1024
"""Accelerators in one node; a rack-scale system is many nodes."""
MOST_NODES: Final = 1_000_000
CUT: Final = "..."
"""How a name ends that a tool had no room for."""
_NOT_SHOWN: Final = frozenset(
    {"", "n/a", "none", "(null)", "not supported", "not available", "insufficient permissions"}
)
"""What tools write where they show no value, without the brackets around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNodes:
    """Equal nodes as a tool shows them.

    `accelerator` is the tool's name of it ("" where it names none; a cut name ends in `CUT`), `per_node` how many a node holds,
    `nodes` how many nodes there are. `instance_type` is the cloud's name of the node. `notes` say what was left out or assumed.
    """

    accelerator: str
    per_node: int
    nodes: int = 1
    memory_bytes: int | None = None
    host_memory_bytes: int | None = None
    vcpus: int | None = None
    instance_type: str | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class MachineFormat:
    """One tool's output: its name, whether a text looks like it, and what it says. `parse` raises InputError."""

    name: str
    recognises: Callable[[str], bool]
    parse: Callable[[str], tuple[SeenNodes, ...]]


def formats() -> Mapping[str, MachineFormat]:
    """Every format by name."""
    from planner.importers import kubernetes, nvidia_smi, rocm_smi, slurm

    return {each.name: each for each in (nvidia_smi.FORMAT, rocm_smi.FORMAT, slurm.FORMAT, kubernetes.FORMAT)}


def recognised(text: str) -> MachineFormat | None:
    """The format that a text is in; None where it looks like none."""
    return next((each for each in formats().values() if each.recognises(text)), None)


def read_machines(path: str) -> str:
    """The text of a tool's output. Raises InputError."""
    return read_text(path, LARGEST_BYTES)


def parsed(text: str, path: str, format_: MachineFormat) -> tuple[SeenNodes, ...]:
    """What `text` says, equal nodes together. Raises InputError naming the file."""
    named = shown_path(path)
    try:
        seen = grouped(format_.parse(text))
    except InputError as error:
        raise InputError(f"{named}: {error.message}", hint=error.hint) from None
    if not seen:
        raise InputError(f"{named}: {format_.name} names no accelerator")
    for each in seen:
        if each.per_node > MOST_ACCELERATORS or each.nodes > MOST_NODES:
            count = f"{each.nodes:,} nodes of {each.per_node:,}"
            raise InputError(f"{named}: {count} accelerators {clipped(each.accelerator)} are more than there can be")
    return seen


def grouped(seen: Iterable[SeenNodes]) -> tuple[SeenNodes, ...]:
    """Nodes with as many of the same accelerator in the same instance as one; of their host memories and CPUs the least."""
    found: dict[tuple[str, int, str | None], SeenNodes] = {}
    for each in seen:
        key = (each.accelerator, each.per_node, each.instance_type)
        known = found.get(key)
        found[key] = each if known is None else _together(known, each)
    return tuple(found.values())


def _together(one: SeenNodes, other: SeenNodes) -> SeenNodes:
    return replace(
        one,
        nodes=one.nodes + other.nodes,
        memory_bytes=_least(one.memory_bytes, other.memory_bytes),
        host_memory_bytes=_least(one.host_memory_bytes, other.host_memory_bytes),
        vcpus=_least(one.vcpus, other.vcpus),
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )


def _least(*amounts: int | None) -> int | None:
    return min((amount for amount in amounts if amount is not None), default=None)


def is_shown(value: object) -> bool:
    """Whether a tool shows a value, or says that it has none: nothing, JSON's null, ``[N/A]``."""
    return value is not None and not (isinstance(value, str) and value.strip().strip("[]").casefold() in _NOT_SHOWN)


def shown_count(value: object, what: str, *, least: int = 1) -> int | None:
    """The whole number that a tool shows of `what`, from `least` up; None where it shows none.

    Raises InputError for anything else: what is wrong must not pass for what is not known.
    """
    if not is_shown(value):
        return None
    number = whole(value)
    if number is None or number < least:
        raise InputError(f"{what} must be a whole number from {least} up, not {clipped(value)}")
    return number


def whole(text: object) -> int | None:
    """A count as tools print it; None for what is none."""
    digits = str(text).strip() if isinstance(text, str | int) and not isinstance(text, bool) else ""
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None
