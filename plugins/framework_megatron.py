"""Megatron-Core with Transformer Engine operators, and DeepSpeed around Megatron's operators.

Sources: NVIDIA/Megatron-LM, megatron/core (distributed, optimizer, tensor_parallel; ``--cp-comm-type``); arXiv 2205.05198, table 2;
deepspeedai/DeepSpeed, deepspeed/runtime/zero, deepspeed/sequence (Ulysses is its context parallelism).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from planner.plugin import (
    COMMUNICATION_SLOWDOWN,
    Architecture,
    Array,
    Buffer,
    Component,
    Context,
    Footprint,
    Framework,
    Instant,
    Layouts,
    Numerics,
    Operator,
    Overlaps,
    Precision,
    StateKind,
    Storage,
    Traffic,
    attention_by_kernel,
    cuda_overheads,
    dropout_mask,
    fused_norm,
    hookimpl,
    in_place_loss,
    keep_inputs,
    keep_nothing,
    keep_router_scores,
    shard_linear,
)

OVERHEADS: Final = cuda_overheads(fragmentation=0.06, source="SimuMax divides allocated by 0.94 for reserved")
EAGER_OVERHEADS: Final = cuda_overheads(
    fragmentation=0.06,
    source="SimuMax divides allocated by 0.94 for reserved",
    context_mib=1573,
    context_source="CUDA context with all kernels loaded 1,573 MiB (nvidia-smi on an A100, BigScience's chronicles-prequel.md)",
)
"""As DeepSpeed's users measured it. CUDA loads kernels lazily since 11.7, and the context is then smaller."""


def clamped_activation(operator: Operator, numerics: Numerics) -> Footprint:
    """The clamp is apart from the fused activation: it keeps what the GEMM wrote, the activation the clamped copy."""
    kept = keep_inputs(operator, numerics).saved
    return Footprint(saved=(*kept, *(replace(tensor, name=f"{tensor.name}.clamped") for tensor in kept)))


FOOTPRINTS: Final = {
    "linear": shard_linear,
    "expert_linear": shard_linear,
    "head": keep_inputs,
    "norm": fused_norm,
    "attention": attention_by_kernel,
    "activation": keep_inputs,
    "gated_activation": keep_inputs,
    "gated_activation.clamped_silu": clamped_activation,
    "router": keep_router_scores,
    "dropout": dropout_mask,
    "loss": in_place_loss,
    "rotary": keep_nothing,
    "residual": keep_nothing,
    "embedding": keep_nothing,
    "dispatch": keep_nothing,
    "combine": keep_nothing,
}
"""``combine`` keeps nothing: routing probabilities are applied inside the experts' activation."""


TRAFFIC: Final = {
    "norm": Traffic(forward=4, backward=8),
    "gated_activation": Traffic(forward=4.3, backward=21),
    "gated_activation.clamped_silu": Traffic(forward=14.3, backward=40.6),
    "activation": Traffic(forward=4, backward=6),
    "residual": Traffic(forward=3, backward=3),
    "rotary": Traffic(forward=4, backward=4),
    "loss": Traffic(forward=40, backward=14),
    "dispatch": Traffic(forward=7, backward=7, of_outputs=True),
    "combine": Traffic(forward=7, backward=7),
    "residual.expert_bias": Traffic(forward=28, backward=40),
}
"""Token copies are permuted for sending and sorted by expert on arrival, then sorted back and permuted back: each a read and a
write (megatron/core/transformer/moe/token_dispatcher.py). Fused kernels read operands and write results once.

Gated activations are what the compiler makes of them, measured in its place: 8,192 x 32,768 elements take 0.859 ms on an H100, with
a sum of the result and the backward 5.08 ms (linkedin/Liger-Kernel at ead96b61, benchmark/data/all_benchmark_data.csv,
megatron_swiglu, provider megatron), which at `MEMORY_EFFICIENCY` and without the sum are 4.3 and 20 bytes per element of the two
halves; there the gradient is one number, and reading one per element adds a byte. Where operands are clamped before, each half is
clamped by a kernel of its own and both are joined; the backward compares, selects and joins again (megatron/core/fusions/
fused_bias_geglu.py at core_v0.16.0, weighted_bias_quick_geglu_impl): 8 and 14.5 bytes, of which 4 join, the others being of halves
and so 1.49 times as slow as whole rows would be (`NANOTRON_TRAFFIC` of framework_pytorch.py, the same measurements).

The experts' last bias is scaled by the routing probability of each token copy and added in float32, one kernel at a time: scale,
add, join the experts' parts, round (megatron/core/transformer/moe/experts.py at core_v0.16.0, TEGroupedMLP._apply_bias); the
backward rounds and splits what comes back, and sums products with the bias and with the probability. The vocabulary-parallel loss
is not fused: float32 logits are written, reduced, shifted, exponentiated, summed and divided one kernel at a time
(megatron/core/tensor_parallel/cross_entropy.py; Liger-Kernel measures 39.5 and 13.6 bytes, megatron-unfused); Transformer Engine's,
which Megatron-Bridge takes, reads 16-bit logits twice and leaves their gradient in their place, to be scaled in the backward
(transformer_engine/common/triton/cross_entropy.py)."""


