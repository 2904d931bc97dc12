"""One cell of a table of runs to one typed value: what people write for precisions, ZeRO stages, optimizers and flags.

A cell is read by its leading word, whatever its case; ``(…)`` and ``:…`` qualify it. An empty cell and ``unknown`` are
None. A word that nobody knows is an InputError that names the column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from planner.domain.hardware import BusBandwidths
from planner.errors import InputError
from planner.units import BITS_PER_BYTE, GIGA

LARGEST_COUNT: Final = 2**31
_ABSENT: Final = frozenset({"", "unknown"})
_TRUE: Final = frozenset({"1", "1.0", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "0.0", "false", "no", "off", "none"})
_WORD: Final = re.compile(r"[^\s(:,;+]+")

PRECISIONS: Final[Mapping[str, str]] = {
    "bf16": "bf16-mixed", "bfloat16": "bf16-mixed", "fp16": "fp16-mixed", "float16": "fp16-mixed", "fp8": "fp8-delayed",
    "fp32": "fp32", "float32": "fp32", "nf4": "bf16-mixed", "int4": "bf16-mixed",
}  # fmt: skip
"""The precisions that a bare word stands for; every registered name stands for itself."""

OPTIMIZERS: Final[Mapping[str, str]] = {
    "adam": "adamw", "adamw": "adamw", "decoupled_adamw": "adamw", "fusedadam": "adamw", "fused_adam": "adamw",
    "fusedadamw": "adamw", "distributed_fused_adam": "adamw", "mcore_distributed_optim": "adamw",
    "distributed": "adamw",
}  # fmt: skip
"""All are AdamW's two moments; what a name says about sharding is the ZeRO column's to say."""


@dataclass(frozen=True, slots=True)
class Sharding:
    """A ZeRO stage; `shard_group` where the state is divided among fewer ranks than all replicas. `fsdp_off` says only that
    FSDP is not used, which leaves a framework's other way to divide states open."""

    stage: int
    shard_group: int | None = None
    offloads: bool = False
    fsdp_off: bool = False


@dataclass(frozen=True, slots=True)
class Worded:
    """A name with what qualified it in the cell ("" where nothing did)."""

    name: str
    qualifier: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """A training method, and the rank of its adapters where it is stated. `trained_params` is set where `name` only stands in
    for a method that is not registered: so many parameters are trained."""

    name: str
    rank: int | None = None
    qualifier: str = ""
    trained_params: int | None = None


def text_or_none(text: str | None) -> str | None:
    """The cell without outer blanks, or None if it says nothing."""
    stripped = (text or "").strip()
    return None if stripped.casefold() in _ABSENT else stripped


def leading_word(text: str) -> Worded:
    """The first word in lower case, and the rest as written.

    >>> leading_word("selective:mlp")
    Worded(name='selective', qualifier='mlp')
    """
    match = _WORD.match(text.strip())
    if match is None:
        return Worded("", text.strip())
    rest = text.strip()[match.end() :].strip(" :;,")
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1]
    return Worded(match.group().casefold(), rest)


def _unknown(column: str, text: str, known: Collection[str]) -> InputError:
    return InputError(f"{column}: {text!r} is not known", hint=f"known are {', '.join(sorted(known))}")


def registered(column: str, text: str | None, known: Collection[str]) -> str | None:
    """A name that a plugin registered, whatever its case. Raises InputError for any other.

    >>> registered("schedule", " DualPipe ", ("1f1b", "dualpipe")), registered("schedule", "", ())
    ('dualpipe', None)
    """
    stripped = text_or_none(text)
    if stripped is None:
        return None
    if stripped.casefold() not in known:
        raise _unknown(column, stripped, known)
    return stripped.casefold()


def whole(column: str, text: str | None, least: int = 1) -> int | None:
    """A count: ``8``, ``8.0``. Raises InputError for anything else."""
    value = number(column, text)
    if value is None:
        return None
    if value != int(value) or not least <= value <= LARGEST_COUNT:
        written = (text or "").strip()
        raise InputError(f"{column}: must be a whole number from {least} to {LARGEST_COUNT:,}, not {written!r}")
    return int(value)


