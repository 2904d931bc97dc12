"""A page of panels, one below the other, and how it is written: the same bytes on every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Final
from warnings import catch_warnings, simplefilter

from planner.reports.pictures.file import check_drawable, drawing, save
from planner.reports.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 11.0
"""Of the page [inches]; panels are `PLOT_WIDTH` wide, and the rest is for ticks on the left and labels on the right."""
LEFT: Final = 0.85
PLOT_WIDTH: Final = 7.6
LINE: Final = 0.19
"""Of a line of small text [inches]."""
TEXT_COLUMNS: Final = 135
TITLE_LINE: Final = 0.27
TITLE_COLUMNS: Final = 80
TITLE_BASELINE: Final = 0.42
"""Of the first line of the title, below the upper edge [inches]."""
MARGIN: Final = 0.25
HEADING: Final = 0.62
"""From a panel's heading to its axes, and as much again to the panel above [inches]."""
INK: Final = "#222222"
FAINT: Final = "#666666"
ALARM: Final = "#b00020"
SMALL: Final = 8.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Axes side by side under one heading, as `draw` fills them; sizes in inches, `foot` for what lies below the axes."""

    heading: str
    height: float
    foot: float
    draw: Callable[[Sequence[Axes]], None]
    columns: tuple[tuple[float, float], ...] = ((LEFT, PLOT_WIDTH),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A title, lines below it, the alarming one first if there is one, and panels."""

    title: str
    alarm: str
    lines: tuple[str, ...]
    panels: tuple[Panel, ...]


def write_page(page: Page, path: Path) -> None:
    """Draw the page into a file. Raises InputError if it cannot be drawn or written."""
    check_drawable(path)
    from matplotlib.figure import Figure

    titles = wrap(printable(page.title), TITLE_COLUMNS)
    lines = [line for text in page.lines for line in wrap(printable(text), TEXT_COLUMNS)]
    alarms = wrap(printable(page.alarm), TEXT_COLUMNS)
    head = TITLE_BASELINE + TITLE_LINE * (len(titles) - 1)
    top = head + 0.23 + LINE * len((*alarms, *lines))
    height = top + sum(HEADING + panel.height + panel.foot for panel in page.panels)
    with drawing(font_size=9), catch_warnings():
        simplefilter("ignore", UserWarning)  # a name in letters that the font lacks is drawn as boxes
        figure = Figure(figsize=(WIDTH, height))
        _write_head(figure, titles, alarms, lines)
        for panel in page.panels:
            top += HEADING
            _write_panel(figure, panel, top)
            top += panel.height + panel.foot
        save(figure, path)


def _write_head(figure: Figure, titles: Sequence[str], alarms: Sequence[str], lines: Sequence[str]) -> None:
    height, start = figure.get_figheight(), TITLE_BASELINE
    for number, title in enumerate(titles):
        start = TITLE_BASELINE + TITLE_LINE * number
        figure.text(MARGIN / WIDTH, 1 - start / height, title, fontsize=14, fontweight="bold", color=INK)
    for number, line in enumerate((*alarms, *lines)):
        alarming = number < len(alarms)
        figure.text(
            MARGIN / WIDTH, 1 - (start + 0.28 + LINE * number) / height, line, color=ALARM if alarming else INK,
            fontweight="bold" if alarming else "normal",
        )  # fmt: skip


def _write_panel(figure: Figure, panel: Panel, top: float) -> None:
    height = figure.get_figheight()
    figure.text(MARGIN / WIDTH, 1 - (top - 0.28) / height, panel.heading, fontsize=11, fontweight="bold", color=INK)
    bottom = 1 - (top + panel.height) / height
    places = [(left / WIDTH, bottom, width / WIDTH, panel.height / height) for left, width in panel.columns]
    panel.draw([figure.add_axes(place) for place in places])


def bare(axes: Axes, *sides: str) -> None:
    """Take away the frame but for these sides."""
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side in sides)
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, width=0.8, labelsize=SMALL)


def apart(wanted: Sequence[float], gaps: Sequence[float], low: float, high: float) -> list[float]:
    """Places for labels, in their order: each as near as can be to where it is wanted, those that touch moved apart.

    `gaps` are the labels' extents, `low` and `high` the ends of the room they have; too many overflow at the high end.

    >>> apart([1.0, 1.5, 9.0], [1.0, 1.0, 1.0], 0.0, 10.0)
    [0.75, 1.75, 9.0]
    """
    groups: list[tuple[list[int], float]] = []
    for number, middle in enumerate(wanted):
        members, centre = [number], _within(middle, gaps[number], low, high)
        while groups and groups[-1][1] + _extent(groups[-1][0], gaps) / 2 > centre - _extent(members, gaps) / 2:
            members = [*groups.pop()[0], *members]
            extent = _extent(members, gaps)
            starts = [
                wanted[each] - gaps[each] / 2 - _extent(members[:place], gaps) for place, each in enumerate(members)
            ]
            centre = _within(sum(starts) / len(starts) + extent / 2, extent, low, high)
        groups.append((members, centre))
    places: list[float] = []
    for members, centre in groups:
        start = centre - _extent(members, gaps) / 2
        for each in members:
            places.append(start + gaps[each] / 2)
            start += gaps[each]
    return places


def _extent(members: Sequence[int], gaps: Sequence[float]) -> float:
    return sum(gaps[each] for each in members)


def _within(centre: float, extent: float, low: float, high: float) -> float:
    return max(min(centre, high - extent / 2), low + extent / 2)
