"""From what a user says to what the search needs: names resolved, defaults filled, each default written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster
from planner.domain.job import Job
from planner.domain.plan import Assumption
from planner.errors import InputError, UnknownNameError
from planner.losses import FRAMEWORK, with_loss
from planner.plugin import Axis, Choice, Context, Framework, Numerics, Precision, Program
from planner.program.assemble import assemble
from planner.registry import Registry
from planner.search.conventions import CONVENTIONS, DEFAULT_CONVENTION
from planner.search.rules import Rules
from planner.search.space import all_choices

DEFAULT_FRAMEWORK: Final = "megatron-core"
PORTABLE_FRAMEWORK: Final = "torchtitan"
HARDWARE_FORMATS: Final = ("bf16", "fp16", "fp8", "fp4")
"""Formats that an accelerator either has or has not; float32 runs everywhere."""
DEFAULT_OPTIMIZER: Final = "adamw"
LONGEST_DEFAULT_SEQ_LEN: Final = 8192
UNKNOWN_SEQ_LEN: Final = 2048
TOKENS_PER_STEP: Final = 4_194_304
TOKENS_PER_PARAMETER: Final = 20
EVEN_ROUTING: Final = 1.0
BARE_PRECISIONS: Final = {"bf16": "bf16-mixed", "fp16": "fp16-mixed", "fp8": "fp8-delayed"}
LONGEST_SEQ_LEN: Final = 1 << 30
LARGEST_BATCH: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeNames:
    """The names and numbers of a recipe as given; None takes the default.

    `checked`: refuse a recipe that the hardware cannot run (measured runs are taken at their word instead).
    """

    seq_len: int | None = None
    global_batch: int | None = None
    tokens: float | None = None
    precision: str | None = None
    optimizer: str | None = None
    method: str = "full"
    framework: str | None = None
    attention: str | None = None
    capacity_factor: float | None = None
    flops_convention: str = DEFAULT_CONVENTION
    loss: str = FRAMEWORK
    dropout: bool | None = None
    options: Mapping[str, str] | None = None
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """A question ready to be searched: the context, the rules of all plugins, and what was assumed."""

    context: Context
    rules: Rules
    assumptions: tuple[Assumption, ...]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice of a layout."""
        rules = self.rules
        return all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads))


class Assumptions:
    """Collects what was filled in, in order."""

    def __init__(self) -> None:
        self.found: list[Assumption] = []

    def fill(self, name: str, given: Any, default: Any, origin: str) -> Any:  # noqa: ANN401
        """`given`, or `default` with a note of where it comes from."""
        if given is not None:
            return given
        self.found.append(Assumption(name=name, value=default, origin=origin))
        return default


NEEDED_AXES: Final = ("tp", "pp", "vpp", "cp", "dp", "micro_batch", "zero", "sequence_parallel")
"""Axes that operators, frameworks and strategies count on; they come from first-party plugins, which can be left out."""


def axis_names(registry: Registry) -> frozenset[str]:
    """Every degree and choice that a strategy brings."""
    strategies = registry.strategies.values()
    degrees = {degree.name for strategy in strategies for degree in strategy.degrees}
    return frozenset(degrees | {choice.name for strategy in strategies for choice in strategy.choices})


def rules_of(registry: Registry) -> Rules:
    """Everything the search sums over. Raises InputError where too many plugins are left out."""
    brought = axis_names(registry)
    missing = [name for name in NEEDED_AXES if name not in brought]
    if missing:
        raise InputError(
            f"no plugin brings the axes {', '.join(missing)}", hint="PLANNER_PLUGINS_DISABLE leaves out too many"
        )
    return Rules(tuple(registry.strategies.values()), registry.schedules, registry.recomputes, registry.offloads)