RECOMPUTED_LAYERS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48)
"""Values of ``--recompute-num-layers`` that are tried."""
SHARD_GROUPS: Final = (1, 8, 64)
"""Sizes of groups that share out states: Megatron's ``--num-distributed-optimizer-instances``, DeepSpeed's MiCS. 1 stands for all
replicas."""
ZERO_BUCKET_ELEMENTS: Final = 5e8
"""DeepSpeed's defaults of reduce_bucket_size and allgather_bucket_size (deepspeed/runtime/zero/config.py)."""
HALF_BYTES: Final = 2
HOST_S_PER_OPERATOR: Final = 93e-6
"""What the host needs to launch one operator of a layer (several kernels, Python, autograd) on an A100 server of 2022.

Fitted: the single-node runs of VIA-Research/vTrain, data/ground_truth_single.csv (rows VTSALL of the validation data) with hidden
size 1024, whose layers are too small to keep the device busy."""


HOST_S_PER_EXPERT_GEMM: Final = 0.267e-3 / 8
"""A grouped GEMM of Transformer Engine is one cuBLAS call per expert: eight of 128 tokens by 2,048 x 2,048 in NVFP4, on several
streams of a Blackwell, which do their arithmetic in microseconds, take 0.267 ms (NVIDIA/TransformerEngine, pull request 3134,
"pure", fprop). An expert has two in the forward and four in the backward. That this is the host's time, and the same in other
formats and on other hosts, is an assumption."""
HOST_S_PER_QUANTISED_EXPERT: Final = (1.05e-3 / 64, 1.95e-3 / 64)
"""What the tensors of an expert cost the host beside, forward and backward, where operands are quantised: the fused block of 64
experts takes 1.2 and 2.1 ms, of which about 0.15 are its GEMMs, the others allocate, quantise and free (NVIDIA/TransformerEngine,
issue 2897: GB200, MXFP8). That blocks which are not fused, and other formats, cost as much is an assumption."""


EXPERT_OVERLAP: Final = 0.45 / (1.0 - COMMUNICATION_SLOWDOWN)
"""The share of the experts' all-to-all that Megatron's ``--overlap-moe-expert-parallel-comm`` hides. It takes 45 % off the step:
Qwen3 30B on 16 H100s with ep 16, a step of 24.71 s without and 20.99 s with it, where dispatch and combine ran for 8.25 s (9.079 ms
are 0.11 % of them) (NVIDIA-NeMo/Megatron-Bridge at 067f987d, skills/nemo-mbridge-perf-moe-comm-overlap/SKILL.md); what compute lost
meanwhile is in these figures."""
NEMO_SOURCE: Final = (
    "NVIDIA/dgxc-benchmarking v24.11.1, every recipe: grad_sync_dtype: bf16; NVIDIA/NeMo, scripts/performance: "
    "grad_reduce_in_fp32 = False; otherwise taken as megatron-core"
)
BRIDGE_SOURCE: Final = (
    "NVIDIA-NeMo/Megatron-Bridge, scripts/performance at v0.3.0 and v0.5.0: grad_reduce_in_fp32 = False, "
    "cross_entropy_fusion_impl = te, expert_tensor_parallel_size = 1, moe_a2a_overlap, cutedsl_fused_grouped_mlp"
)


def megatron_storage(precision: Precision) -> Storage:
    """docs/user-guide/features/dist_optimizer.md: bf16 keeps 2 + 4 + 12 bytes, fp16 2 + 2 + 16, fp32 4 + 4 + 8."""
    mixed = precision.master_bytes > 0
    half = precision.compute == "fp16"
    gradient_bytes = (2.0 if half else 4.0) if mixed else precision.gradient_bytes
    return Storage(
        weight_bytes=2.0 + precision.weight_cache_bytes if mixed else precision.weight_bytes,
        weight_cache_bytes=precision.weight_cache_bytes if mixed else 0.0,
        gradient_bytes=gradient_bytes,
        gradient_copy_bytes=4.0 if half else 0.0,
        master_bytes=precision.master_bytes,
        state_bytes=precision.state_bytes,
        unsharded_weight_bytes=precision.communication_bytes,
        reduce_bytes=gradient_bytes,
    )


