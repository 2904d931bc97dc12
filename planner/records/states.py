"""Training states: number formats by role, storage layouts, optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from planner.domain.mesh import Array
from planner.program.parameters import ParameterGroup
from planner.records.values import Value


class StateKind(StrEnum):
    """Kinds of training state, which precision, framework and ZeRO treat apart."""

    WEIGHT = "weight"
    GRADIENT = "gradient"
    MASTER = "master"
    OPTIMIZER = "optimizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Number formats by role [bytes per element].

    `compute` is the format of activations and of memory-bound operators, `matmul` the one whose peak rate GEMMs use.
    A framework may keep states in other formats (`Framework.storage`); these are the recipe's own.
    `gemm_input_bytes` is what a saved GEMM input takes, `weight_cache_bytes` what quantised copies of a GEMM weight add.
    """

    name: str
    compute: str
    matmul: str
    weight_bytes: float
    gradient_bytes: float
    master_bytes: float
    activation_bytes: float
    communication_bytes: float
    state_bytes: float = 4.0
    gemm_input_bytes: float | None = None
    weight_cache_bytes: float = 0.0
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How a framework keeps the states of a recipe [bytes per parameter], FORMULAS section 2's β.

    `gradient_copy_bytes` is a second gradient beside the one that backward writes; `unsharded_weight_bytes` the transient
    copy that compute reads where weights are kept in another format or sharded; `reduce_bytes` what gradients are sent in;
    `state_bytes` the width of an optimizer moment; `weight_cache_bytes` the part of `weight_bytes` that only matrices of layers
    have (copies in the GEMMs' own format).
    """

    weight_bytes: float
    gradient_bytes: float
    gradient_copy_bytes: float
    master_bytes: float
    state_bytes: float
    unsharded_weight_bytes: float
    reduce_bytes: float
    weight_cache_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One tensor that an optimizer keeps for a group on one rank: elements (array over layouts), bytes each."""

    name: str
    elements: Value
    bytes_per_element: float
    sharded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalGroup:
    """A parameter group as one rank holds it after tensor and expert parallelism: `count` matrices of `rows` × `columns`.

    Arrays over layouts. A vector has one row. `elements` is their product.
    """

    group: ParameterGroup
    count: Array
    rows: Array
    columns: Array

    @property
    def elements(self) -> Array:
        """Elements on one rank, before any ZeRO sharding."""
        return self.count * self.rows * self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """An update rule: the states it keeps per group, and what a step costs beside them.

    `step_bytes_per_parameter` is memory traffic of one update beyond reading and writing each state, gradient and weight
    once; `temporary_bytes` a transient of the step per rank, given the group it works on:
    the largest group's counts, or all of them where `temporaries_add` (an update over all groups at once).
    """

    name: str
    states: Callable[[LocalGroup, Storage], Iterable[State]]
    temporary_bytes: Callable[[LocalGroup, Storage], Value] | None = None
    temporaries_add: bool = False
    step_flops_per_parameter: float = 11.0
    step_bytes_per_parameter: float = 0.0
    source: str
