"""What more GPUs buy: throughput against the ideal, and the utilisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from planner.domain.plan import Plan
from planner.reports.figures import gpus
from planner.reports.pictures.page import FAINT, INK, LEFT, SMALL, WIDTH, Panel, bare
from planner.units import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT: Final = 3.0
FOOT: Final = 0.7
BETWEEN: Final = 0.95
SIDE: Final = (WIDTH - LEFT - 0.3 - BETWEEN) / 2
LINE_COLOR: Final = "#2f7ab8"
CHOSEN_COLOR: Final = "#9a3412"
MOST_MARKERS: Final = 40


def scaling_panel(scaling: Sequence[Plan], recommended: Plan, knee: int | None = None) -> Panel:
    """The fastest layout for every number of GPUs; ideal is each GPU as fast as where one is fastest. A line marks the knee."""
    return Panel(
        heading="What more GPUs buy: the fastest layout for every number of them",
        height=HEIGHT,
        foot=FOOT,
        draw=lambda places: _draw(places, scaling, recommended, knee),
        columns=((LEFT, SIDE), (LEFT + SIDE + BETWEEN, SIDE)),
    )


def _draw(places: Sequence[Axes], scaling: Sequence[Plan], recommended: Plan, knee: int | None) -> None:
    left, right = places
    counts = [plan.n_gpus for plan in scaling]
    marker = "o" if len(counts) <= MOST_MARKERS else ""
    best = max(plan.tokens_per_s_per_gpu for plan in scaling)
    ideal = [best * count for count in (counts[0], counts[-1])]
    left.plot([counts[0], counts[-1]], ideal, color=FAINT, linewidth=1.0, linestyle="--", zorder=2)
    left.plot(counts, [plan.tokens_per_s for plan in scaling], color=LINE_COLOR, marker=marker, markersize=4, zorder=3)
    right.plot(counts, [plan.mfu for plan in scaling], color=LINE_COLOR, marker=marker, markersize=4, zorder=3)
    left.plot(recommended.n_gpus, recommended.tokens_per_s, "D", color=CHOSEN_COLOR, markersize=7, zorder=4)
    right.plot(recommended.n_gpus, recommended.mfu, "D", color=CHOSEN_COLOR, markersize=7, zorder=4)
    left.set(xscale="log", yscale="log", ylabel="tokens/s", xlabel="GPUs")
    right.set(xscale="log", ylabel="MFU", xlabel="GPUs", ylim=(0.0, max(plan.mfu for plan in scaling) * 1.15))
    for axes in places:
        bare(axes, "left", "bottom")
        axes.grid(visible=True, which="major", color="#e4e4e4", linewidth=0.6, zorder=0)
        axes.set_axisbelow(True)
        _label_counts(axes, counts)
    _label_values(places)
    if knee is not None:
        for axes in places:
            axes.axvline(knee, color=FAINT, linewidth=1.0, linestyle=":", zorder=1)
        left.text(
            0.03, 0.83, f"····· knee: {gpus(knee)}", transform=left.transAxes, va="top", fontsize=SMALL, color=FAINT
        )
    left.text(
        0.03, 0.97, f"- - ideal: {best:,.0f} tokens/s per GPU throughout", transform=left.transAxes, va="top",
        fontsize=SMALL, color=FAINT,
    )  # fmt: skip
    left.text(
        0.03, 0.90, f"◆ recommended: {gpus(recommended.n_gpus)}", transform=left.transAxes, va="top", fontsize=SMALL,
        color=CHOSEN_COLOR,
    )  # fmt: skip


def _label_counts(axes: Axes, counts: Sequence[int]) -> None:
    """Ticks at powers of two, as GPUs are counted; a single number has its own."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    first, last = counts[0], counts[-1]
    doubling = [2**power for power in range(last.bit_length() + 1) if first <= 2**power <= last]
    ticks = doubling[:: 1 + len(doubling) // 9] if len(doubling) > 1 else sorted({first, last})
    axes.set_xlim(first / 1.25, last * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _label_values(places: Sequence[Axes]) -> None:
    from math import log10

    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    left, right = places
    low, high = left.get_ylim()
    left.yaxis.set_major_locator(LogLocator(subs=(1.0,) if log10(high / low) > 2 else (1.0, 2.0, 5.0)))
    left.yaxis.set_minor_locator(NullLocator())
    left.yaxis.set_minor_formatter(NullFormatter())
    left.yaxis.set_major_formatter(lambda value, _: format_count(value))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}".replace("%", " %"))
    right.tick_params(axis="y", colors=INK)
