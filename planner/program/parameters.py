"""Parameter groups with named logical axes; nothing here knows about parallelism."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Axis(StrEnum):
    """Logical axes of parameters, as in Mesh-TensorFlow (arXiv 1811.02084) and MaxText's axis rules.

    A strategy names the axes that it divides. KV_HEADS is divided only as far as there are heads, then replicated.
    """

    EMBED = "embed"
    HEADS = "heads"
    KV_HEADS = "kv_heads"
    HEAD_DIM = "head_dim"
    LATENT = "latent"
    MLP = "mlp"
    EXPERT_MLP = "expert_mlp"
    EXPERTS = "experts"
    ROUTES = "routes"  # a router's outputs: one per expert, yet whole on every rank
    VOCAB = "vocab"
    POSITIONS = "positions"
    NORM = "norm"


class Part(StrEnum):
    """What a parameter is to an optimizer: matrices, embeddings, heads and vectors are often treated apart."""

    MATRIX = "matrix"
    EMBEDDING = "embedding"
    HEAD = "head"
    NORM = "norm"
    BIAS = "bias"


class ParameterClass(StrEnum):
    """The three classes that shard and replicate differently (FORMULAS section 1)."""

    TENSOR_PARALLEL = "tensor_parallel"
    REPLICATED = "replicated"
    EXPERT = "expert"


Dimension = tuple[Axis, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """`stack` equal matrices of `rows` × `columns`; a vector has no rows.

    `tied` groups share their storage with the token embedding wherever both are on one rank. `auxiliary` groups train
    but are not counted as the model's parameters (multi-token prediction). `trainable` is False for frozen groups;
    `rest_bytes` is what an element of a frozen group takes at rest where it is not kept in the compute format (quantised bases).
    """

    name: str
    part: Part
    rows: tuple[Dimension, ...] = ()
    columns: tuple[Dimension, ...] = ()
    stack: tuple[Dimension, ...] = ()
    tied: bool = False
    auxiliary: bool = False
    trainable: bool = True
    rest_bytes: float | None = None

    @property
    def elements(self) -> int:
        """Elements before any sharding."""
        return math.prod(size for _, size in (*self.stack, *self.rows, *self.columns))

    @property
    def axes(self) -> frozenset[Axis]:
        """The logical axes of the group."""
        return frozenset(axis for axis, _ in (*self.stack, *self.rows, *self.columns))


def matrix(
    name: str, rows: Dimension, columns: Dimension, *more_rows: Dimension, part: Part = Part.MATRIX
) -> ParameterGroup:
    """A weight matrix of `rows` (further row dimensions may follow) × `columns`."""
    return ParameterGroup(name=name, part=part, rows=(rows, *more_rows), columns=(columns,))


def vector(name: str, *dimensions: Dimension, part: Part = Part.NORM) -> ParameterGroup:
    """A vector (norm weight or bias) whose length is the product of `dimensions`."""
    return ParameterGroup(name=name, part=part, columns=dimensions)