def number(column: str, text: str | None) -> float | None:
    """A finite number. Raises InputError for anything else."""
    stripped = text_or_none(text)
    if stripped is None:
        return None
    try:
        value = float(stripped)
    except ValueError:
        raise InputError(f"{column}: {stripped!r} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{column}: {stripped!r} is not a finite number")
    return value


def flag(column: str, text: str | None) -> bool | None:
    """A yes or no. Raises InputError for anything else."""
    stripped = text_or_none(text)
    if stripped is None:
        return None
    word = leading_word(stripped).name
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _unknown(column, stripped, ("0", "1"))


def precision(text: str | None, registered: Collection[str] = ()) -> str | None:
    """The name of a precision; `registered` are those that stand for themselves. Raises InputError."""
    stripped = text_or_none(text)
    if stripped is None:
        return None
    word = leading_word(stripped).name
    if word in PRECISIONS:
        return PRECISIONS[word]
    if word in registered:
        return word
    raise _unknown("precision", stripped, {*PRECISIONS, *registered})


def optimizer(text: str | None, registered: Collection[str] = ()) -> Worded | None:
    """The name of an optimizer; of several (``Muon + AdamW``) the first. Raises InputError."""
    stripped = text_or_none(text)
    if stripped is None:
        return None
    word = leading_word(stripped)
    if word.name in OPTIMIZERS:
        return Worded(OPTIMIZERS[word.name], word.qualifier)
    if word.name in registered:
        return word
    raise _unknown("optimizer", stripped, {*OPTIMIZERS, *registered})


_STAGE: Final = re.compile(r"^(?:zero)?[-_ ]?(?:stage[-_ ]?)?([0-3])(?![\w.])")
_FSDP: Final = re.compile(r"^fsdp(?:\s?[12](?!\d))?(?![a-z\d])|^fully[_ ]?shard\w*|^full[_ ]?shard\b")
_SHARD_GROUP: Final = re.compile(r"(?:group|size|=)\s*(\d+)|^\s*(\d+)\b")
_SHARDING_WORDS: Final = ("ZeRO-0…3", "FSDP", "FULL_SHARD", "SHARD_GRAD_OP", "HSDP", "DDP", "distributed optimizer")


def sharding(text: str | None) -> Sharding | None:
    """How training state is divided among replicas. Raises InputError.

    >>> sharding("FSDP SHARD_GRAD_OP").stage, sharding("ZeRO-1 (shard group 8)").shard_group
    (2, 8)
    """
    stripped = text_or_none(text)
    if stripped is None:
        return None
    lowered = stripped.casefold()
    offloads = "offload" in lowered
    stage = _STAGE.match(lowered)
    if stage is not None:
        return Sharding(int(stage.group(1)), _shard_group(lowered[stage.end() :]), offloads)
    word = leading_word(lowered).name
    if word in ("ddp", "none", "no_shard", "dp"):
        return Sharding(0)
    if word == "shard_grad_op":
        return Sharding(2, None, offloads)
    if word in ("distributed", "distributed_optimizer", "dist_optimizer"):
        return Sharding(1, None, offloads)
    if word in ("hsdp", "hybrid_shard"):
        return Sharding(3, _shard_group(lowered[len(word) :]), offloads)
    match = _FSDP.match(lowered)
    if match is not None:
        return _fsdp(lowered[match.end() :], offloads)
    raise _unknown("zero_stage_or_fsdp", stripped, _SHARDING_WORDS)


def _fsdp(rest: str, offloads: bool) -> Sharding:
    if "no_shard" in rest or "no-shard" in rest:
        return Sharding(0)
    group = _shard_group(rest)
    if group in (0, 1):
        # FSDP=0 is FSDP switched off, and a group of one rank divides nothing.
        return Sharding(0, fsdp_off=group == 0)
    if "shard_grad_op" in rest:
        return Sharding(2, group, offloads)
    return Sharding(3, group, offloads)


