"""Pipeline stages by their real layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.search.stages import chunk_sizes, representatives, split_stages
from planner.synthetic import synthetic_program


def test_llama_3_405b_on_sixteen_stages_has_one_layer_fewer_at_both_ends() -> None:
    """arXiv 2407.21783, section 3.3.2: one layer fewer on the first and the last stage."""
    assert chunk_sizes(126, 16) == (7, *[8] * 14, 7)


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
