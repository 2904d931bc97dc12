"""What is kept in the host's memory: the optimizer's states, all of the training state, saved activations.

Sources: ZeRO-Offload, arXiv 2101.06840 (optimizer); ZeRO-Infinity, arXiv 2104.07857, and PyTorch FSDP's CPUOffloadPolicy
(parameters); Megatron-LM, ``--cpu-offloading`` of Transformer Engine (activations).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from planner.plugin import Context, Layouts, Offload, Refusal, StateKind, hookimpl

OPTIMIZER = frozenset({StateKind.OPTIMIZER, StateKind.MASTER})
PARAMETERS = OPTIMIZER | {StateKind.GRADIENT, StateKind.WEIGHT}
OPTIMIZER_SOURCE = "ZeRO-Offload, arXiv:2101.06840, section 3; Megatron-LM, --optimizer-cpu-offload"
PARAMETERS_SOURCE = "ZeRO-Infinity, arXiv:2104.07857, section 5; PyTorch, torch.distributed.fsdp.CPUOffloadPolicy"
ACTIVATIONS_SOURCE = "Transformer Engine, get_cpu_offload_context; arXiv:2406.10707"


def parameter_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Weights come layer by layer: as ZeRO-3's shards, or whole where there is but one replica; one stage holds all layers."""
    alone = layouts["replicas"] == 1
    yield Refusal(reason="offloading parameters of several replicas needs ZeRO-3", where=(layouts["zero"] < 3) & ~alone)
    yield Refusal(
        reason="parameters cannot be offloaded in a pipeline: they come layer by layer", where=layouts["pp"] > 1
    )


@hookimpl
def planner_offloads() -> Iterator[Offload]:
    """none, optimizer, parameters, activations, and activations beside either."""
    yield Offload(name="none", source="nothing moves")
    yield Offload(name="optimizer", states=OPTIMIZER, source=OPTIMIZER_SOURCE)
    yield Offload(name="parameters", states=PARAMETERS, refusals=parameter_refusals, source=PARAMETERS_SOURCE)
    yield Offload(name="activations", activations=True, source=ACTIVATIONS_SOURCE)
    yield Offload(
        name="optimizer+activations", states=OPTIMIZER, activations=True,
        source=f"{OPTIMIZER_SOURCE}; {ACTIVATIONS_SOURCE}",
    )  # fmt: skip
    yield Offload(
        name="parameters+activations", states=PARAMETERS, activations=True, refusals=parameter_refusals,
        source=f"{PARAMETERS_SOURCE}; {ACTIVATIONS_SOURCE}",
    )  # fmt: skip
