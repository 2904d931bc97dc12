"""A third-party function that fails late is named with its plugin; first-party records and good answers stay as they are."""

import dataclasses
import json

import numpy as np
import pytest

from planner.catalog.upgrade import upgrade
from planner.cli.main import main
from planner.errors import InputError, PluginError
from planner.guards import GuardedFunction, guarded, unguarded
from planner.plugin import (
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    ConfigReader,
    Degree,
    DeviceOverheads,
    Estimate,
    Estimator,
    Footprint,
    Framework,
    Method,
    Optimizer,
    Overlaps,
    Phase,
    Refusal,
    Region,
    Schedule,
    State,
    StateKind,
    Stored,
    Strategy,
    Sublayer,
)
from planner.registry import KINDS, Registry, load_registry
from planner.synthetic import PRECISION, STORAGE, synthetic_context, synthetic_layouts

SOURCE = "a test"
EVALUATE = ("evaluate", "--model", "llama3-7b", "--cluster", "a100-pool", "--tp", "2", "--dp", "4", "--zero", "1")
PLAN = ("plan", "--model", "llama3-7b", "--cluster", "h100:16")
NONE = load_registry(disable="*")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A catalog of this module's own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('guards') / 'catalog.db'}"
    upgrade(url)
    return url


@pytest.fixture
def planner(database, capsys):
    """Calls `planner`: its exit status, output and messages."""

    def call(*arguments):
        status = main(["--database", database, *arguments])
        return status, *capsys.readouterr()

    return call


