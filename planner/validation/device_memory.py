"""Peaks that others measured on devices, each by the tool and in the unit that its source names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planner.importers.run_cells import peak_kind
from planner.units import GIB, GIGA, MIB
from planner.validation import run_facts
from planner.validation.run_facts import Row, reason_kind, unfit
from planner.validation.scoring import Score, furthest, grouped, number, spread

WORST_ROWS: Final = 8
MEDIAN_BAR: Final = 0.08
OUTCOMES_WITHOUT_A_PEAK: Final = ("oom", "max context")
NOT_SAID: Final = "not said"
_UNITS: Final = ((re.compile(r"\bGiB\b"), GIB), (re.compile(r"\bMi?B\b"), MIB), (re.compile(r"\bGB\b"), GIGA))
"""In this order: ``GiB shown as GB`` is GiB, ``MiB/MB as labelled`` what the driver's tool calls MiB."""


def device_memory_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Peak memory by framework and way of measuring, the worst rows, and which rows do not count and why."""
    scores: list[Score] = []
    excluded: Counter[str] = Counter()
    for row in rows:
        scored = peak_score(row)
        if isinstance(scored, Score):
            scores.append(scored)
        elif scored:
            excluded[scored] += 1
    return {
        "peak": spread([score.error for score in scores]),
        "by_framework": grouped(scores, framework=run_facts.framework, measured_as=measured_as),
        "by_family": grouped(scores, family=run_facts.family),
        "by_source": grouped(scores, source=run_facts.source),
        "by_statement": grouped(scores, configuration=run_facts.stated_for_memory),
        "worst": [_worst(score) for score in furthest(scores, WORST_ROWS)],
        "excluded": [{"reason": reason, "n": count} for reason, count in excluded.most_common()],
    }


def missed_bars(summary: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every bar that a summary of device memory misses."""
    median = summary["peak"]["median_abs_error"]
    if median is None or median > MEDIAN_BAR:
        yield f"published peaks, median error: {median or 0.0:.2%} of {summary['peak']['n']} rows, the bar is {MEDIAN_BAR:.0%}"


def peak_score(row: Row) -> Score | str:
    """A run's peak bytes, predicted and measured; else why it is not scored, or "" where none was measured."""
    value = number(row.get("peak_mem_gb"))
    if value is None:
        return ""
    outcome = row.get("outcome", "").strip().casefold()
    if outcome.startswith(OUTCOMES_WITHOUT_A_PEAK):
        return f"outcome {outcome}: what fits or does not, no peak"
    why = unfit(row)
    if why:
        return why
    unit = row.get("peak_mem_unit", "")
    if "TOTAL" in unit:
        return "a total over GPUs"
    predicted = number(row.get("predicted_peak_memory_gib"))
    if row.get("error") or predicted is None:
        return f"error: {reason_kind(row.get('error') or 'no prediction')}"
    return Score(row=row, predicted=predicted * GIB, measured=value * bytes_per_unit(unit))


def bytes_per_unit(unit: str) -> int:
    """Bytes of one unit of a measured peak; 10⁹ where the cell names none, as the column's name says.

    >>> bytes_per_unit("GiB shown as GB (torch max allocated)") == 2**30, bytes_per_unit("GB, per GPU") == 10**9
    (True, True)
    """
    return next((size for pattern, size in _UNITS if pattern.search(unit)), GIGA)


def measured_as(row: Row) -> str:
    """What the measurement saw, in the words of its unit; the prediction counts the same, and tensors if nothing is said.

    >>> measured_as({"peak_mem_unit": "GB (nvidia-smi, first/last stage)"}), measured_as({})
    ('nvidia-smi', 'not said')
    """
    unit = row.get("peak_mem_unit", "")
    kind = peak_kind(unit, row.get("source"))
    said = bool(kind.why) or ("not stated" not in unit and kind.name in unit)
    return kind.name if said else NOT_SAID


def _worst(score: Score) -> dict[str, Any]:
    return {
        "id": score.row.get("id", ""),
        "model": score.row.get("model_name", ""),
        "predicted_bytes": score.predicted,
        "measured_bytes": score.measured,
        "error": score.error,
    }
