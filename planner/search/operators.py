"""Seconds and FLOPs of operators on one rank: the roofline with the shapes that a layout leaves."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from planner.domain.hardware import CALIBRATED_ARITHMETIC, Accelerator
from planner.domain.mesh import Array, Layouts
from planner.formulas.attention import attention_fraction
from planner.formulas.roofline import gemm_s, roofline_s, split_k_efficiency
from planner.plugin import Attention, Block, Context, Linear, Operator, Region, Tensor, Value

DEFAULT_MATMUL_EFFICIENCY: Final = 0.75
"""GEMM rate over peak where the catalog has no figure: between H100's 0.80 and B200's 0.78 in bf16 and the 0.72–0.77 that
fp8 reaches (matmul_mamf rows of the catalog)."""
BEST_MATMUL: Final[Mapping[str, float]] = {"TPU": 1.0, "TPU v7": DEFAULT_MATMUL_EFFICIENCY}
"""The same for generations that the default is no figure of. Nobody published one of a TPU: `SUSTAINED_MATMUL` is of its peak."""
SUSTAINED_MATMUL: Final[Mapping[str, float]] = {
    "Ampere": 0.81, "Hopper": 0.76, "Blackwell": 0.68, "TPU": 0.83, "TPU v6e": 0.67, "TPU v7": 0.72,
}  # fmt: skip
"""What GEMMs of a training step reach of the best shape's rate, by generation, beside half-empty waves: memory layouts, float32
accumulation, and the clock that the power limit leaves under sustained load, which falls from one generation to the next.

Fitted, one number for all formats and accelerators of a generation: where the mean of the sources' median errors is zero, over the
dense rows of the validation data (benchmarks/accuracy_time.py). Ampere: BLOOM, KORTH, internevo, fms (any one left out: 0.79 to
0.83). Hopper: MB, DGXC, NEMO, fms (0.73 to 0.79). Blackwell: MB, DGXC, MLPERF, NEMO (0.66 to 0.72). TPU v6e: tpurecipes, maxtext
(0.66, 0.69). TPU: maxtext's v4 and v5e, the rows without tensor parallelism, which state TFLOP/s with attention in full; v4 alone
gives 0.78, v5e alone 0.88; v5p was not used.

TPU v2, v3 and v5p are taken as those two. TPU v7 has the default, a placeholder, as its published runs do not say what they
recompute."""
POWER_BEFORE_W: Final[Mapping[str, Mapping[float, float]]] = {"Blackwell Ultra": {2.25e15: 1000.0, 2.5e15: 1200.0}}
"""Power limit [W] of the part of the generation before, by the dense bf16 peak [FLOP/s] that it shares with its successor: B200 for
B300 (1,100 W), GB200 for GB300 (1,400 W) (datasheets, in the catalog).

