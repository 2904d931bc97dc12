"""Execution profiles: what implementations keep, what overlaps, what the device adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from planner.program.operators import Operator
from planner.program.tensors import Footprint
from planner.records.states import Precision, StateKind, Storage
from planner.records.strategies import Buffer
from planner.records.values import Value
from planner.units import MIB

if TYPE_CHECKING:
    from planner.domain.architecture import Architecture
    from planner.domain.mesh import ChoiceValue, Layouts
    from planner.records.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """What an operator's implementation needs to know to say what it keeps.

    Bytes per element of activations, of the residual stream (float32 under autocast) and of saved GEMM inputs; the attention
    kernel (``flash``, ``efficient``, ``math``, ``eager``); whether dropout is active; whether mixed precision is autocast.
    """

    activation_bytes: float
    residual_bytes: float
    gemm_input_bytes: float
    attention: str
    dropout: bool
    autocast: bool
    seq_len: int


FootprintFunction: TypeAlias = Callable[[Operator, Numerics], Footprint]
"""What one operator keeps in memory under an implementation."""


COMMUNICATION_SLOWDOWN: Final = 1.0 - 1.0 / 1.189
"""The share of its speed that compute loses while a collective runs beside it on the same GPU, for compute units, memory and power:
it takes 18.9 % longer in the mean of training runs on A100, H100, MI210 and MI250 (arXiv 2507.03114, abstract). Taken for tiles of
tensor parallelism too: they use fewer compute units, but the same memory and power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """The fraction of a communication that a framework can run beside compute (0 none, 1 all that fits).

    `tiled_tensor` names the accelerator generations on which tensor-parallel collectives run tile by tile with their GEMM, so
    that one tile of t stays exposed. `input_gradients` is for the tensor-parallel reduction of a GEMM's input gradient, which
    needs nothing of its weight gradient. `expert` is for the experts' all-to-all between scale-up domains, `expert_inside` for that
    within one: behind another micro-batch, so only without a pipeline or with several chunks per stage, and not where whole layers
    run again. `once_a_step` is the share of `gradients` and `parameters` that holds below ZeRO-3: for what is
    sent once a step, and for the gradients of ZeRO-2. `slowdown` is the share of the hidden communication's time that compute
    loses to it on GPUs.
    """

    tensor: float = 0.0
    tiled_tensor: frozenset[str] = frozenset()
    input_gradients: float = 0.0
    context: float = 0.0
    expert: float = 0.0
    expert_inside: float = 0.0
    pipeline: float = 0.0
    gradients: float = 0.0
    parameters: float = 0.0
    once_a_step: float = 1.0
    slowdown: float = COMMUNICATION_SLOWDOWN
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOverheads:
    """Memory on the device that no tensor accounts for [bytes]: context, workspaces, per communicator; and the allocator.

    `fragmentation` is the fraction of allocated bytes that the caching allocator reserves beyond them. `bounds` gives, by field,
    the least and the most that were published; a field without is taken as certain.
    """

    context_bytes: float
    workspace_bytes: float
    communicator_bytes: float
    fragmentation: float
    source: str
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def bound(self, name: str) -> tuple[float, float]:
        """The least and the most of the field `name`."""
        value = float(getattr(self, name))
        return self.bounds.get(name, (value, value))


COMMUNICATOR_BYTES: Final = 688 * MIB
"""Device memory that a communicator of more than two ranks takes once it has all-reduced, on A100s with NVLink (NVIDIA/nccl,
issue 964; 544 MiB for two ranks). Uncertain by a factor of several: it grows with the channels, each with its own 4 MiB
buffers (NCCL_BUFFSIZE, issue 1450), so with the links (issue 986); an all-to-all among 8 H100s took 3.3 GB (issue 1685).
"""


CUDA_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "context_bytes": (141 * MIB, 1573 * MIB),
    "workspace_bytes": (8.125 * MIB, 64 * MIB),
    "communicator_bytes": (544 * MIB, 3.3e9),
    "fragmentation": (0.0, 77.9 / 52.9 - 1.0),
}
"""What others measured. Context: 141 MiB on a T4 (fitcheck-llm 0.3.1), 1,573 MiB on an A100 with all kernels loaded (BigScience,
chronicles-prequel.md). Workspaces: PyTorch's CUBLAS_WORKSPACE_CONFIG before and from Hopper. Communicators: NVIDIA/nccl issues 964
and 1685. Reserved over allocated: 77.9 and 52.9 GB (LambdaLabsML/distributed-training-guide, 05-training-llama-405b)."""


