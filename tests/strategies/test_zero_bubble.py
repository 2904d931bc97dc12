"""GPipe, zero-bubble and bidirectional schedules, against the tables of their papers."""

from __future__ import annotations

import numpy as np
import pytest

from planner.plugin import StageTimes
from planner.registry import load_registry
from planner.search.evaluation import evaluate_mesh
from planner.search.rules import Rules
from planner.search.space import all_choices, derive, make_layouts
from planner.synthetic import synthetic_context

REGISTRY = load_registry(disable="*")
CONTEXT = synthetic_context()


def mesh(pp: float, vpp: float = 1, micro_batches: float = 64):
    ones = np.ones(1)
    degrees = dict.fromkeys(("tp", "cp", "dp", "ep", "etp", "micro_batch"), ones) | {"pp": ones * pp, "vpp": ones * vpp}
    return make_layouts(derive(CONTEXT, degrees) | {"micro_batches": ones * micro_batches}, {})


def equal_stages(pp: float, forward_s: float, input_gradient_s: float, weight_gradient_s: float) -> StageTimes:
    forward, backward = np.ones(1) * forward_s, np.ones(1) * (input_gradient_s + weight_gradient_s)
    return StageTimes(
        slowest_forward_s=forward, slowest_backward_s=backward, total_forward_s=pp * forward,
        total_backward_s=pp * backward, weight_gradient_s=np.ones(1) * weight_gradient_s,
    )  # fmt: skip


def idle(name: str, pp: int, *times: float, vpp: int = 1) -> float:
    return float(REGISTRY.schedules[name].bubble_s(CONTEXT, mesh(pp, vpp), equal_stages(pp, *times))[0])


def micro_batches_held(name: str, pp: int, stage: int = 0, vpp: int = 1, micro_batches: int = 64) -> float:
    layouts = mesh(pp, vpp, micro_batches)
    held = REGISTRY.schedules[name].chunks_in_flight(CONTEXT, layouts, np.asarray([float(stage)]))
    return float(np.asarray(held).reshape(-1)[0]) / vpp


def refusals(name: str, pp: int, vpp: int, micro_batches: int = 64) -> list[str]:
    schedule = REGISTRY.schedules[name]
    return [each.reason for each in schedule.refusals(CONTEXT, mesh(pp, vpp, micro_batches)) if each.where.any()]


def test_gpipe_holds_every_micro_batch_and_idles_as_1f1b() -> None:
    """arXiv 1811.06965, section 2.3."""
    assert micro_batches_held("gpipe", 4, stage=3) == 64
    assert idle("gpipe", 4, 1.0, 1.0, 1.0) == idle("1f1b", 4, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("name", "vpp", "share"), [("zb1p", 1, 1 / 3), ("zb2p", 1, 0), ("zbv", 2, 0)])
@pytest.mark.parametrize("pp", [2, 8, 24])
def test_bubbles_of_equal_passes_are_those_of_the_table(name: str, vpp: int, share: float, pp: int) -> None:
    """sail-sg/zero-bubble-pipeline-parallelism, README.md, comparison of schedules: (p-1)/m, (p-1)/3m, 0, 0."""
    assert idle(name, pp, 1.0, 1.0, 1.0, vpp=vpp) == pytest.approx(share * idle("1f1b", pp, 1.0, 1.0, 1.0))


@pytest.mark.parametrize(("name", "share"), [("v-half", 1 / 2), ("v-min", 2 / 3)])
def test_bubbles_of_the_v_schedules(name: str, share: float) -> None:
    """arXiv 2405.15362's space, description1.md: p/2m and 2p/3m beside 1F1B's p/m."""
    assert idle(name, 8, 1.0, 1.0, 1.0, vpp=2) == pytest.approx(share * idle("1f1b", 8, 1.0, 1.0, 1.0))


def test_zero_bubbles_with_unequal_passes() -> None:
    """arXiv 2401.10241, table 2, in its own letters: (p-1)(F + B - W) and (p-1)(F + B - 2W)."""
    assert idle("zb1p", 8, 1.0, 1.4, 0.6) == pytest.approx(7 * (1.0 + 1.4 - 0.6))
    assert idle("zb2p", 8, 1.0, 1.4, 0.6) == pytest.approx(7 * (1.0 + 1.4 - 2 * 0.6))


@pytest.mark.parametrize(
    ("times", "span"),
    [((1.0, 1.4, 0.6), 5.6), ((1.0, 1.0, 0.6), 2.8), ((1.0, 1.2, 1.2), 0.7), ((1.0, 1.5, 1.0), 3.5)],
)
def test_zbv_idles_as_its_order_of_operations_does(times: tuple[float, float, float], span: float) -> None:
    """Spans of ScheduleZBVZeroBubble (torch.distributed.pipelining) on 8 stages beyond their work, executed step by step."""
    assert idle("zbv", 8, *times, vpp=2) == pytest.approx(span)


@pytest.mark.parametrize(
    ("name", "vpp", "held"), [("zb1p", 1, 12), ("zb2p", 1, 23), ("zbv", 2, 12), ("v-half", 2, 7), ("v-min", 2, 5)]
)
def test_memory_of_the_table(name: str, vpp: int, held: int) -> None:
    """1x, 2x and 1x of 1F1B's p; (p + 2)//2 and (p + 4)//3 of the V schedules; the same on every stage; never more than m."""
    assert {micro_batches_held(name, 12, stage, vpp) for stage in (0, 5, 11)} == {held}
    assert micro_batches_held(name, 12, 0, vpp, micro_batches=4) == 4


