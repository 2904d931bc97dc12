"""Training methods: everything trains, or low-rank adapters beside frozen weights do.

Sources: LoRA, arXiv 2106.09685, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from planner.plugin import Axis, Block, InputError, Method, ParameterGroup, Part, Program, hookimpl

FLOAT32_BYTES: Final = 4.0
BLOCK_ELEMENTS: Final = 64
"""Weights that share one scale (QLoRA, arXiv 2305.14314, section 3)."""
SCALE_BYTES: Final = 4.0
DOUBLE_QUANT_SCALE_BYTES: Final = 1.0 + 4.0 / 256
"""One byte per scale, and a float32 scale per 256 of them (arXiv 2305.14314, section 3: 0.5 bits become 0.127 per weight)."""
DEFAULT_RANK: Final = 16
LARGEST_RANK: Final = 65_536
NOT_ADAPTED: Final = ("router", "shared_gate")
"""Matrices that steer the routing keep their weights, as adapters' usual targets leave them out."""


def full(program: Program, _options: Mapping[str, float]) -> Program:
    """Every parameter trains."""
    return program


def lora(program: Program, options: Mapping[str, float]) -> Program:
    """Freeze everything; put r·(in + out) trainable parameters beside each linear of attention and feed-forward.

    The option ``rank`` sets r. Multi-token prediction is frozen with the rest and gets no adapters.
    """
    rank = read_rank(options)
    return replace(
        program,
        embedding=frozen(program.embedding),
        kinds=tuple(adapted(block, rank) for block in program.kinds),
        head=frozen(program.head),
    )


def qlora(program: Program, options: Mapping[str, float]) -> Program:
    """LoRA on a base whose linears rest in 4 bits; embeddings, head and norms are kept in float32, as the usual preparation
    for k-bit training leaves them. The option ``double_quant`` (0 or 1) quantises the blocks' scales as well."""
    scale_bytes = DOUBLE_QUANT_SCALE_BYTES if options.get("double_quant", 0.0) else SCALE_BYTES
    rest_bytes = 0.5 + scale_bytes / BLOCK_ELEMENTS
    adapted_program = lora(program, options)
    return replace(
        adapted_program,
        embedding=at_rest(adapted_program.embedding, rest_bytes),
        kinds=tuple(at_rest(block, rest_bytes) for block in adapted_program.kinds),
        head=at_rest(adapted_program.head, rest_bytes),
    )


def at_rest(block: Block, rest_bytes: float) -> Block:
    """The block with its frozen matrices quantised and its other frozen groups in float32."""

    def kept(group: ParameterGroup) -> ParameterGroup:
        if group.trainable:
            return group
        quantised = group.part is Part.MATRIX and bool(group.rows)
        return replace(group, rest_bytes=rest_bytes if quantised else FLOAT32_BYTES)

    return replace(block, parameters=tuple(kept(group) for group in block.parameters))


def read_rank(options: Mapping[str, float]) -> int:
    """The rank of the adapters. Raises InputError."""
    rank = options.get("rank", DEFAULT_RANK)
    if not 1 <= rank <= LARGEST_RANK or rank != int(rank):
        raise InputError(f"rank must be a whole number between 1 and {LARGEST_RANK:,}, not {rank}")
    return int(rank)


def frozen(block: Block) -> Block:
    """The block with nothing to train."""
    return replace(block, parameters=tuple(replace(group, trainable=False) for group in block.parameters))


def adapted(block: Block, rank: int) -> Block:
    """The block frozen, with adapters beside its matrices."""
    still = frozen(block)
    added = tuple(pair for group in block.parameters if adapts(group) for pair in adapter(group, rank))
    return replace(still, parameters=still.parameters + added)


def adapts(group: ParameterGroup) -> bool:
    """Whether a group is the weight of a linear that gets an adapter."""
    return group.part is Part.MATRIX and bool(group.rows) and group.name not in NOT_ADAPTED


def adapter(group: ParameterGroup, rank: int) -> Iterator[ParameterGroup]:
    """Down to the rank and up again; each half is divided as the side of the weight that it touches.

    Routed experts have an adapter each.
    """
    latent = ((Axis.LATENT, rank),)
    for half, rows, columns in (("lora_a", latent, group.columns), ("lora_b", group.rows, latent)):
        name = f"{group.name}.{half}"
        yield ParameterGroup(name=name, part=Part.MATRIX, rows=rows, columns=columns, stack=group.stack)


@hookimpl
def planner_methods() -> Iterator[Method]:
    """full, lora and qlora."""
    yield Method(name="full", apply=full, source="every parameter is updated")
    yield Method(name="lora", apply=lora, options=("rank",), source="arXiv:2106.09685, section 4.1")
    yield Method(name="qlora", apply=qlora, options=("rank", "double_quant"), source="arXiv:2305.14314, section 3")
