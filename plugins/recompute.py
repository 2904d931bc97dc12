"""Activation recomputation: none, the attention core, single operators, whole layers.

Sources: arXiv 2205.05198, section 5; Megatron-LM, ``--recompute-modules``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.plugin import Context, Degree, Layouts, Recompute, Refusal, Strategy, hookimpl

METHODS = "Megatron-LM, megatron/training/arguments.py, --recompute-method, --recompute-num-layers"
MEGATRON = "Megatron-LM, megatron/training/arguments.py, --recompute-modules"

POINTWISE = frozenset({"norm", "gated_activation", "activation", "rotary", "dropout", "residual"})
ALTERNATE_MATMULS = frozenset({"attention.key", "attention.out", "mlp.up"})
"""The second, fourth and sixth GEMM of a layer with separate projections and a gate, which torchtitan's policy does not save:
it counts a layer's GEMMs as they run, and runs those of even number again."""


@hookimpl
def planner_recomputes() -> Iterator[Recompute]:
    """none, selective (the attention core, or single kinds of operators), full (all layers, or some of each chunk)."""
    yield Recompute(name="none", source="nothing is run again")
    yield Recompute(name="selective", operators=frozenset({"attention"}), source="arXiv:2205.05198, section 5")
    yield Recompute(
        name="selective:norm", operators=frozenset({"norm"}), discards_outputs=True, source=f"{MEGATRON} layernorm"
    )
    yield Recompute(
        name="selective:activation",
        operators=frozenset({"gated_activation", "activation"}),
        discards_outputs=True,
        source=f"{MEGATRON} moe_act; Transformer Engine's fused activations",
    )
    yield Recompute(
        name="selective:norm+activation",
        operators=frozenset({"norm", "gated_activation", "activation"}),
        discards_outputs=True,
        source=f"{MEGATRON} layernorm moe_act",
    )
    yield Recompute(
        name="selective:mla-up",
        operators=frozenset({"attention.query_up", "attention.kv_up", "rotary"}),
        discards_outputs=True,
        source=f"{MEGATRON} mla_up_proj",
    )
    yield Recompute(
        name="selective:pointwise",
        operators=POINTWISE,
        discards_outputs=True,
        source="PyTorch, torch.utils.checkpoint: a policy that saves the outputs of GEMMs and attention",
    )
    yield Recompute(
        name="selective:op",
        operators=POINTWISE | ALTERNATE_MATMULS,
        discards_outputs=True,
        source="pytorch/torchtitan, torchtitan/models/llama3/infra/parallelize.py: selective_ac_option = op",
    )
    yield Recompute(name="full", whole_layer=True, source=f"arXiv:1604.06174; {METHODS} uniform")
    yield Recompute(name="full:block", whole_layer=True, some_layers=True, source=f"{METHODS} block")


def refusals(context: Context, layouts: Layouts) -> Iterator[Refusal]:
    """Layers are counted where whole layers run again."""
    whole = layouts.equals("recompute", "full") | layouts.equals("recompute", "full:block")
    counted = layouts.degree("recompute_layers") > 1
    yield Refusal(reason="recompute_layers without whole layers that run again", where=counted & ~whole)
    chunk = np.ceil(len(context.program.layers) / (layouts["pp"] * layouts.degree("vpp")))
    yield Refusal(
        reason="recompute_layers is more than the layers of a model chunk",
        where=layouts.degree("recompute_layers") > np.maximum(1.0, chunk),
    )


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """The number of layers that full recomputation is about."""
    yield Strategy(
        name="recompute",
        degrees=(
            Degree(
                name="recompute_layers", candidates=lambda _context: (1,),
                help="full: layers run again together; full:block: layers of each chunk run again",
            ),
        ),
        refusals=refusals,
        source=METHODS,
    )  # fmt: skip
