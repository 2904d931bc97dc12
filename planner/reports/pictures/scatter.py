"""A picture of predicted against measured: one square panel for each quantity, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from planner.errors import InputError
from planner.reports.pictures.file import check_drawable, drawing, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS: Final = ((0.20, "#e6e6e6", "within 20 %"), (0.10, "#cfcfcf", "within 10 %"))
"""Widest first, so that the narrower lies on it."""
COLORS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294", "#8c510a", "#b2182b", "#666666",
)  # fmt: skip
"""Okabe and Ito's palette and four more: told apart by people who do not see red and green."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "o")
PANEL_INCHES: Final = (5.6, 6.6)
LEGEND_COLUMNS: Final = 2
WIDE_DECADES: Final = 2.5
"""Axes longer than this are labelled at powers of ten, shorter ones at 2 and 5 too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour."""

    name: str
    measured: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One quantity: its title, a line on the errors, its unit as the axes name it, and its points."""

    title: str
    subtitle: str
    quantity: str
    series: tuple[Series, ...]


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the panels side by side. Raises InputError if there is nothing to draw, or the file cannot be written."""
    check_drawable(path)
    if not panels:
        raise InputError("--plot: no row has both a prediction and a measured value", hint="look at the rows' errors")
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    with drawing(font_size=10):
        figure = Figure(figsize=(width * len(panels), height), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, place in zip(panels, axes, strict=True):
            _draw_panel(place, panel)
        save(figure, path, bbox_inches="tight", pad_inches=0.15)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    low, high = _limits(panel)
    ends = (low, high)
    for fraction, color, label in BANDS:
        below, above = ([end * factor for end in ends] for factor in (1.0 - fraction, 1.0 + fraction))
        axes.fill_between(ends, below, above, color=color, linewidth=0, zorder=1, label=label)
    axes.plot(ends, ends, color="#333333", linewidth=0.9, zorder=2)
    for number, series in enumerate(panel.series):
        axes.scatter(
            series.measured, series.predicted, s=22, alpha=0.75, linewidths=0.4, edgecolors="white", zorder=3,
            color=COLORS[number % len(COLORS)], marker=MARKERS[number % len(MARKERS)],
            label=f"{series.name} ({len(series.measured):,})",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, box_aspect=1)
    _label_ticks(axes, low, high)
    axes.set_xlabel(f"measured {panel.quantity}")
    axes.set_ylabel(f"predicted {panel.quantity}")
    axes.set_title(panel.title, loc="left", fontsize=12, fontweight="bold", pad=24)
    axes.text(0.0, 1.025, panel.subtitle, transform=axes.transAxes, fontsize=9, color="#444444")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=LEGEND_COLUMNS, frameon=False, fontsize=8,
        borderaxespad=0.0, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip


def _label_ticks(axes: Axes, low: float, high: float) -> None:
    """Numbers as people write them, at as many places as there is room for."""
    from math import log10

    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    steps = (1.0,) if log10(high / low) > WIDE_DECADES else (1.0, 2.0, 5.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())


def _limits(panel: Panel) -> tuple[float, float]:
    """Both axes from a little below the least value to a little above the greatest."""
    values = [value for series in panel.series for value in (*series.measured, *series.predicted)]
    return min(values) / 1.4, max(values) * 1.4
