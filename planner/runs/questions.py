"""From a row of a table of runs to a context and a mesh of one layout; every default that was filled is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster, Node
from planner.domain.mesh import ChoiceValue, Layouts
from planner.errors import InputError, UnknownNameError
from planner.importers.run_cells import NOT_OFFLOADED
from planner.importers.run_shapes import architecture_of, model_names
from planner.importers.runs import RunRow
from planner.plugin import Context, Framework
from planner.program.assemble import assemble
from planner.question import DEFAULT_FRAMEWORK, DEFAULT_OPTIMIZER, RecipeNames, build_question, rules_of
from planner.runs.clusters import Machines
from planner.search.space import all_choices, all_degrees, derive, make_layouts

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog
    from planner.registry import Registry

SHARDED_FRAMEWORKS: Final = frozenset({"torchtitan", "llm-foundry", "fms-fsdp", "torchtune", "maxtext"})
"""Frameworks that shard everything unless told otherwise (torchtune's distributed recipes know no other way; MaxText,
configs/base.yml: ici_fsdp_parallelism -1)."""
RECOMPUTING_FRAMEWORKS: Final = frozenset({"torchtune"})
"""Frameworks whose configurations all recompute whole layers (pytorch/torchtune, recipes/configs:
enable_activation_checkpointing)."""
RECOMPUTING_ON_TPUS: Final = frozenset({"maxtext"})
"""The same on TPUs: MaxText's default (configs/base.yml: remat_policy full), which its recipes for TPUs keep or refine, as the
shipped rows that state it show, and those for GPUs replace."""
WHOLE_BATCH_FRAMEWORKS: Final = frozenset({"maxtext"})
"""Frameworks that step over the whole batch at once unless told otherwise (MaxText, configs/base.yml:
gradient_accumulation_steps 1, per_device_batch_size)."""
RECIPES: Final = "the recipes of NeMo and Megatron-Bridge"
"""Where they are silent on it, they run the distributed optimizer and, with tensor parallelism, sequence parallelism: the
rows of the shipped table that state the latter all say so."""
NEMO_CHUNK_LAYERS: Final = 2
"""Layers of a model chunk where NeMo's recipes leave vpp open: of the 165 rows of the shipped table with pipelines that state
it, 162 interleave, and this is their median. (Megatron-Bridge prints n/a where it does not interleave.)"""
MICRO_BATCHES_PER_STAGE: Final = 4
"""Micro-batches per pipeline stage where the global batch is open: from here on the bubble is negligible, which is what
whoever pipelines is after (Huang et al. 2019, GPipe, arXiv:1811.06965, section 2.3: M >= 4 K)."""
COMPILED: Final = ("torchtitan-compiled", "torchtitan")
"""The nearest to what XLA, or a programmer, makes one kernel of."""
NEAREST_FRAMEWORKS: Final[Mapping[str, tuple[str, ...]]] = {
    "megatron-deepspeed": ("deepspeed", "megatron-core"), "deepspeed": ("transformers", "torchtitan"),
    "nanotron": ("megatron-core",), "internevo": ("megatron-core",), "oneflow": ("megatron-core",),
    "colossalai": ("megatron-core",), "fms-fsdp": ("llm-foundry", "torchtitan"), "llm-foundry": ("torchtitan",),
    "litgpt": ("transformers", "torchtitan"), "torchtune": ("transformers", "torchtitan"),
    "transformers": ("torchtitan",), "pytorch": ("torchtitan",), "nemo-automodel": ("torchtitan",),
    "maxtext": COMPILED, "paxml": COMPILED, "levanter": COMPILED, "llm.c": COMPILED,
}  # fmt: skip
"""The profiles to fall back on, best first, where no plugin knows the framework (DESIGN section 3)."""


SOME_LAYERS: Final = "full:block"
"""The policy that runs a number of each chunk's layers again, as a whole."""
SHARE_OF_LAYERS: Final = 0.5
"""The share of the layers that run again where a framework's selective recomputation is of whole layers and nothing says how many:
an assumption, the middle."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row ready to be evaluated: `key` is equal for rows that may share a context; `filled` names the defaults."""

    key: tuple[Any, ...]
    context: Context
    layouts: Layouts
    filled: tuple[str, ...]
    peak_kind: str


class Filler:
    """Takes what a row states, or a default that it then lists."""

    def __init__(self) -> None:
        """Nothing is filled yet."""
        self.listed: list[str] = []

    def note(self, text: str) -> None:
        """List `text`."""
        self.listed.append(text)

    def take(self, name: str, given: Any, default: Any, why: str = "") -> Any:  # noqa: ANN401 - any cell's type
        """`given`, or `default` with a note."""
        if given is not None:
            return given
        self.note(f"{name} = {default}" + (f" ({why})" if why else ""))
        return default


