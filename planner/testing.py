"""The conformance kit: functions that check a plugin's records against the contract of `planner.plugin`.

Each ``check_*`` returns findings, an empty list when all is well, so that a plugin's own test is one line::

    from planner.testing import check_plugin

    def test_my_plugin_keeps_the_contract():
        assert check_plugin("my_plugin") == []
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from types import ModuleType
from typing import Any, Final

import numpy as np

from planner.array_law import Finding, Quantities, check_array_law, guarded
from planner.contributions import record_name
from planner.domain.mesh import Array, Layouts, Mask
from planner.errors import UnknownNameError
from planner.guards import unguarded
from planner.plugin import (
    EXPERT_REPLICAS,
    REPLICAS,
    Context,
    Estimate,
    EstimateInput,
    Estimator,
    Footprint,
    Framework,
    Instant,
    Offload,
    Optimizer,
    Phase,
    Precision,
    Recompute,
    Region,
    Schedule,
    StageTimes,
    StateKind,
    Storage,
    Strategy,
    Value,
)
from planner.registry import Registry, load_registry
from planner.synthetic import NARROW_STORAGE, NUMERICS, STORAGE, synthetic_context, synthetic_layouts

__all__ = [
    "CHECKS", "Finding", "check_array_law", "check_estimator", "check_framework", "check_optimizer", "check_plugin",
    "check_precision", "check_recompute", "check_schedule", "check_source", "check_strategy",
]  # fmt: skip

FORMATS: Final = frozenset({"fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp6", "fp4", "int8"})
"""The number formats that accelerators publish a peak rate for."""
COMPONENTS: Final = frozenset({"tp", "cp", "ep", "pp", "dp", "other"})
"""The components of a step's time that a communication can be booked under."""


def check_source(record: Any) -> list[Finding]:  # noqa: ANN401 - any kind of record
    """Check that a record names where its numbers come from: a paper, a file, a page."""
    source = str(getattr(record, "source", "a catalog branch names its sources in its rows"))
    if len(source.strip()) < 4:
        return [Finding(record_name(record), "documented", f"the source {source!r} names no paper, file or page")]
    return []


def check_precision(precision: Precision) -> list[Finding]:
    """Check formats and widths: known formats, nothing negative, quantised inputs no wider than activations."""
    name, found = precision.name, check_source(precision)
    for role in ("compute", "matmul"):
        if getattr(precision, role) not in FORMATS:
            message = f"{role} {getattr(precision, role)!r} is none of {', '.join(sorted(FORMATS))}"
            found.append(Finding(name, "type", message))
    found += _numbers(name, precision)
    for role in ("weight_bytes", "gradient_bytes", "activation_bytes", "communication_bytes"):
        if getattr(precision, role) == 0:
            found.append(Finding(name, "range", f"{role} is 0"))
    if precision.gemm_input_bytes is not None and precision.gemm_input_bytes > precision.activation_bytes:
        found.append(Finding(name, "range", "gemm_input_bytes is more than activation_bytes"))
    return found


def _numbers(name: str, record: Any) -> list[Finding]:  # noqa: ANN401 - any dataclass
    values = {declared.name: getattr(record, declared.name) for declared in fields(record)}
    return [
        Finding(name, "range", f"{key} is {value!r}, not a finite number ≥ 0")
        for key, value in values.items()
        if isinstance(value, int | float) and not (np.isfinite(value) and value >= 0)
    ]


def _optimizer_bytes(optimizer: Optimizer, storage: Storage, context: Context) -> Callable[[Layouts], Quantities]:
    def evaluate(layouts: Layouts) -> Quantities:
        found: dict[str, Value] = {}
        for block in context.program.blocks:
            for local in context.local_groups(block, layouts):
                label = f"{block.name} {local.group.name}"
                for state in optimizer.states(local, storage):
                    found[f"{state.name} of {label}"] = np.asarray(state.elements) * state.bytes_per_element
                if optimizer.temporary_bytes is not None:
                    found[f"temporary of {label}"] = optimizer.temporary_bytes(local, storage)
        return found

    return evaluate


