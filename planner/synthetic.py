"""A small question built by hand, without a catalog and without plugins: what the conformance kit tries plugins on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from planner.domain.hardware import Node
from planner.domain.job import Job
from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    Accelerator,
    Architecture,
    Attention,
    Axis,
    Block,
    Choice,
    Cluster,
    Context,
    DeviceOverheads,
    Framework,
    Linear,
    LocalGroup,
    MixtureOfExperts,
    Numerics,
    Operator,
    Optimizer,
    Overlaps,
    ParameterGroup,
    Part,
    Pointwise,
    Precision,
    Program,
    Region,
    State,
    Storage,
    Strategy,
    Tensor,
    matrix,
    vector,
)

HIDDEN: Final = 1024
FFN: Final = 4096
VOCAB: Final = 32768
EXPERTS: Final = 8
TOPK: Final = 2
HEADS: Final = 8
HEAD_DIM: Final = 128
POOL: Final = 64
STANDARD_DEGREES: Final = ("tp", "pp", "vpp", "cp", "ep", "etp", "dp", "micro_batch")
MULTIPLY_GPUS: Final = frozenset({"tp", "pp", "cp", "dp"})
STANDARD_CHOICES: Final = (
    Choice(name="zero", values=(0, 1, 2, 3)),
    Choice(name="sequence_parallel", values=(0, 1)),
    Choice(name="reshard_after_forward", values=(1, 0)),
)
SHARD_ALL: Final[Mapping[Axis, str]] = {
    Axis.HEADS: "tp", Axis.KV_HEADS: "tp", Axis.MLP: "tp", Axis.VOCAB: "tp", Axis.EXPERTS: "ep", Axis.EXPERT_MLP: "etp",
}  # fmt: skip

PRECISION: Final = Precision(
    name="synthetic", compute="bf16", matmul="bf16", weight_bytes=2, gradient_bytes=4, master_bytes=4,
    activation_bytes=2, communication_bytes=2, source="bf16-mixed, as Megatron-LM keeps it",
)  # fmt: skip
STORAGE: Final = Storage(
    weight_bytes=2, gradient_bytes=4, gradient_copy_bytes=0, master_bytes=4, state_bytes=4, unsharded_weight_bytes=2,
    reduce_bytes=4,
)  # fmt: skip
NARROW_STORAGE: Final = replace(STORAGE, gradient_bytes=2, master_bytes=0, state_bytes=2, reduce_bytes=2)
NUMERICS: Final = Numerics(
    residual_bytes=2,
    activation_bytes=2,
    gemm_input_bytes=2,
    attention="flash",
    dropout=False,
    autocast=False,
    seq_len=16384,
)


def _architecture() -> Architecture:
    return Architecture(
        slug="synthetic", name="synthetic", family="synthetic", layers=8, hidden=HIDDEN, heads=HEADS, kv_heads=4,
        head_dim=HEAD_DIM, ffn_hidden=FFN, vocab=VOCAB, gated=False, activation="gelu",
        moe=MixtureOfExperts(experts=EXPERTS, topk=TOPK, expert_ffn=FFN, interval=2),
    )  # fmt: skip


def _attention() -> tuple[list[Operator], list[ParameterGroup]]:
    stream, normed = Tensor("stream", HIDDEN, Region.RESIDUAL), Tensor("normed", HIDDEN, Region.GATHERED)
    query = Tensor("query", HIDDEN, Region.INTERIOR)
    keys_values = Tensor("keys_values", HIDDEN, Region.KEY_VALUE)
    mixed, output = Tensor("mixed", HIDDEN, Region.INTERIOR), Tensor("attention_output", HIDDEN, Region.GATHERED)
    operators: list[Operator] = [
        Pointwise(name="norm", kind="norm.rmsnorm", inputs=(stream,), outputs=(normed,)),
        Linear(name="qkv", kind="linear", inputs=(normed,), outputs=(query, keys_values), in_features=HIDDEN,
               out_features=2 * HIDDEN),
        Attention(name="attention", kind="attention", inputs=(query, keys_values), outputs=(mixed,), heads=HEADS,
                  kv_heads=4, qk_dim=HEAD_DIM, v_dim=HEAD_DIM),
        Linear(name="projection", kind="linear", inputs=(mixed,), outputs=(output,), in_features=HIDDEN,
               out_features=HIDDEN),
    ]  # fmt: skip
    parameters = [
        vector("norm", (Axis.NORM, HIDDEN)),
        matrix("query", (Axis.HEADS, HEADS), (Axis.EMBED, HIDDEN), (Axis.HEAD_DIM, HEAD_DIM)),
        matrix("keys_values", (Axis.KV_HEADS, 4), (Axis.EMBED, HIDDEN), (Axis.HEAD_DIM, 2 * HEAD_DIM)),
        matrix("projection", (Axis.EMBED, HIDDEN), (Axis.HEADS, HEADS * HEAD_DIM)),
    ]
    return operators, parameters


def _feed_forward(*, routed: bool) -> tuple[list[Operator], list[ParameterGroup]]:
    inside = Region.EXPERT_INTERIOR if routed else Region.INTERIOR
    outside = Region.DISPATCHED if routed else Region.GATHERED
    copies, kind = (TOPK, "expert_linear") if routed else (1, "linear")
    axis = Axis.EXPERT_MLP if routed else Axis.MLP
    source, hidden = Tensor("ffn_input", copies * HIDDEN, outside), Tensor("ffn_hidden", copies * FFN, inside)
    active, output = Tensor("ffn_active", copies * FFN, inside), Tensor("ffn_output", copies * HIDDEN, outside)
    experts = EXPERTS if routed else 1
    operators: list[Operator] = [
        Linear(name="up", kind=kind, inputs=(source,), outputs=(hidden,), in_features=HIDDEN, out_features=FFN,
               experts=experts, topk=copies),
        Pointwise(name="activation", kind="activation.gelu", inputs=(hidden,), outputs=(active,)),
        Linear(name="down", kind=kind, inputs=(active,), outputs=(output,), in_features=FFN, out_features=HIDDEN,
               experts=experts, topk=copies),
    ]  # fmt: skip
    stack = ((Axis.EXPERTS, EXPERTS),) if routed else ()
    up = ParameterGroup(name="up", part=Part.MATRIX, rows=((axis, FFN),), columns=((Axis.EMBED, HIDDEN),), stack=stack)
    down = replace(up, name="down", rows=up.columns, columns=up.rows)
    return operators, [up, down]


def synthetic_program() -> Program:
    """Eight layers, every second one routed to experts, with embedding and untied head."""
    kinds = []
    for name, routed in (("dense", False), ("routed", True)):
        operators, parameters = _attention()
        more_operators, more_parameters = _feed_forward(routed=routed)
        kinds.append(
            Block(name=name, input=Tensor("stream", HIDDEN, Region.RESIDUAL), operators=(*operators, *more_operators),
                  parameters=(*parameters, *more_parameters))
        )  # fmt: skip
    stream, logits = Tensor("stream", HIDDEN, Region.RESIDUAL), Tensor("logits", VOCAB, Region.VOCABULARY)
    lookup = Pointwise(name="embedding", kind="embedding", inputs=(), outputs=(stream,))
    project = Linear(
        name="head", kind="head", inputs=(stream,), outputs=(logits,), in_features=HIDDEN, out_features=VOCAB
    )
    loss = Pointwise(name="loss", kind="loss", inputs=(logits,), outputs=())
    table = matrix("token_embedding", (Axis.VOCAB, VOCAB), (Axis.EMBED, HIDDEN), part=Part.EMBEDDING)
    head = matrix("head", (Axis.VOCAB, VOCAB), (Axis.EMBED, HIDDEN), part=Part.HEAD)
    return Program(
        architecture=_architecture(),
        embedding=Block(name="embedding", input=stream, operators=(lookup,), parameters=(table,)),
        kinds=tuple(kinds),
        layers=(0, 1) * 4,
        head=Block(name="head", input=stream, operators=(project, loss), parameters=(head,)),
    )


def _cluster() -> Cluster:
    accelerator = Accelerator(
        slug="synthetic", name="synthetic", vendor="none", architecture="none", year=2024, form_factor="SXM",
        capacity_bytes=80 * 10**9, usable_bytes=None, memory_bandwidth_bytes_per_s=2e12,
        peak_flop_per_s={"fp32": 2e13, "tf32": 1.5e14, "bf16": 3e14, "fp16": 3e14, "fp8": 6e14, "fp4": 1.2e15},
        scaleup_link="link", scaleup_bytes_per_s=3e11, scaleup_domain=8,
    )  # fmt: skip
    node = Node(
        slug="synthetic", name="synthetic", provider="none", accelerator="synthetic", accelerators_per_node=8,
        scaleup_domain=8, intra_node_topology="switch", nic_count=8, network_bytes_per_s=2e11,
    )  # fmt: skip
    return Cluster(slug="synthetic", name="synthetic", accelerator=accelerator, node=node, nodes=POOL // 8)


def _two_moments(local: LocalGroup, storage: Storage) -> Iterator[State]:
    yield State(name="moments", elements=2 * local.elements, bytes_per_element=storage.state_bytes)


def synthetic_context(precision: Precision = PRECISION, divides: Mapping[Axis, str] = SHARD_ALL) -> Context:
    """One question about the synthetic program: 64 GPUs, 64 sequences of 16,384 tokens, Adam."""
    overheads = DeviceOverheads(
        context_bytes=5e8, workspace_bytes=1e8, communicator_bytes=1e8, fragmentation=0.05, source="round numbers"
    )
    framework = Framework(
        name="synthetic", storage=lambda _precision: STORAGE, footprints={}, overlaps=Overlaps(), overheads=overheads,
        zero_stages=(0, 1, 2, 3), zero_with_pipeline=3, root_stays_unsharded=True, source="none",
    )  # fmt: skip
    return Context(
        program=synthetic_program(),
        job=Job(seq_len=NUMERICS.seq_len, global_batch=64, tokens=1e9),
        cluster=_cluster(),
        precision=precision,
        optimizer=Optimizer(name="synthetic", states=_two_moments, source="arXiv:1412.6980"),
        framework=framework,
        storage=STORAGE,
        numerics=NUMERICS,
        divides=divides,
    )


def synthetic_layouts(context: Context, strategies: Iterable[Strategy] = (), size: int = 96) -> Layouts:
    """A mesh of `size` tuples drawn from the strategies' candidates, with all their choices; arrays are read-only.

    A degree that no strategy brings takes the values 1 and 2, so that formulas that read it have something to read.
    """
    candidates: dict[str, list[int]] = {name: [1, 2] for name in STANDARD_DEGREES}
    multiply, choices = set(MULTIPLY_GPUS), {choice.name: choice for choice in STANDARD_CHOICES}
    for strategy in strategies:
        choices.update((choice.name, choice) for choice in strategy.choices)
        for degree in strategy.degrees:
            candidates[degree.name] = list(degree.candidates(context))
            if degree.multiplies_gpus:
                multiply.add(degree.name)
    generator = np.random.default_rng(2026)
    drawn = {name: generator.choice(np.asarray(values), 64 * size) for name, values in candidates.items()}
    tuples: dict[tuple[int, ...], None] = {}
    if all(1 in values for values in candidates.values()):
        tuples[tuple(1 for _ in candidates)] = None  # a single GPU, the corner that formulas forget
    for position in range(64 * size):
        row = {name: int(values[position]) for name, values in drawn.items()}
        if len(tuples) < size and _valid(context, row, multiply):
            tuples[tuple(row.values())] = None
    columns = np.asarray(list(tuples), dtype=np.float64).T
    degrees = dict(zip(candidates, columns, strict=True))
    return _mesh(context, degrees, multiply, tuple(choices.values()))


def _valid(context: Context, row: Mapping[str, int], multiply: set[str]) -> bool:
    gpus = math.prod(row[name] for name in multiply)
    batch, carved = row["dp"] * row["micro_batch"], row["pp"] * row["ep"] * row["etp"]
    return gpus <= context.cluster.accelerators and context.job.global_batch % batch == 0 and gpus % carved == 0


def _mesh(context: Context, degrees: dict[str, Array], multiply: set[str], choices: tuple[Choice, ...]) -> Layouts:
    gpus = np.ones_like(degrees["dp"])
    for name in sorted(multiply):
        gpus = gpus * degrees[name]
    derived = {
        **degrees,
        "n_gpus": gpus,
        "micro_batches": context.job.global_batch / (degrees["dp"] * degrees["micro_batch"]),
        REPLICAS: degrees["dp"] * degrees["cp"],
        EXPERT_REPLICAS: gpus / (degrees["pp"] * degrees["ep"] * degrees["etp"]),
    }
    codes, values = {}, {}
    for place, choice in enumerate(choices):
        shape = [1] * (len(choices) + 1)
        shape[place] = len(choice.values)
        codes[choice.name] = np.arange(len(choice.values), dtype=np.intp).reshape(shape)
        values[choice.name] = choice.values
    for array in (*derived.values(), *codes.values()):
        array.flags.writeable = False
    return Layouts(derived, codes, values)