class Questions:
    """Builds questions from rows; models, machines and contexts are looked up or built once."""

    def __init__(self, catalog: Catalog, registry: Registry) -> None:
        """Ask with the models and machines of `catalog` and the plugins of `registry`."""
        self._registry = registry
        self._catalog = catalog
        self._machines = Machines(cache(catalog.accelerator), cache(catalog.node), lambda: catalog_nodes(catalog))
        self._models: dict[str, Architecture | InputError | None] = {}
        self._contexts: dict[tuple[Any, ...], Context] = {}
        self.rules = rules_of(registry)

    def look_up(self, rows: Iterable[RunRow]) -> None:
        """Read what `rows` name from one state of the catalog; what is wrong with a row is said when it is asked."""
        with self._catalog.snapshot():
            for row in rows:
                with suppress(Exception):
                    self._known_model(row.model_name)
                with suppress(Exception):
                    self._machines.cluster(row)

    def ask(self, row: RunRow) -> Asked:
        """The question that `row` is. Raises InputError and its children."""
        filler = Filler()
        architecture, shaped = architecture_of(row, self._known_model(row.model_name))
        cluster, placed = self._machines.cluster(row)
        if row.seq_len is None:
            raise InputError("seq_len: not given")
        for text in (*shaped, *placed):
            filler.note(text)
        degrees = _degrees(row, architecture.layers, filler)
        if degrees["vpp"] > architecture.layers:
            raise InputError(f"vpp: {degrees['vpp']} chunks per stage are more than the {architecture.layers} layers")
        framework = self._framework(row, filler)
        names = self._names(row, architecture, cluster, degrees, framework, filler)
        key = _key(architecture, cluster, names)
        if key not in self._contexts:
            self._contexts[key] = build_question(self._registry, architecture, cluster, names).context
        context = self._contexts[key]
        if architecture.moe is not None:
            degrees["etp"] = _expert_tensor(row, architecture, framework, degrees, filler)
        layouts = self._layouts(row, context, degrees, filler)
        if row.peak_kind.why:
            filler.note(f"peak_mem_unit = {row.peak_kind.name} ({row.peak_kind.why})")
        return Asked(key, context, layouts, tuple(filler.listed), row.peak_kind.name)

    def _known_model(self, name: str | None) -> Architecture | None:
        if name is None:
            return None
        if name not in self._models:
            self._models[name] = self._looked_up(name)
        found = self._models[name]
        if isinstance(found, InputError):
            raise found
        return found

    def _looked_up(self, name: str) -> Architecture | InputError | None:
        """The catalog's model; None where it has none of that name; an error where it cannot describe its own."""
        for spelling in model_names(name):
            slug = self._catalog.find("models", spelling)
            if slug is None:
                continue
            try:
                return self._catalog.architecture(slug)
            except InputError as problem:
                return InputError(f"model_name: {problem.message}", hint=problem.hint)
        return None

    def _framework(self, row: RunRow, filler: Filler) -> Framework:
        """The profile of the row's framework, or the nearest one: an unknown framework never fails a row."""
        known = self._registry
        found = self._nearest_framework(row, filler)
        compiled = known.frameworks.get(f"{found.name}-compiled") if row.compiled else None
        if compiled is None:
            return found
        filler.note(f"framework {found.name} taken as {compiled.name}")
        return compiled

    def _nearest_framework(self, row: RunRow, filler: Filler) -> Framework:
        known = self._registry
        if row.framework is None:
            filler.note(f"framework = {DEFAULT_FRAMEWORK}")
            return known.framework(DEFAULT_FRAMEWORK)
        try:
            return known.framework(row.framework)
        except UnknownNameError:
            shards = row.sharding is not None and row.sharding.stage >= 2
            nearest = NEAREST_FRAMEWORKS.get(row.framework, ("torchtitan",) if shards else (DEFAULT_FRAMEWORK,))
            found = next((known.frameworks[name] for name in nearest if name in known.frameworks), None)
            found = found or known.framework(DEFAULT_FRAMEWORK)
            filler.note(f"framework {row.framework} taken as {found.name}")
            return found

    def _names(
        self,
        row: RunRow,
        architecture: Architecture,
        cluster: Cluster,
        degrees: Mapping[str, int],
        framework: Framework,
        filler: Filler,
    ) -> RecipeNames:
        has_bf16 = "bf16" in cluster.accelerator.peak_flop_per_s
        batch, why_batch = degrees["dp"] * degrees["micro_batch"], "dp x micro_batch"
        if degrees["pp"] > 1:
            batch *= MICRO_BATCHES_PER_STAGE * degrees["pp"]
            why_batch += f" x {MICRO_BATCHES_PER_STAGE} x pp"
        flash = filler.take("flash_attention", row.flash_attention, int(has_bf16))
        method, rank = "full", None
        if row.method is None:
            filler.note("finetune_method = full")
        else:
            method, rank = row.method.name, row.method.rank
            if row.method.trained_params is not None:
                rank = self._rank(architecture, method, row.method.trained_params)
                filler.note(f"finetune_method {row.method.qualifier} taken as {method}:{rank}")
            elif row.method.qualifier:
                filler.note(f"finetune_method = {method} ({row.method.qualifier})")
            if method != "full" and rank is None:
                filler.note("the rank of the adapters is the method's own default")
        optimizer = None if row.optimizer is None else row.optimizer.name
        return RecipeNames(
            seq_len=row.seq_len,
            global_batch=filler.take("global_batch", row.global_batch, batch, why_batch),
            precision=filler.take("precision", row.precision, "bf16-mixed" if has_bf16 else "fp16-mixed"),
            optimizer=filler.take("optimizer", optimizer, DEFAULT_OPTIMIZER),
            method=method,
            framework=framework.name,
            attention="flash" if flash else "math",
            options=None if rank is None else {"rank": str(rank)},
            checked=False,
        )

    def _rank(self, architecture: Architecture, method: str, trained_params: int) -> int:
        """The least rank of the method's adapters that trains at least so many parameters."""
        known = self._registry
        of_rank_1 = known.method(method).apply(assemble(architecture, known.sublayers), {"rank": 1.0})
        trained = sum(group.elements * count for group, count in of_rank_1.groups() if group.trainable)
        return max(1, math.ceil(trained_params / trained))

    def _layouts(self, row: RunRow, context: Context, degrees: Mapping[str, int], filler: Filler) -> Layouts:
        rules = self.rules
        recompute = _recompute(row, context, filler)
        by_name = row.recompute is not None and row.recompute.name == recompute
        if recompute == SOME_LAYERS and not by_name and "recompute_layers" not in degrees:
            degrees = {**degrees, "recompute_layers": _layers_again(context, degrees, filler)}
        tuples = {
            degree.name: np.asarray([float(degrees.get(degree.name, 1))]) for degree in all_degrees(rules.strategies)
        }
        chosen: dict[str, ChoiceValue] = {
            "zero": _zero(row, degrees, filler),
            "sequence_parallel": _sequence_parallel(row, degrees, filler),
            "recompute": recompute,
            "schedule": row.schedule or ("interleaved" if degrees["vpp"] > 1 else "1f1b"),
            "offload": _offload(row, filler),
        }
        values: dict[str, tuple[ChoiceValue, ...]] = {}
        for choice in all_choices(
            rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads)
        ):
            value = chosen.get(choice.name, choice.values[0])
            if value not in choice.values:
                raise InputError(f"{choice.name}: {value!r} is not among {', '.join(map(str, choice.values))}")
            # All rows have the same values, so that rows can be joined to one mesh.
            values[choice.name] = choice.values
            chosen[choice.name] = value
        mesh = make_layouts(derive(context, tuples), values)
        position = np.ravel_multi_index(
            (*(options.index(chosen[name]) for name, options in values.items()), 0), mesh.shape
        )
        return mesh.at(np.asarray([position]))


