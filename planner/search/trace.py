"""The same sum, term by term: what `planner explain` shows for one layout."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.domain.plan import MEMORY_COMPONENTS, TIME_COMPONENTS, Term
from planner.plugin import Block, Context, DeviceOverheads, Instant, StateKind
from planner.search.activations import Coefficients, bytes_on_rank, saved_tensors
from planner.search.columns import StageColumn, layers_on
from planner.search.dividing import region_divisors
from planner.search.evaluation import Evaluation, evaluate_mesh
from planner.search.in_flight import InFlight
from planner.search.memory import stage_instants
from planner.search.offloading import SOURCE as OFFLOAD_SOURCE
from planner.search.on_stage import largest_saved, saved_on_stage
from planner.search.plans import REPORTED_INSTANT
from planner.search.rules import Rules, mesh_recomputes
from planner.units import format_bytes

_AT_THE_END = frozenset({Instant.LAST_BACKWARD, Instant.EMBEDDING})
STATE_FORMULA = "elements / tensor, expert shards / ZeRO shards x bytes"


def scalar(array: Array) -> float:
    """The only element of an array of one."""
    return float(np.asarray(array, dtype=np.float64).reshape(-1)[0])


def memory_terms(context: Context, layouts: Layouts, rules: Rules) -> tuple[Term, ...]:
    """Components of every representative stage at every instant, then what the fullest of them is made of."""
    evaluation = evaluate_mesh(context, layouts, rules)
    terms: list[Term] = []
    fullest: tuple[float, StageColumn, Instant, InFlight, dict[str, Array]] | None = None
    held = zip(evaluation.columns, evaluation.memory.in_flight, strict=True)
    in_flight = {id(column): count for column, count in held}
    for column, instant, components, total in stage_instants(context, evaluation.memory, evaluation.columns):
        stage, when = int(scalar(column.index)), REPORTED_INSTANT[instant]
        terms.extend(
            Term(name=f"all {name}", component=name, value=scalar(components[name]), unit="bytes", stage=stage, instant=when,
                 formula=f"sum at instant {instant.value}")
            for name in MEMORY_COMPONENTS
        )  # fmt: skip
        if fullest is None or scalar(total) > fullest[0]:
            fullest = (scalar(total), column, instant, in_flight[id(column)], components)
    assert fullest is not None  # every program has a stage
    _total, column, instant, count, components = fullest
    details = [
        *_state_terms(evaluation, column, instant),
        *_activation_terms(evaluation, rules, column, instant, count),
        *_other_terms(evaluation, column, instant),
    ]
    return (*terms, *details, *_remainders(evaluation, column, instant, components, details))


def _remainders(
    evaluation: Evaluation, column: StageColumn, instant: Instant, components: dict[str, Array], details: list[Term]
) -> Iterator[Term]:
    """What the named tensors leave: the working set of the operators at work, and the allocator's reserve."""
    names = {"activations": "working set of the operators at work", "other": "reserve of the caching allocator"}
    for component, name in names.items():
        listed = sum(term.value for term in details if term.component == component)
        rest = scalar(components[component]) - listed
        formula = "outputs, gradients and recomputed tensors alive beside the saved ones"
        if component == "other":
            overheads = evaluation.context.framework.overheads
            least, most = overheads.bound("fragmentation")
            formula = f"{overheads.fragmentation:g} x allocated bytes (measured: {least:.2g} to {most:.2g})"
        if abs(rest) > 1.0:
            yield Term(
                name=name, component=component, value=rest, unit="bytes", formula=formula,
                plugin=evaluation.context.framework.name, source=evaluation.context.framework.overheads.source,
                stage=int(scalar(column.index)), instant=REPORTED_INSTANT[instant],
            )  # fmt: skip


def _blocks(evaluation: Evaluation, column: StageColumn) -> Iterator[tuple[Block, float]]:
    """The blocks that a stage holds, with how many of each."""
    program = evaluation.context.program
    counts = (scalar(column.embedding), *(scalar(count) for count in column.layers), scalar(column.head))
    for block, count in zip(program.blocks, counts, strict=True):
        if count:
            yield block, count


def _state_terms(evaluation: Evaluation, column: StageColumn, instant: Instant) -> Iterator[Term]:
    context, stage = evaluation.context, int(scalar(column.index))
    names = {block.name: states for block, states in zip(context.program.blocks, evaluation.memory.states, strict=True)}
    storage, optimizer, framework = context.storage, context.optimizer, context.framework
    details = {
        "weights": (f"{STATE_FORMULA} ({storage.weight_bytes:g})", framework.name, framework.source, StateKind.WEIGHT),
        "gradients": (
            f"{STATE_FORMULA} ({storage.gradient_bytes:g} + {storage.gradient_copy_bytes:g})", framework.name,
            framework.source, StateKind.GRADIENT,
        ),
        "optimizer": (
            f"{STATE_FORMULA} (master {storage.master_bytes:g} + states of {optimizer.name})", optimizer.name,
            optimizer.source, StateKind.OPTIMIZER,
        ),
    }  # fmt: skip
    for block, count in _blocks(evaluation, column):
        for component, (formula, plugin, source, _kind) in details.items():
            value = scalar(getattr(names[block.name], component)) * count
            yield Term(
                name=f"{component}: {block.name} x {count:g}", component=component, value=value, unit="bytes",
                formula=formula, plugin=plugin, source=source, stage=stage, instant=REPORTED_INSTANT[instant],
            )  # fmt: skip


