"""Memory by component against what the device offers."""

from __future__ import annotations

from typing import Final

from planner.domain.plan import Memory
from planner.reports.blocks import Bar, Block, Cell, Heading, Table, left, right
from planner.reports.figures import percent, share
from planner.units import format_bytes

INSTANTS: Final = {"fwd": "the forward pass", "bwd": "the backward pass", "opt": "the optimizer step"}
LABELS: Final = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer states",
    "activations": "activations",
    "other": "buffers, context, allocator",
}


def memory_blocks(memory: Memory) -> tuple[Block, ...]:
    """A bar for each component; the total and the free part below."""
    where = f"stage {memory.stage}, in {INSTANTS.get(memory.when, memory.when)}"
    rows = [_row(LABELS.get(name, name), size, memory) for name, size in memory.components.items()]
    total = _row("total", memory.total_bytes, memory)
    headroom = _row("headroom to keep free", memory.headroom_bytes, memory)
    capacity: tuple[Cell, ...] = ("usable on the device", format_bytes(memory.capacity_bytes), percent(1.0), "")
    return (
        Heading(f"Memory of the fullest GPU ({where})"),
        Table(
            columns=(left("component"), right("size"), right("of device"), left("")),
            rows=(*rows, total, *_range_rows(memory), headroom, capacity, *_host_rows(memory)),
            strong=frozenset({len(rows)}),
        ),
    )


def _range_rows(memory: Memory) -> tuple[tuple[Cell, ...], ...]:
    """The total by the least and the most that the device may add, where that is uncertain."""
    if memory.least_bytes is None or memory.most_bytes is None or memory.least_bytes == memory.most_bytes:
        return ()
    ends = (memory.least_bytes, memory.most_bytes)
    least, most = (format_bytes(size) for size in ends)
    from_share, to_share = (percent(share(size, memory.capacity_bytes)) for size in ends)
    return (("  at least", least, from_share, ""), ("  at most, as others measured", most, to_share, ""))


def _host_rows(memory: Memory) -> tuple[tuple[Cell, ...], ...]:
    if not memory.host_bytes:
        return ()
    room = (
        "of an unknown size" if memory.host_capacity_bytes is None else f"of {format_bytes(memory.host_capacity_bytes)}"
    )
    return (("in the host's memory", format_bytes(memory.host_bytes), room, ""),)


def memory_text(memory: Memory) -> str:
    """The total against the device in one line."""
    full = percent(share(memory.total_bytes, memory.capacity_bytes))
    when = INSTANTS.get(memory.when, memory.when)
    return (
        f"{format_bytes(memory.total_bytes)} of {format_bytes(memory.capacity_bytes)} on the fullest GPU "
        f"({full}; stage {memory.stage}, in {when})"
    )


def largest_component(memory: Memory) -> str:
    """The component that takes most, with its size."""
    name = max(memory.components, key=lambda key: memory.components[key])
    return f"{LABELS.get(name, name)} {format_bytes(memory.components[name])}"


def _row(label: str, size: float, memory: Memory) -> tuple[Cell, ...]:
    fraction = share(size, memory.capacity_bytes)
    return (label, format_bytes(size), percent(fraction), Bar(fraction))