def _shard_group(rest: str) -> int | None:
    match = _SHARD_GROUP.search(rest)
    return None if match is None else int(match.group(1) or match.group(2))


RECOMPUTES: Final[Mapping[str, str]] = {
    "none": "none", "off": "none", "no": "none", "full": "full", "selective": "selective",
    "partial": "selective",
}  # fmt: skip
_MODULES: Final[Mapping[str, str]] = {
    "mla-up-proj": "selective:mla-up", "mla-up-proj/mlp": "selective:mla-up", "layernorm": "selective:norm",
    "layernorm/moe-act": "selective:norm+activation", "moe-act/layernorm": "selective:norm+activation",
    "moe-act": "selective:activation", "per-op": "selective:pointwise", "per-op sac": "selective:pointwise",
}  # fmt: skip
"""Recomputed modules as Megatron and torchtitan name them, and the policies that run them again."""
_NEARLY_FULL: Final = ("custom", "offload")


def recompute(text: str | None, registered: Collection[str] = ()) -> Worded | None:
    """The name of a recompute policy; of a partial one the nearest. Raises InputError.

    ``partial:minimal`` keeps the outputs of all matmuls, as selective does; ``partial:custom`` keeps little more than a
    layer's input, as full does.
    """
    stripped = text_or_none(text)
    if stripped is None:
        return None
    if stripped.casefold() in registered:
        return Worded(stripped.casefold())
    word = leading_word(stripped)
    if word.name not in RECOMPUTES:
        raise _unknown("recompute", stripped, {*RECOMPUTES, *registered})
    modules = _MODULES.get(word.qualifier.casefold().replace("_", "-")) if word.name == "selective" else None
    if modules in registered:
        return Worded(str(modules))
    if word.name == "partial" and any(mark in word.qualifier.casefold() for mark in _NEARLY_FULL):
        return Worded("full", word.qualifier)
    return Worded(RECOMPUTES[word.name], word.qualifier)


NOT_OFFLOADED: Final = "none"


_SOME_LAYERS: Final = re.compile(r"num_layers|\d+ layers")
_TO_THE_HOST: Final = re.compile(
    r"\b(?:cpu|host|offload\w*|full|param\w*|grad\w*|optim\w*|activation\w*)", re.IGNORECASE
)


def offload(text: str | None, column: str = "offload", registered: Collection[str] = ()) -> Worded | None:
    """The name of what is kept in the host's memory, qualified by the cell as written where that is not the name itself.

    Who says no more than that the host is used, or names parameters or gradients, means all of the training state. Raises
    InputError for words that say nothing of the kind.

    >>> offload("cpu params + activations"), offload("none")
    (Worded(name='parameters+activations', qualifier='cpu params + activations'), Worded(name='none', qualifier=''))
    """
    stripped = text_or_none(text)
    if stripped is None:
        return None
    lowered = stripped.casefold()
    if lowered in registered:
        return Worded(lowered)
    if leading_word(stripped).name in _FALSE:
        return Worded(NOT_OFFLOADED)
    if _SOME_LAYERS.search(lowered):
        raise InputError(f"{column}: {stripped!r}: offloading the activations of some layers only is not modelled")
    words = {match.group().casefold()[:5] for match in _TO_THE_HOST.finditer(stripped)}
    if not words:
        raise _unknown(column, stripped, {NOT_OFFLOADED, *registered})
    states = "optimizer" if "optim" in words and not words & {"param", "grads", "full"} else "parameters"
    if "activ" not in words:
        return Worded(states, stripped)
    return Worded("activations" if words <= {"activ", "offlo", "cpu"} else f"{states}+activations", stripped)


_FULL_METHODS: Final = frozenset({"full", "pretrain", "pretraining", "sft", "finetune"})
_RANK: Final = re.compile(r"^\s*(\d+)\b")
_TRAINED: Final = re.compile(r"\b(\d[\d,]*) trainable params\b")
STAND_IN: Final = "lora"
"""What methods are taken as that train a few parameters beside a frozen model, and are not registered."""


