"""The reference part of docs/plugins.md, made from the code. Run this file to rewrite it."""

import dataclasses
import inspect
from pathlib import Path

import planner.plugin
from planner.hookspecs import PlannerHooks

BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->"
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "plugins.md"
FOREIGN = ("Accelerator", "Architecture", "Cluster", "LatentAttention", "Layouts", "MixtureOfExperts")
"""Records of the domain that hooks only read; their docstrings describe them."""


def hooks():
    """Every hook specification by name, in the order of the class."""
    return {name: function for name, function in vars(PlannerHooks).items() if name.startswith("planner_")}


def signature(hook):
    """The signature that an implementation has."""
    return f"{hook}() -> {inspect.signature(hooks()[hook]).return_annotation}"


def records():
    """The records of planner.plugin in the order in which the file defines them, then those of the program."""
    public = [getattr(planner.plugin, name) for name in planner.plugin.__all__ if name not in FOREIGN]
    classes = [item for item in public if inspect.isclass(item) and dataclasses.is_dataclass(item)]
    return sorted(classes, key=lambda cls: (cls.__module__ != "planner.plugin", cls.__module__, line(cls)))


def line(cls):
    """Where the class is defined."""
    return inspect.getsourcelines(cls)[1]


def default(field):
    """A field's default as written, or that it is required."""
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!s}`" if field.default != "" else '`""`'
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!s}`"


def record_text(cls):
    """One record: docstring and fields."""
    head = [f"### `{cls.__name__}`", "", inspect.getdoc(cls), "", "| field | type | default |", "|---|---|---|"]
    kinds = [str(field.type).replace("|", "\\|") for field in dataclasses.fields(cls)]
    fields = zip(dataclasses.fields(cls), kinds, strict=True)
    return "\n".join([*head, *(f"| `{field.name}` | `{kind}` | {default(field)} |" for field, kind in fields), ""])


def hook_text(name):
    """One hook: signature, docstring, example."""
    words, examples = [], []
    for text in inspect.getdoc(hooks()[name]).splitlines():
        if text.startswith((">>> ", "... ", "...")):
            examples.append(text[4:])
        else:
            words.append(text)
    return "\n".join([f"### `{signature(name)}`", "", "\n".join(words).strip(), "", "```python", *examples, "```", ""])


def text():
    """The whole reference."""
    parts = ["## Hooks\n", *map(hook_text, hooks()), "## Records\n", *map(record_text, records())]
    return "\n".join(parts)


def between_markers(document):
    """The reference that a document holds."""
    return document.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    document = DOCUMENTATION.read_text(encoding="utf-8")
    before, _, rest = document.partition(BEGIN)
    DOCUMENTATION.write_text(before + BEGIN + text() + END + rest.partition(END)[2], encoding="utf-8")