def half_gradient_storage(precision: Precision) -> Storage:
    """As Megatron's, but gradients accumulate and are reduced in 16 bits (grad_reduce_in_fp32 off)."""
    storage = megatron_storage(precision)
    return storage if precision.compute == "fp32" else replace(storage, gradient_bytes=2.0, reduce_bytes=2.0)


def deepspeed_storage(precision: Precision) -> Storage:
    """fp16: 16-bit gradients, whose float32 copy is shared out with the master copy and the moments
    (runtime/zero/stage_1_and_2.py). bf16: gradients accumulate in a float32 buffer of the whole rank beside the 16-bit ones
    (runtime/bf16_optimizer.py), which stages 2 and 3 share out too."""
    mixed = precision.master_bytes > 0
    half = precision.compute == "fp16"
    return Storage(
        weight_bytes=2.0 + precision.weight_cache_bytes if mixed else precision.weight_bytes,
        weight_cache_bytes=precision.weight_cache_bytes if mixed else 0.0,
        gradient_bytes=(2.0 if half else 6.0) if mixed else precision.gradient_bytes,
        gradient_copy_bytes=4.0 if mixed and half else 0.0,
        master_bytes=precision.master_bytes,
        state_bytes=precision.state_bytes,
        unsharded_weight_bytes=precision.communication_bytes,
        reduce_bytes=2.0 if mixed else precision.gradient_bytes,
    )


