"""What a calibration answers: by accelerator the factors, the errors before and after, and why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from planner.calibration.fit import Array, Fit
from planner.domain.hardware import Efficiency
from planner.validation.scoring import spread

SCHEMA: Final = "planner.calibrate/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The runs of one accelerator: their `fit`, None where `why_not` says why there is none; `in_force` is what an earlier
    calibration left in the catalog, which a new one replaces."""

    accelerator: str
    n_runs: int
    fit: Fit | None
    why_not: str = ""
    in_force: tuple[Efficiency, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON; errors are predicted / measured − 1 of tokens per second."""
        if self.fit is None:
            return {
                "accelerator": self.accelerator, "n_runs": self.n_runs, "fitted": {}, "why_not": self.why_not,
                "earlier": self._earlier,
            }  # fmt: skip
        found = self.fit
        return {
            "accelerator": self.accelerator,
            "n_runs": self.n_runs,
            "n_runs_over_network": found.over_network,
            "fitted": {name: getattr(found.factors, name) for name in found.fitted},
            "before": _throughput(found.before),
            "after": _throughput(found.after),
            "held_out": _throughput(found.held_out) | {"folds": found.folds, "folds_of": self.folds_of},
            "why_not": self.why_not,
            "earlier": self._earlier,
        }

    @property
    def _earlier(self) -> list[dict[str, Any]]:
        return [{"metric": row.metric, "fraction": row.fraction, "source": row.source} for row in self.in_force]

    @property
    def folds_of(self) -> str:
        """What a fold holds."""
        return "models" if self.fit is not None and self.fit.by_kind else "configurations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The accelerators of a file of runs. `excluded` counts the runs that cannot be used, by reason; `stored` says whether
    the catalog has the factors now."""

    file: str
    date: str
    accelerators: tuple[Calibrated, ...]
    excluded: Mapping[str, int]
    stored: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.calibrate/1``."""
        return {
            "schema": SCHEMA,
            "file": self.file,
            "date": self.date,
            "stored": self.stored,
            "accelerators": [each.to_dict() for each in self.accelerators],
            "excluded": [{"reason": reason, "n": count} for reason, count in self.excluded.items()],
        }


def _throughput(log_step_errors: Array) -> dict[str, Any]:
    """Errors of throughput, as `planner validate` counts them: the inverse of the step time's."""
    errors = np.exp(-log_step_errors) - 1.0
    return spread(errors.tolist()) | {"mean_abs_error": float(np.mean(np.abs(errors)))}
