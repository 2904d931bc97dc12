"""What a check of the catalog finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = "planner.db.check/1"
ERROR: Final = "error"
"""Something is not as the revisions and the rules of the catalog make it."""
WARNING: Final = "warning"
"""All is well by itself, but something is missing, outdated or shadowed that the user should know of."""
CHECKS: Final = ("file", "revision", "schema", "references", "facts", "orphans", "user rows", "names")
"""What is checked, in this order."""
FEW: Final = 5
"""How many rows are named; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is amiss: which check found it, in which table, in how many rows; `examples` are the first of them."""

    check: str
    severity: str
    message: str
    table: str = ""
    rows: int = 0
    examples: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "table": self.table,
            "rows": self.rows,
            "message": self.message,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found in a catalog at `revisions`; `facts` and `user_rows` count what was looked at."""

    database: str
    revisions: tuple[str, ...]
    facts: int
    user_rows: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return all(finding.severity != ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "database": self.database,
            "revisions": list(self.revisions),
            "facts": self.facts,
            "user_rows": self.user_rows,
            "sound": self.sound,
            "checks": list(CHECKS),
            "items": [finding.to_dict() for finding in self.findings],
        }