def catalog_nodes(catalog: Catalog) -> Iterator[Node]:
    """Every node of the catalog."""
    for slug in catalog.names("nodes"):
        yield catalog.node(slug)


def _key(architecture: Architecture, cluster: Cluster, names: RecipeNames) -> tuple[Any, ...]:
    options = tuple(sorted((names.options or {}).items()))
    recipe = (names.seq_len, names.global_batch, names.precision, names.optimizer, names.method, names.framework)
    return (architecture, cluster.accelerator.slug, cluster.node, cluster.nodes, *recipe, names.attention, options)


def _degrees(row: RunRow, layers: int, filler: Filler) -> dict[str, int]:
    """Every degree of the row; dp is what n_gpus leaves. Raises InputError for a remainder."""
    degrees = {name: int(filler.take(name, row.degrees.get(name), 1)) for name in ("tp", "pp", "cp", "ep")}
    if "recompute_layers" in row.degrees:
        degrees["recompute_layers"] = row.degrees["recompute_layers"]
    degrees["vpp"] = _vpp(row, degrees["pp"], layers, filler)
    product = degrees["tp"] * degrees["pp"] * degrees["cp"]
    left, remainder = divmod(row.n_gpus, product)
    if remainder:
        raise InputError(f"dp: {row.n_gpus} GPUs are not a multiple of tp x pp x cp = {product}")
    stated = row.degrees.get("dp")
    if stated is None:
        filler.note(f"dp = {left} (n_gpus / (tp x pp x cp))")
    elif stated != left:
        filler.note(f"dp = {left} (n_gpus / (tp x pp x cp); the row says {stated})")
    degrees["dp"] = left
    degrees["micro_batch"] = _micro_batch(row, left, filler)
    degrees["shard_group"] = _shard_group(row, degrees["dp"] * degrees["cp"], filler)
    return degrees


