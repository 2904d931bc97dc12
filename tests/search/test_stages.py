"""Pipeline stages by their real layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.search.stages import balanced_sizes, chunk_sizes, representatives, split_stages
from planner.synthetic import synthetic_program


def test_llama_3_405b_on_sixteen_stages_has_one_layer_fewer_at_both_ends() -> None:
    """arXiv 2407.21783, section 3.3.2: one layer fewer on the first and the last stage."""
    assert chunk_sizes(126, 16) == (7, *[8] * 14, 7)


def test_nanotron_s_stages_are_as_even_in_work_as_its_code_makes_them() -> None:
    """huggingface/nanotron at 0e0a27ea, models/base.py and models/llama.py: the playbook's 3B model, 28 layers of
    4 · 3072² + 3 · 8192 · 3072 and a head of 128,256 · 3072, on 2, 4 and 16 stages; the head goes on the last."""
    head = 128256 * 3072 / (4 * 3072**2 + 3 * 8192 * 3072)
    assert balanced_sizes(28, 2, head) == (16, 12)
    assert balanced_sizes(28, 4, head) == (8, 8, 8, 4)
    assert balanced_sizes(28, 16, head) == (*[2] * 14, 0, 0)


@given(layers=st.integers(1, 200), stages=st.integers(1, 64), head=st.floats(0.0, 20.0))
def test_balanced_stages_hold_every_layer_once(layers: int, stages: int, head: float) -> None:
    sizes = balanced_sizes(layers, stages, head)
    assert sum(sizes) == layers
    assert len(sizes) == stages


@given(layers=st.integers(1, 200), chunks=st.integers(1, 64))
def test_chunks_hold_every_layer_once_and_differ_by_one(layers: int, chunks: int) -> None:
    sizes = chunk_sizes(layers, chunks)
    assert sum(sizes) == layers
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("pp", "vpp"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 3)])
def test_stages_hold_every_layer_of_every_kind_once(pp: int, vpp: int) -> None:
    program = replace(synthetic_program(), layers=tuple(layer % 2 for layer in range(29)))
    stages = split_stages(program, pp, vpp)
    assert tuple(map(sum, zip(*(stage.layers for stage in stages), strict=True))) == program.counts()
    assert [stage.embedding for stage in stages] == [True] + [False] * (pp - 1)
    assert [stage.head for stage in stages] == [False] * (pp - 1) + [True]


def test_dense_first_layers_stay_on_the_first_stage() -> None:
    """A model whose first layers differ has stages that differ."""
    program = replace(synthetic_program(), layers=(0, 0, *[1] * 6))
    stages = split_stages(program, 4, 1)
    assert [stage.layers for stage in stages] == [(2, 0), (0, 2), (0, 2), (0, 2)]


@given(pp=st.integers(1, 16), layers=st.integers(16, 64))
def test_every_dropped_stage_is_dominated_by_one_that_is_kept(pp: int, layers: int) -> None:
    program = replace(synthetic_program(), layers=tuple(int(layer >= 3) for layer in range(layers)))
    stages = split_stages(program, pp, 1)
    kept = representatives(stages)
    assert all(any(stage.dominated_by(other) for other in kept) for stage in stages)