def _activation_terms(
    evaluation: Evaluation, rules: Rules, column: StageColumn, instant: Instant, in_flight: InFlight
) -> Iterator[Term]:
    if instant is Instant.OPTIMIZER:
        return
    context, layouts = evaluation.context, evaluation.layouts
    divisors = region_divisors(context, layouts, rules.strategies)
    outputs = scalar(in_flight.outputs)
    if outputs and instant not in _AT_THE_END:
        yield Term(
            name="outputs sent to the next stage", component="activations", value=outputs, unit="bytes",
            formula="micro-batches in flight x tokens x hidden x bytes", plugin=context.framework.name,
            source=context.framework.source, stage=int(scalar(column.index)), instant=REPORTED_INSTANT[instant],
        )  # fmt: skip
    parts = evaluation.memory
    recompute = mesh_recomputes(layouts, rules)[int(np.asarray(layouts.codes["recompute"]).reshape(-1)[0])]
    share, inputs = 1.0, 1.0
    again = parts.activations.again
    if again is not None:
        layers = layers_on(column)
        share, inputs = scalar(again.share(layers)), scalar(again.inputs(layers))
    hosted = parts.moved is not None and bool(np.all(parts.moved.activations))
    if hosted and parts.moved is not None and instant not in _AT_THE_END:
        saved = saved_on_stage(parts.activations, column) * in_flight.micro_batches
        largest = largest_saved(parts.activations, column)
        yield Term(
            name="saved: the layers whose copy is under way", component="activations",
            value=scalar(parts.moved.held(saved, largest)), unit="bytes", formula="2 x what the largest layer saves",
            plugin="core", source=OFFLOAD_SOURCE, stage=int(scalar(column.index)), instant=REPORTED_INSTANT[instant],
        )  # fmt: skip
    none = rules.recomputes["none"]
    for block, count in _blocks(evaluation, column):
        is_head = block.name == "head"
        if block.name == "embedding" or (hosted and not is_head):
            continue
        times = 1.0 if is_head else count * scalar(in_flight.micro_batches)
        parts_of = ((none, 1.0),) if is_head else ((recompute, share * inputs), (none, 1.0 - share))
        for kept, portion in parts_of:
            if not portion:
                continue
            for tensor in saved_tensors(block, kept, context.framework, context.numerics):
                value = scalar(bytes_on_rank(context, layouts, Coefficients.of((tensor,)), divisors)) * portion * times
                yield Term(
                    name=f"saved: {block.name}.{tensor.name} x {portion * times:g}", component="activations", value=value,
                    unit="bytes",
                    formula=f"tokens x {tensor.width:g} x {tensor.element_bytes:g} bytes / {tensor.region.value} shards",
                    plugin=context.framework.name, source=context.framework.source,
                    stage=int(scalar(column.index)), instant=REPORTED_INSTANT[instant],
                )  # fmt: skip


def _other_terms(evaluation: Evaluation, column: StageColumn, instant: Instant) -> Iterator[Term]:
    context, stage, when = evaluation.context, int(scalar(column.index)), REPORTED_INSTANT[instant]
    for buffer in evaluation.memory.buffers:
        if instant in buffer.instants and scalar(np.asarray(buffer.bytes)):
            yield Term(name=buffer.name, component=buffer.component.value, value=scalar(np.asarray(buffer.bytes)), unit="bytes",
                       plugin=buffer.plugin or "core", source=buffer.source, stage=stage, instant=when)  # fmt: skip
    overheads = context.framework.overheads
    groups = scalar(evaluation.memory.communicators)
    fixed = (
        ("device context", overheads.context_bytes, _measured(overheads, "context_bytes")),
        ("library workspaces", overheads.workspace_bytes, _measured(overheads, "workspace_bytes")),
        ("communicators", groups * overheads.communicator_bytes,
         f"{groups:g} groups of ranks x {format_bytes(overheads.communicator_bytes)} "
         f"{_measured(overheads, 'communicator_bytes')}"),
    )  # fmt: skip
    for name, value, formula in fixed:
        yield Term(name=name, component="other", value=float(value), unit="bytes", formula=formula,
                   plugin=context.framework.name, source=overheads.source, stage=stage, instant=when)  # fmt: skip


def _measured(overheads: DeviceOverheads, name: str) -> str:
    """Between which bounds others measured a figure; "" if it is taken as certain."""
    least, most = overheads.bound(name)
    return "" if least == most else f"(measured: {format_bytes(least)} to {format_bytes(most)})"


def time_terms(context: Context, layouts: Layouts, rules: Rules) -> tuple[Term, ...]:
    """Components of the step, then each block's compute and exposed communication for one micro-batch."""
    evaluation = evaluate_mesh(context, layouts, rules)
    terms = [
        Term(name=name, component=name, value=scalar(evaluation.step.components[name]), unit="s", formula="of one step")
        for name in TIME_COMPONENTS
    ]
    for block, times in zip(context.program.blocks, evaluation.blocks, strict=True):
        for name, value in (
            ("forward", times.forward_s), ("backward", times.backward_s), ("recompute", times.recompute_s),
        ):  # fmt: skip
            terms.append(
                Term(name=f"{block.name}: {name}", component=name, value=scalar(value), unit="s",
                     formula="sum of max(FLOPs / reached rate, bytes / reached bandwidth, launch) over operators, one micro-batch",
                     plugin=context.framework.name, source="FORMULAS: roofline (CACM 52(4), 2009)")
            )  # fmt: skip
        for phase, exposed in times.exposed.items():
            for component, value in exposed.by_component.items():
                terms.append(
                    Term(name=f"{block.name}: exposed {component} in the {phase.value}", component=component,
                         value=scalar(value), unit="s", formula="latency + bytes / bandwidth beyond what compute hides",
                         plugin=component, source="nccl-tests, doc/PERFORMANCE.md")
                )  # fmt: skip
    return tuple(terms)
