"""Names of a user's own entries that are names of other facts too: the user's comes first, and the fact loses the name.

An import refuses such a name. It is there all the same where the fact arrived later, with a release or a plugin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from planner.catalog.spelling import clipped

if TYPE_CHECKING:
    from sqlalchemy import Connection

BOTH: Final = (
    'alias own JOIN alias fact ON fact.kind = own.kind AND fact."key" = own."key" AND fact.layer <> \'user\' '
    "AND fact.slug <> own.slug"
)
"""The user's names beside those of facts that they hide, for a query that adds ``own.layer = 'user'``."""
_FEW: Final = 3


@dataclass(frozen=True, slots=True, order=True)
class TakenName:
    """`name` of the user's entry `slug`, which is a name of the fact `fact` of a `layer` too."""

    kind: str
    name: str
    slug: str
    fact: str
    layer: str

    def __str__(self) -> str:
        """A few words for people."""
        return f"{self.kind} {clipped(self.name)} means your {self.slug}, not {self.fact} of {self.layer}"


def taken_names(connection: Connection) -> frozenset[TakenName]:
    """Every name that the user's layer takes from another entry. Costs what the facts cost, however many rows the user has."""
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alias"):
        return frozenset()
    # The facts' names come first: they are few, and each is looked up among the user's by the primary key.
    query = (
        "SELECT fact.kind, own.alias, own.slug, fact.slug, fact.layer FROM alias fact CROSS JOIN alias own "
        "WHERE fact.layer <> 'user' AND own.layer = 'user' AND own.kind = fact.kind AND own.\"key\" = fact.\"key\" "
        "AND own.slug <> fact.slug"
    )
    return frozenset(TakenName(*map(str, row)) for row in connection.exec_driver_sql(query))


def warning(found: Iterable[TakenName]) -> str:
    """What to tell the user of facts that just came under a name of the user's."""
    lines = [str(each) for each in sorted(found)]
    more = f" and {len(lines) - _FEW} more" if len(lines) > _FEW else ""
    return (
        f"new facts have names that are yours, and yours still count: {'; '.join(lines[:_FEW])}{more}: planner db check"
    )
