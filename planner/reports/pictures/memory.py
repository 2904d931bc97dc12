"""Memory by component, a stack for each pipeline stage, or for each instant of a step where there is one stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from planner.domain.plan import MEMORY_COMPONENTS, Memory, Plan
from planner.reports.memory import INSTANTS, LABELS
from planner.reports.pictures.page import FAINT, INK, PLOT_WIDTH, SMALL, Panel, apart, bare
from planner.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS: Final = {
    "weights": "#0b2545", "gradients": "#2f7ab8", "optimizer": "#8fc1e8", "activations": "#9a3412", "other": "#d4d4d4",
}  # fmt: skip
"""No two of the same lightness, neighbours far apart in it: told apart in grey and by people who do not see red and green."""
DARK: Final = frozenset({"weights", "gradients", "activations"})
HEIGHT: Final = 4.3
FOOT: Final = 0.55
ROOM_ABOVE: Final = 1.12
LINE: Final = 0.165
"""A label's height [inches]."""
MOST_LABELLED: Final = 10
"""Bars that are wide enough for a number in each segment."""
MOST_TOTALS: Final = 20
"""Bars that are wide enough for their total above them; beyond, the fullest only."""
MOST_TICKS: Final = 20
MOST_EDGES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stack [GiB] and what stands below it."""

    label: str
    sizes: Mapping[str, float]

    @property
    def total(self) -> float:
        """Its height."""
        return sum(self.sizes.values())


def memory_panel(plan: Plan) -> Panel:
    """Every stage at its own peak; one stage at every instant; the plan's own peak where no stages are known."""
    if len(plan.stages) > 1:
        stacks = [_bar(str(stage.stage), stage.instants[stage.peak]) for stage in plan.stages]
        heading, axis = "Memory of a GPU of every pipeline stage, each at its peak", "pipeline stage"
    elif plan.stages:
        stacks = [_bar(instant, sizes) for instant, sizes in plan.stages[0].instants.items()]
        heading, axis = "Memory of a GPU over one step", "instant of the step"
    else:
        when = INSTANTS.get(plan.memory.when, plan.memory.when)
        stacks = [_bar(f"stage {plan.memory.stage}, in {when}", plan.memory.components)]
        heading, axis = "Memory of the fullest GPU", ""
    return Panel(
        heading=heading, height=HEIGHT, foot=FOOT, draw=lambda places: _draw(places[0], stacks, axis, plan.memory)
    )


def _bar(label: str, components: Mapping[str, float]) -> Bar:
    return Bar(label=label, sizes={name: components[name] / GIB for name in MEMORY_COMPONENTS if name in components})


def _draw(axes: Axes, stacks: Sequence[Bar], axis: str, memory: Memory) -> None:
    highest = max(*(stack.total for stack in stacks), memory.capacity_bytes / GIB) * ROOM_ABOVE
    axes.set(xlim=(-0.6 - 0.012 * len(stacks), len(stacks) - 0.4), ylim=(0.0, highest), xlabel=axis, ylabel="GiB")
    bare(axes, "left", "bottom")
    every = next(step for step in (1, 2, 4, 8, 16, 32, len(stacks)) if len(stacks) <= step * MOST_TICKS)
    ticks = range(0, len(stacks), every)
    axes.set_xticks(list(ticks), [stacks[tick].label for tick in ticks])
    axes.tick_params(axis="x", length=0)
    _draw_stacks(axes, stacks, highest)
    _draw_totals(axes, stacks)
    _draw_margin(axes, stacks[-1], memory, highest)


def _draw_stacks(axes: Axes, stacks: Sequence[Bar], highest: float) -> None:
    places = range(len(stacks))
    bottoms = [0.0 for _ in stacks]
    for name, color in COLORS.items():
        sizes = [stack.sizes.get(name, 0.0) for stack in stacks]
        axes.bar(
            places, sizes, bottom=bottoms, color=color, width=0.72 if len(stacks) <= MOST_TOTALS else 0.92,
            edgecolor="white", linewidth=0.7 if len(stacks) <= MOST_EDGES else 0.0, zorder=2,
        )  # fmt: skip
        for place, size, bottom in zip(places, sizes, bottoms, strict=True):
            if len(stacks) <= MOST_LABELLED and size > highest * LINE / HEIGHT:
                axes.text(
                    place, bottom + size / 2, f"{size:,.1f}", ha="center", va="center_baseline", fontsize=SMALL,
                    color="white" if name in DARK else INK, zorder=4,
                    bbox={"facecolor": color, "edgecolor": "none", "pad": 0.6},
                )  # fmt: skip
        bottoms = [bottom + size for bottom, size in zip(bottoms, sizes, strict=True)]


def _draw_totals(axes: Axes, stacks: Sequence[Bar]) -> None:
    fullest = max(range(len(stacks)), key=lambda place: stacks[place].total)
    for place, stack in enumerate(stacks):
        if place == fullest or len(stacks) <= MOST_TOTALS:
            beside_axis = place * MOST_TOTALS < len(stacks) > MOST_TOTALS  # a centred number would cross the axis
            axes.annotate(
                f"{stack.total:,.1f}", (place - 0.5 if beside_axis else place, stack.total), (0, 3.5),
                textcoords="offset points", ha="left" if beside_axis else "center",
                fontsize=SMALL, fontweight="bold" if place == fullest else "normal", color=INK, zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.9},
            )  # fmt: skip


def _draw_margin(axes: Axes, last: Bar, memory: Memory, highest: float) -> None:
    """The two limits as lines, and the names of lines and colours beside what they name."""
    from matplotlib.patheffects import Normal, Stroke

    labels: list[tuple[float, str, str]] = []
    bottom = 0.0
    for name, size in last.sizes.items():
        labels.append((bottom + size / 2, LABELS.get(name, name), COLORS[name]))
        bottom += size
    usable = (memory.capacity_bytes - memory.headroom_bytes) / GIB
    capacity = memory.capacity_bytes / GIB
    lines = [(capacity, "-", f"device limit {capacity:,.1f} GiB")]
    if memory.headroom_bytes:
        lines.append((usable, "--", f"limit less headroom {usable:,.1f} GiB"))
    for height, style, text in lines:
        halo = [Stroke(linewidth=2.6, foreground="white"), Normal()]
        axes.axhline(height, color=INK, linewidth=1.2, linestyle=style, zorder=3, path_effects=halo)
        labels.append((height, text, ""))
    labels.sort(key=lambda label: label[0])
    gap = highest * LINE * 1.1 / HEIGHT
    heights = apart([label[0] for label in labels], [gap] * len(labels), 0.0, highest)
    across = axes.get_yaxis_transform()
    for (wanted, text, color), height in zip(labels, heights, strict=True):
        right = 1.0 + 0.22 / PLOT_WIDTH
        if color:
            axes.text(right, height, "■", color=color, va="center_baseline", fontsize=11, transform=across)
        else:
            axes.plot([1.0, right], [wanted, height], color=FAINT, linewidth=0.6, transform=across, clip_on=False)
        axes.text(
            right + (0.18 if color else 0.03) / PLOT_WIDTH, height, text, va="center_baseline", fontsize=SMALL,
            color=INK, transform=across,
        )  # fmt: skip
