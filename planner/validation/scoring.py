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
    """One row's prediction beside what was measured; `row` is the row as it came, with its predictions. `least` and `most` are
    the bounds of the prediction, where it has any."""

    row: Mapping[str, str]
    predicted: float
    measured: float
    least: float | None = None
    most: float | None = None

    @property
    def error(self) -> float:
        """predicted / measured − 1."""
        return self.predicted / self.measured - 1.0

    @property
    def covered(self) -> bool | None:
        """Whether the measured value lies within the bounds."""
        if self.least is None or self.most is None:
            return None
        return self.least <= self.measured <= self.most


def coverage(scores: Sequence[Score]) -> dict[str, Any]:
    """How many scores lie within their bounds, of those that have any, and how wide the bounds are (most over least, median)."""
    bounded = [score for score in scores if score.least and score.most]
    if not bounded:
        return {"n_bounded": 0, "covered": None, "median_width": None}
    widths = [score.most / score.least for score in bounded if score.least and score.most]
    return {
        "n_bounded": len(bounded),
        "covered": sum(bool(score.covered) for score in bounded) / len(bounded),
        "median_width": float(np.median(widths)),
    }


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
    groups: dict[tuple[str, ...], list[Score]] = defaultdict(list)
    for score in scores:
        groups[tuple(label(score.row) for label in labels.values())].append(score)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [
        {**dict(zip(labels, key, strict=True)), **spread([score.error for score in group]), **coverage(group)}
        for key, group in ordered
    ]


def furthest(scores: Iterable[Score], limit: int) -> list[Score]:
    """The rows with the largest absolute errors, worst first."""
    return sorted(scores, key=lambda score: (-abs(score.error), score.row.get("id", "")))[:limit]
