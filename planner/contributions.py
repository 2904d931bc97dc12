"""What plugins contribute: the kinds of records, the names that each claims, and the checks that each must pass."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import inf
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from planner import plugin as contract
from planner.errors import PluginError
from planner.plugin import (
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

CORE_BRANCH: Final = "core"
"""The label of the planner's own migrations."""


class Kind(NamedTuple):
    """A kind of record: the hook that yields it, its type, and the field of `Registry` that holds it."""

    hook: str
    record: type[Any]
    attribute: str


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "precision": Kind("planner_precisions", Precision, "precisions"),
        "optimizer": Kind("planner_optimizers", Optimizer, "optimizers"),
        "strategy": Kind("planner_strategies", Strategy, "strategies"),
        "schedule": Kind("planner_schedules", Schedule, "schedules"),
        "recompute": Kind("planner_recomputes", Recompute, "recomputes"),
        "offload": Kind("planner_offloads", Offload, "offloads"),
        "sublayer": Kind("planner_sublayers", Sublayer, "sublayers"),
        "config reader": Kind("planner_config_readers", ConfigReader, "config_readers"),
        "method": Kind("planner_methods", Method, "methods"),
        "framework": Kind("planner_frameworks", Framework, "frameworks"),
        "estimator": Kind("planner_estimators", Estimator, "estimators"),
        "catalog branch": Kind("planner_catalogs", CatalogBranch, "catalog_branches"),
    }
)
"""Every kind of record, in the order in which hooks are collected."""


def record_name(record: Any) -> str:  # noqa: ANN401 - any kind of record
    """What a record is called: its name, or a catalog branch's label."""
    return str(record.label) if isinstance(record, CatalogBranch) else str(record.name)


def claims(kind: str, record: Any) -> Iterator[str]:  # noqa: ANN401 - any kind of record
    """The names that must belong to one record only."""
    yield f"{kind} {record_name(record)!r}"
    if isinstance(record, Framework):
        yield from (f"framework {alias!r}" for alias in record.aliases)
    elif isinstance(record, ConfigReader):
        yield from (f"model_type {model_type!r}" for model_type in record.model_types)
    elif isinstance(record, Strategy):
        yield from (f"axis {degree.name!r}" for degree in record.degrees)
        yield from (f"axis {choice.name!r}" for choice in record.choices)
        yield from (f"the division of {str(axis)!r}" for axis in record.divides)


def check_record(record: Any) -> None:  # noqa: ANN401 - any kind of record
    """Check the fields of a record against their declared types, and that numbers are finite and not negative.

    Dataclasses do not check; without this a list for a tuple or NaN bytes would only show up deep in an evaluation.
    """
    name = record_name(record)
    if not name or name != name.strip() or "," in name:
        raise PluginError(f"{type(record).__name__} has the name {name!r}: needed is a word without commas")
    for declared in fields(record):
        value = getattr(record, declared.name)
        wanted = str(declared.type)
        if value is None and wanted.endswith("| None"):
            continue
        if not _has_type(value, wanted.removesuffix("| None").strip()):
            raise PluginError(f"{type(record).__name__} {name!r}: {declared.name} is {value!r}, not {wanted}")
    source = getattr(record, "source", "unneeded")
    if not source.strip():
        raise PluginError(f"{type(record).__name__} {name!r} names no source")
    if isinstance(record, CatalogBranch):
        _check_branch(record)


def _has_type(value: object, wanted: str) -> bool:
    outer, _, inner = wanted.partition("[")
    first = inner.rstrip("]").split(",")[0].strip()
    match outer:
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
        case "float":
            return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < inf
        case "Callable":
            return callable(value)
        case "Mapping":
            return isinstance(value, Mapping)
        case "tuple":
            return isinstance(value, tuple) and all(_has_type(item, first) for item in value)
        case "frozenset":
            return isinstance(value, frozenset) and all(_has_type(item, first) for item in value)
    known = getattr(contract, outer, None)
    ours = isinstance(known, type) and known.__module__.startswith("planner.")
    return isinstance(value, known) if ours and isinstance(known, type) else True


def _check_branch(branch: CatalogBranch) -> None:
    """Refuse labels and revision ids that Alembic would mix up with another branch's, before Alembic sees them."""
    label = branch.label
    if label == CORE_BRANCH:
        raise PluginError(f"the branch label {CORE_BRANCH!r} is the planner's own")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", label):
        raise PluginError(f"the branch label {label!r} is not a lower-case identifier")
    if not hasattr(branch.directory, "iterdir"):
        raise PluginError(f"the directory of branch {label!r} is {branch.directory!r}, not a path")
    if not branch.directory.is_dir():
        raise PluginError(f"the directory of branch {label!r} does not exist: {branch.directory}")
    for file in branch.directory.iterdir():
        if file.name.endswith(".py") and file.name != "__init__.py":
            revision = _revision_id(file.read_text(encoding="utf-8"))
            if revision is None:
                raise PluginError(f"{file.name} of branch {label!r} assigns no revision")
            if not revision.startswith(f"{label}_"):
                raise PluginError(f"revision {revision!r} in {file.name} does not begin with {label + '_'!r}")


def _revision_id(text: str) -> str | None:
    """The string that a migration assigns to ``revision``, read without running it."""
    for statement in ast.parse(text).body:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            pairs = [(statement.target, statement.value)]
        elif isinstance(statement, ast.Assign):
            target, value = statement.targets[0], statement.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
        for name, constant in pairs:
            if isinstance(name, ast.Name) and name.id == "revision" and isinstance(constant, ast.Constant):
                return str(constant.value)
    return None
