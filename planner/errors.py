"""Every error that a user can cause: what, where, what to do, and the exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar, Final

EXIT_ANSWERED: Final = 0
EXIT_INTERNAL: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_DOES_NOT_FIT: Final = 3
EXIT_INTERRUPTED: Final = 130
FEW_NAMES: Final = 32
LONGEST_SHOWN: Final = 200
"""Characters of an unknown name that a message repeats."""


class PlannerError(Exception):
    """Anything the planner refuses, with an exit status and an optional hint on what to do."""

    exit_status: ClassVar[int] = EXIT_INTERNAL

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """One line: what is wrong, and what to do about it."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(PlannerError):
    """A value that the user gave cannot be used."""

    exit_status = EXIT_BAD_INPUT


class UnknownNameError(InputError):
    """A name that nothing answers to; carries the nearest known names. `listing` is the command that shows them all."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, listing: str | None = None) -> None:
        self.kind, self.name = kind, name
        known = tuple(known)
        self.nearest = nearest_names(name, known)
        listed = sorted(known)
        few = f"one of {', '.join(listed)}" if 0 < len(listed) <= FEW_NAMES else listing
        hint = f"did you mean {', '.join(self.nearest)}?" if self.nearest else few
        shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
        super().__init__(f"unknown {kind} {shown!r}", hint=hint)


class CatalogError(PlannerError):
    """The catalog database cannot be used as it is."""

    exit_status = EXIT_BAD_INPUT


class CatalogWarning(UserWarning):
    """The catalog answers, but not with all that it should hold, or not as it did before."""


class PluginError(PlannerError):
    """A plugin broke its contract."""

    exit_status = EXIT_BAD_INPUT


class PluginFaultError(PluginError):
    """A function of the plugin `plugin` failed, or its answer cannot be used, while a question was answered."""

    def __init__(self, message: str, *, plugin: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.plugin = plugin


class PluginWarning(UserWarning):
    """A plugin was left out; the planner goes on without it."""


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The known names that look most like `name`, best first."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.5)
    if len(close) < limit and len(name) > 2:
        close += sorted(key for key in lowered if name.lower() in key and key not in close)
    return tuple(lowered[key] for key in close[:limit])
