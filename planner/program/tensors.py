"""Activations by name, width and the region of the layer that they live in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Region(StrEnum):
    """Where in a layer a tensor lives, which decides how parallelism divides it.

    Strategies give one divisor per region; a region nobody divides is whole on every rank. All regions hold
    ``micro_batch · seq_len / cp`` tokens; widths are per token, over the whole layer, before any division.
    """

    RESIDUAL = "residual"  # between sublayers: divided by tp only under sequence parallelism
    GATHERED = "gathered"  # a residual tensor once gathered for a GEMM: whole on each tensor-parallel rank
    INTERIOR = "interior"  # between a column- and a row-parallel GEMM: divided by tp
    KEY_VALUE = "key_value"  # keys and values: max(1, ceil(kv_heads / tp)) heads on a rank
    LATENT = "latent"  # the compressed tensors of latent attention
    ROUTING = "routing"  # router logits and probabilities
    DISPATCHED = "dispatched"  # token copies sent to experts: width counts all top-k copies
    EXPERT_INTERIOR = "expert_interior"  # inside an expert: width counts all top-k copies
    VOCABULARY = "vocabulary"  # logits


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named activation of `width` elements per token; `per_key` ones have `width` elements per token *and* key."""

    name: str
    width: int
    region: Region
    per_key: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in memory: `width` elements of `element_bytes` per token, shared by name with whoever else keeps it.

    `keys` is 0 for a tensor that grows with the tokens; otherwise the tensor holds `width` elements per token and key,
    and `keys` caps the keys at an attention window (-1: no window).
    """

    name: str
    width: float
    region: Region
    element_bytes: float
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one operator's implementation keeps in memory.

    `saved` lives from the forward to the backward of the operator; `forward` and `backward` only while it runs,
    """

    saved: tuple[Stored, ...] = ()
    forward: tuple[Stored, ...] = ()
    backward: tuple[Stored, ...] = ()