PLUGINS = {
    "states that raise": (
        "def states(local, storage):\n    raise ValueError('no such moment')\n"
        "@hookimpl\ndef planner_optimizers():\n    yield Optimizer(name='late', states=states, source='a test')",
        (*EVALUATE, "--optimizer", "late"),
        "optimizer 'late': states failed: ValueError: no such moment",
    ),
    "states that raise while they are yielded": (
        "def states(local, storage):\n    yield State(name='m', elements=1.0, bytes_per_element=4)\n    1 / 0\n"
        "@hookimpl\ndef planner_optimizers():\n    yield Optimizer(name='late', states=states, source='a test')",
        (*PLAN, "--optimizer", "late"),
        "optimizer 'late': states failed: ZeroDivisionError: division by zero",
    ),
    "negative elements": (
        "def states(local, storage):\n    yield State(name='m', elements=-local.elements, bytes_per_element=4)\n"
        "@hookimpl\ndef planner_optimizers():\n    yield Optimizer(name='debt', states=states, source='a test')",
        (*EVALUATE, "--optimizer", "debt"),
        "optimizer 'debt': states yielded State 'm' with elements -",
    ),
    "communications that raise": (
        "def sent(context, layouts, block):\n    return layouts['nonsense']\n"
        "@hookimpl\ndef planner_strategies():\n    yield Strategy(name='late', communications=sent, source='a test')",
        PLAN,
        "strategy 'late': communications failed: KeyError: 'nonsense'",
    ),
    "a buffer that is not finite": (
        "def kept(context, layouts):\n    yield Buffer(name='b', component=Component.OTHER, bytes=float('nan'))\n"
        "@hookimpl\ndef planner_strategies():\n    yield Strategy(name='nan', buffers=kept, source='a test')",
        EVALUATE,
        "strategy 'nan': buffers yielded Buffer 'b' with bytes nan, not a finite number from 0",
    ),
    "exit": (
        "def candidates(context):\n    raise SystemExit(7)\n"
        "@hookimpl\ndef planner_strategies():\n    yield Strategy(name='leaver', source='a test', "
        "degrees=(Degree(name='xp', candidates=candidates, help='x'),))",
        PLAN,
        "strategy 'leaver': axis 'xp': candidates failed: SystemExit: 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLUGINS)
def test_a_plugin_that_fails_late_is_named_in_one_line_that_says_how_to_do_without_it(
    install, planner, monkeypatch, case
):
    code, arguments, message = PLUGINS[case]
    install("planner-late", "from planner.plugin import *\n" + code)
    status, out, err = planner(*arguments, "--strict-plugins")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"planner: error: plugin 'planner-late' of planner-late: {message}" in err
    assert err.endswith("(PLANNER_PLUGINS_DISABLE=planner-late leaves it out)\n")
    monkeypatch.setenv("PLANNER_PLUGINS_DISABLE", "planner-late")
    assert planner(*(argument for argument in arguments if argument not in ("--optimizer", "late", "debt")))[0] == 0


@pytest.mark.parametrize("case", PLUGINS)
def test_a_plugin_that_fails_late_costs_what_it_brings_not_the_answer(install, planner, case):
    code, arguments, message = PLUGINS[case]
    before = planner(*arguments, "--format", "json")
    install("planner-late", "from planner.plugin import *\n" + code)
    status, out, err = planner(*arguments, "--format", "json")
    assert err.count("\n") == 1
    assert f"plugin 'planner-late' of planner-late: {message}" in err
    if "--optimizer" in arguments:  # what was asked for cannot be left out
        assert (status, out) == (2, "")
        assert err.startswith("planner: error: ")
    else:
        assert status == 0
        assert err.startswith("planner: warning: ")
        assert err.endswith("; left out\n")
        assert answer_of(out) == answer_of(before[1])


def test_a_plugin_that_fails_late_costs_no_rows_of_a_file(install, planner, tmp_path):
    runs = tmp_path / "runs.csv"
    runs.write_text("id,model_name,gpu_slug,n_gpus,dp,seq_len,micro_batch\na,llama3-8b,h100-sxm5-80gb,8,8,8192,1\n")
    before = planner("evaluate", "--runs", str(runs), "--format", "csv")
    assert before[1].splitlines()[1].endswith(",")  # no error
    install("planner-late", "from planner.plugin import *\n" + PLUGINS["communications that raise"][0])
    status, out, err = planner("evaluate", "--runs", str(runs), "--format", "csv")
    assert (status, out) == before[:2]
    assert "communications failed" in err
    assert "left out" in err


def answer_of(out):
    """A document without how long it took."""
    document = json.loads(out)
    document.get("search", {}).pop("elapsed_s", None)
    return document


def all_guarded():
    """The first-party registry with every record behind a guard, as if a stranger had written it."""
    records = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for name, record in NONE.records(kind).items():
            records[kind][name] = guarded(record, name, f"{kind} {name}", "leave it", records)
    return Registry(**{KINDS[kind].attribute: found for kind, found in records.items()}, plugins=NONE.plugins)


@pytest.mark.parametrize(
    "arguments",
    [
        PLAN,
        ("plan", "--model", "deepseek-v2-lite", "--cluster", "h100:16", "--framework", "torchtitan"),
        ("plan", "--model", "llama3-7b", "--cluster", "rtx-4090:8", "--optimizer", "adafactor"),
        (*EVALUATE, "--pp", "2", "--method", "lora", "--framework", "transformers"),
        ("estimate", "--model", "llama3-7b"),
    ],
)
def test_guards_change_no_answer_of_a_good_plugin(planner, monkeypatch, arguments):
    def answered():
        status, out, err = planner(*arguments, "--format", "json")
        return status, answer_of(out), err

    before = answered()
    registry = all_guarded()
    monkeypatch.setattr("planner.isolation.installed_registry", lambda **_: registry)
    assert answered() == before


def test_only_third_party_functions_are_guarded(install, precision_code):
    code = "def states(local, storage):\n    return ()\n@hookimpl\ndef planner_optimizers():\n" \
           "    yield Optimizer(name='mine', states=states, source='a test')"  # fmt: skip
    install("planner-mine", "from planner.plugin import *\n" + code)
    registry = load_registry()
    mine, adamw = registry.optimizers["mine"], registry.optimizers["adamw"]
    assert type(mine) is Optimizer
    assert isinstance(mine.states, GuardedFunction)
    assert not isinstance(adamw.states, GuardedFunction)
    assert unguarded(mine).states is mine.states.function


CONTEXT = synthetic_context()
LAYOUTS = synthetic_layouts(CONTEXT, [*NONE.strategies.values()])
SCHEDULED = dataclasses.replace(
    LAYOUTS,
    codes={**LAYOUTS.codes, "schedule": np.zeros(1, dtype=np.intp)},
    values={**LAYOUTS.values, "schedule": ("1f1b",)},
)
LOCAL = CONTEXT.local_groups(CONTEXT.program.head, LAYOUTS)[-1]
BLOCK = CONTEXT.program.kinds[0]


def behind_a_guard(record):
    records = {kind: dict(NONE.records(kind)) for kind in KINDS}
    return guarded(record, "x", "plugin 'x': it", "hint", records)


def strategy(**functions):
    return behind_a_guard(Strategy(name="s", source=SOURCE, **functions))


def sent(**changes):
    communication = Communication(
        collective=Collective.ALL_REDUCE, axes=("tp",), payload_bytes=1.0, phase=Phase.FORWARD, component="tp"
    )
    return lambda *_: [dataclasses.replace(communication, **changes)]


def framework(**changes):
    overheads = DeviceOverheads(
        context_bytes=0, workspace_bytes=0, communicator_bytes=0, fragmentation=0, source=SOURCE
    )
    plain = Framework(
        name="f", storage=lambda _: STORAGE, footprints={}, overlaps=Overlaps(), overheads=overheads, source=SOURCE
    )
    return behind_a_guard(dataclasses.replace(plain, **changes))


def schedule(chunks=lambda *_: 1.0, bubble=lambda *_: 0.0):
    return behind_a_guard(Schedule(name="1f1b", chunks_in_flight=chunks, bubble_s=bubble, source=SOURCE))


def optimizer(states=lambda *_: [], temporary=None):
    return behind_a_guard(Optimizer(name="o", states=states, temporary_bytes=temporary, source=SOURCE))


def reader(read):
    return behind_a_guard(ConfigReader(name="r", model_types=("r",), read=read, source=SOURCE))


def state(elements=1.0, width=4.0):
    return lambda *_: [State(name="m", elements=elements, bytes_per_element=width)]


BOTH = (CONTEXT, LAYOUTS)
WRONG = {
    "no record": (lambda: optimizer(lambda *_: [7]).states(LOCAL, STORAGE), "states yielded int, not State"),
    "nothing": (lambda: optimizer(lambda *_: None).states(LOCAL, STORAGE), "returned NoneType, not an iterable of"),
    "text": (lambda: optimizer(state("4")).states(LOCAL, STORAGE), "elements '4', not a number"),
    "infinite": (lambda: optimizer(state(np.inf)).states(LOCAL, STORAGE), "elements inf, not a finite number from 0"),
    "width": (lambda: optimizer(state(1.0, -1.0)).states(LOCAL, STORAGE), "bytes_per_element -1, not"),
    "shape": (lambda: optimizer(state(np.ones(7))).states(LOCAL, STORAGE), r"shape \(7,\), which does not broadcast"),
    "temporary": (lambda: optimizer(temporary=lambda *_: -1).temporary_bytes(LOCAL, STORAGE), "returned -1, not"),
    "divisor": (lambda: strategy(region_divisors=lambda *_: {Region.INTERIOR: 0.5}).region_divisors(*BOTH),
                "region_divisors returned interior 0.5, not a finite number from 1"),
    "region": (lambda: strategy(region_divisors=lambda *_: {"x": 2}).region_divisors(*BOTH), "not a mapping of Region"),
    "state kind": (lambda: strategy(shards_states=lambda *_: 1).shards_states(*BOTH), "not a mapping of StateKind"),
    "sequence": (lambda: strategy(sequence_divisor=lambda *_: 0).sequence_divisor(*BOTH), "returned 0, not"),
    "payload": (lambda: strategy(communications=sent(payload_bytes=-1.0)).communications(*BOTH, BLOCK), "payload_bytes"),
    "overlap": (lambda: strategy(communications=sent(overlap=2.0)).communications(*BOTH, BLOCK), "from 0 to 1"),
    "phase": (lambda: strategy(communications=sent(phase="noon")).communications(*BOTH, BLOCK), "'noon', not a Phase"),
    "hop": (lambda: strategy(boundary_communications=sent(events=np.nan)).boundary_communications(*BOTH), "events nan"),
    "buffer": (lambda: strategy(buffers=lambda *_: [Buffer(name="b", component=Component.OTHER, bytes=-LAYOUTS["tp"])])
               .buffers(*BOTH), "buffers yielded Buffer 'b' with bytes -"),
    "mask": (lambda: strategy(refusals=lambda *_: [Refusal(reason="r", where=LAYOUTS["tp"])]).refusals(*BOTH),
             "Refusal 'r' with where of float64"),
    "candidates": (lambda: strategy(degrees=(Degree(name="xp", candidates=lambda _: (0, 1)),)).degrees[0]
                   .candidates(CONTEXT), r"axis 'xp': candidates returned \(0, 1\), not whole numbers from 1"),
    "choices": (lambda: strategy(choices=(Choice(name="x", values=(0,), candidates=lambda _: 7),)).choices[0]
                .candidates(CONTEXT), "axis 'x': candidates returned int"),
    "storage": (lambda: framework(storage=lambda _: dataclasses.replace(STORAGE, state_bytes=-4)).storage(PRECISION),
                "storage returned Storage with state_bytes -4"),
    "footprint": (lambda: framework(footprints={"norm": lambda *_: 7}).footprints["norm"](None, None),
                  r"footprints\['norm'\] returned int, not Footprint"),
    "kept": (lambda: framework(footprints={"norm": lambda *_: Footprint(saved=(Stored("x", -1, Region.LATENT, 2),))})
             .footprints["norm"](None, None), "Stored 'x' with width -1"),
    "chunks": (lambda: schedule(lambda context, layouts, stage: stage - 9.0).chunks_in_flight(CONTEXT, SCHEDULED, np.zeros(1)),
               "chunks_in_flight returned -9"),
    "sublayer": (lambda: behind_a_guard(Sublayer(name="b", build=lambda *_: (), source=SOURCE)).build(None, 0, None),
                 "build returned tuple, not SublayerParts"),
    "method": (lambda: behind_a_guard(Method(name="m", apply=lambda *_: None, source=SOURCE)).apply(None, {}),
               "apply returned NoneType, not Program"),
    "estimate": (lambda: behind_a_guard(Estimator(name="e", source=SOURCE, estimates=lambda _: [
        Estimate(name="v", value=np.nan, unit="", formula="", source=SOURCE)])).estimates(None), "value nan"),
    "reader": (lambda: reader(lambda _: {}).read({}), "read returned dict, not Architecture"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_answer_that_the_core_cannot_use_is_refused(case):
    call, message = WRONG[case]
    with pytest.raises(PluginError, match=message) as caught:
        call()
    assert caught.value.message.startswith("plugin 'x': it: ")
    assert caught.value.hint == "hint"


def test_what_a_reader_refuses_stays_bad_input():
    def read(config):
        raise InputError("n_layer is missing")

    with pytest.raises(InputError, match="n_layer is missing"):
        reader(read).read({})


def test_numbers_of_refused_layouts_are_not_looked_at():
    """1 / (tp - 1) is infinite where tp is 1, and this strategy refuses just that."""

    def kept(context, layouts):
        with np.errstate(divide="ignore"):
            yield Buffer(name="b", component=Component.OTHER, bytes=1 / (layouts["tp"] - 1))

    def refusals(context, layouts):
        yield Refusal(reason="tp 1", where=layouts["tp"] == 1)

    with pytest.raises(PluginError, match="bytes inf"):
        strategy(buffers=kept).buffers(*BOTH)
    records = {kind: dict(NONE.records(kind)) for kind in KINDS}
    records["strategy"]["s"] = guarded(
        Strategy(name="s", source=SOURCE, buffers=kept, refusals=refusals), "s", "it", "hint", records
    )
    assert len(records["strategy"]["s"].buffers(*BOTH)) == 1


def test_dispatched_tokens_may_grow_and_masks_may_be_shares():
    found = strategy(region_divisors=lambda *_: {Region.DISPATCHED: 0.5}).region_divisors(*BOTH)
    assert found == {Region.DISPATCHED: 0.5}
    sharded = strategy(shards_states=lambda context, layouts: {StateKind.OPTIMIZER: layouts["tp"] > 1})
    assert set(sharded.shards_states(*BOTH)) == {StateKind.OPTIMIZER}
