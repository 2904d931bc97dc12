"""JSON and YAML of a user's, parsed with nothing that could grow: no aliases, no tags, no twice-named keys, no depth."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.files import read_text, shown_path
from planner.units import MIB

if TYPE_CHECKING:
    import yaml

LARGEST_JSON_BYTES: Final = 64 * MIB
LARGEST_YAML_BYTES: Final = 8 * MIB
DEEPEST: Final = 24
MOST_VALUES: Final = 1_000_000
"""Objects and lists of JSON, and values of YAML: each takes a hundred times the memory of the text that it stands in."""
LONGEST_NUMBER: Final = 1000
"""Digits of a number of YAML, which takes time that grows with their square where colons stand in it."""


_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Located(dict[str, Any]):
    """A mapping that knows the line it begins on; 0 where nothing says so."""

    line: int = 0


def read_document(path: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """The JSON or YAML in a file, told apart by how it begins. Raises InputError."""
    text = read_text(path, LARGEST_JSON_BYTES)
    return parse_document(text, shown_path(path))


def parse_document(text: str, named: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """The JSON or YAML in `text`, whose mappings are `Located`. Raises InputError, which begins with `named`."""
    if text.lstrip()[:1] in ("{", "["):
        return parse_json(text, named)
    return parse_yaml(text, named)


def parse_json(text: str, named: str) -> Any:  # noqa: ANN401
    """The JSON in `text`. Raises InputError."""

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{named}: malformed JSON: {constant} is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> Located:
        found = Located(pairs)
        if len(found) < len(pairs):
            raise InputError(
                f"{named}: the key {clipped(_twice(key for key, _ in pairs))} is there twice in one object"
            )
        return found

    if text.count("{") + text.count("[") > MOST_VALUES:
        raise InputError(f"{named} holds more than {MOST_VALUES:,} objects and lists", hint="bring many rows as CSV")
    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{named}: malformed JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InputError(f"{named}: malformed JSON: nested too deeply") from None
    except ValueError:
        raise InputError(f"{named}: malformed JSON: a number has too many digits") from None


def parse_yaml(text: str, named: str) -> Any:  # noqa: ANN401
    """The YAML in `text`: plain data of one document. Raises InputError."""
    import yaml

    if len(text) > LARGEST_YAML_BYTES:
        raise InputError(
            f"{named} is larger than {LARGEST_YAML_BYTES // MIB} MiB, too much for YAML", hint="write JSON or CSV"
        )
    loader = _loader(named)
    try:
        _refuse_events(text, named, loader)
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{named}: malformed YAML: {error.problem or error.context}{line}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{named}: malformed YAML: {str(error).splitlines()[0]}") from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{named}: malformed YAML: {str(error)[:80]}") from None
    except RecursionError:
        raise InputError(f"{named}: malformed YAML: nested too deeply") from None


def _refuse_events(text: str, named: str, loader: type[yaml.SafeLoader]) -> None:
    """Anchors let a small text grow without end, so none is accepted; nor is depth, nor a second document."""
    import yaml

    depth = documents = values = 0
    for event in yaml.parse(text, Loader=loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(
                f"{named}, line {line}: anchors and aliases (& and *) are not accepted", hint="write it out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        values += isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEEPEST:
            raise InputError(f"{named}, line {line}: nested more than {DEEPEST} deep")
        if values > MOST_VALUES:
            raise InputError(f"{named} holds more than {MOST_VALUES:,} values", hint="bring many rows as CSV")
        if documents > 1:
            raise InputError(f"{named}, line {line}: a second document begins", hint="put all into one")


def _loader(named: str) -> type[yaml.SafeLoader]:
    import yaml

    # The parser in C where PyYAML has it: many times quicker, with the same constructor.
    base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        """Builds `Located` mappings, with every key a text and none twice."""

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - whatever the node holds
            if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
                line = node.start_mark.line + 1
                raise InputError(f"{named}: malformed YAML: a number has too many digits at line {line}")
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, OverflowError) as error:
                # A date that does not exist, a number of too many digits.
                line = node.start_mark.line + 1
                raise InputError(f"{named}: malformed YAML: {str(error)[:80]} at line {line}") from None

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Located:
            found = Located()
            found.line = node.start_mark.line + 1
            for key_node, value_node in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable) or isinstance(key, bool | float | type(None) | tuple):
                    raise InputError(f"{named}, line {key_node.start_mark.line + 1}: {clipped(key)} cannot be a key")
                if str(key) in found:
                    raise InputError(
                        f"{named}, line {key_node.start_mark.line + 1}: the key {clipped(key)} is there twice"
                    )
                found[str(key)] = self.construct_object(value_node, deep=deep)
            return found

        def construct_yaml_map(self, node: yaml.MappingNode) -> Any:  # noqa: ANN401 - a generator, as PyYAML wants it
            yield self.construct_mapping(node, deep=True)

    Loader.add_constructor("tag:yaml.org,2002:map", Loader.construct_yaml_map)
    return Loader


def _twice(keys: Any) -> str:  # noqa: ANN401 - an iterable of texts
    seen: set[str] = set()
    return next((key for key in keys if key in seen or seen.add(key)), "")  # type: ignore[func-returns-value]
