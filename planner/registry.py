"""Loads the plugins, each behind guards, and names what every one of them contributes.

A plugin goes through import, registration, a check of its hooks, collection of its records and a check for clashes. One
that fails at any stage is left out whole and named in `Registry.problems`; the planner goes on with the others.
The functions of third-party records are guarded (`planner.guards`): one that fails later is named with its plugin.
First-party plugins are the modules of the package ``planner.plugins``; others come from the entry-point group
``planner``.
Order, everywhere: first-party plugins by module name, then third-party ones by distribution and entry-point name, and
within a plugin the order in which it yields.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

import pluggy

from planner.contributions import KINDS, check_record, claims, record_name
from planner.errors import PluginError, PluginWarning, UnknownNameError, nearest_names
from planner.guards import guarded
from planner.hookspecs import PlannerHooks
from planner.plugin import (
    EXPERT_REPLICAS,
    PROJECT,
    REPLICAS,
    CatalogBranch,
    ConfigReader,
    Estimator,
    Framework,
    Method,
    Offload,
    Optimizer,
    Precision,
    Recompute,
    Schedule,
    Strategy,
    Sublayer,
)
from planner.version import __version__

FIRST_PARTY_PACKAGE: Final = "planner.plugins"
FIRST_PARTY_DISTRIBUTION: Final = "gpu-planner"
ALL_THIRD_PARTY: Final = "*"
DISABLE_VARIABLE: Final = "PLANNER_PLUGINS_DISABLE"
CORE_AXES: Final = frozenset({"n_gpus", "micro_batches", REPLICAS, EXPERT_REPLICAS})
"""Axes that the core derives; a strategy cannot bring them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """A plugin that loaded: where it comes from, the hooks it implements, the names it contributes by kind."""

    name: str
    module: str
    distribution: str
    version: str
    first_party: bool
    hooks: tuple[str, ...]
    contributions: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginProblem:
    """A plugin that was left out: at which stage (scan, import, register, hooks, collect, clash, disable), and why."""

    name: str
    distribution: str
    stage: str
    message: str

    def __str__(self) -> str:
        """One line for a warning."""
        origin = f" of {self.distribution}" if self.distribution else ""
        return f"plugin {self.name!r}{origin} failed at {self.stage}: {self.message}"


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every record of every plugin that loaded, by name and in a deterministic order."""

    precisions: Mapping[str, Precision] = field(default_factory=_empty)
    optimizers: Mapping[str, Optimizer] = field(default_factory=_empty)
    strategies: Mapping[str, Strategy] = field(default_factory=_empty)
    schedules: Mapping[str, Schedule] = field(default_factory=_empty)
    recomputes: Mapping[str, Recompute] = field(default_factory=_empty)
    offloads: Mapping[str, Offload] = field(default_factory=_empty)
    sublayers: Mapping[str, Sublayer] = field(default_factory=_empty)
    config_readers: Mapping[str, ConfigReader] = field(default_factory=_empty)
    methods: Mapping[str, Method] = field(default_factory=_empty)
    frameworks: Mapping[str, Framework] = field(default_factory=_empty)
    estimators: Mapping[str, Estimator] = field(default_factory=_empty)
    catalog_branches: Mapping[str, CatalogBranch] = field(default_factory=_empty)
    plugins: tuple[PluginInfo, ...] = ()
    problems: tuple[PluginProblem, ...] = ()

    def records(self, kind: str) -> Mapping[str, Any]:
        """All records of a kind (a key of `KINDS`) by name."""
        if kind not in KINDS:
            raise UnknownNameError("kind of record", kind, KINDS)
        found: Mapping[str, Any] = getattr(self, KINDS[kind].attribute)
        return found

    @property
    def branch_directories(self) -> dict[str, Path]:
        """The directories of revisions that plugins bring, by branch label."""
        return {label: branch.directory for label, branch in self.catalog_branches.items()}

    def origin(self, kind: str, name: str) -> str:
        """The name of the plugin that contributes the record `name`."""
        for info in self.plugins:
            if name in info.contributions.get(kind, ()):
                return info.name
        raise UnknownNameError(kind, name, self.records(kind))

    def precision(self, name: str) -> Precision:
        """The precision called `name`. Raises UnknownNameError, as all look-ups do."""
        return _look_up("precision", self.precisions, name)

    def optimizer(self, name: str) -> Optimizer:
        """The optimizer called `name`."""
        return _look_up("optimizer", self.optimizers, name)

    def strategy(self, name: str) -> Strategy:
        """The strategy called `name`."""
        return _look_up("strategy", self.strategies, name)

    def schedule(self, name: str) -> Schedule:
        """The pipeline schedule called `name`."""
        return _look_up("schedule", self.schedules, name)

    def recompute(self, name: str) -> Recompute:
        """The recompute policy called `name`."""
        return _look_up("recompute", self.recomputes, name)

    def offload(self, name: str) -> Offload:
        """The offload called `name`."""
        return _look_up("offload", self.offloads, name)

    def sublayer(self, name: str) -> Sublayer:
        """The sublayer called `name`."""
        return _look_up("sublayer", self.sublayers, name)

    def config_reader(self, name: str) -> ConfigReader:
        """The reader of the `model_type` called `name`, or the reader of that name."""
        types = {kind: reader for reader in self.config_readers.values() for kind in reader.model_types}
        return _look_up("model_type", {**self.config_readers, **types}, name)

    def method(self, name: str) -> Method:
        """The training method called `name`."""
        return _look_up("method", self.methods, name)

    def framework(self, name: str) -> Framework:
        """The framework called `name`, or the one that has `name` among its aliases."""
        aliases = {alias: framework for framework in self.frameworks.values() for alias in framework.aliases}
        return _look_up("framework", {**aliases, **self.frameworks}, name)

    def estimator(self, name: str) -> Estimator:
        """The estimator called `name`."""
        return _look_up("estimator", self.estimators, name)


def _look_up(kind: str, known: Mapping[str, T], name: str) -> T:
    if name in known:
        return known[name]
    folded = {candidate.casefold(): record for candidate, record in known.items()}
    if name.strip().casefold() in folded:
        return folded[name.strip().casefold()]
    raise UnknownNameError(kind, name, known, listing="planner plugins list shows them")


def load_registry(
    *, disable: str | None = None, strict: bool = False, extra: Mapping[str, object] | None = None
) -> Registry:
    """Load every plugin and collect what it contributes; nothing is kept between calls.

    Parameters
    ----------
    disable : the value of PLANNER_PLUGINS_DISABLE: names of plugins separated by commas, ``*`` for all third-party.
    strict : raise PluginError at the first problem instead of leaving the plugin out.
    extra : further plugins by name (modules or objects with hooks), loaded last whatever `disable` says.
    """
    loader = _Loader(strict)
    switched_off = {_normalized(name) for name in (disable or "").split(",") if name.strip()}
    candidates = [*_first_party(), *_third_party(loader.report)]
    for candidate in candidates:
        by_star = ALL_THIRD_PARTY in switched_off and not candidate.first_party
        if not by_star and _normalized(candidate.name) not in switched_off:
            loader.load(candidate)
    for name, plugin in (extra or {}).items():
        loader.load(_Candidate(name, getattr(plugin, "__name__", name), "", "", False, partial(_as_given, plugin)))
    known = {_normalized(candidate.name) for candidate in candidates}
    for name in sorted(switched_off - known - {ALL_THIRD_PARTY}):
        nearest = nearest_names(name, known)
        suggestion = f", did you mean {', '.join(nearest)}?" if nearest else ""
        loader.report(PluginProblem(name=name, distribution="", stage="disable", message=f"no such plugin{suggestion}"))
    return loader.registry()


def installed_registry(*, strict: bool = False) -> Registry:
    """Every plugin but those that PLANNER_PLUGINS_DISABLE names; each that is left out is named in a PluginWarning."""
    registry = load_registry(disable=os.environ.get(DISABLE_VARIABLE), strict=strict)
    for problem in registry.problems:
        warnings.warn(str(problem), PluginWarning, stacklevel=2)
    return registry


class _Candidate(NamedTuple):
    """A plugin before it is loaded; `load` imports it."""

    name: str
    module: str
    distribution: str
    version: str
    first_party: bool
    load: Callable[[], object]


def _as_given(plugin: object) -> object:
    return plugin


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).casefold()


def _first_party() -> Iterator[_Candidate]:
    """The modules of the package of first-party plugins; its subpackages (packs) are distributions of their own."""
    package = importlib.import_module(FIRST_PARTY_PACKAGE)
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if not module.ispkg and not module.name.startswith("_"):
            path = f"{FIRST_PARTY_PACKAGE}.{module.name}"
            yield _Candidate(
                module.name, path, FIRST_PARTY_DISTRIBUTION, __version__, True,
                partial(importlib.import_module, path),
            )  # fmt: skip


def _third_party(report: Callable[[PluginProblem], None]) -> list[_Candidate]:
    """Plugins of other distributions, found by their entry points.

    Distributions are read one by one, and only those that name the group are parsed: a malformed entry_points.txt of a
    stranger must not cost the scan, as it does in ``importlib.metadata.entry_points``.
    """
    found: dict[tuple[str, str], _Candidate] = {}
    for distribution in importlib.metadata.distributions():
        name = "?"
        try:
            if f"[{PROJECT}]" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = distribution.metadata["Name"] or "?"
            for point in distribution.entry_points.select(group=PROJECT):
                key = (_normalized(name), point.name)
                # The first distribution of a name on the path is the one that imports see.
                found.setdefault(
                    key, _Candidate(point.name, point.value, name, distribution.version, False, point.load)
                )
        except Exception as problem:
            report(PluginProblem(name=name, distribution=name, stage="scan", message=_reason(problem)))
    return [found[key] for key in sorted(found)]


def _reason(problem: BaseException) -> str:
    if isinstance(problem, PluginError):
        return problem.message
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__


class _Loader:
    """The state of one `load_registry`: what is collected so far and who owns which name."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.hooks = pluggy.PluginManager(PROJECT)
        self.hooks.add_hookspecs(PlannerHooks)
        self.plugins: list[PluginInfo] = []
        self.problems: list[PluginProblem] = []
        self.records: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.owners: dict[str, str] = {f"axis {axis!r}": "the core" for axis in CORE_AXES}

    def report(self, problem: PluginProblem, cause: BaseException | None = None) -> None:
        """Note a problem, or raise it under `strict`."""
        if self.strict:
            raise PluginError(str(problem)) from cause
        self.problems.append(problem)

    def load(self, candidate: _Candidate) -> None:
        """Take one plugin through all stages; whatever it raises is a problem, and the plugin is left out whole."""
        stage, plugin = "import", None
        try:
            # What a plugin prints must not end up in the JSON on standard output.
            with contextlib.redirect_stdout(sys.stderr):
                plugin = candidate.load()
                stage = "register"
                self.hooks.register(plugin, name=f"{candidate.distribution}:{candidate.name}")
                stage = "hooks"
                hooks = _checked_hooks(self.hooks, plugin)
                stage = "collect"
                collected = {kind: self._collect(kind, plugin) for kind in KINDS}
            stage = "clash"
            claimed = [
                name for kind, records in collected.items() for record in records for name in claims(kind, record)
            ]
            self._check_clashes(claimed)
        except (Exception, SystemExit) as problem:
            if plugin is not None and self.hooks.is_registered(plugin):
                self.hooks.unregister(plugin)
            self.report(
                PluginProblem(
                    name=candidate.name, distribution=candidate.distribution, stage=stage, message=_reason(problem)
                ),
                problem,
            )
            return
        self._accept(candidate, hooks, collected, claimed)

    def _collect(self, kind: str, plugin: object) -> list[Any]:
        """Call the plugin's implementation of one hook and check the type and fields of every record."""
        hook, expected, _ = KINDS[kind]
        records: list[Any] = []
        for implementation in getattr(self.hooks.hook, hook).get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            yielded = implementation.function()
            if yielded is None or isinstance(yielded, expected):
                raise PluginError(f"{hook} returned {type(yielded).__name__}, not an iterable of {expected.__name__}")
            for record in list(yielded):
                if not isinstance(record, expected):
                    raise PluginError(f"{hook} yielded {type(record).__name__}, not {expected.__name__}")
                check_record(record)
                records.append(record)
        return records

    def _check_clashes(self, claimed: list[str]) -> None:
        for position, claim in enumerate(claimed):
            if claim in self.owners:
                raise PluginError(f"{claim} already belongs to {self.owners[claim]}")
            if claim in claimed[:position]:
                raise PluginError(f"{claim} is contributed twice by this plugin")

    def _accept(
        self, candidate: _Candidate, hooks: tuple[str, ...], collected: Mapping[str, list[Any]], claimed: list[str]
    ) -> None:
        self.owners.update(dict.fromkeys(claimed, f"plugin {candidate.name!r}"))
        contributions = {kind: tuple(map(record_name, records)) for kind, records in collected.items() if records}
        for kind, records in collected.items():
            for record in records:
                kept = record if candidate.first_party else self._guarded(candidate, kind, record)
                self.records[kind][record_name(record)] = kept
        self.plugins.append(
            PluginInfo(
                name=candidate.name,
                module=candidate.module,
                distribution=candidate.distribution,
                version=candidate.version,
                first_party=candidate.first_party,
                hooks=hooks,
                contributions=MappingProxyType(contributions),
            )
        )

    def _guarded(self, candidate: _Candidate, kind: str, record: Any) -> Any:  # noqa: ANN401 - any kind of record
        origin = f" of {candidate.distribution}" if candidate.distribution else ""
        label = f"plugin {candidate.name!r}{origin}: {kind} {record_name(record)!r}"
        return guarded(
            record, candidate.name, label, f"{DISABLE_VARIABLE}={candidate.name} leaves it out", self.records
        )

    def registry(self) -> Registry:
        """Everything collected, frozen."""
        by_attribute = {KINDS[kind].attribute: MappingProxyType(records) for kind, records in self.records.items()}
        return Registry(**by_attribute, plugins=tuple(self.plugins), problems=tuple(self.problems))


def _checked_hooks(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    """The hooks that a registered plugin implements; refuses those that the planner would never call."""
    known = [kind.hook for kind in KINDS.values()]
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if not caller.has_spec():
            nearest = nearest_names(caller.name, known, limit=1)
            raise PluginError(f"unknown hook {caller.name}" + (f", did you mean {nearest[0]}?" if nearest else ""))
        if any(item.plugin is plugin and (item.hookwrapper or item.wrapper) for item in caller.get_hookimpls()):
            raise PluginError(f"{caller.name} is a wrapper: hooks of the planner are collected, not wrapped")
    implemented = {caller.name for caller in callers}
    for name in known:
        if name not in implemented and callable(getattr(plugin, name, None)):
            raise PluginError(f"{name} lacks the mark @hookimpl")
    if not implemented:
        raise PluginError("implements no hook of the planner")
    return tuple(name for name in known if name in implemented)
