"""Strategies, schedules and recomputation: axes, rules, what is sent, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from planner.domain.mesh import Array, ChoiceValue, Layouts, Mask
from planner.program.parameters import Axis
from planner.program.program import Block
from planner.program.tensors import Region
from planner.records.states import StateKind
from planner.records.values import Value

if TYPE_CHECKING:
    from planner.records.context import Context


class Component(StrEnum):
    """Where a byte is booked (DESIGN section 6)."""

    WEIGHTS = "weights"
    GRADIENTS = "gradients"
    OPTIMIZER = "optimizer"
    ACTIVATIONS = "activations"
    OTHER = "other"


class Instant(StrEnum):
    """When in a step memory is looked at: the end of the first forward; the loss's backward; the backward of the first layer
    that runs it (all others still hold what they saved), and of the last; the embedding's backward; the optimizer step.
    """

    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD = "backward"
    LAST_BACKWARD = "last backward"
    EMBEDDING = "embedding backward"
    OPTIMIZER = "optimizer"


class Collective(StrEnum):
    """What is sent. Payload: all-reduce each rank's buffer; all-gather and reduce-scatter the full (unsharded) buffer;
    all-to-all one rank's send buffer; point-to-point the message (FORMULAS section 6)."""

    ALL_REDUCE = "all_reduce"
    ALL_GATHER = "all_gather"
    REDUCE_SCATTER = "reduce_scatter"
    ALL_TO_ALL = "all_to_all"
    POINT_TO_POINT = "point_to_point"


