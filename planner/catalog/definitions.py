"""SQL definitions made comparable: the same whatever their blanks, comments, quotes and order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from planner.catalog.findings import ERROR, FEW, WARNING, Finding

Definitions = Mapping[str, str]
"""What defines a column, a constraint, an index …, by its name."""

_TOKEN: Final = re.compile(
    r"""(?P<blank> \s+ | --[^\n]* | /\*.*?\*/ )
    | (?P<text> '(?:[^']|'')*' )
    | "(?P<quoted> [A-Za-z_]\w* )" | (?P<word> [\w.$]+ ) | (?P<other> "(?:[^"]|"")*" | . )""",
    re.VERBOSE | re.DOTALL,
)
_NAMELESS: Final = frozenset({"primary", "unique", "check", "foreign"})
"""What a constraint without a name begins with."""


def compared(
    table: str, what: str, found: Definitions, wanted: Definitions, *, extra: bool = True
) -> Iterator[Finding]:
    """What is missing, different and (unless not `extra`) too much, each a finding with its first names."""
    names = {
        f"{what} are missing": [name for name in wanted if name not in found],
        f"{what} are not as the revisions make them": [
            name for name, text in wanted.items() if name in found and found[name] != text
        ],
        f"{what} that no revision made": [name for name in found if extra and name not in wanted],
    }
    for message, each in names.items():
        if each:
            examples = tuple(sorted(each)[:FEW])
            yield Finding(
                check="schema", severity=ERROR, table=table, rows=len(each), message=message, examples=examples
            )


def compared_views(found: Definitions, wanted: Definitions) -> Iterator[Finding]:
    """As `compared`; a view too much changes no answer, but a revision that rebuilds a table under it may fail."""
    yield from compared("", "views", found, wanted, extra=False)
    if strange := sorted(set(found) - set(wanted)):
        message = "views that no revision made: the next upgrade may fail on them"
        yield Finding(
            check="schema", severity=WARNING, rows=len(strange), message=message, examples=tuple(strange[:FEW])
        )


def plain(sql: str) -> str:
    """A statement with single blanks, without comments and needless quotes, in lower case but for its texts."""
    return " ".join(_tokens(sql))


def table_parts(sql: str) -> tuple[Definitions, Definitions]:
    """The columns and the constraints of a CREATE TABLE by name; options of the table count as a constraint."""
    columns: dict[str, str] = {}
    constraints: dict[str, str] = {}
    head, *parts, tail = _split(sql)
    if "as" in head or "temporary" in head:  # SQLite itself writes neither down
        constraints["create"] = " ".join(head)
    if tail:
        constraints["options"] = " ".join(tail)
    for part in parts:
        text = " ".join(part)
        if part[0] == "constraint":
            constraints[part[1]] = text
        elif part[0] in _NAMELESS:
            constraints[text] = text
        else:
            columns[part[0]] = text
    return columns, constraints


def _tokens(sql: str) -> Iterator[str]:
    for match in _TOKEN.finditer(sql):
        if match["text"] is not None:
            yield match["text"]
        elif match["blank"] is None:
            yield (match["quoted"] or match.group()).lower()


def _split(sql: str) -> list[list[str]]:
    """What comes before the parentheses of a statement, the parts between their commas, and what comes after."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in _tokens(sql):
        depth -= token == ")"
        if (token == "(" and depth == 0) or (token == ")" and depth == 0) or (token == "," and depth == 1):
            parts.append([])
        else:
            parts[-1].append(token)
        depth += token == "("
    return parts if len(parts) > 2 else [*parts, []]