def zero_buckets(_context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """ZeRO's flat buffers: gradients are reduced in buckets (two of them in turn), updated weights gathered in another."""
    shares = layouts["zero"] >= 1
    size = ZERO_BUCKET_ELEMENTS * HALF_BYTES
    yield Buffer(name="ZeRO reduce buckets", component=Component.OTHER, bytes=np.where(shares, 2 * size, 0.0))
    yield Buffer(
        name="ZeRO all-gather bucket", component=Component.OTHER, bytes=np.where(shares, size, 0.0),
        instants=(Instant.OPTIMIZER,),
    )  # fmt: skip


def zero_bucket_elements(_context: Context, _layouts: Layouts) -> float:
    """What DeepSpeed reduces at once."""
    return ZERO_BUCKET_ELEMENTS


def megatron_bucket_elements(_context: Context, layouts: Layouts) -> Array:
    """What Megatron reduces at once: larger buckets for more ranks, so that latency does not dominate
    (megatron/core/distributed/distributed_data_parallel_config.py, bucket_size)."""
    return np.maximum(40e6, 1e6 * layouts["replicas"])


def model_recomputes(architecture: Architecture) -> tuple[str, ...]:
    """What ``--recompute-modules`` has for single parts: ``moe_act`` for experts, ``mla_up_proj`` for latent attention
    (megatron/core/transformer/transformer_config.py)."""
    experts = ("selective:activation", "selective:norm+activation") if architecture.moe is not None else ()
    return (*experts, "selective:mla-up") if architecture.mla is not None else experts


def launch_per_expert(context: Context) -> tuple[float, float]:
    """Seconds of the host for each expert of a rank, forward and backward: its GEMMs, and the quantising of their operands."""
    gemms = 0.0 if context.precision.name in context.framework.fused_experts else HOST_S_PER_EXPERT_GEMM
    quantised = HOST_S_PER_QUANTISED_EXPERT if context.precision.matmul in ("fp8", "fp4") else (0.0, 0.0)
    return 2 * gemms + quantised[0], 4 * gemms + quantised[1]


def split_outputs(_context: Context, layouts: Layouts) -> Array:
    """A stage keeps its output for the backward pass; tensor-parallel ranks hold a part each (runtime/pipe/engine.py)."""
    return 1.0 / layouts.degree("tp")


def bridges(megatron: Framework) -> Iterator[Framework]:
    """Megatron-Bridge's performance recipes, as they are and as they were up to the NeMo container 26.04: gradients in 16 bits, a
    fused loss, experts without tensor parallelism. Before 26.06 (release 0.5.0) tokens go by plain all-to-all, which hides between
    nodes only; racks' recipes and DeepSeek's already took Hybrid-EP and DeepEP, which is left out. Since then these are the rule,
    they hide within a scale-up domain too, and experts run in MXFP8 as one kernel each way."""
    earlier = replace(
        megatron,
        name="megatron-bridge-26.04",
        aliases=(),
        storage=half_gradient_storage,
        deduplicates_tokens=False,
        traffic={**TRAFFIC, "loss": Traffic(forward=6, backward=4)},
        overlaps=replace(
            megatron.overlaps, expert=EXPERT_OVERLAP, source=f"{megatron.overlaps.source}; {BRIDGE_SOURCE}"
        ),
        experts_follow_tensor=False,
        source=BRIDGE_SOURCE,
    )
    yield earlier
    yield replace(
        earlier,
        name="megatron-bridge",
        overlaps=replace(earlier.overlaps, expert_inside=EXPERT_OVERLAP),
        deduplicates_tokens=True,
        fused_experts=frozenset({"mxfp8"}),
    )


@hookimpl
def planner_frameworks() -> Iterator[Framework]:
    """megatron-core, the recipes around it, and deepspeed."""
    megatron = Framework(
        name="megatron-core",
        aliases=("megatron", "megatron-lm"),
        storage=megatron_storage,
        footprints=FOOTPRINTS,
        overlaps=Overlaps(
            tiled_tensor=frozenset({"Hopper", "Blackwell"}),
            input_gradients=1.0,
            context=1.0,
            pipeline=1.0,
            gradients=1.0,
            parameters=1.0,
            source="Megatron-LM: --overlap-grad-reduce, --overlap-param-gather, --overlap-p2p-communication, --tp-comm-overlap; "
            "megatron/core/tensor_parallel/layers.py, LinearWithGradAccumulationAndAsyncCommunication",
        ),
        overheads=OVERHEADS,
        offloads_states=frozenset({StateKind.OPTIMIZER, StateKind.MASTER}),
        offloads_activations=True,
        zero_stages=(0, 1),
        vendors=frozenset({"nvidia", "amd"}),
        sharded_optimizers=frozenset({"adam", "adamw", "sgd", "sgd-momentum"}),
        default_zero=0,
        zero_with_pipeline=1,
        schedules=("1f1b", "interleaved"),
        recomputes=("none", "selective", "selective:norm", "full"),
        model_recomputes=model_recomputes,
        finer=(
            {"recompute": ("full", "full:block"), "recompute_layers": RECOMPUTED_LAYERS},
            {"cp_kind": ("ring", "allgather", "ulysses"), "shard_group": SHARD_GROUPS},
        ),
        pads_vocabulary=True,
        fused=frozenset({"dropout"}),
        traffic=TRAFFIC,
        deduplicates_tokens=True,
        experts_follow_tensor=True,
        sync_bucket_elements=megatron_bucket_elements,
        attention_kernels={"Hopper": "flash-3", "Blackwell": "flash-3"},
        host_s_per_operator=HOST_S_PER_OPERATOR,
        host_s_per_expert=launch_per_expert,
        source="NVIDIA/Megatron-LM, megatron/core; arXiv:2205.05198, table 2",
    )
    yield megatron
    yield replace(megatron, name="nemo", aliases=(), storage=half_gradient_storage, source=NEMO_SOURCE)
    yield from bridges(megatron)
    yield Framework(
        name="deepspeed",
        aliases=("megatron-deepspeed", "deepspeed-megatron"),
        storage=deepspeed_storage,
        footprints=FOOTPRINTS,
        overlaps=Overlaps(
            pipeline=0.0,
            gradients=1.0,
            parameters=1.0,
            once_a_step=0.0,
            source="DeepSpeed: overlap_comm is on for ZeRO-3 alone (runtime/zero/config.py), which also prefetches; below it "
            "gradients are reduced after the last backward pass (runtime/zero/stage_1_and_2.py, reduce_gradients; "
            "runtime/pipe/engine.py, _exec_reduce_grads), weights gathered by the optimizer's step; pipeline sends wait for the "
            "receiver",
        ),
        overheads=EAGER_OVERHEADS,
        offloads_states=frozenset(StateKind),
        offloads_activations=True,
        gradients_follow_optimizer=True,
        stage_outputs_kept=split_outputs,
        zero_stages=(0, 1, 2, 3),
        default_zero=0,
        zero_with_pipeline=1,
        schedules=("1f1b",),
        offers={"cp_kind": ("ulysses",)},
        finer=({"shard_group": SHARD_GROUPS, "zero": (3,)},),
        pads_vocabulary=True,
        fused=frozenset({"dropout"}),
        buffers=zero_buckets,
        traffic=TRAFFIC,
        accumulation_bytes_per_parameter=10.0,
        sync_bucket_elements=zero_bucket_elements,
        all_reduces_gradients=lambda context: context.precision.compute == "bf16",
        gathers_stage_messages=True,
        host_s_per_operator=HOST_S_PER_OPERATOR,
        source="deepspeedai/DeepSpeed, deepspeed/runtime/zero/stage_1_and_2.py, stage3.py, runtime/pipe/engine.py",
    )
