"""All that a plugin may import: the hook marker, the records that hooks yield, and the types in their signatures.

Hooks register, they never compute: a hook yields small frozen records; functions in a record get a `Context` and read-only
arrays (`Layouts`) that broadcast together, and return a scalar or a broadcastable array, elementwise only
(``np.where``, never ``if``). The core owns every sum. `planner.testing` checks a plugin against these rules.
"""

from __future__ import annotations

from typing import Final

import pluggy

from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.domain.hardware import Accelerator, Cluster
from planner.domain.job import Job
from planner.domain.mesh import Array, ChoiceValue, Layouts, Mask
from planner.errors import InputError, PluginError
from planner.program.construction import bias, linear, norm_kind, norm_vectors, pointwise
from planner.program.footprints import (
    attention_by_kernel,
    composite_rms_norm,
    cross_entropy_loss,
    dropout_mask,
    flash_attention,
    fused_loss,
    fused_norm,
    gathered_linear,
    in_place_loss,
    keep_inputs,
    keep_nothing,
    keep_router_scores,
    score_attention,
    separate_clamped_activation,
    separate_gated_activation,
    shard_linear,
    stored,
)
from planner.program.operators import Attention, Linear, Operator, Pointwise
from planner.program.parameters import Axis, ParameterClass, ParameterGroup, Part, matrix, vector
from planner.program.program import Block, Program
from planner.program.tensors import Footprint, Region, Stored, Tensor
from planner.records.config_fields import ConfigFields, read_decoder, read_layers, read_windows
from planner.records.context import Context, parameter_class
from planner.records.estimates import CatalogBranch, Estimate, EstimateInput, Estimator
from planner.records.frameworks import (
    COMMUNICATION_SLOWDOWN,
    DeviceOverheads,
    FootprintFunction,
    Framework,
    Numerics,
    Overlaps,
    Traffic,
    cuda_overheads,
)
from planner.records.models import ConfigReader, Method, Sublayer, SublayerParts
from planner.records.states import LocalGroup, Optimizer, Precision, State, StateKind, Storage
from planner.records.strategies import (
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    Degree,
    Instant,
    Offload,
    Phase,
    Recompute,
    Refusal,
    Schedule,
    StageTimes,
    Strategy,
    nothing_sent,
)
from planner.records.values import EXPERT_REPLICAS, REPLICAS, SHARD_GROUP, Value, is_multiple

PROJECT: Final = "planner"
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of the same name."""

__all__ = [
    "COMMUNICATION_SLOWDOWN", "EXPERT_REPLICAS", "REPLICAS", "SHARD_GROUP", "Accelerator", "Architecture", "Array",
    "Attention", "Axis", "Block", "Buffer", "CatalogBranch", "Choice", "ChoiceValue", "Cluster", "Collective",
    "Communication", "Component", "ConfigFields", "ConfigReader", "Context", "Degree", "DeviceOverheads", "Estimate",
    "EstimateInput", "Estimator", "Footprint", "FootprintFunction", "Framework", "InputError", "Instant", "Job",
    "LatentAttention", "Layouts", "Linear", "LocalGroup", "Mask", "Method", "MixtureOfExperts", "Numerics", "Offload",
    "Operator", "Optimizer", "Overlaps", "ParameterClass", "ParameterGroup", "Part", "Phase", "PluginError", "Pointwise",
    "Precision", "Program", "Recompute", "Refusal", "Region", "Schedule", "StageTimes", "State", "StateKind", "Storage",
    "Stored", "Strategy", "Sublayer", "SublayerParts", "Tensor", "Traffic", "Value", "attention_by_kernel", "bias",
    "composite_rms_norm", "cross_entropy_loss", "cuda_overheads", "divisors", "dropout_mask", "flash_attention",
    "fused_loss", "fused_norm", "gathered_linear", "hookimpl", "in_place_loss", "is_multiple", "keep_inputs",
    "keep_nothing", "keep_router_scores", "linear", "matrix", "norm_kind", "norm_vectors", "nothing_sent",
    "parameter_class", "pointwise", "powers_of_two", "read_decoder", "read_layers", "read_windows", "score_attention",
    "separate_clamped_activation", "separate_gated_activation", "shard_linear", "stored", "vector",
]  # fmt: skip


def divisors(number: int, limit: int | None = None) -> tuple[int, ...]:
    """The divisors of `number` up to `limit`, ascending.

    >>> divisors(12, 6)
    (1, 2, 3, 4, 6)
    """
    small = [candidate for candidate in range(1, int(number**0.5) + 1) if number % candidate == 0]
    found = sorted({*small, *(number // candidate for candidate in small)})
    return tuple(value for value in found if limit is None or value <= limit)


def powers_of_two(limit: int) -> tuple[int, ...]:
    """1, 2, 4 … up to `limit`.

    >>> powers_of_two(10)
    (1, 2, 4, 8)
    """
    return tuple(1 << exponent for exponent in range(max(limit, 1).bit_length()) if 1 << exponent <= limit)