def check_optimizer(optimizer: Optimizer) -> list[Finding]:
    """Check states and temporaries of matrices, embeddings, heads, vectors and experts; sharding never adds bytes."""
    name, found, context = optimizer.name, check_source(optimizer), synthetic_context()
    layouts = synthetic_layouts(context)
    for storage in (STORAGE, NARROW_STORAGE):
        found += check_array_law(name, _optimizer_bytes(optimizer, storage, context), layouts)

    def monotone() -> Iterable[Finding]:
        for degree in ("tp", "ep", "etp"):
            more = replace(layouts, degrees={**layouts.degrees, degree: 2 * layouts.degrees[degree]})
            evaluate = _optimizer_bytes(optimizer, STORAGE, context)
            less, before = evaluate(more), evaluate(layouts)
            for label in before:
                if np.any(np.asarray(less[label]) > np.asarray(before[label])):
                    yield Finding(name, "monotone", f"{label}: twice the {degree} takes more bytes")

    return found or guarded(name, monotone)


def _refused(context: Context, strategies: Iterable[Strategy], layouts: Layouts) -> Mask:
    refused: Mask = np.zeros(layouts.shape, dtype=np.bool_)
    for strategy in strategies:
        for refusal in strategy.refusals(context, layouts) if strategy.refusals else ():
            refused = refused | refusal.where
    return refused


def _strategy_quantities(strategy: Strategy, context: Context) -> Callable[[Layouts], Quantities]:
    def evaluate(layouts: Layouts) -> Quantities:
        found: dict[str, Value] = {}
        if strategy.region_divisors:
            found.update({f"divisor of {k}": v for k, v in strategy.region_divisors(context, layouts).items()})
        if strategy.sequence_divisor:
            found["divisor of the sequence"] = strategy.sequence_divisor(context, layouts)
        if strategy.key_parts:
            found["parts of the keys"] = strategy.key_parts(context, layouts)
        if strategy.shards_states:
            found.update({f"sharding of {k}": v for k, v in strategy.shards_states(context, layouts).items()})
        sent = [(b.name, c) for b in context.program.blocks for c in _communications(strategy, context, layouts, b)]
        if strategy.boundary_communications:
            sent += [("boundary", c) for c in strategy.boundary_communications(context, layouts)]
        for place, (where, communication) in enumerate(sent):
            label = f"{where} {communication.collective} {place}"
            found[f"payload of {label}"] = communication.payload_bytes
            found[f"events of {label}"] = communication.events
            found[f"overlap of {label}"] = communication.overlap
        for buffer in strategy.buffers(context, layouts) if strategy.buffers else ():
            found[f"buffer {buffer.name}"] = buffer.bytes
        for refusal in strategy.refusals(context, layouts) if strategy.refusals else ():
            found[f"refusal {refusal.reason}"] = refusal.where
        return found

    return evaluate


def _communications(strategy: Strategy, context: Context, layouts: Layouts, block: Any) -> Iterable[Any]:  # noqa: ANN401
    for asked in (strategy.communications, strategy.synchronisations):
        if asked is not None:
            yield from asked(context, layouts, block)


def check_strategy(strategy: Strategy, companions: Iterable[Strategy] | None = None) -> list[Finding]:
    """Check divisors, collectives, buffers and refusals over a mesh of this strategy's axes and its companions'.

    `companions` bring the axes that the strategy reads; None: the first-party strategies.
    """
    name, found, context = strategy.name, check_source(strategy), synthetic_context()
    known = load_registry(disable="*").strategies.values() if companions is None else companions
    others = [other for other in known if other.name != name]
    helps = {axis.name: axis.help for axis in strategy.degrees} | {axis.name: axis.help for axis in strategy.choices}
    found += [Finding(name, "documented", f"axis {axis!r} has no help") for axis, text in helps.items() if not text]

    def check() -> Iterable[Finding]:
        layouts = synthetic_layouts(context, [*others, strategy])
        with np.errstate(all="ignore"):
            allowed = ~_refused(context, [*others, strategy], layouts)
        if not allowed.any():
            yield Finding(name, "range", "every layout is refused")
        yield from check_array_law(name, _strategy_quantities(strategy, context), layouts, allowed)
        with np.errstate(all="ignore"):
            quantities = _strategy_quantities(strategy, context)(layouts)
            yield from _strategy_ranges(name, quantities, allowed)
            yield from _strategy_records(strategy, context, layouts)

    return found + guarded(name, check)


def _strategy_ranges(name: str, quantities: Quantities, allowed: Mask) -> Iterable[Finding]:
    for label, value in quantities.items():
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), allowed.shape)[allowed]
        # Expert tensor parallelism gathers the dispatched tokens of its ranks: more of them, not fewer.
        if label.startswith("divisor of") and label != f"divisor of {Region.DISPATCHED}" and (values < 1).any():
            yield Finding(name, "range", f"{label} is below 1 somewhere")
        if label.startswith(("sharding of", "overlap of")) and (values > 1).any():
            yield Finding(name, "range", f"{label} is above 1 somewhere")


