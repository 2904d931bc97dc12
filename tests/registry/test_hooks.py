"""Every hook is documented with its signature, has an example that runs, and is collected by the registry."""

import dataclasses
import doctest
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from registry import reference

import planner.plugin
from planner.registry import KINDS, load_registry
from planner.testing import check_plugin

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = reference.hooks()


def test_every_hook_is_a_kind_of_record():
    assert set(HOOKS) == {kind.hook for kind in KINDS.values()}


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented_with_its_signature(hook):
    assert f"### `{reference.signature(hook)}`" in DOCUMENTATION


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_takes_nothing(hook):
    """A signature never grows: what a hook needs to know goes into a record."""
    assert list(inspect.signature(HOOKS[hook]).parameters) == ["self"]


@pytest.mark.parametrize("hook", HOOKS)
def test_example_in_the_docstring_runs_and_yields_its_record(hook):
    """The example is run as a doctest; what it defines is then collected as a plugin's hook."""
    docstring = inspect.getdoc(HOOKS[hook])
    test = doctest.DocTestParser().get_doctest(docstring, {}, hook, None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
    record = next(kind.record for kind in KINDS.values() if kind.hook == hook)
    assert all(isinstance(item, record) for item in test.globs[hook]())


def test_reference_is_up_to_date():
    """Rewrite it with: python tests/registry/reference.py."""
    assert reference.between_markers(DOCUMENTATION) == reference.text()


@pytest.mark.parametrize("name", [cls.__name__ for cls in reference.records()])
def test_record_is_described(name):
    record = getattr(planner.plugin, name)
    assert dataclasses.is_dataclass(record)
    assert inspect.getdoc(record) != f"{name}{inspect.signature(record)}"


@pytest.mark.parametrize("module", ["planner.plugin", "planner.registry", "planner.contributions", "planner.testing",
                                    "planner.array_law", "planner.synthetic"])  # fmt: skip
def test_doctests_of_the_module_pass(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.parametrize("plugin", [info.module for info in load_registry(disable="*").plugins])
def test_doctests_of_first_party_plugins_pass(plugin):
    assert doctest.testmod(importlib.import_module(plugin)).failed == 0


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENTATION, flags=re.DOTALL)


def test_plugin_of_the_tutorial_works_as_printed(install):
    """Its module and its pyproject entry point are taken from the documentation."""
    code, test = code_blocks("python")[:2]
    assert len(code.splitlines()) <= 25
    (entry,) = re.findall(r'\[project\.entry-points\.planner\]\n(\w+) = "(\w+)"', code_blocks("toml")[0])
    install("planner-mxfp6", code, module=entry[1], entry_points=f"[planner]\n{entry[0]} = {entry[1]}\n")
    assert "mxfp6" in load_registry().precisions
    namespace = {}
    exec(test, namespace)
    for name, function in namespace.items():
        if name.startswith("test_"):
            function()


def test_tutorial_plugin_can_be_checked_as_a_module():
    module = ModuleType("planner_mxfp6")
    exec(code_blocks("python")[0], module.__dict__)
    assert check_plugin(module) == []