def _vpp(row: RunRow, pp: int, layers: int, filler: Filler) -> int:
    """Model chunks per stage, as stated or as the row's recipes have them."""
    chunks, left = divmod(layers, pp * NEMO_CHUNK_LAYERS)
    interleaves = row.recipes == "nemo" and pp > 1 and chunks > 1 and not left
    return int(filler.take("vpp", row.degrees.get("vpp"), chunks if interleaves else 1, RECIPES if interleaves else ""))


def _micro_batch(row: RunRow, dp: int, filler: Filler) -> int:
    whole = (row.global_batch or 0) // dp if row.framework in WHOLE_BATCH_FRAMEWORKS else 0
    return int(filler.take("micro_batch", row.micro_batch, whole or 1, "global_batch / dp" if whole else ""))


def _expert_tensor(
    row: RunRow, architecture: Architecture, framework: Framework, degrees: Mapping[str, int], filler: Filler
) -> int:
    """Tensor parallelism within an expert: what the framework does unasked, where there are ranks enough for it. Experts narrower
    than the model are left whole: recipes for them say so (NVIDIA/dgxc-benchmarking v25.05, deepseek_v3: ETP 1 with TP 2)."""
    wide = architecture.moe is not None and architecture.moe.expert_ffn >= architecture.hidden
    assumed = degrees["tp"] if framework.experts_follow_tensor and wide else 1
    ranks = degrees["tp"] * degrees["cp"] * degrees["dp"]
    if ranks % (degrees["ep"] * assumed):
        assumed = 1
    return int(
        filler.take("etp", row.degrees.get("etp"), assumed, f"{framework.name}'s default" if assumed > 1 else "")
    )


def _shard_group(row: RunRow, replicas: int, filler: Filler) -> int:
    """The ranks that share states out; 1 stands for all replicas, as which a group that does not divide them is taken."""
    group = None if row.sharding is None else row.sharding.shard_group
    if group is None or group in (1, replicas) or replicas == 1:
        return 1
    if replicas % group:
        filler.note(f"the shard group of {group} taken as all {replicas} replicas")
        return 1
    return group


def _zero(row: RunRow, degrees: Mapping[str, int], filler: Filler) -> int:
    replicas = degrees["dp"] * degrees["cp"]
    if row.sharding is None:
        stage = 3 if row.framework in SHARDED_FRAMEWORKS else int(row.recipes is not None and replicas > 1)
        filler.note(f"zero = {stage}" + (f" ({RECIPES})" if stage == 1 else ""))
        return stage if replicas > 1 else 0
    if replicas == 1 and row.sharding.stage > 0:
        filler.note("zero = 0 (one replica has nothing to divide by)")
        return 0
    if row.sharding.fsdp_off and replicas > 1 and row.recipes is not None:
        filler.note(f"zero = 1 ({RECIPES})")
        return 1
    return row.sharding.stage


def _sequence_parallel(row: RunRow, degrees: Mapping[str, int], filler: Filler) -> int:
    assumed = int(row.recipes is not None and degrees["tp"] > 1)
    return int(filler.take("sequence_parallel", row.sequence_parallel, assumed, RECIPES if assumed else ""))


def _offload(row: RunRow, filler: Filler) -> str:
    if row.offload is None:
        filler.note(f"offload = {NOT_OFFLOADED}")
        return NOT_OFFLOADED
    if row.offload.qualifier:
        filler.note(f"offload {row.offload.qualifier} taken as {row.offload.name}")
    return row.offload.name


def _layers_again(context: Context, degrees: Mapping[str, int], filler: Filler) -> int:
    """Layers of each chunk that run again where the row leaves open how many."""
    chunk = len(context.program.layers) / (degrees["pp"] * degrees["vpp"])
    layers = max(1, round(SHARE_OF_LAYERS * chunk))
    filler.note(f"recompute_layers = {layers} (of how many is not said)")
    return layers


def _recompute(row: RunRow, context: Context, filler: Filler) -> str:
    if row.recompute is None:
        on_tpu = context.cluster.accelerator.vendor == "google"
        recomputing = RECOMPUTING_FRAMEWORKS | RECOMPUTING_ON_TPUS if on_tpu else RECOMPUTING_FRAMEWORKS
        again = "full" if row.framework in recomputing else "none"
        filler.note(f"recompute = {again}" + (f" ({row.framework}'s configurations)" if again == "full" else ""))
        return again
    if row.recompute.qualifier:
        filler.note(f"recompute {row.recompute.qualifier} taken as {row.recompute.name}")
    if row.recompute.name == "selective":
        return context.framework.selective_recompute
    return row.recompute.name
