"""What the command line, the web and library users call: `plan`, `evaluate`, `estimate`, `model_parameters`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from planner.domain.plan import EvaluateAnswer, PlanAnswer
from planner.domain.running import Operation as Operation  # for library users
from planner.errors import InputError, UnknownNameError

ANY_CLUSTER: Final = "any"
"""Stands for every cluster that the catalog names."""
Pin = int | str | tuple[int | str, ...]

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog
    from planner.domain.architecture import Architecture
    from planner.domain.hardware import Cluster
    from planner.question import Question
    from planner.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained; None means the planner's default, which the answer lists as an assumption.

    `model` is a slug, an alias or the path of a ``config.json``. `options` are plugin options (``--set k=v``). `operation` is
    what the run costs, draws and suffers (prices, power, failures).
    """

    model: str
    cluster: str
    node: str | None = None
    seq_len: int | None = None
    global_batch: int | None = None
    tokens: float | None = None
    precision: str | None = None
    optimizer: str | None = None
    method: str = "full"
    framework: str | None = None
    attention: str | None = None
    capacity_factor: float | None = None
    flops_convention: str = "causal"
    loss: str = "framework"
    memory_headroom: float = 0.05
    options: Mapping[str, str] = field(default_factory=dict)
    operation: Operation = field(default_factory=Operation)

    def to_dict(self) -> dict[str, Any]:
        """What was asked, as JSON; open values are null."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("options", "operation")}
        return plain | {"options": dict(self.options), "operation": self.operation.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for: bounds, pinned axes and the objective (``min-gpus``, ``time``, ``cost``, ``energy``).

    A pin is a value or a tuple of them. `without` names strategies and axes that are not used, `why_not` the axes of layouts
    whose place is to be explained; `jobs` is the number of threads.

    Deadline and budget are held against the run as it can be expected, with failures and checkpoints. `sensitivity` asks the
    question again with other rates, prices and failures.
    """

    min_gpus: int = 1
    max_gpus: int | None = None
    objective: str = "min-gpus"
    deadline_s: float | None = None
    budget_usd: float | None = None
    pins: Mapping[str, Pin] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    why_not: Mapping[str, Pin] = field(default_factory=dict)
    top: int = 5
    sensitivity: bool = False
    jobs: int = 1

    def to_dict(self) -> dict[str, Any]:
        """What was asked, as JSON; how many threads answer it is no part of the question."""
        asked = {name: getattr(self, name) for name in self.__slots__ if name != "jobs"}
        for name in ("pins", "why_not"):
            asked[name] = {axis: list(pin) if isinstance(pin, tuple) else pin for axis, pin in asked[name].items()}
        return asked | {"without": list(self.without)}


def plan(
    recipe: Recipe,
    search: Search | None = None,
    *,
    database: str | None = None,
    strict_plugins: bool = False,
    progress: Callable[[float], None] | None = None,
) -> PlanAnswer:
    """The fewest GPUs that fit, and the best layout by the objective. `progress` is told the fraction that was searched.

    Raises InputError, UnknownNameError, CatalogError, PluginError.
    """
    return plan_among([recipe], search, database=database, strict_plugins=strict_plugins, progress=progress)


def plan_among(
    recipes: Sequence[Recipe],
    search: Search | None = None,
    *,
    database: str | None = None,
    strict_plugins: bool = False,
    progress: Callable[[float], None] | None = None,
) -> PlanAnswer:
    """`plan` for several recipes (clusters, frameworks): the best one's answer, with all of them in `compared`.

    A cluster ``any`` stands for all that the catalog names. Raises InputError, UnknownNameError, CatalogError, PluginError.
    """
    from planner.among import answer_among
    from planner.answers import answer_plan
    from planner.isolation import answered
    from planner.search.objectives import ignore
    from planner.searching import one_of

    wanted = Search() if search is None else search
    _check_search(wanted)
    for recipe in recipes:
        _check_fraction("memory headroom", recipe.memory_headroom)

    def ask_all(registry: Registry) -> PlanAnswer:
        with _opened(database, registry) as catalog, catalog.snapshot():
            every = _every(catalog, recipes)
            if len(every) > 1:
                for recipe in every:
                    # A cluster that cannot be read is an error, whatever the others answer.
                    catalog.cluster(recipe.cluster, node=recipe.node)
            # All are read before the first is answered: from one state of the catalog, which nobody has to wait for.
            asked = [_prepared(catalog, registry, recipe) for recipe in every]

        def ask(recipe: Recipe) -> PlanAnswer:
            prepared = asked[every.index(recipe)]
            if isinstance(prepared, InputError):
                raise prepared
            pinned = replace(wanted, pins={**prepared.axes, **wanted.pins})
            own = one_of(len(every), every.index(recipe), progress or ignore)
            return answer_plan(prepared.question, registry, recipe, pinned, prepared.provenance, own)

        return ask(every[0]) if len(every) == 1 else answer_among(every, wanted.objective, ask)

    return answered(ask_all, strict=strict_plugins)


