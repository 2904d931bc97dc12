"""PyTorch's own operators under FSDP: torchtitan (FSDP2, DTensor) and llm-foundry (FSDP1).

Sources: pytorch/torchtitan, torchtitan/models/llama3/infra/parallelize.py; arXiv 2410.06511; mosaicml/llm-foundry,
llmfoundry/models/mpt; arXiv 2304.11277.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from planner.plugin import (
    Buffer,
    Component,
    Context,
    Framework,
    Instant,
    Layouts,
    Overlaps,
    Precision,
    StateKind,
    Storage,
    Traffic,
    attention_by_kernel,
    composite_rms_norm,
    cross_entropy_loss,
    cuda_overheads,
    dropout_mask,
    fused_loss,
    fused_norm,
    gathered_linear,
    hookimpl,
    keep_inputs,
    keep_nothing,
    keep_router_scores,
    separate_clamped_activation,
    separate_gated_activation,
)

OVERHEADS: Final = cuda_overheads(fragmentation=0.05, source="allocator reserve 5 % (fitcheck's default)")
OVERLAPS: Final = Overlaps(
    context=1.0,
    pipeline=1.0,
    gradients=1.0,
    parameters=1.0,
    source="FSDP prefetches the next unit and reduces on its own stream (arXiv:2304.11277, section 3.3)",
)
FOOTPRINTS: Final = {
    "linear": gathered_linear,
    "expert_linear": gathered_linear,
    "head": gathered_linear,
    "norm": fused_norm,
    "attention": attention_by_kernel,
    "activation": keep_inputs,
    "gated_activation": separate_gated_activation,
    "gated_activation.clamped_silu": separate_clamped_activation,
    "router": keep_router_scores,
    "dropout": dropout_mask,
    "combine": keep_inputs,
    "loss": cross_entropy_loss,
    "rotary": keep_nothing,
    "residual": keep_nothing,
    "embedding": keep_nothing,
    "dispatch": keep_nothing,
}
"""``combine`` keeps the experts' outputs, for the gradient of the routing weights."""


TRAFFIC: Final = {
    "norm": Traffic(forward=4, backward=8),
    "gated_activation": Traffic(forward=5, backward=9),
    "gated_activation.clamped_silu": Traffic(forward=16, backward=30),
    "activation": Traffic(forward=4, backward=6),
    "residual": Traffic(forward=3, backward=3),
    "rotary": Traffic(forward=20, backward=20),
    "loss": Traffic(forward=18, backward=22),
    "dispatch": Traffic(forward=7, backward=7, of_outputs=True),
    "combine": Traffic(forward=7, backward=7),
}
"""One kernel per arithmetic step, counted from the model code: silu and product apart; the rotation in float32 (cast, complex
product, cast); logits cast to float32, log-softmax, and their gradients. Per element of gate and up, the clamped activation's seven
steps read and write 2 bytes each for two clamps, scale, sigmoid and the added one, 3 for each of two products; backward, 6 for each
product, 3 for the sigmoid, 2 for the scale, 3 for the sum of the gate's two gradients, 3 for each clamp, 4 to join the halves."""
COMPOSITE_NORM: Final = Traffic(forward=36, backward=68)
"""RMSNorm in the same way: cast, square, mean, product, cast back, product with the weight. So torch.nn.RMSNorm ran before
PyTorch 2.9 fused it, and so does fms-fsdp's own (foundation-model-stack, fms/modules/layernorm.py)."""
NANOTRON_TRAFFIC: Final = {
    "loss": Traffic(forward=38, backward=14),
    "gated_activation": Traffic(forward=7.5, backward=16.5),
    "rotary": Traffic(forward=23, backward=27),
}
"""nanotron's own, at 9055c664. The cross-entropy over a sharded vocabulary casts logits to float32, takes the maximum, shifts,
exponentiates, sums and divides, one kernel at a time; the backward multiplies and casts (src/nanotron/parallel/tensor_parallel/
functional.py, models/llama.py, cast_to_fp32). The activation reads halves of one tensor, whose rows are not contiguous: silu and
product of 8,192 x 32,768 elements take 1.50 ms on an H100, with their backward and a sum 4.57 ms (linkedin/Liger-Kernel at
ead96b61, benchmark/data/all_benchmark_data.csv, megatron_swiglu, provider torch), which is 1.49 times what their 10 bytes per
element take at `MEMORY_EFFICIENCY`; without the sum the backward is 14.4 bytes per element of gate and up, and a gradient that is
one number there is read twice, 2 bytes. The rotation, itself one kernel of 4 bytes per element of queries and keys, follows a
transposition of queries, keys and values (4 x 1.49 bytes of one and a half times as many elements: 9), and a join and another
transposition of keys and values (4 and 6; models/llama.py, CausalSelfAttention), the latter taken at that same factor; the
backward fills zeros where parts are written (4 more)."""
COMPILED_TRAFFIC: Final = {
    "norm": Traffic(forward=4, backward=6),
    "gated_activation": Traffic(forward=3, backward=5),
    "activation": Traffic(forward=4, backward=6),
    "residual": Traffic(forward=2, backward=0),
    "rotary": Traffic(forward=4, backward=4),
    "loss": Traffic(forward=4, backward=4),
    "dispatch": Traffic(forward=4, backward=4, of_outputs=True),
    "combine": Traffic(forward=3, backward=4),
}
"""What is left where torch.compile makes one kernel of neighbouring pointwise operators and a reduction: each operand read once,
each result written once; the addition of the residual is part of the norm that follows (pytorch/pytorch, torch/_inductor/
scheduler.py). Gate and up are tensors of their own in these models; what the compiler makes of halves of one tensor was measured,
and is slower (`TRAFFIC` of framework_megatron.py), what it makes of these was not."""


