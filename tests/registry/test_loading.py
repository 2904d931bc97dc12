"""What is loaded, in which order, and how it is found again."""

import dataclasses
import subprocess
import sys
import time

import pytest

import planner
from planner.errors import UnknownNameError
from planner.registry import KINDS, Registry, load_registry


@pytest.fixture(scope="module")
def registry():
    return load_registry(disable="*")


def test_first_party_plugins_load_without_entry_points(registry):
    assert {info.distribution for info in registry.plugins} == {"gpu-planner"}
    assert all(info.first_party and info.version == planner.__version__ for info in registry.plugins)
    assert "bf16-mixed" in registry.precisions
    assert "adamw" in registry.optimizers


def test_no_first_party_plugin_has_a_problem(registry):
    assert [str(problem) for problem in registry.problems] == []


def test_plugins_are_ordered_by_module_name(registry):
    names = [info.name for info in registry.plugins]
    assert names == sorted(names)
    assert load_registry(disable="*").plugins == registry.plugins


def test_every_record_knows_its_plugin(registry):
    for kind in KINDS:
        for name in registry.records(kind):
            plugin = registry.origin(kind, name)
            info = next(info for info in registry.plugins if info.name == plugin)
            assert name in info.contributions[kind]
            assert KINDS[kind].hook in info.hooks


def test_registry_and_its_mappings_are_frozen(registry):
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.plugins = ()
    with pytest.raises(TypeError):
        registry.precisions["mine"] = None


def test_look_ups_ignore_case_and_suggest_neighbours(registry):
    assert registry.precision("BF16-Mixed") is registry.precisions["bf16-mixed"]
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adamv' \(did you mean adam") as caught:
        registry.optimizer("adamv")
    assert "adamw" in caught.value.nearest


def test_frameworks_are_found_by_alias(registry):
    for framework in registry.frameworks.values():
        for alias in framework.aliases:
            assert registry.framework(alias) is framework


def test_config_readers_are_found_by_model_type(registry):
    for reader in registry.config_readers.values():
        for model_type in reader.model_types:
            assert registry.config_reader(model_type) is reader


@pytest.mark.parametrize(
    "look_up",
    ["precision", "optimizer", "strategy", "schedule", "recompute", "sublayer", "config_reader", "method", "framework",
     "estimator"],
)  # fmt: skip
def test_every_look_up_refuses_an_unknown_name(look_up):
    with pytest.raises(UnknownNameError):
        getattr(Registry(), look_up)("nothing")


def test_unknown_kinds_and_origins_are_refused(registry):
    with pytest.raises(UnknownNameError, match="kind of record"):
        registry.records("precisoin")
    with pytest.raises(UnknownNameError):
        registry.origin("precision", "nothing")


def test_importing_the_registry_imports_no_plugin():
    code = "import sys, planner.registry; print([name for name in sys.modules if name.startswith('planner.plugins')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_again_takes_milliseconds(registry):
    started = time.perf_counter()
    load_registry()
    assert time.perf_counter() - started < 0.25  # about 0.005 on an idle machine


def test_third_party_plugin_is_loaded_from_its_entry_point(install, precision_code):
    install("planner-mxfp9", precision_code("mxfp9"))
    found = load_registry()
    info = found.plugins[-1]
    assert (info.name, info.distribution, info.version, info.first_party) == (
        "planner-mxfp9", "planner-mxfp9", "1.2", False
    )  # fmt: skip
    assert found.origin("precision", "mxfp9") == "planner-mxfp9"
    assert info.hooks == ("planner_precisions",)


@pytest.mark.parametrize("value", ["*", "planner-mxfp9", "PLANNER_mxfp9 , other-name", "recompute,*"])
def test_plugins_are_switched_off_by_the_environment_value(install, precision_code, value):
    install("planner-mxfp9", precision_code("mxfp9"))
    found = load_registry(disable=value)
    assert "mxfp9" not in found.precisions
    assert "bf16-mixed" in found.precisions


def test_first_party_plugins_are_switched_off_by_name():
    found = load_registry(disable="optimizer_lion,*")
    assert "lion" not in found.optimizers
    assert found.problems == ()


def test_switching_off_an_unknown_plugin_is_reported():
    (problem,) = load_registry(disable="optimizer_lino").problems
    assert problem.stage == "disable"
    assert "did you mean optimizer-lion" in problem.message
