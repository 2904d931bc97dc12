"""What a layer computes: operators over named tensors.

An operator says what it reads, what it writes and what it multiplies. What an implementation keeps in memory is the
framework's to say (`planner.plugin.Framework.footprints`), what it costs on a device the core's.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.program.tensors import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Anything that runs. `kind` names the implementation that a framework registers a footprint for."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Operator):
    """A GEMM of `in_features` × `out_features` per token (kind ``linear``, ``expert_linear``, ``head`` or ``router``).

    `float32`: it runs in float32 whatever the recipe. `experts` and `topk` are set for a grouped GEMM: each token is
    multiplied by `topk` of `experts` matrices.
    """

    in_features: int
    out_features: int
    experts: int = 1
    topk: int = 1
    float32: bool = False

    @property
    def flops_per_token(self) -> float:
        """Forward FLOPs per token: 2·m·n·k with m = 1 (FORMULAS section 4)."""
        return 2.0 * self.in_features * self.out_features * self.topk


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(Operator):
    """Scaled dot-product attention (kind ``attention``); `window` limits the keys of a token.

    `softcap`: scores pass through a tanh. `sliced_width`: values are a slice of a projection's output that is this much wider;
    whoever keeps the slice keeps all of it. `concatenated`: queries and keys were joined from parts, so that their memory
    order is not the projections'.
    """

    heads: int
    kv_heads: int
    qk_dim: int
    v_dim: int
    window: int | None = None
    causal: bool = True
    softcap: bool = False
    sliced_width: int = 0
    concatenated: bool = False

    def flops_per_token(self, seq_len: float, *, causal: bool = True) -> float:
        """Forward FLOPs per token: QKᵀ and PV, half of them under the causal mask (FORMULAS section 4).

        With a window shorter than the sequence a token sees ``window − window²/(2·seq_len)`` keys on average. `causal` off
        counts a token's whole reach, as if nothing were masked.
        """
        keys = reach = seq_len if self.window is None else min(self.window, seq_len)
        if self.causal and causal:
            keys = reach - reach * reach / (2 * seq_len)
        return 2.0 * keys * self.heads * (self.qk_dim + self.v_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise(Operator):
    """Norms, activations, rotary embeddings, residual additions, dropout, gathers and losses: bound by memory traffic.

    `kind` is ``norm.rmsnorm``, ``norm.layernorm``, ``activation.silu``, ``gated_activation.silu``, ``rotary``, ``residual``,
    ``dropout``, ``softcap``, ``embedding``, ``dispatch``, ``combine``, ``loss`` … The part before the dot is the fallback.
    """