def method(text: str | None, registered: Collection[str] = ()) -> Tuning | None:
    """A training method: ``pretrain``, ``full``, ``lora:16``; one that is not registered but states how many parameters it
    trains is adapters of that many. Raises InputError for others.

    >>> method("ia3 (286,720 trainable params)", ("lora",))
    Tuning(name='lora', rank=None, qualifier='ia3 with 286,720 trainable params', trained_params=286720)
    """
    stripped = text_or_none(text)
    if stripped is None:
        return None
    word = leading_word(stripped)
    if word.name in _FULL_METHODS:
        return Tuning("full")
    if word.name in registered and "dora" not in word.qualifier.casefold():
        rank = _RANK.match(word.qualifier) if stripped[len(word.name) :].startswith(":") else None
        qualifier = word.qualifier if rank is None else word.qualifier[rank.end() :].strip(" ()")
        return Tuning(word.name, None if rank is None else int(rank.group(1)), qualifier)
    trained = _TRAINED.search(stripped)
    if trained is not None and STAND_IN in registered:
        count = int(trained.group(1).replace(",", ""))
        named = stripped[: trained.start()].strip(" (")
        return Tuning(STAND_IN, None, f"{named} with {count:,} trainable params", count)
    raise _unknown("finetune_method", stripped, {*_FULL_METHODS, *registered})


QUANTISED_BASES: Final = frozenset({"nf4", "int4"})


def on_quantised_base(found: Tuning | None, precision_cell: str | None) -> Tuning | None:
    """Adapters beside a base in 4 bits are QLoRA's, whatever the method column calls them. Raises InputError without them."""
    word = leading_word(precision_cell or "none").name
    if word not in QUANTISED_BASES:
        return found
    if found is None or found.name not in ("lora", "qlora"):
        raise InputError(
            f"precision: {text_or_none(precision_cell)!r} is a base for adapters, not a precision to train in"
        )
    return replace(found, name="qlora")


MEGATRON: Final = "megatron-core"
BRIDGE: Final = "megatron-bridge"
FRAMEWORK_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("megatron-deepspeed", "megatron-deepspeed"), (BRIDGE, BRIDGE), ("megatron", "megatron-core"),
    ("nemo automodel", "nemo-automodel"),
    ("nemo", "nemo"), ("nvidia nemo", "nemo"), ("pytorch nvidia release", "nemo"), ("torchtitan", "torchtitan"),
    ("composer", "llm-foundry"), ("llm-foundry", "llm-foundry"), ("nanotron", "nanotron"), ("maxtext", "maxtext"),
    ("internevo", "internevo"), ("litgpt", "litgpt"), ("lit-gpt", "litgpt"), ("oneflow", "oneflow"),
    ("torchtune", "torchtune"), ("levanter", "levanter"), ("paxml", "paxml"), ("colossal", "colossalai"),
    ("pytorch fsdp (fms-fsdp)", "fms-fsdp"), ("fms-fsdp", "fms-fsdp"), ("deepspeed", "deepspeed"),
    ("peft", "peft"), ("hf", "transformers"),
    ("hugging", "transformers"), ("transformers", "transformers"), ("unsloth", "peft"),
    ("accelerate", "transformers"),
)  # fmt: skip
"""How the name of a framework begins, and the framework it is; more specific beginnings first."""


RECIPE_WORDS: Final = tuple(beginning for beginning, found in FRAMEWORK_WORDS if found in ("nemo", BRIDGE))
"""How the names begin of collections of recipes for Megatron (NVIDIA's MLPerf submissions name NeMo or the container that it
ships in)."""


def recipes(framework_slug: str | None, name: str | None) -> str | None:
    """The collection of recipes that a run of Megatron came from, which leaves less open than Megatron; None without.

    >>> recipes("megatron-core", "NeMo 25.02 / Megatron-Core"), recipes("megatron-core", "Megatron-LM")
    ('nemo', None)
    """
    found = framework(framework_slug, name) or ""
    if found == "nemo":
        return found
    return BRIDGE if found.startswith(BRIDGE) else None


