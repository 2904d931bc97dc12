"""The panels of a picture: what is drawn of a validation's rows, and in which colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from planner.reports.pictures.scatter import Panel, Series
from planner.units import GIB
from planner.validation import run_facts
from planner.validation.answer import Validation
from planner.validation.device_memory import peak_score
from planner.validation.memory_summary import mode, scores
from planner.validation.scoring import Score, spread
from planner.validation.time_summary import throughput_score

MOST_SERIES: Final = 9
"""More colours cannot be told apart; the smallest groups share one."""
FINE: Final = 0.1
"""Errors below this are written with two decimal places."""
OTHERS: Final = "others"


def panels(validation: Validation) -> tuple[Panel, ...]:
    """Tracked memory, throughput and memory on devices, as far as there are rows of them."""
    return tuple(_panels(validation))


def _panels(validation: Validation) -> Iterator[Panel]:
    if "memory" in validation.tables:
        tracked = scores(validation.tables["memory"].rows, "predicted_peak_bytes", "peak_total_bytes")
        if tracked:
            yield _panel("Peak memory, tracked steps", "peak memory [GiB]", tracked, mode, unit=GIB)
    if "time" in validation.tables:
        rows = validation.tables["time"].rows
        rates = [score for row in rows if isinstance(score := throughput_score(row), Score)]
        if rates:
            yield _panel("Throughput, measured runs", "tokens/s per GPU", rates, run_facts.source)
        peaks = [score for row in rows if isinstance(score := peak_score(row), Score)]
        if peaks:
            yield _panel("Peak memory, measured on devices", "peak memory [GiB]", peaks, run_facts.framework, unit=GIB)


def _panel(
    title: str, quantity: str, scored: Sequence[Score], label: Callable[[Mapping[str, str]], str], unit: int = 1
) -> Panel:
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scored:
        groups[label(score.row)].append(score)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    shown = ordered if len(ordered) <= MOST_SERIES + 1 else ordered[:MOST_SERIES]
    rest = [score for _, members in ordered[len(shown) :] for score in members]
    figures = spread([score.error for score in scored])
    median, p95 = _percent(figures["median_abs_error"]), _percent(figures["p95_abs_error"])
    return Panel(
        title=title,
        subtitle=f"{len(scored):,} rows; error: median {median}, 95th percentile {p95}",
        quantity=quantity,
        series=tuple(
            Series(
                name=name,
                measured=tuple(score.measured / unit for score in members),
                predicted=tuple(score.predicted / unit for score in members),
            )
            for name, members in (*shown, *(((OTHERS, rest),) if rest else ()))
        ),
    )


def _percent(fraction: float) -> str:
    return f"{fraction:.2%}".replace("%", " %") if fraction < FINE else f"{fraction:.0%}".replace("%", " %")