RECOMPUTED_LAYERS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""How many layers of fms-fsdp's are tried to run again (`selective_checkpointing` states their share)."""
SHARD_GROUPS: Final = (1, 8, 64)
"""Sizes of FSDP's shard groups (HSDP) that are tried; 1 stands for all replicas."""
DDP_BUCKET_ELEMENTS: Final = 25 * 2**20 / 2
"""16-bit gradients in a bucket of 25 MiB, DistributedDataParallel's default (torch/nn/parallel/distributed.py, bucket_cap_mb)."""
INTERNEVO_BUCKET_ELEMENTS: Final = 512 * 2**20 / 2
"""The same of InternEvo (configs: hybrid_zero_optimizer, reduce_bucket_size of 512 MiB)."""
NANOTRON_GRADIENT_OVERLAP: Final = 0.2
"""How much of its reduction of gradients nanotron hides behind the backward pass: little, though DDP's hooks would let it
(src/nanotron/optim/gradient_accumulator.py, get_fp32_accum_hook).

Fitted, in steps of 0.1, to the least mean error of the playbook's runs (rows ultra of the validation data) without tensor and
pipeline parallelism on 16 to 256 GPUs: 3.5 %, against 4.5 % with nothing hidden and 9.5 % with all. Those with tensor parallelism
inside a node, which were not used, then come out at -1 % in the median; at -4 % with nothing hidden, +8 % with all."""
EAGER_HOST_S_PER_OPERATOR: Final = 93e-6
"""As of Megatron-DeepSpeed, where it was fitted (`HOST_S_PER_OPERATOR` of framework_megatron.py): PyTorch launches one kernel at a
time from Python whatever the framework. An assumption; a compiled model needs less."""


def compiled(framework: Framework, aliases: tuple[str, ...] = ()) -> Framework:
    """`framework` with its model compiled (torch.compile): fused kernels, and what those keep. What the host needs for an
    operator is left as it is: nobody published what compiling saves of it."""
    return replace(
        framework,
        name=f"{framework.name}-compiled",
        aliases=aliases,
        footprints={
            **framework.footprints,
            "norm.rmsnorm": fused_norm,
            "gated_activation.clamped_silu": separate_gated_activation,
        },
        traffic=COMPILED_TRAFFIC,
        source=f"{framework.source}; torch.compile",
    )


def storage(precision: Precision) -> Storage:
    """FSDP's mixed-precision policy: float32 shards of weights, gradients and moments, units in the compute format while at
    work, reduction in float32. Pure recipes keep their own formats."""
    mixed = precision.master_bytes > 0
    width = 4.0 if mixed else precision.weight_bytes
    return Storage(
        weight_bytes=width,
        gradient_bytes=width,
        gradient_copy_bytes=0.0,
        master_bytes=0.0,
        state_bytes=width if mixed else precision.state_bytes,
        unsharded_weight_bytes=precision.activation_bytes,
        reduce_bytes=4.0 if mixed else precision.gradient_bytes,
    )


def half_reduction_storage(precision: Precision) -> Storage:
    """The same with gradients reduced in the compute format: Composer's mixed precision PURE, as llm-foundry's benchmarks ran
    (scripts/train/benchmarking/submit_benchmarks.py), and bfSixteen of fms-fsdp (fms_fsdp/policies/mixed_precision.py)."""
    return replace(storage(precision), reduce_bytes=precision.activation_bytes)


