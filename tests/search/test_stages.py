"""Pipeline stages by their real layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.search.stages import HeadShare, balanced_sizes, chunk_sizes, representatives, split_stages
from planner.synthetic import synthetic_program

SEQ_LEN = 4096


def test_llama_3_405b_on_sixteen_stages_has_one_layer_fewer_at_both_ends() -> None:
    """arXiv 2407.21783, section 3.3.2: one layer fewer on the first and the last stage."""
    assert chunk_sizes(126, 16) == (7, *[8] * 14, 7)


@pytest.mark.parametrize(
    ("chunks", "published"),
    [
        (4, (16, 16, 16, 13)),
        (8, (*[8] * 7, 5)),
        (16, (*[4] * 15, 1)),
    ],
)
def test_deepseek_v3_is_split_as_its_published_recipes_split_it(chunks: int, published: tuple[int, ...]) -> None:
    """NVIDIA-NeMo/Megatron-Bridge v0.3.0, recipes/deepseek/deepseek_v3.py: the last chunk has also the loss and a second
    predicted token."""
    hidden, vocab, per_layer = 7168, 129280, 37e9 / 61
    attention = 128 * (192 + 128) * SEQ_LEN
    layer = 2 * per_layer + attention
    head = 2 * 2 * hidden * vocab + layer + 2 * 2 * hidden * hidden
    assert chunk_sizes(61, chunks, head / layer) == published


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


@given(layers=st.integers(1, 200), chunks=st.integers(1, 64), head=st.floats(0.0, 8.0))
def test_chunks_hold_every_layer_once_and_all_but_the_last_differ_by_one(layers: int, chunks: int, head: float) -> None:
    sizes = chunk_sizes(layers, chunks, head)
    assert sum(sizes) == layers
    assert max(sizes[:-1], default=0) - min(sizes[:-1], default=0) <= 1
    assert sizes[-1] <= max(sizes)


@given(layers=st.integers(2, 120), chunks=st.integers(2, 32), head=st.floats(0.0, 8.0))
def test_another_last_chunk_would_save_less_than_a_layer(layers: int, chunks: int, head: float) -> None:
    if layers % chunks and (layers + 2) % chunks:
        found = chunk_sizes(layers, chunks, head)
        fullest = max(*found[:-1], found[-1] + head)
        others = (max(last + head, -(-(layers - last) // (chunks - 1))) for last in range(layers + 1))
        assert fullest < min(others) + 1.0


@pytest.mark.parametrize(("pp", "vpp"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 3)])
def test_stages_hold_every_layer_of_every_kind_once(pp: int, vpp: int) -> None:
    program = replace(synthetic_program(), layers=tuple(layer % 2 for layer in range(29)))
    stages = split_stages(program, pp, vpp, HeadShare())
    assert tuple(map(sum, zip(*(stage.layers for stage in stages), strict=True))) == program.counts()
    assert [stage.embedding for stage in stages] == [True] + [False] * (pp - 1)
    assert [stage.head for stage in stages] == [False] * (pp - 1) + [True]


def test_dense_first_layers_stay_on_the_first_stage() -> None:
    """A model whose first layers differ has stages that differ."""
    program = replace(synthetic_program(), layers=(0, 0, *[1] * 6))
    stages = split_stages(program, 4, 1, HeadShare())
    assert [stage.layers for stage in stages] == [(2, 0), (0, 2), (0, 2), (0, 2)]


@given(pp=st.integers(1, 16), layers=st.integers(16, 64))
def test_every_dropped_stage_is_dominated_by_one_that_is_kept(pp: int, layers: int) -> None:
    program = replace(synthetic_program(), layers=tuple(int(layer >= 3) for layer in range(layers)))
    stages = split_stages(program, pp, 1, HeadShare())
    kept = representatives(stages)
    assert all(any(stage.dominated_by(other) for other in kept) for stage in stages)