def build_question(registry: Registry, architecture: Architecture, cluster: Cluster, names: RecipeNames) -> Question:
    """Fill the defaults of DESIGN section 6. Raises InputError and UnknownNameError."""
    assumptions = Assumptions()
    method = registry.method(names.method)
    options = _numbers(names.options, method.options)
    program = method.apply(assemble(architecture, registry.sublayers), options)
    job = _job(program, names, assumptions)
    precision = registry.precision(_precision_name(cluster, names.precision, assumptions))
    if names.checked:
        _check_formats(precision, cluster)
    optimizer = registry.optimizer(
        assumptions.fill("optimizer", names.optimizer, DEFAULT_OPTIMIZER, "the common choice")
    )
    framework = with_loss(_framework(registry, cluster, names, assumptions), names.loss)
    for row in cluster.accelerator.calibrations:
        assumptions.found.append(Assumption(name=row.metric, value=row.fraction, origin=row.source))
    rules = rules_of(registry)
    context = Context(
        program=program,
        job=job,
        cluster=cluster,
        precision=precision,
        optimizer=optimizer,
        framework=framework,
        storage=framework.storage(precision),
        numerics=_numerics(architecture, cluster, precision, framework, job, names, assumptions),
        divides=merged_divides(rules),
    )
    return Question(context, rules, tuple(assumptions.found))


def _framework(registry: Registry, cluster: Cluster, names: RecipeNames, assumptions: Assumptions) -> Framework:
    """The framework asked for, which must run on the cluster's accelerators, or the default one that does."""
    vendor = cluster.accelerator.vendor
    default = registry.framework(DEFAULT_FRAMEWORK)
    origin = "the planner's default"
    if default.vendors and vendor not in default.vendors:
        origin = f"{default.name} does not run on accelerators of {vendor}"
        default = registry.framework(PORTABLE_FRAMEWORK)
    found = registry.framework(assumptions.fill("framework", names.framework, default.name, origin))
    if names.checked and found.vendors and vendor not in found.vendors:
        raise InputError(
            f"{found.name} does not run on {cluster.accelerator.slug} (vendor {vendor})",
            hint=f"it runs on {', '.join(sorted(found.vendors))}; try --framework {PORTABLE_FRAMEWORK}",
        )
    return found


def _check_formats(precision: Precision, cluster: Cluster) -> None:
    """Refuse a recipe whose number formats the accelerator has no rate for. Raises InputError."""
    peaks = cluster.accelerator.peak_flop_per_s
    for wanted in (precision.matmul, precision.compute):
        if wanted in HARDWARE_FORMATS and wanted not in peaks:
            has = ", ".join(sorted(name for name in peaks if name in (*HARDWARE_FORMATS, "tf32", "fp32")))
            raise InputError(
                f"{cluster.accelerator.slug} has no {wanted} rate, which {precision.name} needs", hint=f"it has {has}"
            )


def merged_divides(rules: Rules) -> dict[Axis, str]:
    """Which degree divides which logical axis; a second strategy on one axis is a conflict. Raises InputError."""
    found: dict[Axis, str] = {}
    for strategy in rules.strategies:
        for axis, degree in strategy.divides.items():
            if found.setdefault(axis, degree) != degree:
                raise InputError(
                    f"strategy {strategy.name!r} divides {axis.value} by {degree}, another one by {found[axis]}",
                    hint="disable one of them with PLANNER_PLUGINS_DISABLE",
                )
    return found


