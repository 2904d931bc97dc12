"""torchtitan: PyTorch operators, FSDP2, DTensor tensor parallelism.

Sources: pytorch/torchtitan (parallelize.py of the Llama models), arXiv 2410.06511; PyTorch's autograd formulas
(tools/autograd/derivatives.yaml) for what each operator keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import (
    Attention,
    DeviceOverheads,
    Footprint,
    Framework,
    Numerics,
    Operator,
    Overlaps,
    Precision,
    Region,
    Storage,
    Stored,
    fused_norm,
    hookimpl,
    keep_inputs,
    keep_nothing,
    keep_router_scores,
    stored,
)

SOURCE = "pytorch/torchtitan, torchtitan/models/llama3/infra/parallelize.py; arXiv:2410.06511"
MIB = 1 << 20


def storage(precision: Precision) -> Storage:
    """FSDP2's MixedPrecisionPolicy: float32 shards of weights, gradients and moments; compute-format units while at work;
    float32 reduction. Pure recipes keep their own formats."""
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





def linear(operator: Operator, numerics: Numerics) -> Footprint:
    """A GEMM keeps its input; DTensor's column-parallel linears keep it gathered, whole on every rank."""
    kept = []
    for tensor in operator.inputs:
        gathered = tensor.region is Region.RESIDUAL
        region = Region.GATHERED if gathered else tensor.region
        kept.append(Stored(tensor.name, tensor.width, region, numerics.gemm_input_bytes))
    return Footprint(saved=tuple(kept))



def attention(operator: Operator, numerics: Numerics) -> Footprint:
    """Flash: Q, K, V, the output and a float32 log-sum-exp. Math: float32 probabilities beside them."""
    assert isinstance(operator, Attention)
    kept = [stored(tensor, numerics.activation_bytes) for tensor in (*operator.inputs, *operator.outputs)]
    if numerics.attention == "flash":
        kept.append(Stored(f"{operator.name}.logsumexp", operator.heads, Region.INTERIOR, 4.0))
    else:
        keys = operator.window or -1
        kept.append(Stored(f"{operator.name}.probabilities", operator.heads, Region.INTERIOR, 4.0, keys))
    return Footprint(saved=tuple(kept))


def gated_activation(operator: Operator, numerics: Numerics) -> Footprint:
    """silu(gate) · up as two operators: gate, the activated gate and up stay."""
    gate = operator.inputs[0]
    activated = Stored(f"{operator.name}.activated", gate.width, gate.region, numerics.activation_bytes)
    return Footprint(saved=(*(stored(tensor, numerics.activation_bytes) for tensor in operator.inputs), activated))



def combine(operator: Operator, numerics: Numerics) -> Footprint:
    """The experts' outputs, for the gradient of the routing weights."""
    return keep_inputs(operator, numerics)


def loss(operator: Operator, numerics: Numerics) -> Footprint:
    """cross_entropy on float32 logits: the log-softmax stays (4 bytes); the backward holds its gradient in and out (8)."""
    logits = operator.inputs[0]
    return Footprint(
        saved=(Stored(f"{operator.name}.log_softmax", logits.width, logits.region, 4.0),),
        forward=(Stored("logits.float", logits.width, logits.region, 4.0 + numerics.activation_bytes),),
        backward=(Stored("logits.gradient", logits.width, logits.region, 8.0),),
    )


@hookimpl
def planner_frameworks() -> Iterator[Framework]:
    yield Framework(
        name="torchtitan",
        aliases=("torch-titan", "fsdp2", "pytorch", "nemo-automodel"),
        storage=storage,
        footprints={
            "linear": linear,
            "expert_linear": linear,
            "head": linear,
            "norm": fused_norm,
            "attention": attention,
            "activation": keep_inputs,
            "gated_activation": gated_activation,
            "router": keep_router_scores,
            "combine": combine,
            "loss": loss,
            "rotary": keep_nothing,
            "residual": keep_nothing,
            "embedding": keep_nothing,
            "dispatch": keep_nothing,
        },
        overlaps=Overlaps(
            tensor=0.0, context=1.0, expert=0.0, pipeline=1.0, gradients=1.0, parameters=1.0,
            source="FSDP2 prefetches the next unit and reduces on its own stream (arXiv:2304.11277, section 3.3)",
        ),
        overheads=DeviceOverheads(
            context_bytes=500 * MIB, workspace_bytes=64 * MIB, communicator_bytes=0, fragmentation=0.05,
            source="CUDA context about 0.5 GiB; cuBLAS workspaces 2 x 32 MiB on Hopper; allocator reserve 5 % "
            "(fitcheck's default, FORMULAS 3.8)",
        ),
        zero_stages=(0, 3),
        default_zero=3,
        zero_with_pipeline=3,
        schedules=("1f1b", "interleaved"),
        pads_vocabulary=False,
        persistent_gradients=False,
        keeps_gathered_inputs=True,
        root_stays_unsharded=True,
        fused=frozenset({"dropout"}),
        launch_overhead_s=6.0e-6,
        source=SOURCE,
    )  # fmt: skip