def main_gradient_storage(precision: Precision) -> Storage:
    """nanotron and InternEvo: 16-bit weights, a float32 gradient buffer, master copy and moments shared out (ZeRO-1)."""
    mixed = precision.master_bytes > 0
    width = 4.0 if mixed else precision.gradient_bytes
    return Storage(
        weight_bytes=precision.activation_bytes if mixed else precision.weight_bytes,
        gradient_bytes=width,
        gradient_copy_bytes=0.0,
        master_bytes=precision.master_bytes,
        state_bytes=precision.state_bytes,
        unsharded_weight_bytes=precision.communication_bytes,
        reduce_bytes=width,
    )


def half_gradient_storage(precision: Precision) -> Storage:
    """InternEvo keeps the same, and all-reduces 16-bit gradients (internlm/solver/optimizer/hybrid_zero_optim.py)."""
    return replace(main_gradient_storage(precision), reduce_bytes=precision.communication_bytes)


def gradient_buckets(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """DDP's buckets hold a 16-bit gradient of every parameter beside the float32 buffer that its hook adds them to
    (nanotron/optim/gradient_accumulator.py, get_fp32_accum_hook; torch/csrc/distributed/c10d/reducer.cpp)."""
    column = [
        sum(context.local_elements(block, layouts, trainable_only=True).values()) for block in context.program.blocks
    ]
    ends, layer = np.maximum(column[0], column[-1]), column[1:-1]
    counts = context.program.counts()
    held = ends + sum(count * each for count, each in zip(counts, layer, strict=True)) / layouts["pp"]
    alone = column[0] + column[-1] + sum(count * each for count, each in zip(counts, layer, strict=True))
    elements = np.where(layouts["pp"] > 1, held, alone)
    yield Buffer(
        name="DDP gradient buckets", component=Component.GRADIENTS,
        bytes=np.where(layouts["replicas"] > 1, elements * context.precision.communication_bytes, 0.0),
        instants=tuple(Instant),
    )  # fmt: skip


def head_layers(context: Context) -> float:
    """The head's weights over those of a layer with as many key-value heads as queries and three matrices in the feed-forward
    (nanotron/models/llama.py, get_block_compute_costs)."""
    architecture = context.architecture
    return architecture.vocab / (4.0 * architecture.hidden + 3.0 * architecture.ffn_hidden)


def whole_outputs(_context: Context, _layouts: Layouts) -> float:
    """A stage's outputs stay with the graph that they end until its backward pass (torch/distributed/pipelining/stage.py)."""
    return 1.0


@hookimpl
def planner_frameworks() -> Iterator[Framework]:
    """nanotron, InternEvo, torchtitan, NeMo AutoModel and llm-foundry."""
    nanotron = Framework(
        name="nanotron",
        storage=main_gradient_storage,
        # nanotron gathers the inputs of its GEMMs again in the backward (src/nanotron/config/parallelism_config.py at 9055c664,
        # tp_recompute_allgather), so it saves shards. But what a reduce-scatter reads returns to the allocator only once NCCL's
        # stream is done with it (torch.Tensor.record_stream), and the host runs ahead of the device: whole tensors pile up, one
        # per row-parallel GEMM. They are as large as gathered inputs, which stand for them. With shards alone 58 of the
        # playbook's 66 runs with tensor parallelism come out more than 2 % too small, by up to 66 %; with whole tensors 38, by
        # up to 23 %; ten are then more than 10 % too large.
        footprints=FOOTPRINTS,
        overlaps=Overlaps(
            input_gradients=1.0,
            gradients=NANOTRON_GRADIENT_OVERLAP,
            source="huggingface/nanotron at 0e0a27ea, src/nanotron/optim/zero.py (weights are gathered by the step), "
            "parallel/tensor_parallel/functional.py (asynchronous linears)",
        ),
        overheads=OVERHEADS,
        zero_stages=(0, 1),
        default_zero=0,
        zero_with_pipeline=1,
        schedules=("1f1b",),
        persistent_gradients=True,
        stage_outputs_kept=whole_outputs,
        head_layers=head_layers,
        buffers=gradient_buckets,
        fused=frozenset({"dropout"}),
        traffic=TRAFFIC | NANOTRON_TRAFFIC,
        accumulation_bytes_per_parameter=10.0,
        sync_bucket_elements=lambda _context, _layouts: DDP_BUCKET_ELEMENTS,
        host_s_per_operator=EAGER_HOST_S_PER_OPERATOR,
        source="huggingface/nanotron, src/nanotron: PyTorch operators, FlashAttention-2, ZeRO-1",
    )
    yield nanotron
    yield replace(
        nanotron,
        name="internevo",
        storage=half_gradient_storage,
        overlaps=Overlaps(
            gradients=1.0,
            source="InternLM/InternEvo, internlm/solver/optimizer/hybrid_zero_optim.py: overlap_sync_grad, "
            "broadcast_params",
        ),
        footprints=FOOTPRINTS,
        keeps_gathered_inputs=True,
        traffic=TRAFFIC,
        sync_bucket_elements=lambda _context, _layouts: INTERNEVO_BUCKET_ELEMENTS,
        all_reduces_gradients=lambda _context: True,
        broadcasts_weights=True,
        head_layers=None,
        source="InternLM/InternEvo, internlm: PyTorch operators, FlashAttention-2, ZeRO-1; otherwise taken as nanotron",
    )
    torchtitan = Framework(
        name="torchtitan",
        aliases=("torch-titan", "fsdp2", "pytorch"),
        storage=storage,
        footprints=FOOTPRINTS | {"norm.rmsnorm": composite_rms_norm},
        overlaps=OVERLAPS,
        overheads=OVERHEADS,
        offloads_states=frozenset(StateKind),
        offloads_activations=True,
        zero_stages=(0, 3),
        default_zero=3,
        zero_with_pipeline=3,
        schedules=("1f1b", "interleaved", "zbv", "dualpipev"),
        recomputes=("none", "selective:op", "full"),
        finer=(
            {
                "cp_kind": ("ring", "allgather"),  # context_parallel_rotate_method
                "reshard_after_forward": (1, 0),  # fsdp_reshard_after_forward
                "shard_group": SHARD_GROUPS,  # data_parallel_replicate_degree
            },
        ),
        persistent_gradients=False,
        stage_outputs_kept=whole_outputs,
        keeps_gathered_inputs=True,
        root_stays_unsharded=True,
        fused=frozenset({"dropout"}),
        traffic=TRAFFIC | {"norm.rmsnorm": COMPOSITE_NORM},
        selective_recompute="selective:op",
        accumulation_bytes_per_parameter=6.0,
        host_s_per_operator=EAGER_HOST_S_PER_OPERATOR,
        source="pytorch/torchtitan, torchtitan/models/llama3/infra/parallelize.py; arXiv:2410.06511",
    )
    yield torchtitan
    yield compiled(torchtitan, aliases=("pytorch-compiled",))
    yield replace(
        torchtitan,
        name="nemo-automodel",
        aliases=(),
        deduplicates_tokens=True,
        source="NVIDIA-NeMo/Automodel, docs/performance-summary.mdx: FSDP2 with DeepEP; otherwise taken as torchtitan",
    )
    foundry = Framework(
        name="llm-foundry",
        aliases=("mosaicml", "composer", "fsdp1"),
        storage=half_reduction_storage,
        footprints=FOOTPRINTS | {"loss": fused_loss},
        overlaps=OVERLAPS,
        overheads=OVERHEADS,
        offloads_states=frozenset(StateKind),
        offloads_activations=True,
        zero_stages=(0, 3),
        default_zero=3,
        zero_with_pipeline=0,
        schedules=("1f1b",),
        recomputes=("none", "full"),
        finer=({"reshard_after_forward": (1, 0), "shard_group": SHARD_GROUPS},),  # SHARD_GRAD_OP, HYBRID_SHARD
        persistent_gradients=False,
        keeps_gathered_inputs=True,
        root_stays_unsharded=True,
        fused=frozenset({"dropout"}),
        traffic=TRAFFIC | {"loss": Traffic(forward=2, backward=4)},
        attention_kernels={"Ampere": "flash-triton", "Hopper": "flash-triton"},
        accumulation_bytes_per_parameter=6.0,
        host_s_per_operator=EAGER_HOST_S_PER_OPERATOR,
        source="mosaicml/llm-foundry, llmfoundry/models/mpt; arXiv:2304.11277",
    )
    yield foundry
    fms = replace(
        foundry,
        name="fms-fsdp",
        aliases=(),
        footprints={**foundry.footprints, "norm.rmsnorm": composite_rms_norm},
        traffic={**foundry.traffic, "norm.rmsnorm": COMPOSITE_NORM},
        recomputes=("none", "full"),
        selective_recompute="full:block",  # fms_fsdp/policies/ac_handler.py: every n-th block as a whole
        finer=({"recompute": ("full", "full:block"), "recompute_layers": RECOMPUTED_LAYERS}, *foundry.finer),
        attention_kernels={},
        source="foundation-model-stack/fms-fsdp; foundation-model-stack, fms/models/llama.py and fms/modules/layernorm.py",
    )
    yield fms
    yield compiled(fms)