FINE_TUNERS: Final[tuple[tuple[str, str], ...]] = (("peft", "peft"), ("qlora", "peft"), ("unsloth", "peft"))
"""Libraries around transformers that load 16-bit weights; the slug alone does not tell them from its Trainer."""


_RELEASE: Final = re.compile(r"(?:container |dgxc v)(\d\d\.\d\d)")
FUSED_EXPERTS_SINCE: Final = "26.06"
"""The container from which on Megatron-Bridge's recipes are as they are now."""


def bridge(name: str) -> str:
    """Megatron-Bridge's profile for the container that `name` states, else the newest.

    >>> bridge("Megatron-Bridge (NeMo container 26.04.01)"), bridge("Megatron-Bridge (dgxc v26.06)")
    ('megatron-bridge-26.04', 'megatron-bridge')
    """
    release = _RELEASE.search(name)
    return f"{BRIDGE}-26.04" if release and release.group(1) < FUSED_EXPERTS_SINCE else BRIDGE


def framework(slug: str | None, name: str | None) -> str | None:
    """The framework's slug: the `slug` cell, else how the `name` cell begins, else that cell's leading word. Where the slug is
    Megatron's, a name that begins with a collection of recipes says more."""
    given, named = text_or_none(slug), text_or_none(name)
    lowered = (named or "").casefold()
    if given is not None and not (given == MEGATRON and lowered.startswith(RECIPE_WORDS)):
        refined = FINE_TUNERS if given.casefold() == "transformers" else ()
        return next((found for word, found in refined if word in lowered), given.casefold())
    if named is None:
        return None
    for beginning, found in FRAMEWORK_WORDS:
        if lowered.startswith(beginning):
            return bridge(lowered) if found == BRIDGE else found
    return leading_word(named).name


_COMPILED: Final = re.compile(r"\bcompile\b(?!\s*=\s*false)", re.IGNORECASE)


def compiled(name: str | None, note: str | None) -> bool:
    """Whether the name of the framework or a note says that the model was compiled (torch.compile); no column does.

    >>> compiled("PyTorch FSDP (fms-fsdp)+compile", None), compiled("torchtitan", "FSDP+compile+float8")
    (True, True)
    >>> compiled("torchtitan", "FSDP"), compiled("PEFT", "variable length; compile=False")
    (False, False)
    """
    return any(_COMPILED.search(text or "") for text in (name, note))


_PEAK_KINDS: Final = re.compile(r"nvidia-smi|reserved|allocated|active", re.IGNORECASE)


_VOCABULARY: Final = re.compile(
    r"\bvocab(?:ulary)?(?: size)?\s*(?:is|of|about|=|:)?\s*(?P<size>\d{1,3}(?:,\d{3})+|\d+)(?P<thousands>k?)\b(?!\.\d)",
    re.IGNORECASE,
)
LEAST_VOCABULARY: Final = 1000
"""What is smaller is no vocabulary of words but another number of the note."""
_TIED: Final = re.compile(r"\b(?:embeddings tied|tied embeddings)\b(?! no\b)", re.IGNORECASE)


def tied(note: str | None) -> bool | None:
    """True where a note says that embedding and head are one matrix; no column does.

    >>> tied("MHA, embeddings tied"), tied("an untied head")
    (True, None)
    """
    return True if _TIED.search(note or "") else None


def vocabulary(note: str | None) -> int | None:
    """The size of the vocabulary where a note states it as a number.

    >>> vocabulary("activation checkpointing on; VOCAB 250k"), vocabulary("vocab is 50,257;"), vocabulary("vocab of GPT-2")
    (250000, 50257, None)
    >>> vocabulary("vocab padded to a multiple of 128"), vocabulary("vocab 32.0k"), vocabulary("vocabulary 128 256")
    (None, None, None)
    """
    found = _VOCABULARY.search(note or "")
    if found is None:
        return None
    size = int(found["size"].replace(",", "")) * (1000 if found["thousands"] else 1)
    return size if size >= LEAST_VOCABULARY else None


ALLOCATED: Final = "allocated"


