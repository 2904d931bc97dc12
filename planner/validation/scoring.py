"""How far off: the error of a row, and what a set of errors comes to."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One row's prediction beside what was measured; `row` is the row as it came, with its predictions."""

    row: Mapping[str, str]
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """predicted / measured − 1."""
        return self.predicted / self.measured - 1.0


def number(text: str | None) -> float | None:
    """A cell's value if it is a finite number above zero.

    >>> number("1.5"), number(""), number("n/a"), number("-1"), number("inf")
    (1.5, None, None, None, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0.0 else None


def spread(errors: Sequence[float]) -> dict[str, Any]:
    """What a set of relative errors comes to; percentiles are of the absolute errors, `worst_under` of the signed.

    >>> summary = spread([-0.04, 0.01, 0.02])
    >>> summary["n"], summary["median_error"], summary["max_abs_error"], summary["worst_under"]
    (3, 0.01, 0.04, -0.04)
    """
    if not errors:
        return {"n": 0, **dict.fromkeys(_FIGURES)}
    signed = np.asarray(errors, dtype=float)
    absolute = np.abs(signed)
    figures = (
        np.median(signed), np.median(absolute), np.percentile(absolute, 90), np.percentile(absolute, 95),
        np.max(absolute), min(0.0, float(np.min(signed))),
    )  # fmt: skip
    return {"n": len(errors), **{name: float(figure) for name, figure in zip(_FIGURES, figures, strict=True)}}


_FIGURES: Final = (
    "median_error", "median_abs_error", "p90_abs_error", "p95_abs_error", "max_abs_error", "worst_under",
)  # fmt: skip


def grouped(scores: Iterable[Score], **labels: Callable[[Mapping[str, str]], str]) -> list[dict[str, Any]]:
    """The spread of every group of rows that share the `labels`, the largest group first."""
    groups: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for score in scores:
        groups[tuple(label(score.row) for label in labels.values())].append(score.error)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [{**dict(zip(labels, key, strict=True)), **spread(errors)} for key, errors in ordered]


def furthest(scores: Iterable[Score], limit: int) -> list[Score]:
    """The rows with the largest absolute errors, worst first."""
    return sorted(scores, key=lambda score: (-abs(score.error), score.row.get("id", "")))[:limit]