class Phase(StrEnum):
    """When something is sent: in each micro-batch's forward or backward, or once per step around the optimizer."""

    FORWARD = "forward"
    BACKWARD = "backward"
    GRADIENT_SYNC = "gradient_sync"
    PARAMETER_SYNC = "parameter_sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Degree:
    """An axis of the mesh whose values are counts.

    `candidates` lists the values worth trying for a context. `multiplies_gpus`: the number of GPUs is the product of these
    degrees; others are carved from them (ep, etp) or split the batch (micro_batch) or a stage (vpp).
    """

    name: str
    candidates: Callable[[Context], Sequence[int]]
    multiplies_gpus: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An axis of the mesh whose values are alternatives; `candidates` limits them to those that a context offers."""

    name: str
    values: tuple[ChoiceValue, ...]
    candidates: Callable[[Context], Sequence[ChoiceValue]] | None = None
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Layouts that cannot or should not run, with the reason they are counted under."""

    reason: str
    where: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Communication:
    """One collective of one block.

    `axes` names degrees (their product is the group) or `REPLICAS` / `EXPERT_REPLICAS`. Where the replicas share states out
    in groups of the degree ``shard_group``, ``("shard_group", REPLICAS)`` is one such group and ``(REPLICAS, "shard_group")``
    the ranks that hold the same share in all of them. Forward and backward ones happen
    `events` times per micro-batch and layer, the syncs `events` times per step and layer; `payload_bytes` is one event's.
    `copies` (all-to-all only): each token is in the payload this many times, and crosses to another domain once however many
    of its copies go there (node-wise deduplication); 0 sends every copy. `component` is the step-time component it is
    booked under. `overlap` is the fraction that may hide behind the same
    block's compute of the same phase (for the syncs: behind the last backward, or the first forward).
    """

    collective: Collective
    axes: tuple[str, ...]
    payload_bytes: Value
    phase: Phase
    component: str
    events: Value = 1.0
    overlap: Value = 0.0
    copies: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Memory that a strategy needs beside states and saved activations, alive at the given instants. `source`: its strategy's or
    framework's where it has none of its own; `plugin` is filled in by the core."""

    name: str
    component: Component
    bytes: Value
    instants: tuple[Instant, ...] = (
        Instant.FORWARD,
        Instant.LOSS,
        Instant.BACKWARD,
        Instant.LAST_BACKWARD,
        Instant.EMBEDDING,
    )
    source: str = ""
    plugin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to divide work.

    `divides` maps logical axes of parameters to the degree that divides them. `region_divisors` gives, per region of
    activations, the divisor this strategy brings (they multiply). `shards_states` says where a kind of state is divided
    over the replica group (ZeRO). `communications` is asked per block, `boundary_communications` per pipeline boundary.
    `synchronisations` is the part of the communications that is sent once a step, which depends on other degrees than what every
    micro-batch sends, so that a search is faster where both are apart (None: `communications` yields it too). `key_parts` is in
    how many parts, one kernel each, attention sees the keys of the sequence (None: at once).
    """

    name: str
    degrees: tuple[Degree, ...] = ()
    choices: tuple[Choice, ...] = ()
    divides: Mapping[Axis, str] = field(default_factory=dict)
    region_divisors: Callable[[Context, Layouts], Mapping[Region, Value]] | None = None
    sequence_divisor: Callable[[Context, Layouts], Value] | None = None
    key_parts: Callable[[Context, Layouts], Value] | None = None
    shards_states: Callable[[Context, Layouts], Mapping[StateKind, Value]] | None = None
    communications: Callable[[Context, Layouts, Block], Iterable[Communication]] | None = None
    synchronisations: Callable[[Context, Layouts, Block], Iterable[Communication]] | None = None
    boundary_communications: Callable[[Context, Layouts], Iterable[Communication]] | None = None
    buffers: Callable[[Context, Layouts], Iterable[Buffer]] | None = None
    refusals: Callable[[Context, Layouts], Iterable[Refusal]] | None = None
    source: str


def nothing_sent(_context: Context, _layouts: Layouts, _block: Block) -> tuple[Communication, ...]:
    """The `synchronisations` of a strategy that sends nothing once a step."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Seconds of one micro-batch on each kind of stage, exposed communication included.

    `slowest_*` on the stage that takes longest, `total_*` summed over all stages; `weight_gradient_s` is the part of the
    slowest stage's backward that computes weight gradients (zero-bubble schedules move it into the bubble).
    """

    slowest_forward_s: Array
    slowest_backward_s: Array
    total_forward_s: Array
    total_backward_s: Array
    weight_gradient_s: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The order in which a pipeline stage runs its micro-batches.

    `chunks_in_flight` gives how many (model chunk, micro-batch) pairs stage `stage` (array, from 0) holds at its peak;
    `bubble_s` the idle seconds of the slowest stage in one step. `parameter_copies` is how often a device keeps its share of
    the parameters and their states (2 where it runs two stages for two directions). `folded`: chunks lie in a V, so that the
    first stage holds the last chunk, and with it the head. `expert_overlap` is the share of the experts' all-to-all that hides
    behind the compute of another micro-batch, where the schedule interleaves two for that; a framework may hide more.
    `end_chunks_in_flight` gives how many of those, on the first stage, are of its first chunk and, on the last, of its last one
    (None: as many as of the stage's other chunks): these two hold the embedding and the head, and may hold a layer less.
    """

    name: str
    chunks_in_flight: Callable[[Context, Layouts, Array], Value]
    bubble_s: Callable[[Context, Layouts, StageTimes], Value]
    refusals: Callable[[Context, Layouts], Iterable[Refusal]] | None = None
    hop_factor: float = 1.0
    parameter_copies: float = 1.0
    folded: bool = False
    expert_overlap: float = 0.0
    end_chunks_in_flight: Callable[[Context, Layouts, Array], Value] | None = None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """Activations that are dropped in the forward and computed again in the backward.

    `operators` names the operators (by name, or by kind) that run again: what they alone keep is dropped, what they read is
    kept, and so is what they produce where an operator that does not run again keeps it. `discards_outputs` drops that too
    (it is rebuilt before it is read). `whole_layer` keeps nothing but the input of the layer, or of each group of as many
    layers as the degree ``recompute_layers`` says. `some_layers` runs so many layers of each model chunk again, and the others
    keep everything.
    """

    name: str
    operators: frozenset[str] = frozenset()
    discards_outputs: bool = False
    whole_layer: bool = False
    some_layers: bool = False
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offload:
    """What lives in the host's memory instead of the device's.

    `states` are the kinds of state that move: OPTIMIZER takes the master copy and the gradients' copy along, and the host
    then runs the optimizer; WEIGHT are sent to the device for each pass, GRADIENT to the host after each backward.
    `activations`: what layers save for the backward moves too.
    """

    name: str
    states: frozenset[StateKind] = frozenset()
    activations: bool = False
    refusals: Callable[[Context, Layouts], Iterable[Refusal]] | None = None
    source: str
