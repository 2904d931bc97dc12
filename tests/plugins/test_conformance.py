"""Every first-party record keeps the contract."""

import pytest

from planner.registry import load_registry
from planner.testing import CHECKS, check_plugin, check_source

REGISTRY = load_registry(disable="*")
CASES = [(kind, name) for info in REGISTRY.plugins for kind, names in info.contributions.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_record_keeps_the_contract(kind, name):
    check = CHECKS.get(kind, check_source)
    assert [str(finding) for finding in check(REGISTRY.records(kind)[name])] == []


@pytest.mark.parametrize("name", [info.name for info in REGISTRY.plugins])
def test_plugin_module_is_documented(name):
    assert [str(finding) for finding in check_plugin(name, REGISTRY) if finding.rule == "documented"] == []