@pytest.mark.parametrize(("name", "share"), [("v-half", 1 / 2), ("v-min", 1 / 3)])
def test_v_schedules_tend_to_their_share_of_1f1b_s_memory(name: str, share: float) -> None:
    assert micro_batches_held(name, 600, vpp=2, micro_batches=10_000) / 600 == pytest.approx(share, abs=0.01)


def test_dualpipe_is_that_of_its_readme() -> None:
    """deepseek-ai/DualPipe, README.md: (PP/2-1)(F&B + B - 3W), PP + 1 micro-batches, parameters twice."""
    assert idle("dualpipe", 8, 1.0, 1.2, 0.8) == pytest.approx(3 * (3.0 + 2.0 - 2.4))
    assert micro_batches_held("dualpipe", 8) == 9
    assert REGISTRY.schedules["dualpipe"].parameter_copies == 2.0


def test_dualpipev_is_dualpipe_on_half_the_devices() -> None:
    """README.md, based on the same number of stages: 8 devices of DualPipe and 4 of DualPipeV idle equally, hold PP + 1 chunks."""
    whole = idle("dualpipe", 8, 1.0, 1.2, 0.8)
    assert idle("dualpipev", 4, 2.0, 2.4, 1.6, vpp=2) == pytest.approx(whole)
    assert 2 * micro_batches_held("dualpipev", 4, vpp=2) == 9


@pytest.mark.parametrize("name", ["zbv", "v-half", "v-min", "dualpipev"])
def test_v_schedules_need_two_chunks(name: str) -> None:
    assert refusals(name, 4, 2) == []
    assert any("two chunks" in reason for reason in refusals(name, 4, 1))
    assert any("two chunks" in reason for reason in refusals(name, 4, 4))


@pytest.mark.parametrize("name", ["gpipe", "zb1p", "zb2p", "dualpipe"])
def test_the_others_run_one_chunk(name: str) -> None:
    assert refusals(name, 4, 1) == []
    assert any("one chunk" in reason for reason in refusals(name, 4, 2))


def test_dualpipe_needs_pairs_and_enough_micro_batches() -> None:
    """dualpipe/dualpipe.py: assertions at the head of step()."""
    assert refusals("dualpipe", 3, 1) == ["dualpipe needs an even number of stages"]
    assert refusals("dualpipe", 4, 1, 9) == ["dualpipe needs an even number of micro-batches"]
    assert refusals("dualpipe", 4, 1, 6) == ["dualpipe needs 2 x pp micro-batches"]


def evaluated(*schedules: str, pp: int = 4, vpp: int = 1):
    rules = Rules(tuple(REGISTRY.strategies.values()), REGISTRY.schedules, REGISTRY.recomputes)
    degrees = {each.name: np.ones(1) for strategy in rules.strategies for each in strategy.degrees}
    degrees |= {"pp": np.ones(1) * pp, "vpp": np.ones(1) * vpp}
    choices = all_choices(rules.strategies, tuple(rules.schedules), ("none",))
    chosen = {each.name: schedules if each.name == "schedule" else each.values[:1] for each in choices}
    return evaluate_mesh(CONTEXT, make_layouts(derive(CONTEXT, degrees), chosen), rules)


def test_dualpipe_keeps_states_twice_and_synchronises_both() -> None:
    both = evaluated("1f1b", "dualpipe")
    for states in both.memory.states:
        once, twice = np.broadcast_to(states.weights, both.layouts.shape).reshape(-1)
        assert twice == 2 * once
    assert float(both.step.components["optimizer"].reshape(-1)[1]) == 2 * float(
        both.step.components["optimizer"].reshape(-1)[0]
    )


def test_on_a_device_of_dualpipe_half_the_micro_batches_meet_the_head() -> None:
    """deepseek-ai/DualPipe, README.md: device i holds the stages i and p - 1 - i; two stages are one device's both ends."""
    both = evaluated("1f1b", "dualpipe", pp=2)
    straight, mirrored = np.broadcast_to(both.step.components["forward"], both.layouts.shape).reshape(-1)
    embedding, *_layers, head = (float(np.ravel(block.forward_s)[0]) for block in both.blocks)
    micro_batches = float(both.layouts["micro_batches"][0])
    assert straight - mirrored == pytest.approx(micro_batches * (head - embedding) / 2)
    assert head > embedding


def test_schedules_beside_it_do_not_change_a_schedule() -> None:
    """Bit for bit: the mesh of several schedules equals each alone."""
    together = evaluated("1f1b", "zb2p", "dualpipe", "gpipe")
    for place, name in enumerate(("1f1b", "zb2p", "dualpipe", "gpipe")):
        alone = evaluated(name)
        shape = together.layouts.shape
        assert np.broadcast_to(together.peak_bytes, shape).reshape(-1)[place] == alone.peak_bytes.reshape(-1)[0]
        assert np.broadcast_to(together.step.total_s, shape).reshape(-1)[place] == alone.step.total_s.reshape(-1)[0]


def test_a_v_puts_the_head_on_the_first_stage() -> None:
    """arXiv 2401.10241, section 6: the last chunk lies where the first one does."""
    straight = evaluated("interleaved", vpp=2)
    assert float(straight.columns[0].head.reshape(-1)[0]) == 0
    folded = evaluated("zbv", vpp=2)
    assert float(folded.columns[0].head.reshape(-1)[0]) == 1
    assert sum(float(column.head.reshape(-1)[0]) for column in folded.columns) == 1