def _strategy_records(strategy: Strategy, context: Context, layouts: Layouts) -> Iterable[Finding]:
    axes = {*layouts.degrees, REPLICAS, EXPERT_REPLICAS}
    for block in context.program.blocks:
        for communication in _communications(strategy, context, layouts, block):
            if unknown := set(communication.axes) - axes:
                yield Finding(strategy.name, "type", f"a communication of {block.name} names no axis {unknown}")
            if communication.component not in COMPONENTS:
                yield Finding(strategy.name, "type", f"{communication.component!r} is no component of the step's time")
    if strategy.synchronisations is not None and strategy.communications is not None:
        for block in context.program.blocks:
            for communication in strategy.communications(context, layouts, block):
                if communication.phase in (Phase.GRADIENT_SYNC, Phase.PARAMETER_SYNC):
                    text = (
                        f"communications of {block.name} hold a {communication.phase}, which synchronisations leave out"
                    )
                    yield Finding(strategy.name, "type", text)
    for buffer in strategy.buffers(context, layouts) if strategy.buffers else ():
        if not set(buffer.instants) <= set(Instant):
            yield Finding(strategy.name, "type", f"buffer {buffer.name} lives at no known instant")


def _times(layouts: Layouts) -> StageTimes:
    forward: Array = 1e-3 * layouts["micro_batch"] / layouts["tp"]
    return StageTimes(
        slowest_forward_s=forward,
        slowest_backward_s=2 * forward,
        total_forward_s=forward * layouts["pp"],
        total_backward_s=2 * forward * layouts["pp"],
        weight_gradient_s=forward,
    )


def check_schedule(schedule: Schedule) -> list[Finding]:
    """Check chunks in flight (at least one on every stage) and the bubble (never negative)."""
    name, context = schedule.name, synthetic_context()
    layouts = synthetic_layouts(context)

    def evaluate(mesh: Layouts) -> Quantities:
        found = {"bubble": schedule.bubble_s(context, mesh, _times(mesh))}
        for part in (0.0, 0.5, 1.0):
            stage = np.floor(part * (mesh["pp"] - 1))
            found[f"chunks in flight at {part:.0%} of the depth"] = schedule.chunks_in_flight(context, mesh, stage)
            if schedule.end_chunks_in_flight is not None:
                of_end = schedule.end_chunks_in_flight(context, mesh, stage)
                found[f"end chunks in flight at {part:.0%} of the depth"] = of_end
        for refusal in schedule.refusals(context, mesh) if schedule.refusals else ():
            found[f"refusal {refusal.reason}"] = refusal.where
        return found

    def check() -> Iterable[Finding]:
        refused: Mask = np.zeros(layouts.shape, dtype=np.bool_)
        for refusal in schedule.refusals(context, layouts) if schedule.refusals else ():
            refused = refused | refusal.where
        yield from check_array_law(name, evaluate, layouts, ~refused)
        for label, value in evaluate(layouts).items():
            values = np.broadcast_to(np.asarray(value, dtype=np.float64), layouts.shape)[~refused]
            if label.startswith("chunks") and (values < 1).any():
                yield Finding(name, "range", f"{label} is below 1 somewhere")

    return check_source(schedule) + guarded(name, check)


def check_recompute(recompute: Recompute) -> list[Finding]:
    """Check that a policy drops single operators or whole layers, not both."""
    found = check_source(recompute)
    if recompute.some_layers and not recompute.whole_layer:
        found.append(
            Finding(recompute.name, "type", "some_layers needs whole_layer: it counts layers that run again whole")
        )
    if recompute.whole_layer and recompute.operators:
        found.append(Finding(recompute.name, "type", "operators has no meaning beside whole_layer"))
    if "" in recompute.operators:
        found.append(Finding(recompute.name, "type", "an operator without a name"))
    return found


def check_offload(offload: Offload) -> list[Finding]:
    """Check refusals, and that gradients do not move alone: whoever updates the weights must be where they are."""
    name, found, context = offload.name, check_source(offload), synthetic_context()

    def evaluate(mesh: Layouts) -> Quantities:
        refused = offload.refusals(context, mesh) if offload.refusals else ()
        return {f"refusal {refusal.reason}": refusal.where for refusal in refused}

    def check() -> Iterable[Finding]:
        if StateKind.GRADIENT in offload.states and StateKind.OPTIMIZER not in offload.states:
            yield Finding(name, "type", "gradients move to the host, and the optimizer that reads them does not")
        layouts = synthetic_layouts(context)
        yield from check_array_law(name, evaluate, layouts, np.ones(layouts.shape, dtype=np.bool_))

    return found + guarded(name, check)


