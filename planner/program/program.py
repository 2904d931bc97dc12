"""A model as a program: blocks of operators and parameters, and the order in which layers use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner.domain.architecture import Architecture
from planner.program.operators import Attention, Linear, Operator
from planner.program.parameters import Axis, ParameterGroup, Part
from planner.program.tensors import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Operators that run one after the other and the parameters they use; `input` is all that full recompute keeps."""

    name: str
    input: Tensor
    operators: tuple[Operator, ...]
    parameters: tuple[ParameterGroup, ...]

    def flops_per_token(self, seq_len: int) -> float:
        """Forward FLOPs per token of the GEMMs and of attention (causal attention halved)."""
        total = 0.0
        for operator in self.operators:
            if isinstance(operator, Linear):
                total += operator.flops_per_token
            elif isinstance(operator, Attention):
                total += operator.flops_per_token(seq_len)
        return total

    def attention_flops_per_token(self, seq_len: int, *, causal: bool = True) -> float:
        """The part of attention in the forward FLOPs per token; in full, not halved, without `causal`."""
        cores = (operator for operator in self.operators if isinstance(operator, Attention))
        return sum(core.flops_per_token(seq_len, causal=causal) for core in cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An architecture made concrete.

    `kinds` are the distinct layers; `layers[i]` is the index into `kinds` of layer i. `embedding` runs on the first
    pipeline stage, `head` (final norm, output projection, loss, multi-token prediction) on the last.
    """

    architecture: Architecture
    embedding: Block
    kinds: tuple[Block, ...]
    layers: tuple[int, ...]
    head: Block

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Embedding, each kind of layer, head."""
        return (self.embedding, *self.kinds, self.head)

    def counts(self) -> tuple[int, ...]:
        """How many layers there are of each kind."""
        return tuple(self.layers.count(index) for index in range(len(self.kinds)))

    def groups(self) -> Iterator[tuple[ParameterGroup, int]]:
        """Every parameter group with the number of times the model holds it (tied groups once)."""
        for block, count in zip(self.blocks, (1, *self.counts(), 1), strict=True):
            for group in block.parameters:
                if not group.tied:
                    yield group, count

    @property
    def total_params(self) -> int:
        """Parameters of the model, tied embeddings once, multi-token prediction left out."""
        return sum(group.elements * count for group, count in self.groups() if not group.auxiliary)

    @property
    def embedding_params(self) -> int:
        """Parameters of the token embedding and of learned positions."""
        return sum(group.elements for group in self.embedding.parameters if group.part is Part.EMBEDDING)

    @property
    def active_params(self) -> int:
        """Parameters that one token meets: of the routed experts only the top-k."""
        moe = self.architecture.moe
        total = 0
        for group, count in self.groups():
            if group.auxiliary:
                continue
            elements = group.elements * count
            if moe is not None and Axis.EXPERTS in group.axes and group.stack:
                elements = elements * moe.topk // moe.experts
            total += elements
        return total

    def flops_per_token(self, seq_len: int) -> float:
        """Forward model FLOPs per token: layers and head, no recompute, active experts only (DESIGN section 6)."""
        layers = sum(
            count * kind.flops_per_token(seq_len) for kind, count in zip(self.kinds, self.counts(), strict=True)
        )
        return layers + self.head.flops_per_token(seq_len)

    def attention_flops_per_token(self, seq_len: int, *, causal: bool = True) -> float:
        """The part of attention in the forward model FLOPs per token; in full, not halved, without `causal`."""
        return self.head.attention_flops_per_token(seq_len, causal=causal) + sum(
            count * kind.attention_flops_per_token(seq_len, causal=causal)
            for kind, count in zip(self.kinds, self.counts(), strict=True)
        )