@dataclass(frozen=True, slots=True)
class PeakKind:
    """What a peak was measured as: ``allocated``, ``active``, ``reserved`` or ``nvidia-smi``; `why` where no cell says so."""

    name: str = ALLOCATED
    why: str = ""


SOURCES_OF_PEAKS: Final[Mapping[str, PeakKind]] = {
    "bigscience-workshop/bigscience:train/tr11-176B-ml/chronicles-prequel.md": PeakKind(
        "nvidia-smi", "the source's snapshots are of nvidia-smi"
    ),
    "pytorch/torchtitan:benchmarks/": PeakKind("reserved", "the source reports what the allocator reserves"),
}
"""What a source says once of all its rows, by the part of the `source` cell that names its file or folder."""


BUS_BANDWIDTHS: Final[Mapping[str, Mapping[str, Mapping[int, float]]]] = {
    "vinjn/nanotron-ultrascale-playbook:": {
        "all_reduce": {1: 436.0, 2: 361.7, 4: 160.1, 8: 99.6, 16: 84.7, 32: 64.9, 64: 32.9},
        "gather": {1: 249.7, 2: 181.6, 4: 115.8, 8: 68.6, 16: 54.5, 32: 27.9, 64: 11.0},
    },
    "bigscience-workshop/bigscience:": {"all_reduce": {2: 135 / 8 * 7 / 8}},
}
"""What a source measured of its own cluster's network, by the part of the `source` cell that names it: GB/s of bus bandwidth by
number of nodes. The playbook: buffers of 256 MB (fragments/pp_comm_bandwidth.html, the lines; of all-gather and reduce-scatter the
lower one). BigScience: 135 Gb/s between two nodes of four V100s with four Omni-Path links of 100 Gb/s each
(experiments/README.md at 9e64edec), which its script counts as twice the buffer over the time, so that 7/8 of it are bus
bandwidth; a year later it was the same (stas00/ml-engineering, network/README.md, Omni-Path)."""


def bus_bandwidths(source: str | None) -> BusBandwidths:
    """Bus bandwidths [byte/s] of collectives by number of nodes, where the source measured them; else nothing."""
    found = next((table for part, table in BUS_BANDWIDTHS.items() if part in (source or "")), {})
    return BusBandwidths(**{
        name: tuple((nodes, gigabytes_per_s * GIGA) for nodes, gigabytes_per_s in sorted(table.items()))
        for name, table in found.items()
    })  # fmt: skip


def peak_kind(unit: str | None, source: str | None = None) -> PeakKind:
    """The tool that `unit` names, else the one that `source` says it used; allocated where neither says.

    The unit's own words come before those in parentheses.

    >>> peak_kind("GB (nvidia-smi, first/last stage)").name, peak_kind("GiB").name
    ('nvidia-smi', 'allocated')
    """
    stripped = unit or ""
    outside = re.sub(r"\([^)]*\)", " ", stripped)
    match = _PEAK_KINDS.search(outside) or _PEAK_KINDS.search(stripped)
    if match is not None:
        return PeakKind(match.group().casefold())
    return next((kind for part, kind in SOURCES_OF_PEAKS.items() if part in (source or "")), PeakKind())


_RATE: Final = re.compile(
    r"(?:(?P<count>\d+)\s*x\s+(?:[A-Za-z][\w-]*\s+)?)?(?P<rate>\d+(?:\.\d+)?)\s*Gb(?:ps|/s)?(?![\w/])(?P<after>[^,;]*)"
)
_PER_NODE: Final = re.compile(r"\bper\b(?:\s+[\w-]+){0,3}\s+node\b|node-node")


def network_bytes_per_s(text: str | None) -> float | None:
    """A node's whole network bandwidth [byte/s], where the note gives it per node.

    So do ``1600 Gbps node-node`` and ``4 x 100 Gb RoCE per node``.

    Rates per GPU, per card or of storage are left out: what they add up to is not said.
    """
    for match in _RATE.finditer(text or ""):
        if _PER_NODE.search(match.group("after")):
            return float(match.group("rate")) * int(match.group("count") or 1) * GIGA / BITS_PER_BYTE
    return None