def check_framework(framework: Framework) -> list[Finding]:
    """Check storage for wide and narrow precisions, footprints of common operators, fractions and ZeRO stages."""
    name, found, context = framework.name, check_source(framework), synthetic_context()

    def check() -> Iterable[Finding]:
        for precision in (context.precision, replace(context.precision, weight_bytes=4, master_bytes=0)):
            yield from _numbers(name, framework.storage(precision))
        yield from _numbers(name, framework.overheads)
        yield from (
            Finding(name, "range", f"overlap of {overlap.name} is above 1")
            for overlap in fields(framework.overlaps)
            if isinstance(value := getattr(framework.overlaps, overlap.name), float) and value > 1
        )
        if framework.default_zero not in framework.zero_stages:
            yield Finding(name, "range", f"the default ZeRO stage {framework.default_zero} is not one of its stages")
        for block in context.program.blocks:
            for operator in block.operators:
                kind = operator.kind if operator.kind in framework.footprints else operator.kind.partition(".")[0]
                if kind in framework.footprints:
                    yield from _footprint(name, kind, framework.footprints[kind](operator, NUMERICS))

    return found + guarded(name, check)


def _footprint(name: str, kind: str, footprint: Footprint) -> Iterable[Finding]:
    if not isinstance(footprint, Footprint):
        yield Finding(name, "type", f"the footprint of {kind} is {type(footprint).__name__}")
        return
    for stored in (*footprint.saved, *footprint.forward, *footprint.backward):
        if stored.width < 0 or stored.element_bytes < 0:
            yield Finding(name, "range", f"{stored.name} of {kind} has a negative size")
        if not isinstance(stored.region, Region):
            yield Finding(name, "type", f"{stored.name} of {kind} lives in no region: {stored.region!r}")


def check_estimator(estimator: Estimator) -> list[Finding]:
    """Check that a rule answers, or stays silent, for whatever is known, with finite values that name their source."""
    name, full = estimator.name, EstimateInput(
        params=7e9, gpu_memory_bytes=24e9, layers=32, hidden=4096, heads=32, seq_len=4096, micro_batch=1, tokens=1e12
    )  # fmt: skip
    unknown = replace(full, layers=None, hidden=None, heads=None, seq_len=None, tokens=None)

    def check() -> Iterable[Finding]:
        for known in (full, unknown, EstimateInput(params=1.0)):
            for estimate in estimator.estimates(known):
                if not isinstance(estimate, Estimate):
                    yield Finding(name, "type", f"yields {type(estimate).__name__}, not Estimate")
                    continue
                yield from _numbers(f"{name}, {estimate.name}", estimate)
                if not (estimate.unit and estimate.formula and len(estimate.source) > 3):
                    yield Finding(name, "documented", f"{estimate.name} lacks a unit, a formula or a source")

    return check_source(estimator) + guarded(name, check)


CHECKS: Final[Mapping[str, Callable[[Any], list[Finding]]]] = {
    "precision": check_precision,
    "optimizer": check_optimizer,
    "strategy": check_strategy,
    "schedule": check_schedule,
    "recompute": check_recompute,
    "offload": check_offload,
    "framework": check_framework,
    "estimator": check_estimator,
}
"""The check of each kind; kinds without one are checked for their source only."""


def check_plugin(plugin: ModuleType | str, registry: Registry | None = None) -> list[Finding]:
    """Check every record of a plugin, given as its module or as the name it is loaded under.

    A module that is not installed as a plugin is loaded beside those that are, so that clashes show up as well.
    """
    name = plugin if isinstance(plugin, str) else plugin.__name__
    registry = load_registry() if registry is None else registry
    if not isinstance(plugin, str) and all(info.module != name for info in registry.plugins):
        registry = load_registry(extra={name: plugin})
    failed = [problem for problem in registry.problems if problem.name == name]
    loaded = [info for info in registry.plugins if name in (info.name, info.module)]
    if not loaded and not failed:
        raise UnknownNameError("plugin", name, (info.name for info in registry.plugins))
    found = [Finding(problem.name, problem.stage, problem.message) for problem in failed]
    for info in loaded:
        module = sys.modules.get(info.module.partition(":")[0])
        if module is not None and not inspect.getdoc(module):
            found.append(Finding(info.name, "documented", "the module has no docstring"))
        for kind, names in info.contributions.items():
            check = CHECKS.get(kind, check_source)
            records = registry.records(kind)
            found += [finding for record in names for finding in check(unguarded(records[record]))]
    return found