def cuda_overheads(
    *, fragmentation: float, source: str, context_mib: float = 500, context_source: str = "CUDA context about 0.5 GiB"
) -> DeviceOverheads:
    """What CUDA, cuBLAS and NCCL take whatever the framework; the allocator's reserve and its source are the framework's."""
    return DeviceOverheads(
        context_bytes=context_mib * MIB,
        workspace_bytes=64 * MIB,
        communicator_bytes=COMMUNICATOR_BYTES,
        fragmentation=fragmentation,
        bounds=CUDA_BOUNDS,
        source="figures of CUDA, cuBLAS and NCCL, also for ROCm and RCCL, which publish none: "
        f"{context_source}; cuBLAS workspaces 2 x 32 MiB on Hopper; {source}; "
        "per communicator 688 MiB (NVIDIA/nccl issue 964: A100, NVLink; more links or all-to-all take several times that)",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Memory traffic of a memory-bound operator's kernels [bytes per element of its inputs, or outputs], forward and backward.

    A kernel reads each operand and writes its result once; code that runs one kernel per arithmetic step pays for each.
    """

    forward: float
    backward: float
    of_outputs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """The execution profile of a training framework.

    `footprints` maps an operator kind (``norm.rmsnorm``, or ``norm`` for all norms) to what its implementation keeps.
    `fused` names the kinds that cost no separate pass over memory. `default_zero` is what the framework does unasked.
    `zero_stages`, `schedules` and `recomputes` are what it offers of these choices, `model_recomputes` the policies that it has for
    some models besides (``None``: none), `offers` what it offers of the choices that strategies bring, by axis (else what the
    strategy has candidates for). A search tries all of them; those of `finer` (by axis, in steps of one or more axes) after
    the others, step by step, since all at once would multiply the whole space; where the fewest GPUs are wanted on no more than do
    without.
    `traffic` says what memory-bound operators move, by kind as `footprints` (else: inputs read and outputs written once).
    `attention_kernels` maps an accelerator generation (``Ampere``, ``Hopper`` …) to the flash attention kernel that runs on it
    (a name of `planner.formulas.attention`; ``flash-2`` where none is given).
    `accumulation_bytes_per_parameter` is the traffic of adding a micro-batch's gradient to its buffer where the GEMM does not
    write there itself. `selective_recompute` is the policy that the framework means by "selective".
    `deduplicates_tokens`: a token goes to a node and to a rank once however many of its experts are there.
    `experts_follow_tensor`: who does not say otherwise gets tensor parallelism within experts of the same degree as outside.
    `fused_experts` names the precisions in which the experts' activation, bias and quantisation are part of their GEMMs.
    `sync_bucket_elements` says of how many parameters gradients are reduced at once (None: a block's): each collective pays its
    own latency. `all_reduces_gradients`: under ZeRO-1 too, every rank gets the reduced gradient of every parameter.
    `broadcasts_weights`: each rank sends the weights that it updated in a broadcast of its own, not all in one all-gather.
    `gathers_stage_messages`: tensor-parallel ranks send a part each of what the next stage needs, which gathers it.
    `head_layers`: as how many layers the head counts where layers are shared out by work (None: by number, without the head).
    `host_s_per_operator` is what the host needs to launch one operator's kernels: a block takes no less than that times its
    operators, however fast the device; `host_s_per_expert` what it needs besides for each expert that a rank holds, forward and
    backward, where experts' GEMMs are launched one by one. `buffers` is memory beside states and saved tensors. `autocasts`: mixed
    precision keeps float32 weights and a float32 residual stream, and casts at each GEMM.
    `vendors` are those whose accelerators it runs on, `sharded_optimizers` those whose states it shares out (empty: all).
    `persistent_gradients`: the gradient buffer exists all the time (else gradients appear during the first backward).
    `offloads_states` and `offloads_activations` say what it can keep in the host's memory; `gradients_follow_optimizer`:
    where the optimizer's states go there, gradients do too.
    `stage_outputs_kept` is the share of what a pipeline stage sent on that a rank keeps until its backward pass (None: freed
    once sent).
    `keeps_gathered_inputs`: under sequence parallelism the backward need not gather the inputs of GEMMs again, because they
    were saved so; the footprints say what memory that takes.
    `root_stays_unsharded`: with ZeRO-3, embedding and head stay gathered from the forward to the backward's end.
    """

    name: str
    aliases: tuple[str, ...] = ()
    storage: Callable[[Precision], Storage]
    footprints: Mapping[str, FootprintFunction]
    overlaps: Overlaps
    overheads: DeviceOverheads
    zero_stages: tuple[int, ...] = (0, 1)
    default_zero: int = 0
    zero_with_pipeline: int = 1
    schedules: tuple[str, ...] = ("1f1b", "interleaved")
    recomputes: tuple[str, ...] = ("none", "selective", "full")
    model_recomputes: Callable[[Architecture], tuple[str, ...]] | None = None
    offers: Mapping[str, tuple[ChoiceValue, ...]] = field(default_factory=dict)
    finer: tuple[Mapping[str, tuple[ChoiceValue, ...]], ...] = ()
    pads_vocabulary: bool = False
    vendors: frozenset[str] = frozenset()
    sharded_optimizers: frozenset[str] = frozenset()
    buffers: Callable[[Context, Layouts], Iterable[Buffer]] | None = None
    autocasts: bool = False
    persistent_gradients: bool = True
    offloads_states: frozenset[StateKind] = frozenset()
    offloads_activations: bool = False
    gradients_follow_optimizer: bool = False
    stage_outputs_kept: Callable[[Context, Layouts], Value] | None = None
    keeps_gathered_inputs: bool = False
    root_stays_unsharded: bool = False
    fused: frozenset[str] = frozenset()
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    attention_kernels: Mapping[str, str] = field(default_factory=dict)
    deduplicates_tokens: bool = False
    experts_follow_tensor: bool = False
    fused_experts: frozenset[str] = frozenset()
    accumulation_bytes_per_parameter: float = 0.0
    sync_bucket_elements: Callable[[Context, Layouts], Value] | None = None
    all_reduces_gradients: Callable[[Context], bool] | None = None
    broadcasts_weights: bool = False
    gathers_stage_messages: bool = False
    head_layers: Callable[[Context], float] | None = None
    selective_recompute: str = "selective"
    host_s_per_operator: float = 0.0
    host_s_per_expert: Callable[[Context], tuple[float, float]] | None = None
    source: str