An assumption: `SUSTAINED_MATMUL` grows as power does, which is the most that rates can. It was made after runs of Blackwell Ultra
were seen to be predicted 15 % too slow; `POWER_EXPONENT` would give a third of it."""
POWER_REFERENCE: Final[Mapping[str, tuple[float, float]]] = {"Ampere": (400.0, 312e12), "Hopper": (700.0, 989.5e12)}
"""Power limit [W] and dense bf16 peak [FLOP/s] of the parts whose runs `SUSTAINED_MATMUL` was fitted to (datasheets of A100 and
H100 SXM)."""
POWER_EXPONENT: Final = 1.0 / 3.0
"""The clock that a power limit leaves: dynamic power is C V² f and voltage goes with frequency, so f goes with its cube root. The
300 W A100 PCIe reaches 93 % of the best GEMM rate of the 400 W SXM4 (matmul_mamf of the catalog), the cube root says 91 %."""
DEFAULT_SUSTAINED_MATMUL: Final = 0.72
"""Halfway between Hopper and Blackwell, for every generation that `SUSTAINED_MATMUL` does not name: an assumption. Most of those
are as new as these two, and limited by power as they are."""
MEMORY_EFFICIENCY: Final = 0.8
"""Achieved over nominal HBM bandwidth of streaming kernels: the planning factor of ai-dynamo/aiconfigurator (commit 095f58a5,
systems/*.yaml; hbm_bandwidth_planning_factor in the catalog's facts)."""
HALF_BYTES: Final = 2.0
"""`Traffic` is stated for 16-bit activations."""
ALIGNED_ELEMENTS: Final = 8
"""Batched 16-bit GEMMs whose rows are no multiple of 16 bytes miss the matrix units (NVIDIA, "Matrix Multiplication Background
User's Guide", section on tensor-core requirements): taken at the rate of plain float32."""
QUANTISED_BYTES: Final[Mapping[str, float]] = {"fp8": 1.0, "fp4": 0.5}
"""Bytes of a GEMM operand in formats that activations are quantised to."""
PLAIN_LINEARS: Final = frozenset({"head", "router"})
"""GEMMs that stay in the compute format."""
EXPERT_BIAS: Final = "residual.expert_bias"
DEFAULT_COMPUTE_UNITS: Final = 108

ATTENTION_BACKWARD: Final = 2.5
"""FlashAttention's backward runs five GEMMs against two in the forward (arXiv 2307.08691, section 3.1)."""
LINEAR_BACKWARD: Final = 2.0
POINTWISE_BACKWARD: Final = 1.5
"""A memory-bound operator's backward reads its saved inputs and the output gradient and writes the input gradient: three
streams where the forward has two."""

_SHARDED_WIDTH: Final = frozenset({Region.INTERIOR, Region.KEY_VALUE, Region.EXPERT_INTERIOR, Region.VOCABULARY})


@dataclass(frozen=True, slots=True)
class Rates:
    """The accelerator's peaks for layers' GEMMs and for those in the compute format (head, router), with what GEMMs reach of
    them; the peak that attention has a share of [FLOP/s]; what memory reaches [byte/s]; compute units for wave quantisation; the
    share of the best shape's rate that a step's GEMMs sustain; the peak without matrix units."""

    matmul_peak: float
    matmul_best: float
    compute_peak: float
    compute_best: float
    plain_peak: float
    attention_peak: float
    memory_bytes_per_s: float
    compute_units: int
    sustained: float


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator on one rank and micro-batch: seconds forward and backward, of which weight gradients; forward FLOPs."""

    operator: Operator
    forward_s: Array
    backward_s: Array
    weight_gradient_s: Array


def peak_flop_per_s(accelerator: Accelerator, wanted: str) -> float:
    """The dense peak for a number format, or for the nearest one that the accelerator has a rate for."""
    fallbacks = {"fp4": ("fp4", "fp8", "bf16", "fp16"), "fp8": ("fp8", "bf16", "fp16"), "bf16": ("bf16", "fp16", "tf32"),
                 "fp16": ("fp16", "bf16"), "tf32": ("tf32", "fp32"), "fp32": ("fp32",)}  # fmt: skip
    for candidate in (*fallbacks.get(wanted, (wanted,)), "bf16", "fp16", "fp32"):
        rate = accelerator.peak_flop_per_s.get(candidate)
        if rate:
            return rate
    return max(accelerator.peak_flop_per_s.values())


def matmul_efficiency(accelerator: Accelerator, number_format: str) -> float:
    """The best published GEMM rate over the peak: the median over libraries, for the format or else for bf16."""
    for name in (number_format, "bf16"):
        found = _published(accelerator, "gemm_best", name) or _published(accelerator, "matmul_mamf", name)
        if found:
            return min(1.0, found)
    return _of_architecture(BEST_MATMUL, accelerator, DEFAULT_MATMUL_EFFICIENCY)


def _of_architecture(table: Mapping[str, float], accelerator: Accelerator, default: float) -> float:
    """The entry of the accelerator's architecture, else of its generation."""
    architecture = accelerator.architecture
    return table.get(architecture, table.get(architecture.split(" ")[0], default))


def _published(accelerator: Accelerator, metric: str, number_format: str) -> float | None:
    found = [
        efficiency.fraction
        for efficiency in accelerator.efficiencies
        if efficiency.metric == metric and efficiency.format.startswith(number_format)
    ]
    return statistics.median(found) if found else None


def rates_of(context: Context) -> Rates:
    """The rates of the cluster's accelerator for the context's precision."""
    accelerator, precision = context.cluster.accelerator, context.precision
    compute = peak_flop_per_s(accelerator, precision.compute)
    calibrated = accelerator.calibrated(CALIBRATED_ARITHMETIC)
    clock = power_share(accelerator)
    return Rates(
        matmul_peak=peak_flop_per_s(accelerator, precision.matmul),
        matmul_best=matmul_efficiency(accelerator, precision.matmul) * calibrated,
        compute_peak=compute,
        compute_best=matmul_efficiency(accelerator, precision.compute) * calibrated,
        plain_peak=accelerator.peak_flop_per_s.get("fp32", compute),
        attention_peak=compute * calibrated * clock,
        memory_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s * MEMORY_EFFICIENCY,
        compute_units=accelerator.compute_units or DEFAULT_COMPUTE_UNITS,
        sustained=sustained_matmul(accelerator) * clock,
    )


def sustained_matmul(accelerator: Accelerator) -> float:
    """What GEMMs of a training step reach of the best shape's rate (`SUSTAINED_MATMUL`), with the power that there is more; all of
    it at most."""
    share = _of_architecture(SUSTAINED_MATMUL, accelerator, DEFAULT_SUSTAINED_MATMUL)
    return min(1.0, share * power_gain(accelerator))


def power_gain(accelerator: Accelerator) -> float:
    """How much more power the accelerator may draw than the part of the generation before with the same, or the nearest, peak; 1
    where `POWER_BEFORE_W` knows none, and for what draws less."""
    before = POWER_BEFORE_W.get(accelerator.architecture)
    peak = accelerator.peak_flop_per_s.get("bf16")
    if not before or not peak or accelerator.tdp_w is None:
        return 1.0
    return max(1.0, accelerator.tdp_w / before[min(before, key=lambda known: abs(known - peak))])


def power_share(accelerator: Accelerator) -> float:
    """The clock under the accelerator's own power limit over that of the part `SUSTAINED_MATMUL` speaks of; 1 where its GEMMs were
    measured (they ran under that limit), where no reference is known, and where there is more power for each FLOP/s."""
    reference = POWER_REFERENCE.get(accelerator.architecture.split(" ")[0])
    peak = accelerator.peak_flop_per_s.get("bf16")
    measured = _published(accelerator, "gemm_best", "bf16") or _published(accelerator, "matmul_mamf", "bf16")
    if reference is None or accelerator.tdp_w is None or not peak or measured:
        return 1.0
    power, reference_peak = reference
    share = min(1.0, (accelerator.tdp_w / peak) / (power / reference_peak))
    return float(share**POWER_EXPONENT)


def _attention_fraction(context: Context, attention: Attention, key_parts: Value) -> Array:
    kernel = context.framework.attention_kernels.get(context.generation, "flash-2")
    keys = context.job.seq_len / np.asarray(key_parts, dtype=np.float64)
    window = keys if attention.window is None else np.minimum(keys, attention.window)
    architecture = context.cluster.accelerator.architecture
    return attention_fraction(kernel, architecture, context.job.seq_len, window, attention.qk_dim)


def block_costs(
    context: Context,
    layouts: Layouts,
    block: Block,
    divisors: Mapping[Region, Array],
    rates: Rates,
    key_parts: Value = 1.0,
) -> tuple[OperatorCost, ...]:
    """The cost of every operator of `block`; frozen weights need no gradient of their own. `key_parts`: in how many parts, each
    with a kernel of its own, attention sees the keys."""
    costs = _with_casts(
        context,
        layouts,
        [operator_cost(context, layouts, operator, divisors, rates, key_parts) for operator in block.operators],
        divisors,
        rates,
    )
    share = trained_share(block)
    if share == 1.0:
        return tuple(costs)
    return tuple(
        replace(
            cost,
            backward_s=cost.backward_s - (1.0 - share) * cost.weight_gradient_s,
            weight_gradient_s=share * cost.weight_gradient_s,
        )
        for cost in costs
    )


def _with_casts(
    context: Context,
    layouts: Layouts,
    costs: Sequence[OperatorCost],
    divisors: Mapping[Region, Array],
    rates: Rates,
) -> Iterator[OperatorCost]:
    """The costs with the quantising of GEMM operands to 8 or 4 bits: inputs in the forward, once where GEMMs share one, the
    gradients of outputs in the backward. Each is read and written twice, along its rows and along its columns (NVIDIA/
    TransformerEngine, docs/features/low_precision_training); weights are quantised once per step, which is left out."""
    width = QUANTISED_BYTES.get(context.precision.matmul)
    quantised: set[str] = set()
    for cost in costs:
        operator = cost.operator
        if width is None or not isinstance(operator, Linear) or operator.kind in PLAIN_LINEARS:
            yield cost
            continue
        per_element_s = (context.precision.activation_bytes + 2.0 * width) / rates.memory_bytes_per_s
        source, target = operator.inputs[0], operator.outputs[0]
        in_gemm = Region.EXPERT_INTERIOR if _experts_fused(context) else None
        forward_s, backward_s = cost.forward_s, cost.backward_s
        if source.name not in quantised and source.region is not in_gemm:
            forward_s = forward_s + _elements(context, layouts, source, divisors) * per_element_s
        quantised.add(source.name)
        if target.region is not in_gemm:
            backward_s = backward_s + _elements(context, layouts, target, divisors) * per_element_s
        yield replace(cost, forward_s=forward_s, backward_s=backward_s)


def trained_share(block: Block) -> float:
    """The fraction of a block's parameters that train."""
    every = sum(group.elements for group in block.parameters)
    return sum(group.elements for group in block.parameters if group.trainable) / every if every else 1.0


def operator_cost(
    context: Context,
    layouts: Layouts,
    operator: Operator,
    divisors: Mapping[Region, Array],
    rates: Rates,
    key_parts: Value = 1.0,
) -> OperatorCost:
    """Roofline seconds of one operator."""
    if isinstance(operator, Linear):
        return _linear_cost(context, layouts, operator, divisors, rates)
    if isinstance(operator, Attention):
        forward = _attention_s(context, layouts, operator, divisors, rates, key_parts)
        return OperatorCost(operator, forward, ATTENTION_BACKWARD * forward, np.zeros(1))
    in_gemm = operator.kind in context.framework.fused or operator.kind.split(".")[0] in context.framework.fused
    if in_gemm or (_experts_fused(context) and _of_experts(operator)):
        return OperatorCost(operator, np.zeros(1), np.zeros(1), np.zeros(1))
    return _pointwise_cost(context, layouts, operator, divisors, rates)


def _experts_fused(context: Context) -> bool:
    return context.precision.name in context.framework.fused_experts


def _of_experts(operator: Operator) -> bool:
    """Whether it stands between the experts' first GEMM and what they send back."""
    return operator.kind == EXPERT_BIAS or any(tensor.region is Region.EXPERT_INTERIOR for tensor in operator.inputs)


def _pointwise_cost(
    context: Context, layouts: Layouts, operator: Operator, divisors: Mapping[Region, Array], rates: Rates
) -> OperatorCost:
    traffic = context.framework.traffic.get(operator.kind) or context.framework.traffic.get(operator.kind.split(".")[0])
    if traffic is None:
        forward = _traffic(context, layouts, operator, divisors) / rates.memory_bytes_per_s
        return OperatorCost(operator, forward, POINTWISE_BACKWARD * forward, np.zeros(1))
    elements: Array = np.zeros(1)
    for tensor in operator.outputs if traffic.of_outputs else operator.inputs:
        elements = elements + context.tokens(layouts) / divisors[tensor.region] * tensor.width
    scale = context.precision.activation_bytes / HALF_BYTES / rates.memory_bytes_per_s
    forward, backward = elements * (traffic.forward * scale), elements * (traffic.backward * scale)
    return OperatorCost(operator, forward, backward, np.zeros(1))


def _elements(context: Context, layouts: Layouts, tensor: Tensor, divisors: Mapping[Region, Array]) -> Array:
    return context.tokens(layouts) / divisors[tensor.region] * tensor.width


def _tensor_bytes(context: Context, layouts: Layouts, tensor: Tensor, divisors: Mapping[Region, Array]) -> Array:
    keys = context.job.seq_len if tensor.per_key else 1.0
    return context.tokens(layouts) / divisors[tensor.region] * tensor.width * keys * context.precision.activation_bytes


def _traffic(context: Context, layouts: Layouts, operator: Operator, divisors: Mapping[Region, Array]) -> Array:
    total: Array = np.zeros(1)
    for tensor in (*operator.inputs, *operator.outputs):
        total = total + _tensor_bytes(context, layouts, tensor, divisors)
    return total


@dataclass(frozen=True, slots=True)
class _Gemms:
    """`batch` products of `rows` × `depth` by `depth` × `columns`."""

    rows: Array
    columns: Array
    depth: Array
    batch: Array


def _gemms_of(context: Context, layouts: Layouts, linear: Linear, divisors: Mapping[Region, Array]) -> _Gemms:
    """A GEMM of the rank's tokens by its share of the matrix; routed ones are `experts / ep` GEMMs over the token copies."""
    source, target = linear.inputs[0].region, linear.outputs[0].region
    tokens = context.tokens(layouts)
    depth = np.asarray(linear.in_features, dtype=np.float64)
    columns = np.asarray(linear.out_features, dtype=np.float64)
    batch: Array = np.ones(1)
    if linear.experts > 1:
        etp = layouts.degree("etp")
        batch = linear.experts / layouts.degree("ep")
        rows = tokens * linear.topk / divisors[Region.DISPATCHED] / batch
        depth = depth / etp if source is Region.EXPERT_INTERIOR else depth
        columns = columns / etp if target is Region.EXPERT_INTERIOR else columns
    else:
        rows = tokens / divisors[source] if source in (Region.ROUTING, Region.LATENT) else tokens
        depth = depth / divisors[source] if source in _SHARDED_WIDTH else depth
        # The head's GEMM is divided like an interior one even where the logits are gathered afterwards.
        shard = Region.INTERIOR if target is Region.VOCABULARY else target
        columns = columns / divisors[shard] if target in _SHARDED_WIDTH else columns
        if linear.kind == "router":
            rows = tokens / divisors[Region.ROUTING]
    return _Gemms(rows, columns, depth, batch)


def _linear_cost(
    context: Context, layouts: Layouts, linear: Linear, divisors: Mapping[Region, Array], rates: Rates
) -> OperatorCost:
    """A GEMM forward, two backward. Those of dense layers take as long as the forward's; experts get few tokens each, so that
    reading and writing the float32 gradients of their weights counts: they have shapes of their own."""
    gemms = _gemms_of(context, layouts, linear, divisors)
    plain = linear.kind in PLAIN_LINEARS
    best = rates.compute_peak * rates.compute_best if plain else rates.matmul_peak * rates.matmul_best

    def seconds(shape: _Gemms, written_bytes: float) -> Array:
        rows, columns, depth, batch = shape.rows, shape.columns, shape.depth, shape.batch
        flops = 2.0 * rows * columns * depth * batch
        traffic = (rows * depth + depth * columns + rows * columns) * batch * context.precision.activation_bytes
        waves = split_k_efficiency(rows, columns, depth, batch, rates.compute_units)
        written = rows * columns * batch * written_bytes
        return gemm_s(flops, traffic, written, best * rates.sustained * waves, rates.memory_bytes_per_s)

    forward = seconds(gemms, context.precision.activation_bytes)
    if linear.experts == 1:
        return OperatorCost(linear, forward, LINEAR_BACKWARD * forward, forward)
    inputs = _Gemms(gemms.rows, gemms.depth, gemms.columns, gemms.batch)
    weights = _Gemms(gemms.depth, gemms.columns, gemms.rows, gemms.batch)
    weight_gradient = seconds(weights, _gradient_traffic_bytes(context))
    backward = seconds(inputs, context.precision.activation_bytes) + weight_gradient
    return OperatorCost(linear, forward, backward, weight_gradient)


def _gradient_traffic_bytes(context: Context) -> float:
    """What a weight's gradient is written with by its GEMM: added to the gradient buffer, which is read and written, where the
    GEMM does so itself."""
    added = context.framework.persistent_gradients and not context.framework.accumulation_bytes_per_parameter
    return 2.0 * context.storage.gradient_bytes if added else context.precision.activation_bytes


def _attention_s(
    context: Context,
    layouts: Layouts,
    attention: Attention,
    divisors: Mapping[Region, Array],
    rates: Rates,
    key_parts: Value,
) -> Array:
    tokens = context.tokens(layouts)
    flops = tokens * attention.flops_per_token(context.job.seq_len) / divisors[Region.INTERIOR]
    traffic = _traffic(context, layouts, attention, divisors)
    if context.numerics.attention not in ("flash", "efficient"):
        return _score_attention_s(context, layouts, attention, divisors, rates)
    rate = rates.attention_peak * _attention_fraction(context, attention, key_parts)
    return roofline_s(flops, traffic, rate, rates.memory_bytes_per_s)


def _score_attention_s(
    context: Context, layouts: Layouts, attention: Attention, divisors: Mapping[Region, Array], rates: Rates
) -> Array:
    """Attention as separate kernels: two batched GEMMs over the whole square, and the passes over the score matrix between
    them: QKᵀ writes it, the masked softmax reads and writes it, PV reads it; dropout reads, writes and writes a mask."""
    tokens = context.tokens(layouts)
    keys = context.job.seq_len if attention.window is None else min(attention.window, context.job.seq_len)
    heads = attention.heads / divisors[Region.INTERIOR]
    flops = 2.0 * tokens * keys * heads * (attention.qk_dim + attention.v_dim)
    passes = 4.0 + (2.5 if context.numerics.dropout else 0.0)
    scores = tokens * keys * heads * context.precision.activation_bytes * passes
    aligned = all(width % ALIGNED_ELEMENTS == 0 for width in (attention.qk_dim, attention.v_dim))
    peak = rates.compute_peak if aligned else min(rates.compute_peak, rates.plain_peak)
    compute_s = flops / (peak * rates.compute_best * rates.sustained)
    return compute_s + (scores + _traffic(context, layouts, attention, divisors)) / rates.memory_bytes_per_s
