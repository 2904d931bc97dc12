"""The two factors that bring predicted steps nearest to measured ones, and how well they do on runs they have not seen.

The error of a run is log(predicted / measured) of its step time. A fit minimises the mean absolute error, which a few odd
runs hardly move, over a grid: the same runs give the same factors, whatever their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

ARITHMETIC_KNOTS: Final = (0.35, 0.5, 0.65, 0.8, 0.9, 1.0, 1.2)
NETWORK_KNOTS: Final = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2)
"""Factors at which steps are evaluated; between them a step is linear in 1/factor, as sums of bytes/rate are
where nothing starts or ends to hide. None is above
1.2: the catalog's own constants leave no more room below what the hardware can do."""
STEPS: Final = (0.05, 0.005)
"""Relative distances of the factors that a fit tries: of all, then of those around the best."""
REACH: Final = 3.0
"""How many of its steps away the first of them may have missed the best: what one factor takes too much the other can give back."""
FEWEST_RUNS: Final = 3
"""That a factor is fitted to, for each factor."""
FOLDS: Final = 5
MOVED: Final = 0.02
"""By how much a step must change when the network runs at half its rate, for the run to say anything about the network."""
WORTH: Final = 0.95
"""A factor must bring the mean error of held-out runs below this share of what it is without."""
BOTH: Final = ("arithmetic", "network")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Measured runs on one accelerator.

    `steps` [arithmetic knot, network knot, run] is the predicted step time over the measured one at `ARITHMETIC_KNOTS` and
    `NETWORK_KNOTS`; `kinds` says of each run what it is a run of (its model), `configurations` is equal for runs of the same
    configuration.
    """

    steps: Array
    kinds: tuple[str, ...]
    configurations: tuple[str, ...]

    def errors(self, factors: Factors) -> Array:
        """log(predicted / measured) of every run under `factors`."""
        at = np.asarray([factors.arithmetic]), np.asarray([factors.network])
        errors: Array = np.log(_between(self.steps, *at)[0, 0])
        return errors

    def some(self, which: NDArray[np.intp]) -> Runs:
        """The runs at the positions `which`."""
        return replace(
            self,
            steps=self.steps[:, :, which],
            kinds=tuple(self.kinds[index] for index in which),
            configurations=tuple(self.configurations[index] for index in which),
        )

    @property
    def over_network(self) -> int:
        """How many runs say anything about the network."""
        full, half = self.errors(Factors()), self.errors(Factors(network=0.5))
        return int(np.count_nonzero(half - full > MOVED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What multiplies the rate of arithmetic, and that of the network between nodes."""

    arithmetic: float = 1.0
    network: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the runs of one accelerator came to. Errors are log(predicted / measured) of step times, one for each run.

    `held_out` are the errors of each run under the factors that the other folds gave. `fitted` names the factors that are worth
    keeping, none where the planner's own constants do as well on runs held out.
    """

    factors: Factors
    fitted: tuple[str, ...]
    before: Array
    after: Array
    held_out: Array
    folds: int
    by_kind: bool
    over_network: int

    def without(self) -> Fit:
        """The same runs with no factor kept."""
        return replace(self, factors=Factors(), fitted=(), after=self.before, held_out=self.before)

    @property
    def at_the_edge(self) -> tuple[str, ...]:
        """Fitted factors that stand at the least or the most that a fit may take."""
        ends = {
            "arithmetic": (ARITHMETIC_KNOTS[0], ARITHMETIC_KNOTS[-1]),
            "network": (NETWORK_KNOTS[0], NETWORK_KNOTS[-1]),
        }
        return tuple(name for name in self.fitted if any(np.isclose(getattr(self.factors, name), ends[name])))


def fit(runs: Runs) -> Fit | None:
    """The factors of an accelerator; None if there are fewer than `FEWEST_RUNS` different configurations.

    One factor is kept if it is worth it on runs held out, both if the second is worth it beside the better one. A fold holds all
    runs of some models if there are `FEWEST_RUNS` models, else all of some configurations.
    """
    if len(set(runs.configurations)) < FEWEST_RUNS:
        return None
    folds, by_kind = folds_of(runs.kinds, runs.configurations)
    over_network = runs.over_network
    networked = over_network >= FEWEST_RUNS
    alone: list[tuple[str, ...]] = [("arithmetic",), ("network",)] if networked else [("arithmetic",)]
    tried = {names: _held_out(runs, names, folds) for names in [(), *alone, *([BOTH] if networked else [])]}
    better = min(alone, key=lambda names: _size(tried[names]))
    kept = better if _size(tried[better]) < WORTH * _size(tried[()]) else ()
    if networked and _size(tried[BOTH]) < WORTH * min(_size(tried[better]), _size(tried[()])):
        kept = BOTH
    factors = _best(runs, kept)
    return Fit(
        factors=factors,
        fitted=kept,
        before=runs.errors(Factors()),
        after=runs.errors(factors),
        held_out=tried[kept],
        folds=int(folds.max()) + 1,
        by_kind=by_kind,
        over_network=over_network,
    )


def folds_of(kinds: Sequence[str], configurations: Sequence[str]) -> tuple[NDArray[np.intp], bool]:
    """The fold of every run, and whether folds hold whole kinds, else whole configurations. The order of the runs is nothing.

    >>> folds_of(["a", "c", "a", "b"], ["1", "2", "3", "4"])
    (array([0, 2, 0, 1]), True)
    >>> folds_of(["a", "a", "b", "b"], ["2", "1", "3", "3"])
    (array([1, 0, 2, 2]), False)
    """
    by_kind = len(set(kinds)) >= FEWEST_RUNS
    labels = kinds if by_kind else configurations
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    return np.asarray([numbers[label] % FOLDS for label in labels], dtype=np.intp), by_kind


def _held_out(runs: Runs, names: tuple[str, ...], folds: NDArray[np.intp]) -> Array:
    errors = np.empty(len(runs.kinds))
    for fold in range(int(folds.max()) + 1):
        out = np.flatnonzero(folds == fold)
        factors = _best(runs.some(np.flatnonzero(folds != fold)), names)
        errors[out] = runs.some(out).errors(factors)
    return errors


def _best(runs: Runs, names: tuple[str, ...]) -> Factors:
    """The factors of least mean absolute error; of equals the one nearest to 1."""
    found, reach = Factors(), np.inf
    for step in STEPS:
        arithmetic, network = (
            _tried(knots, getattr(found, name), reach, step) if name in names else np.ones(1)
            for name, knots in (("arithmetic", ARITHMETIC_KNOTS), ("network", NETWORK_KNOTS))
        )
        errors = np.abs(np.log(_between(runs.steps, arithmetic, network)))
        # Rounded, so that equals are equal whatever the order of the runs.
        sizes = np.round(np.mean(errors, axis=-1), 9)
        away = np.abs(np.log(arithmetic))[:, None] + np.abs(np.log(network))
        row, column = np.unravel_index(np.lexsort((away.ravel(), sizes.ravel()))[0], sizes.shape)
        found, reach = Factors(arithmetic=float(arithmetic[row]), network=float(network[column])), REACH * step
    return found


def _tried(knots: Sequence[float], around: float, reach: float, step: float) -> Array:
    """Factors `step` apart, from `reach` below to `reach` above `around`; the outermost knots where that is beyond them."""
    low = max(np.log(knots[0]), np.log(around) - reach)
    high = min(np.log(knots[-1]), np.log(around) + reach)
    # Whole steps from 1, so that 1 itself is tried wherever it is within reach.
    whole = step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return np.unique(np.round(np.exp([low, *whole, high]), 4))


def _size(errors: Array) -> float:
    return float(np.mean(np.abs(errors)))


def _between(table: Array, arithmetic: Array, network: Array) -> Array:
    """`table` at every pair of factors [arithmetic, network, run], linear in 1/factor between the knots."""
    rows, columns = _weights(ARITHMETIC_KNOTS, arithmetic), _weights(NETWORK_KNOTS, network)
    found: Array = np.einsum("ka,lb,abr->klr", rows, columns, table, optimize=True)
    return found


def _weights(knots: Sequence[float], values: Array) -> Array:
    """How much each knot counts at each value [value, knot]."""
    return np.stack([np.interp(-1.0 / values, -1.0 / np.asarray(knots), unit) for unit in np.eye(len(knots))], axis=1)
