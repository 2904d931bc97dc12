"""Fake distributions with entry points, on a path of their own."""

import sys
import textwrap

import pytest


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a distribution `name` with a plugin module; modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = []

    def put(name, code, *, module=None, entry_points=None):
        module = module or name.replace("-", "_")
        installed.append(module)
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        information = tmp_path / f"{module}-1.2.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = f"[planner]\n{name} = {module}\n" if entry_points is None else entry_points
        (information / "entry_points.txt").write_text(lines)

    yield put
    for module in installed:
        sys.modules.pop(module, None)


PRECISION = """
from planner.plugin import Precision, hookimpl

@hookimpl
def planner_precisions():
    yield Precision(name={name!r}, compute="bf16", matmul="fp8", weight_bytes=2, gradient_bytes=4, master_bytes=4,
                    activation_bytes=2, communication_bytes=2, source="a test")
"""


@pytest.fixture
def precision_code():
    """The source of a plugin that brings one precision of a given name."""
    return lambda name: PRECISION.format(name=name)
