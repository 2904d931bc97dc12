"""Where a step's time goes: one bar, its segments labelled below."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Final

from planner.domain.plan import Plan
from planner.reports.figures import percent, seconds, share
from planner.reports.pictures.page import FAINT, INK, LEFT, SMALL, WIDTH, Panel, apart, bare
from planner.reports.step import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS: Final = {
    "forward": "#8fc1e8", "backward": "#2f7ab8", "recompute": "#0b2545",
    "tp": "#9a3412", "cp": "#c2571a", "ep": "#dd8236", "pp": "#eeb06c", "dp": "#f7d9ae",
    "bubble": "#ffffff", "optimizer": "#808080", "other": "#d4d4d4",
}  # fmt: skip
"""Compute in blue, communication in brown to yellow, both by lightness; waiting is hatched."""
DARK: Final = frozenset({"backward", "recompute", "tp", "cp"})
HEIGHT: Final = 0.6
FOOT: Final = 1.0
COLUMN: Final = 17
LETTER: Final = 0.07
"""A letter's width, on average [inches]."""
STRIP: Final = WIDTH - LEFT - 0.25


def step_panel(plan: Plan) -> Panel:
    """One step, in the order in which its components are reported; what takes no time is left out."""
    times = [(name, time_s) for name, time_s in plan.step_time_components_s.items() if time_s]
    return Panel(
        heading=f"Time of one step: {seconds(plan.step_time_s)} (communication as far as compute does not hide it)",
        height=HEIGHT,
        foot=FOOT,
        draw=lambda places: _draw(places[0], times, plan.step_time_s),
        columns=((LEFT, STRIP),),
    )


def _draw(axes: Axes, times: Sequence[tuple[str, float]], whole_s: float) -> None:
    bare(axes)
    axes.set(xlim=(0.0, STRIP), ylim=(0.0, 1.0), xticks=[], yticks=[])
    narrow: list[tuple[str, float]] = []
    start = 0.0
    for name, time_s in times:
        width, color = share(time_s, whole_s) * STRIP, COLORS.get(name, COLORS["other"])
        axes.barh(
            0.5, width, left=start, height=1.0, color=color, linewidth=0.7, zorder=2,
            edgecolor=FAINT if name == "bubble" else "white", hatch="////" if name == "bubble" else "",
        )  # fmt: skip
        label = f"{fill(LABELS.get(name, name), COLUMN)}\n{seconds(time_s)} · {percent(share(time_s, whole_s))}"
        if _width(label) < width:
            axes.text(
                start + width / 2, 0.5, label, ha="center", va="center_baseline", fontsize=SMALL, linespacing=1.25,
                color="white" if name in DARK else INK, bbox={"facecolor": color, "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
        else:
            narrow.append((label, start + width / 2))
        start += width
    _label_below(axes, narrow)


def _label_below(axes: Axes, labels: Sequence[tuple[str, float]]) -> None:
    """The labels that have no room inside their segments, each with a line to it."""
    places = apart([wanted for _, wanted in labels], [_width(label) for label, _ in labels], 0.0, STRIP)
    for (label, wanted), place in zip(labels, places, strict=True):
        axes.plot([wanted, wanted, place, place], [0.0, -0.08, -0.3, -0.36], color=FAINT, linewidth=0.6, clip_on=False)
        axes.text(place, -0.42, label, ha="center", va="top", fontsize=SMALL, color=INK, linespacing=1.25)


def _width(label: str) -> float:
    return max(map(len, label.split("\n"))) * LETTER + 0.14
