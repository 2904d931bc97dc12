"""A plugin that fails while a question is answered costs what it contributes, not the answer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TypeVar

from planner.errors import InputError, PluginFaultError, PluginWarning
from planner.registry import DISABLE_VARIABLE, Registry, installed_registry, load_registry

T = TypeVar("T")


def answered(ask: Callable[[Registry], T], *, strict: bool = False) -> T:
    """What `ask` makes of the installed plugins; one that fails on the way is left out, and the others are asked again.

    Each plugin left out is named in a PluginWarning. Raises the first PluginFaultError under `strict`, or where the question
    cannot be asked without the plugin.
    """
    faults: list[PluginFaultError] = []
    registry = installed_registry(strict=strict)
    while True:
        try:
            answer = ask(registry)
        except PluginFaultError as fault:
            if strict or any(fault.plugin == earlier.plugin for earlier in faults):
                raise
            faults.append(fault)
            disabled = [os.environ.get(DISABLE_VARIABLE, ""), *(each.plugin for each in faults)]
            registry = load_registry(disable=",".join(filter(None, disabled)))
        except InputError:
            if faults:
                raise faults[-1] from None
            raise
        else:
            for each in faults:
                warnings.warn(f"{each.message}; left out", PluginWarning, stacklevel=3)
            return answer
