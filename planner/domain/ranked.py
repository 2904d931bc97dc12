"""Published layouts held against the search's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from planner.domain.plan import Plan

SCHEMA: Final = "planner.validate.layouts/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A published layout, the best one found, and the best of those with the published one's means.

    `better` and `better_alike` are the shares of the layouts that fit, and of those with the same means, that are predicted to
    be faster than the published one. `error`: why there is none of it.
    """

    id: str
    model: str
    accelerator: str
    n_gpus: int
    published: Plan | None = None
    best: Plan | None = None
    alike: Plan | None = None
    layouts: int = 0
    fitting: int = 0
    better: float | None = None
    better_alike: float | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "model": self.model,
            "accelerator": self.accelerator,
            "n_gpus": self.n_gpus,
            "layouts": self.layouts,
            "fitting": self.fitting,
            "better": self.better,
            "better_alike": self.better_alike,
            "published": _plan(self.published),
            "best": _plan(self.best),
            "alike": _plan(self.alike),
            "error": self.error,
        }


def _plan(plan: Plan | None) -> Mapping[str, Any] | None:
    return None if plan is None else plan.to_dict()