def _job(program: Program, names: RecipeNames, assumptions: Assumptions) -> Job:
    longest = program.architecture.max_seq_len
    default = UNKNOWN_SEQ_LEN if longest is None else min(longest, LONGEST_DEFAULT_SEQ_LEN)
    origin = "unknown maximum" if longest is None else f"min(the model's maximum {longest}, {LONGEST_DEFAULT_SEQ_LEN})"
    seq_len = _whole("seq_len", assumptions.fill("seq_len", names.seq_len, default, origin), LONGEST_SEQ_LEN)
    batch = max(1, TOKENS_PER_STEP // seq_len)
    batch_origin = f"{TOKENS_PER_STEP:,} tokens per step // seq_len"
    global_batch = _whole(
        "global_batch", assumptions.fill("global_batch", names.global_batch, batch, batch_origin), LARGEST_BATCH
    )
    optimal = float(TOKENS_PER_PARAMETER * program.active_params)
    tokens = assumptions.fill("tokens", names.tokens, optimal, "20 x active parameters (arXiv:2203.15556)")
    if not 0 < tokens < float("inf"):
        raise InputError(f"tokens must be a positive number, not {tokens}")
    return Job(
        seq_len=seq_len,
        global_batch=global_batch,
        tokens=float(tokens),
        capacity_factor=_capacity_factor(program, names, assumptions),
        flops_convention=_flops_convention(names.flops_convention),
    )


def _flops_convention(name: str) -> str:
    if name not in CONVENTIONS:
        raise UnknownNameError("FLOPs convention", name, CONVENTIONS)
    return name


def _capacity_factor(program: Program, names: RecipeNames, assumptions: Assumptions) -> float:
    """Above 1 only where there are experts to route to unevenly. Raises InputError."""
    if program.architecture.moe is None:
        if names.capacity_factor is not None and names.capacity_factor != 1.0:
            raise InputError(
                f"capacity_factor {names.capacity_factor:g} needs experts, which {program.architecture.slug} has not"
            )
        return 1.0
    factor = float(assumptions.fill("capacity_factor", names.capacity_factor, EVEN_ROUTING, "tokens are routed evenly"))
    moe = program.architecture.moe
    most = moe.experts / moe.topk
    if not 1.0 <= factor <= most:
        raise InputError(
            f"capacity_factor must be from 1 to {most:g}, not {factor:g}",
            hint=f"at {most:g} each of the {moe.experts} experts has room for every token, of which it gets {moe.topk} in "
            f"{moe.experts}",
        )
    return factor


def _whole(name: str, value: int, largest: int) -> int:
    if not 1 <= value <= largest:
        raise InputError(f"{name} must be between 1 and {largest:,}, not {value}")
    return int(value)


def _precision_name(cluster: Cluster, given: str | None, assumptions: Assumptions) -> str:
    has_bf16 = "bf16" in cluster.accelerator.peak_flop_per_s
    default = "bf16-mixed" if has_bf16 else "fp16-mixed"
    origin = f"{cluster.accelerator.slug} has {'a' if has_bf16 else 'no'} bf16 rate"
    name = str(assumptions.fill("precision", given, default, origin))
    return BARE_PRECISIONS.get(name, name)


def _numerics(
    architecture: Architecture,
    cluster: Cluster,
    precision: Precision,
    framework: Framework,
    job: Job,
    names: RecipeNames,
    assumptions: Assumptions,
) -> Numerics:
    flash = "bf16" in cluster.accelerator.peak_flop_per_s
    origin = f"{cluster.accelerator.slug} {'runs' if flash else 'does not run'} flash attention"
    attention = str(assumptions.fill("attention", names.attention, "flash" if flash else "math", origin))
    if attention not in ("flash", "math", "eager", "efficient"):
        raise InputError(f"attention must be flash, efficient, math or eager, not {attention!r}")
    gemm_input = precision.gemm_input_bytes
    stored_bytes = framework.storage(precision).weight_bytes
    autocast = framework.autocasts and stored_bytes > precision.activation_bytes
    return Numerics(
        activation_bytes=precision.activation_bytes,
        residual_bytes=stored_bytes if autocast else precision.activation_bytes,
        gemm_input_bytes=precision.activation_bytes if gemm_input is None else gemm_input,
        attention=attention,
        dropout=architecture.dropout if names.dropout is None else names.dropout,
        autocast=autocast,
        seq_len=job.seq_len,
    )


def _numbers(options: Mapping[str, str] | None, known: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in (options or {}).items():
        if key not in known:
            raise UnknownNameError("option", key, known)
        try:
            found[key] = float(value)
        except ValueError:
            raise InputError(f"--set {key}={value}: {value!r} is not a number") from None
    return found