def _check_search(wanted: Search) -> None:
    if wanted.jobs < 1:
        raise InputError(f"jobs must be 1 or more, not {wanted.jobs}")
    if wanted.max_gpus is not None and not 1 <= wanted.min_gpus <= wanted.max_gpus:
        raise InputError(f"{wanted.min_gpus} to {wanted.max_gpus} is no range of GPUs")
    for name, limit in (("deadline", wanted.deadline_s), ("budget", wanted.budget_usd)):
        if limit is not None and not limit > 0:
            raise InputError(f"the {name} must be above zero, not {limit}")


def _every(catalog: Catalog, recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes, those for any cluster once for each that has a name."""
    found: list[Recipe] = []
    for recipe in recipes:
        clusters = catalog.names("clusters") if recipe.cluster.lower() == ANY_CLUSTER else (recipe.cluster,)
        every = (replace(recipe, cluster=cluster) for cluster in clusters)
        found.extend(each for each in every if each not in found)
    return found


def evaluate(
    recipe: Recipe, layout: Mapping[str, int | str], *, database: str | None = None, strict_plugins: bool = False
) -> EvaluateAnswer:
    """One exact configuration; axes not in `layout` are 1, and ZeRO what the framework does unasked.

    Raises InputError, UnknownNameError, CatalogError, PluginError.
    """
    from planner.evaluating import answer_evaluate
    from planner.isolation import answered

    _check_fraction("memory headroom", recipe.memory_headroom)

    def ask(registry: Registry) -> EvaluateAnswer:
        with _opened(database, registry) as catalog, catalog.snapshot():
            plain, axes = _options_and_axes(recipe, registry)
            question = _question(catalog, registry, plain)
            origin = _provenance(catalog, registry, question)
        return answer_evaluate(question, registry, recipe, {**axes, **layout}, origin)

    return answered(ask, strict=strict_plugins)


def estimate(
    *,
    model: str | None,
    params: float | None,
    gpu: str | None,
    seq_len: int | None = None,
    micro_batch: int = 1,
    tokens: float | None = None,
    database: str | None = None,
) -> dict[str, Any]:
    """The rules of thumb: schema ``planner.estimate/1`` with ``items`` of name, value, unit, formula, source, note.

    Raises InputError where neither a model nor a parameter count is given, UnknownNameError, CatalogError.
    """
    from planner.estimating import answer_estimate
    from planner.isolation import answered

    if (model is None) == (params is None):
        raise InputError("give either --model or --params", hint="planner estimate --params 7e9 --gpu rtx-4090")

    def ask(registry: Registry) -> dict[str, Any]:
        if model is None and gpu is None:
            return answer_estimate(registry, None, params, None, seq_len, micro_batch, tokens)
        with _opened(database, registry) as catalog, catalog.snapshot():
            architecture = None if model is None else load_architecture(catalog, registry, model)
            accelerator = None if gpu is None else catalog.accelerator(gpu)
        return answer_estimate(registry, architecture, params, accelerator, seq_len, micro_batch, tokens)

    return answered(ask)


def model_parameters(model: str, *, database: str | None = None) -> dict[str, Any]:
    """Parameter counts: schema ``planner.catalog.params/1`` with total_params, active_params, embedding_params.

    `model` is a slug, an alias or a path. Raises InputError, UnknownNameError, CatalogError.
    """
    from planner.importing import looks_like_path, read_model
    from planner.program.assemble import assemble
    from planner.registry import installed_registry

    registry = installed_registry()
    if looks_like_path(model):
        architecture = read_model(registry, model)
    else:
        with _opened(database, registry) as catalog:
            architecture = load_architecture(catalog, registry, model)
    program = assemble(architecture, registry.sublayers)
    return {
        "schema": "planner.catalog.params/1",
        "model": architecture.slug,
        "family": architecture.family,
        "total_params": program.total_params,
        "active_params": program.active_params,
        "embedding_params": program.embedding_params,
    }


def evaluate_runs(
    path: str, *, database: str | None = None, strict_plugins: bool = False, with_ranges: bool = False
) -> Any:  # noqa: ANN401 - planner.runs.RunsAnswer, not imported at the top
    """One row, one exact configuration: see `planner.runs.evaluate.evaluate_runs`."""
    from planner.runs.evaluate import evaluate_runs as evaluate_file

    return evaluate_file(path, database=database, strict_plugins=strict_plugins, with_ranges=with_ranges)


def calibrate(path: str, *, database: str | None = None, strict_plugins: bool = False, dry_run: bool = False) -> Any:  # noqa: ANN401 - planner.calibration's Calibration, not imported at the top
    """Factors of a user's machines from measured runs: see `planner.calibration.calibrate.calibrate`."""
    from planner.calibration.calibrate import calibrate as calibrate_file

    return calibrate_file(path, database=database, strict_plugins=strict_plugins, dry_run=dry_run)


def forget_calibrations(*, database: str | None = None) -> tuple[str, ...]:
    """Remove what calibrations found from the catalog; the accelerators that had any. Raises CatalogError."""
    from planner.catalog.calibrations import forget
    from planner.registry import installed_registry

    # Opening makes or upgrades the catalog, so that there is one to look into.
    _opened(database, installed_registry()).close()
    return forget(database)


def load_architecture(catalog: Catalog, registry: Registry, model: str) -> Architecture:
    """A catalog model by name, or one read from a ``config.json`` or its folder. Raises InputError, UnknownNameError."""
    from planner.importing import holds_config, looks_like_path, read_model

    if looks_like_path(model):
        return read_model(registry, model)
    try:
        return catalog.architecture(model)
    except UnknownNameError:
        if holds_config(model):
            return read_model(registry, model)
        raise


def _opened(database: str | None, registry: Registry) -> Catalog:
    """The catalog, with the branches of installed plugins."""
    from planner.catalog.reader import Catalog

    return Catalog.open(database, branches=registry.branch_directories)


def _check_fraction(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise InputError(f"{name} must be a fraction from 0 to below 1, not {value}", hint="0.05 keeps 5 % free")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A recipe as a question, with what was read from the catalog; `axes` are those that its options pin."""

    question: Question
    axes: Mapping[str, int | str]
    provenance: Mapping[str, Any]


def _prepared(catalog: Catalog, registry: Registry, recipe: Recipe) -> _Prepared | InputError:
    """The recipe as a question, or why it cannot be asked. Raises UnknownNameError, CatalogError, PluginError."""
    try:
        plain, axes = _options_and_axes(recipe, registry)
        question = _question(catalog, registry, plain)
        return _Prepared(question, axes, _provenance(catalog, registry, question))
    except UnknownNameError:
        raise
    except InputError as fault:
        return fault


def _question(catalog: Catalog, registry: Registry, recipe: Recipe) -> Question:
    from planner.catalog.running import running_facts
    from planner.operating import check, with_operation
    from planner.question import RecipeNames, build_question

    check(recipe.operation)
    architecture = load_architecture(catalog, registry, recipe.model)
    cluster = _priced(catalog, catalog.cluster(recipe.cluster, node=recipe.node), recipe.operation)
    names = RecipeNames(
        seq_len=recipe.seq_len, global_batch=recipe.global_batch, tokens=recipe.tokens, precision=recipe.precision,
        optimizer=recipe.optimizer, method=recipe.method, framework=recipe.framework, attention=recipe.attention,
        capacity_factor=recipe.capacity_factor, flops_convention=recipe.flops_convention, loss=recipe.loss,
        options=recipe.options,
    )  # fmt: skip
    question = build_question(registry, architecture, cluster, names)
    operation = recipe.operation
    facts = running_facts(catalog, cluster, operation.price_kind, operation.region)
    return with_operation(question, operation, facts)


def _priced(catalog: Catalog, cluster: Cluster, operation: Operation) -> Cluster:
    """The cluster at the price that was given, or at one of the kind that was asked for."""
    from planner.catalog.running import price_of_kind
    from planner.domain.hardware import Price

    if operation.price_usd is not None:
        given = Price(
            usd_per_accelerator_hour=operation.price_usd, kind="given", provider="the question", date="", source="given"
        )
        return replace(cluster, price=given)
    if operation.price_kind is not None:
        return replace(cluster, price=price_of_kind(catalog, cluster, operation.price_kind))
    return cluster


def _options_and_axes(recipe: Recipe, registry: Registry) -> tuple[Recipe, dict[str, int | str]]:
    """The recipe with the options of its method only, and those that are axes of a layout (``cp_kind=ulysses``).

    Raises UnknownNameError for an option that is neither.
    """
    from planner.question import axis_names

    axes = axis_names(registry)
    known = registry.method(recipe.method).options
    for name in recipe.options:
        if name not in axes and name not in known:
            raise UnknownNameError("option", name, [*known, *sorted(axes)])
    pinned = {name: int(text) if text.isdecimal() else text for name, text in recipe.options.items() if name in axes}
    return replace(recipe, options={key: text for key, text in recipe.options.items() if key not in pinned}), pinned


def _provenance(catalog: Catalog, registry: Registry, question: Question) -> dict[str, Any]:
    from planner.version import __version__

    context = question.context
    price = context.cluster.price
    return {
        "planner": __version__,
        "catalog": catalog.revision,
        "model": {"slug": context.architecture.slug, "source": context.architecture.source},
        "accelerator": {"slug": context.cluster.accelerator.slug, "source": context.cluster.accelerator.source},
        "node": {"slug": context.cluster.node.slug, "source": context.cluster.node.source},
        "price": None
        if price is None
        else {
            "usd_per_gpu_hour": price.usd_per_accelerator_hour, "kind": price.kind, "provider": price.provider,
            "date": price.date, "source": price.source,
            "range": None if context.operating.prices is None else context.operating.prices.to_dict(),
        },
        "framework": {"name": context.framework.name, "source": context.framework.source},
        "plugins": sorted(f"{info.name} ({info.distribution} {info.version})" for info in registry.plugins if not info.first_party),
    }  # fmt: skip
