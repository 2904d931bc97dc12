"""The conformance kit finds what it is there to find."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from planner.errors import UnknownNameError
from planner.plugin import (
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    Degree,
    Estimate,
    Estimator,
    Optimizer,
    Phase,
    Recompute,
    Refusal,
    Region,
    Schedule,
    State,
    Strategy,
    hookimpl,
    nothing_sent,
)
from planner.registry import load_registry
from planner.synthetic import PRECISION, synthetic_context, synthetic_layouts
from planner.testing import (
    check_array_law,
    check_estimator,
    check_framework,
    check_optimizer,
    check_plugin,
    check_precision,
    check_recompute,
    check_schedule,
    check_strategy,
)

SOURCE = "a test"


def rules(findings):
    return {finding.rule for finding in findings}


LAYOUTS = synthetic_layouts(synthetic_context())


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (lambda layouts: layouts["tp"] - layouts["tp"].mean(), "row"),
        (lambda layouts: np.cumsum(layouts["tp"]), "permutation"),
        (lambda layouts: np.sort(layouts["tp"]), "permutation"),
        (lambda layouts: 1 / (layouts["tp"] - 1), "finite"),
        (lambda layouts: 1 - layouts["tp"], "range"),
        (lambda layouts: np.ones(7), "shape"),
        (lambda layouts: layouts["tp"] if layouts["tp"] > 1 else 1.0, "raises"),
        (lambda layouts: layouts["nonsense"], "raises"),
        (lambda layouts: np.multiply(layouts["tp"], 2, out=layouts["tp"]), "raises"),
    ],
)
def test_functions_that_are_not_elementwise_are_found(function, rule):
    assert rule in rules(check_array_law("probe", lambda layouts: {"value": function(layouts)}, LAYOUTS))


def test_elementwise_functions_pass():
    def evaluate(layouts):
        wide = np.where(layouts.equals("zero", 3), 1 / layouts["dp"], 1.0)
        return {"constant": 2.0, "degree": layouts["tp"], "both": wide * layouts["pp"], "mask": layouts["tp"] > 1}

    assert check_array_law("probe", evaluate, LAYOUTS) == []


def test_values_are_not_checked_where_a_layout_is_refused():
    allowed = np.broadcast_to(LAYOUTS["tp"] > 1, LAYOUTS.shape)
    assert check_array_law("probe", lambda layouts: {"x": 1 / (layouts["tp"] - 1)}, LAYOUTS, allowed) == []


def test_precisions_with_impossible_numbers_are_found():
    assert check_precision(PRECISION) == []
    assert rules(check_precision(replace(PRECISION, matmul="int3"))) == {"type"}
    assert rules(check_precision(replace(PRECISION, weight_bytes=-1))) == {"range"}
    assert rules(check_precision(replace(PRECISION, gemm_input_bytes=3))) == {"range"}
    assert rules(check_precision(replace(PRECISION, source="?"))) == {"documented"}


def test_optimizer_that_grows_with_sharding_is_found():
    def states(local, storage):
        yield State(name="odd", elements=1e9 / local.rows, bytes_per_element=4.0)

    assert "monotone" in rules(check_optimizer(Optimizer(name="odd", states=states, source=SOURCE)))


def test_optimizer_with_negative_states_is_found():
    def states(local, storage):
        yield State(name="debt", elements=-local.elements, bytes_per_element=4.0)

    assert rules(check_optimizer(Optimizer(name="debt", states=states, source=SOURCE))) == {"range"}


def degree(name="hp"):
    return Degree(name=name, candidates=lambda context: (1, 2, 4), help="a test")


STRATEGIES = {
    "divisor below one": (
        Strategy(name="s", degrees=(degree(),), source=SOURCE,
                 region_divisors=lambda context, layouts: {Region.INTERIOR: 1 / layouts["hp"]}), "range"),
    "overlap above one": (
        Strategy(name="s", source=SOURCE, communications=lambda context, layouts, block: [
            Communication(collective=Collective.ALL_REDUCE, axes=("tp",), payload_bytes=1.0, phase=Phase.FORWARD,
                          component="tp", overlap=2.0)]), "range"),
    "unknown axis": (
        Strategy(name="s", source=SOURCE, communications=lambda context, layouts, block: [
            Communication(collective=Collective.ALL_REDUCE, axes=("xp",), payload_bytes=1.0, phase=Phase.FORWARD,
                          component="tp")]), "type"),
    "synchronisation among communications": (
        Strategy(name="s", source=SOURCE, synchronisations=nothing_sent, communications=lambda context, layouts, block: [
            Communication(collective=Collective.ALL_REDUCE, axes=("tp",), payload_bytes=1.0, phase=Phase.GRADIENT_SYNC,
                          component="tp")]), "type"),
    "unknown component": (
        Strategy(name="s", source=SOURCE, boundary_communications=None, communications=lambda context, layouts, block: [
            Communication(collective=Collective.ALL_REDUCE, axes=("tp",), payload_bytes=1.0, phase=Phase.FORWARD,
                          component="hp")]), "type"),
    "negative buffer": (
        Strategy(name="s", source=SOURCE, buffers=lambda context, layouts: [
            Buffer(name="b", component=Component.OTHER, bytes=-layouts["tp"])]), "range"),
    "refuses everything": (
        Strategy(name="s", source=SOURCE, refusals=lambda context, layouts: [
            Refusal(reason="no", where=layouts["tp"] >= 1)]), "range"),
    "axis without help": (Strategy(name="s", source=SOURCE, choices=(Choice(name="x", values=(0, 1)),)), "documented"),
    "branches on an array": (
        Strategy(name="s", source=SOURCE,
                 sequence_divisor=lambda context, layouts: 1.0 if layouts["tp"] > 1 else 2.0), "raises"),
}  # fmt: skip


@pytest.mark.parametrize("case", STRATEGIES)
def test_strategies_that_break_the_contract_are_found(case):
    strategy, rule = STRATEGIES[case]
    assert rule in rules(check_strategy(strategy, companions=()))


def test_schedule_with_nothing_in_flight_is_found():
    schedule = Schedule(name="s", source=SOURCE, bubble_s=lambda context, layouts, times: -times.total_forward_s,
                        chunks_in_flight=lambda context, layouts, stage: layouts["pp"] - stage - 1)  # fmt: skip
    found = check_schedule(schedule)
    assert {finding.rule for finding in found} == {"range"}
    assert any("bubble" in finding.message for finding in found)
    assert any("chunks in flight" in finding.message for finding in found)


def test_recompute_of_everything_and_something_is_found():
    both = Recompute(name="both", operators=frozenset({"attention"}), whole_layer=True, source=SOURCE)
    assert rules(check_recompute(both)) == {"type"}


def test_framework_with_a_default_it_does_not_offer_is_found():
    framework = synthetic_context().framework
    assert check_framework(framework) == []
    assert rules(check_framework(replace(framework, default_zero=5))) == {"range"}
    assert rules(check_framework(replace(framework, footprints={"norm": lambda *_: 7}))) == {"type"}


def test_estimator_that_needs_the_shape_is_found():
    def estimates(known):
        yield Estimate(name="e", value=1.0 * known.layers, unit="layers", formula="L", source=SOURCE)

    assert rules(check_estimator(Estimator(name="e", estimates=estimates, source=SOURCE))) == {"raises"}


def module_with(precision, docstring="A plugin."):
    module = ModuleType("probe_plugin", docstring)

    @hookimpl
    def planner_precisions():
        yield precision

    module.planner_precisions = planner_precisions
    return module


def test_a_module_is_checked_without_being_installed():
    assert check_plugin(module_with(replace(PRECISION, name="probe"))) == []
    assert rules(check_plugin(module_with(replace(PRECISION, name="probe", matmul="int3")))) == {"type"}
    assert rules(check_plugin(module_with(replace(PRECISION, name="fp32")))) == {"clash"}


def test_a_loaded_plugin_is_checked_by_name():
    assert check_plugin("precision_standard") == []
    with pytest.raises(UnknownNameError, match="precision_standard"):
        check_plugin("precision_standart", load_registry(disable="*"))


def test_a_plugin_that_failed_to_load_is_a_finding(install):
    install("planner-broken", "import does_not_exist")
    (finding,) = check_plugin("planner-broken")
    assert finding.rule == "import"
