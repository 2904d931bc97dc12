"""The architecture of a row of runs: the catalog's model overlaid by the row's shape cells, or the cells alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from planner.domain.architecture import Architecture, MixtureOfExperts
from planner.errors import InputError
from planner.importers.runs import METHOD_WORDS, RunRow

MOST_LAYERS: Final = 10_000
PLAIN_VOCAB: Final = 50304
GATED_VOCAB: Final = 32000
USUAL_HEAD_DIMS: Final = (128, 96, 80, 64, 32)
PLAIN_WIDTH: Final = 4
"""Feed-forward over residual width of a plain MLP (GPT-2); of a gated one two thirds of it (arXiv 2002.05202)."""
GATED_MULTIPLE: Final = 256
"""Llama rounds the width of its gated MLP up to a multiple of this."""

_NOT_DENSE: Final = re.compile(r"nemotron[\s-]*(?:h\b|v?3\b)|mamba|jamba|zamba|bamba|rwkv", re.IGNORECASE)
_ROUTED: Final = re.compile(r"\d+x\d+(?:\.\d+)?\s*b\b|\ba\d+(?:\.\d+)?b\b|\bmoe\b|\d+e\b", re.IGNORECASE)


def model_names(model_name: str) -> tuple[str, ...]:
    """The spellings to look a model up by, best first: as given, then without the training method that follows it.

    >>> model_names("LLAMA3 70B LoRA")
    ('LLAMA3 70B LoRA', 'LLAMA3 70B')
    """
    words = re.sub(r"\([^)]*\)", " ", model_name).split()
    while words and words[-1].casefold() in METHOD_WORDS:
        words.pop()
    return tuple(dict.fromkeys((model_name, " ".join(words)))) if words else (model_name,)


def architecture_of(row: RunRow, known: Architecture | None) -> tuple[Architecture, tuple[str, ...]]:
    """The model that `row` trains, `known` being the catalog's of its name, and what was filled in.

    Raises InputError where layers or hidden stay unknown, or where the cells cannot be the whole architecture.
    """
    if row.shape.get("layers", 0) > MOST_LAYERS:
        raise InputError(f"layers: {row.shape['layers']:,} is more than {MOST_LAYERS:,}")
    if known is not None:
        return _overlaid(row, known)
    return _from_cells(row)


def _overlaid(row: RunRow, known: Architecture) -> tuple[Architecture, tuple[str, ...]]:
    shape = row.shape
    filled: list[str] = []
    changes: dict[str, Any] = {
        name: shape[name]
        for name in ("layers", "hidden", "heads", "kv_heads", "ffn_hidden", "vocab")
        if name in shape and shape[name] != getattr(known, name)
    }
    for name in ("layers", "hidden"):
        if name in changes:
            filled.append(f"{name} = {changes[name]} as the row says ({known.slug} has {getattr(known, name)})")
    if row.gated is not None:
        changes["gated"] = row.gated
    if {"hidden", "heads"} & set(changes):
        hidden, heads = changes.get("hidden", known.hidden), changes.get("heads", known.heads)
        changes["head_dim"] = _head_dim(hidden, heads)
        if "kv_heads" not in shape:
            changes["kv_heads"] = heads if known.kv_heads == known.heads or heads % known.kv_heads else known.kv_heads
    if "layers" in changes and known.window_layers:
        changes["window_layers"] = known.window_layers * changes["layers"] // known.layers
    moe = _experts(row, known.moe, changes.get("ffn_hidden", known.ffn_hidden))
    return replace(known, **changes, moe=moe), tuple(filled)


def _from_cells(row: RunRow) -> tuple[Architecture, tuple[str, ...]]:
    shape = row.shape
    filled: list[str] = []
    name = row.model_name or "unnamed model"
    _check_whole(row, name)
    layers, hidden = shape["layers"], shape["hidden"]
    gated = row.gated
    if gated is None:
        # Grouped queries and gated MLPs came with the same models; a feed-forward four times as wide is a plain one.
        gated = shape.get("kv_heads", 0) < shape.get("heads", 0) and shape.get("ffn_hidden", 0) != PLAIN_WIDTH * hidden
        filled.append(f"gated_mlp = {int(gated)}")
    heads = shape.get("heads")
    if heads is None:
        heads = hidden // next((width for width in USUAL_HEAD_DIMS if hidden % width == 0), hidden)
        filled.append(f"heads = {heads} (head_dim {hidden // heads})")
    kv_heads = shape.get("kv_heads")
    if kv_heads is None:
        kv_heads = heads
        filled.append(f"kv_heads = {heads} (heads)")
    ffn_hidden = shape.get("ffn_hidden")
    if ffn_hidden is None:
        ffn_hidden = gated_width(hidden) if gated else PLAIN_WIDTH * hidden
        filled.append(f"ffn_hidden = {ffn_hidden}")
    vocab = shape.get("vocab")
    if vocab is None:
        vocab = GATED_VOCAB if gated else PLAIN_VOCAB
        filled.append(f"vocab = {vocab}")
    if row.tied:
        filled.append("tied embeddings (as note says)")
    return Architecture(
        slug=name, name=name, family="run", layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads,
        head_dim=_head_dim(hidden, heads), ffn_hidden=ffn_hidden, vocab=vocab, gated=gated,
        activation="silu" if gated else "gelu", norm="rmsnorm" if gated else "layernorm",
        position="rope" if gated else "none", tied_embeddings=bool(row.tied), moe=_experts(row, None, ffn_hidden),
        source="the row's own cells",
    ), tuple(filled)  # fmt: skip


def _check_whole(row: RunRow, name: str) -> None:
    """An architecture that the cells do not describe is an error, never read as a dense transformer."""
    routed = bool(row.shape.get("n_experts"))
    for column in ("layers", "hidden"):
        if column not in row.shape:
            raise InputError(f"{column}: not given, and the catalog has no model {name!r}")
    if _NOT_DENSE.search(name):
        raise InputError(f"model_name: {name!r} has layers without attention, which its shape cells do not describe")
    if not routed and _ROUTED.search(re.sub(r"\([^)]*\)", " ", name)):
        raise InputError(f"model_name: {name!r} routes to experts, but n_experts, topk and expert_ffn are empty")


def gated_width(hidden: int) -> int:
    """Llama's feed-forward width: 8/3 of the residual width, rounded up to a multiple of 256.

    >>> gated_width(4096)
    11008
    """
    return -(-(8 * hidden // 3) // GATED_MULTIPLE) * GATED_MULTIPLE


def _head_dim(hidden: int, heads: int) -> int:
    if hidden < heads:
        raise InputError(f"heads: {heads} heads do not fit a hidden size of {hidden}")
    return hidden // heads


def _experts(row: RunRow, known: MixtureOfExperts | None, ffn_hidden: int) -> MixtureOfExperts | None:
    given = {name: row.shape[name] for name in ("n_experts", "topk", "expert_ffn") if row.shape.get(name)}
    if row.shape.get("n_experts") == 0:
        return None
    if known is None and "n_experts" not in given:
        return None
    found = known or MixtureOfExperts(experts=given["n_experts"], topk=1, expert_ffn=ffn_hidden)
    found = replace(
        found,
        experts=given.get("n_experts", found.experts),
        topk=given.get("topk", found.topk),
        expert_ffn=given.get("expert_ffn", found.expert_ffn),
    )
    if found.topk > found.experts:
        raise InputError(f"topk: {found.topk} is more than the {found.experts} experts")
    return found
