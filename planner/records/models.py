"""Parts of architectures, readers of configuration files, training methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.domain.architecture import Architecture
from planner.program.operators import Operator
from planner.program.parameters import ParameterGroup
from planner.program.program import Program
from planner.program.tensors import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class SublayerParts:
    """What a sublayer is made of; `output` is the tensor that goes back to the residual stream."""

    operators: tuple[Operator, ...]
    parameters: tuple[ParameterGroup, ...]
    output: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sublayer:
    """A part of a layer: a mixer (attention …) or a feed-forward, named by `Architecture.mixer` / `.feed_forward`.

    `build` gets the architecture, the index of the layer and the tensor it reads, and returns operators, parameter
    groups and the tensor it adds to the residual stream.
    """

    name: str
    build: Callable[[Architecture, int, Tensor], SublayerParts]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReader:
    """Reads a Hugging Face ``config.json`` of the given `model_types`. Raises InputError naming the field."""

    name: str
    model_types: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Architecture]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Which parameters train: `apply` returns the program with groups frozen and added, given `options` (``--set rank=16``)."""

    name: str
    apply: Callable[[Program, Mapping[str, float]], Program]
    options: tuple[str, ...] = ()
    source: str
