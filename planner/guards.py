"""Guards around the functions of third-party records: what fails there is named as the plugin's fault.

A guarded function also runs at once what a generator would yield later, and refuses what the core cannot use: a wrong
type, a shape that does not fit the layouts, a number out of range. First-party records go without, for speed; the
tests check them with `planner.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from math import inf, nextafter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from planner.domain.mesh import Layouts, Mask
from planner.errors import InputError, PluginFaultError
from planner.plugin import (
    Architecture,
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    ConfigReader,
    Degree,
    Estimate,
    Estimator,
    Footprint,
    Framework,
    LocalGroup,
    Method,
    Offload,
    Optimizer,
    Phase,
    Program,
    Refusal,
    Region,
    Schedule,
    StageTimes,
    State,
    StateKind,
    Storage,
    Strategy,
    Sublayer,
    SublayerParts,
)

Records = Mapping[str, Mapping[str, Any]]
"""The records of all plugins by kind and name."""
Function = Callable[..., Any]
Range = tuple[float, float]

_JUDGES_INPUT: Final = frozenset({"read", "apply", "build"})
"""Functions whose InputError is about what the user gave: a file, options, a model."""
_FROM_ZERO: Final[Range] = (0.0, inf)
_FROM_ONE: Final[Range] = (1.0, inf)
_SHARE: Final[Range] = (0.0, 1.0)
_ROUNDED: Final[Range] = (-1e-6, inf)
"""Seconds that are a difference: rounding takes zero a little below, and the core takes it back."""


@dataclass(frozen=True, slots=True)
class GuardedFunction:
    """A function of a third-party record that raises nothing but PluginFaultError, and InputError where that is its task.

    `owner` is the record that it belongs to, `field` its field there; `plugin` is the plugin's name, `label` names all three
    for people, and `hint` says how to do without the plugin. `records` tells which layouts count: those that no plugin refuses.
    """

    function: Function
    owner: Any
    field: str
    plugin: str
    label: str
    hint: str
    records: Records

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the record's function takes and returns
        """Call the function and check its answer."""
        check = next(
            (each for kind, name, each in _CHECKS if name == self.field and isinstance(self.owner, kind)), None
        )
        try:
            answer = self.function(*arguments)
            if isinstance(answer, Iterable) and not isinstance(answer, Mapping | np.ndarray):
                answer = tuple(answer)
        except (Exception, SystemExit) as failure:
            if isinstance(failure, InputError) and self.field in _JUDGES_INPUT:
                raise
            what = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
            raise PluginFaultError(f"{self.label} failed: {what}", plugin=self.plugin, hint=self.hint) from failure
        problem = check and check(answer, _Call(_shape(arguments), partial(self._counts, arguments)))
        if problem:
            raise PluginFaultError(f"{self.label} {problem}", plugin=self.plugin, hint=self.hint)
        return answer

    def _counts(self, arguments: tuple[Any, ...]) -> Mask | bool:
        """Which layouts the answer means something for. Asked only where a number is wrong: it costs all refusals."""
        from planner.search.refusing import refused
        from planner.search.rules import Rules

        by_layout = any(isinstance(argument, Layouts) for argument in arguments)
        if not by_layout or not isinstance(self.owner, Strategy | Schedule | Framework):
            return True
        context, layouts, *others = arguments
        strategies, schedules = self.records["strategy"], self.records["schedule"]
        rules = Rules(tuple(strategies.values()), schedules, self.records["recompute"], self.records["offload"])
        counts: Mask = ~refused(context, layouts, rules)
        if isinstance(self.owner, Schedule):
            counts = counts & layouts.equals("schedule", self.owner.name)
        for times in others:
            if isinstance(times, StageTimes):
                for declared in fields(times):
                    counts = counts & np.isfinite(getattr(times, declared.name))
        return counts


def guarded(record: Any, plugin: str, label: str, hint: str, records: Records) -> Any:  # noqa: ANN401 - any kind of record
    """The same record with each of its functions behind a guard; `label` names the plugin and the record for people."""

    def guard(owner: object, field: str, where: str, function: Function) -> Function:
        return GuardedFunction(function, owner, field, plugin, f"{label}: {where}", hint, records)

    return _exchanged(record, guard)


def unguarded(record: Any) -> Any:  # noqa: ANN401 - any kind of record
    """The record as its plugin yielded it, for whoever looks at its functions themselves."""

    def bare(_owner: object, _field: str, _where: str, function: Function) -> Function:
        return function.function if isinstance(function, GuardedFunction) else function

    return _exchanged(record, bare)


def _exchanged(record: Any, exchange: Callable[[object, str, str, Function], Function], place: str = "") -> Any:  # noqa: ANN401
    """A copy of a record whose functions, also those in mappings and in axes, went through `exchange`."""
    changes: dict[str, Any] = {}
    for declared in fields(record):
        name, value = declared.name, getattr(record, declared.name)
        where = f"{place}{name}"
        if callable(value):
            changes[name] = exchange(record, name, where, value)
        elif isinstance(value, Mapping) and any(map(callable, value.values())):
            functions = {key: exchange(record, name, f"{where}[{key!r}]", each) for key, each in value.items()}
            changes[name] = MappingProxyType(functions)
        elif isinstance(value, tuple) and any(isinstance(each, Degree | Choice) for each in value):
            changes[name] = tuple(_exchanged(axis, exchange, f"axis {axis.name!r}: ") for axis in value)
    return replace(record, **changes) if changes else record


class _Call(NamedTuple):
    """What a check knows of a call: the shape of the layouts that it was about, and which of them count."""

    shape: tuple[int, ...] | None
    counts: Callable[[], Mask | bool]


Check = Callable[[Any, _Call], str | None]
"""Says what is wrong with an answer, None if nothing is."""


def _shape(arguments: Iterable[Any]) -> tuple[int, ...] | None:
    shapes: list[tuple[int, ...]] = []
    for argument in arguments:
        if isinstance(argument, Layouts | np.ndarray):
            shapes.append(argument.shape)
        elif isinstance(argument, LocalGroup):
            shapes += [argument.count.shape, argument.rows.shape, argument.columns.shape]
    return np.broadcast_shapes(*shapes) if shapes else None


def _number(answer: Any, call: _Call, within: Range, what: str = "returned") -> str | None:  # noqa: ANN401
    values = np.asarray(answer)
    if values.dtype.kind not in "biuf":
        return f"{what} {answer!r}, not a number"
    if call.shape is not None and not _fits(values.shape, call.shape):
        return f"{what} an array of shape {values.shape}, which does not broadcast with the layouts {call.shape}"
    least, most = within
    wrong = ~(np.isfinite(values) & (values >= least) & (values <= most))
    if not wrong.any():
        return None
    wrong = wrong & call.counts()
    if not wrong.any():
        return None
    example = float(np.broadcast_to(values, wrong.shape)[wrong][0])
    needed = "a finite number" + (f" from {least:g}" if least > -inf else "") + (f" to {most:g}" if most < inf else "")
    return f"{what} {example:g}, not {needed}"


def _fits(shape: tuple[int, ...], layouts: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, layouts) == layouts
    except ValueError:
        return False


def _numbers(record: Any, call: _Call, what: str, ranges: Mapping[str, Range]) -> str | None:  # noqa: ANN401
    found = (_number(getattr(record, name), call, within, f"{what} {name}") for name, within in ranges.items())
    return next(filter(None, found), None)


def _items(kind: type, ranges: Mapping[str, Range], types: Mapping[str, type] = MappingProxyType({})) -> Check:
    """Records of one kind, numbers within their ranges."""

    def check(answer: Any, call: _Call) -> str | None:  # noqa: ANN401
        if not isinstance(answer, tuple):
            return f"returned {type(answer).__name__}, not an iterable of {kind.__name__}"
        for item in answer:
            if not isinstance(item, kind):
                return f"yielded {type(item).__name__}, not {kind.__name__}"
            for name, wanted in types.items():
                if not isinstance(getattr(item, name), wanted):
                    return f"yielded {kind.__name__} with {name} {getattr(item, name)!r}, not a {wanted.__name__}"
            if problem := _numbers(item, call, f"yielded {kind.__name__} {getattr(item, 'name', '')!r} with", ranges):
                return problem
        return None

    return check


def _refusals(answer: Any, call: _Call) -> str | None:  # noqa: ANN401
    problem = _items(Refusal, {})(answer, call)
    for refusal in () if problem else answer:
        where = np.asarray(refusal.where)
        if where.dtype != np.bool_ or (call.shape is not None and not _fits(where.shape, call.shape)):
            return (
                f"yielded Refusal {refusal.reason!r} with where of {where.dtype} {where.shape}, not a mask of layouts"
            )
    return problem


def _by_key(keys: type, within: Range, special: Mapping[Any, Range] = MappingProxyType({})) -> Check:
    """A number for each of some keys."""

    def check(answer: Any, call: _Call) -> str | None:  # noqa: ANN401
        if not isinstance(answer, Mapping) or not all(isinstance(key, keys) for key in answer):
            return f"returned {answer!r}, not a mapping of {keys.__name__}"
        found = (_number(each, call, special.get(key, within), f"returned {key}") for key, each in answer.items())
        return next(filter(None, found), None)

    return check


def _one(kind: type) -> Check:
    return lambda answer, _: (
        None if isinstance(answer, kind) else f"returned {type(answer).__name__}, not {kind.__name__}"
    )


def _storage(answer: Any, call: _Call) -> str | None:  # noqa: ANN401
    every = dict.fromkeys((declared.name for declared in fields(Storage)), _FROM_ZERO)
    return _one(Storage)(answer, call) or _numbers(answer, call, "returned Storage with", every)


def _footprint(answer: Any, call: _Call) -> str | None:  # noqa: ANN401
    problem = _one(Footprint)(answer, call)
    for kept in () if problem else (*answer.saved, *answer.forward, *answer.backward):
        ranges = {"width": _FROM_ZERO, "element_bytes": _FROM_ZERO}
        problem = problem or _numbers(kept, call, f"returned Stored {kept.name!r} with", ranges)
    return problem


def _whole_numbers(answer: Any, _: _Call) -> str | None:  # noqa: ANN401
    whole = isinstance(answer, tuple) and all(isinstance(value, int | np.integer) and value >= 1 for value in answer)
    return None if whole else f"returned {answer!r}, not whole numbers from 1"


_SENT: Final = _items(
    Communication,
    {"payload_bytes": _FROM_ZERO, "events": _FROM_ZERO, "overlap": _SHARE, "copies": _FROM_ZERO},
    {"collective": Collective, "phase": Phase, "axes": tuple},
)
_BUFFERS: Final = _items(Buffer, {"bytes": _FROM_ZERO}, {"component": Component, "instants": tuple})
# Expert tensor parallelism gathers the dispatched tokens of its ranks: that divisor may be below 1.
_DIVISORS: Final = _by_key(Region, _FROM_ONE, {Region.DISPATCHED: (nextafter(0.0, 1.0), inf)})
_CHECKS: Final[tuple[tuple[type, str, Check], ...]] = (
    (Optimizer, "states", _items(State, {"elements": _FROM_ZERO, "bytes_per_element": _FROM_ZERO})),
    (Optimizer, "temporary_bytes", partial(_number, within=_FROM_ZERO)),
    (Strategy, "region_divisors", _DIVISORS),
    (Strategy, "sequence_divisor", partial(_number, within=_FROM_ONE)),
    (Strategy, "key_parts", partial(_number, within=_FROM_ONE)),
    (Strategy, "shards_states", _by_key(StateKind, _SHARE)),
    (Strategy, "communications", _SENT),
    (Strategy, "synchronisations", _SENT),
    (Strategy, "boundary_communications", _SENT),
    (Strategy, "buffers", _BUFFERS),
    (Strategy, "refusals", _refusals),
    (Degree, "candidates", _whole_numbers),
    (Choice, "candidates", _one(tuple)),
    (Schedule, "chunks_in_flight", partial(_number, within=_FROM_ZERO)),
    (Schedule, "end_chunks_in_flight", partial(_number, within=_FROM_ZERO)),
    (Schedule, "bubble_s", partial(_number, within=_ROUNDED)),
    (Schedule, "refusals", _refusals),
    (Offload, "refusals", _refusals),
    (Framework, "storage", _storage),
    (Framework, "footprints", _footprint),
    (Framework, "buffers", _BUFFERS),
    (Framework, "model_recomputes", _one(tuple)),
    (Framework, "stage_outputs_kept", partial(_number, within=_FROM_ZERO)),
    (Framework, "sync_bucket_elements", partial(_number, within=_FROM_ONE)),
    (Sublayer, "build", _one(SublayerParts)),
    (ConfigReader, "read", _one(Architecture)),
    (Method, "apply", _one(Program)),
    (Estimator, "estimates", _items(Estimate, {"value": (-inf, inf)})),
)
"""The functions of records by kind and field, and what each may answer."""
