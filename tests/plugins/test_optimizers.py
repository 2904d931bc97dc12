"""States and temporaries of each optimizer, against papers and against PyTorch's own accounting of Llama 3 8B."""

import numpy as np
import pytest

from planner.plugin import Axis, LocalGroup, ParameterGroup, Part, Storage, matrix, vector

MIXED = Storage(weight_bytes=2, gradient_bytes=4, gradient_copy_bytes=0, master_bytes=4, state_bytes=4,
                unsharded_weight_bytes=2, reduce_bytes=4)  # fmt: skip
PURE = Storage(weight_bytes=2, gradient_bytes=2, gradient_copy_bytes=0, master_bytes=0, state_bytes=2,
               unsharded_weight_bytes=2, reduce_bytes=2)  # fmt: skip
FULL = Storage(weight_bytes=4, gradient_bytes=4, gradient_copy_bytes=0, master_bytes=0, state_bytes=4,
               unsharded_weight_bytes=2, reduce_bytes=4)  # fmt: skip

LAYERS, HIDDEN, FFN, KEY_VALUE, VOCAB = 32, 4096, 14336, 1024, 128256
"""Llama 3 8B."""


def local(rows, columns, part=Part.MATRIX, count=1.0):
    if rows == 1:
        group = vector("vector", (Axis.NORM, columns), part=part)
    else:
        group = matrix("matrix", (Axis.MLP, rows), (Axis.EMBED, columns), part=part)
    return LocalGroup(
        group=group, count=np.array([count]), rows=np.array([float(rows)]), columns=np.array([float(columns)])
    )


def llama_3_8b():
    square, narrow = local(HIDDEN, HIDDEN, count=2), local(KEY_VALUE, HIDDEN, count=2)
    wide = local(FFN, HIDDEN, count=2)
    down, norms = local(HIDDEN, FFN), local(1, HIDDEN, Part.NORM, count=2)
    ends = [local(VOCAB, HIDDEN, Part.EMBEDDING), local(VOCAB, HIDDEN, Part.HEAD), local(1, HIDDEN, Part.NORM)]
    return [(group, LAYERS) for group in (square, narrow, wide, down, norms)] + [(group, 1) for group in ends]


def state_bytes(optimizer, group, storage=MIXED):
    return sum((np.asarray(s.elements) * s.bytes_per_element).item() for s in optimizer.states(group, storage))


@pytest.mark.parametrize(
    ("name", "per_parameter"),
    [("sgd", 0), ("sgd-momentum", 4), ("lion", 4), ("muon", 4), ("adam", 8), ("adamw", 8), ("adamw-foreach", 8)],
)
def test_state_bytes_per_parameter_of_a_matrix(registry, name, per_parameter):
    group = local(4096, 11008)
    assert state_bytes(registry.optimizer(name), group) == per_parameter * 4096 * 11008


def test_mixed_precision_adamw_takes_sixteen_bytes(registry):
    """(x + y + 12) with two bytes each for weight and gradient: 2 + 2 + 4 for the copy + 8 for the moments."""
    per_parameter = state_bytes(registry.optimizer("adamw"), local(4096, 11008)) / (4096 * 11008)
    assert 2 + 2 + 4 + per_parameter == 16


def test_states_take_the_width_the_framework_keeps(registry):
    assert state_bytes(registry.optimizer("adamw"), local(8, 16), PURE) == 4 * 8 * 16


STEP_COUNTER = 512
"""One number per tensor, in PyTorch's smallest allocation."""


def test_adafactor_keeps_rows_and_columns(registry):
    assert state_bytes(registry.optimizer("adafactor"), local(4096, 11008)) == (4096 + 11008) * 4 + STEP_COUNTER
    assert state_bytes(registry.optimizer("adafactor"), local(1, 4096, Part.NORM)) == 4096 * 4 + STEP_COUNTER


def test_adafactor_states_stay_float32_in_pure_bf16(registry):
    assert state_bytes(registry.optimizer("adafactor"), local(4096, 11008), PURE) == (4096 + 11008) * 4 + STEP_COUNTER


def test_adafactor_states_of_llama_3_8b_equal_pytorchs(registry):
    """PyTorch 2.13 counts 12,758,528 bytes, 149 KB of them a step counter of 512 bytes for each of 291 tensors."""
    adafactor = registry.optimizer("adafactor")
    total = sum(repeats * state_bytes(adafactor, group, PURE) for group, repeats in llama_3_8b())
    assert total == 12_758_528


@pytest.mark.parametrize(("storage", "measured"), [(PURE, 8_405_914_624), (FULL, 4_203_222_016)])
def test_adafactor_temporaries_of_llama_3_8b_equal_pytorchs(registry, storage, measured):
    """The largest parameter, the embedding, is updated in float32: PyTorch's peak, to the byte."""
    temporary = registry.optimizer("adafactor").temporary_bytes
    assert max(np.max(temporary(group, storage)) for group, _ in llama_3_8b()) == measured


@pytest.mark.parametrize(("storage", "measured"), [(PURE, 16_060_522_496), (FULL, 32_121_044_992)])
def test_foreach_temporaries_of_llama_3_8b_equal_pytorchs(registry, storage, measured):
    """The root of the variance of all 8,030,261,248 parameters at once."""
    temporary = registry.optimizer("adamw-foreach").temporary_bytes
    total = sum(repeats * np.sum(temporary(group, storage)) for group, repeats in llama_3_8b())
    assert total == measured


def test_fused_adamw_has_no_temporaries(registry):
    assert registry.optimizer("adamw").temporary_bytes is None


def test_eight_bit_states_take_a_byte_and_a_share_of_a_scale(registry):
    """arXiv 2110.02861, block of 256 since bitsandbytes 0.44: 2 + 2 · 4/256 bytes per parameter."""
    size = 4096 * 11008
    assert state_bytes(registry.optimizer("adamw-8bit"), local(4096, 11008)) == size * (2 + 2 * 4 / 256)


@pytest.mark.parametrize(
    ("length", "expected"), [(4095, 8 * 4095), (4096, 2 * (4096 + 16 * 4)), (4097, 2 * (4097 + 17 * 4))]
)
def test_eight_bit_states_start_at_4096_elements(registry, length, expected):
    assert state_bytes(registry.optimizer("adamw-8bit"), local(1, length, Part.NORM)) == expected


def test_eight_bit_threshold_is_per_tensor_not_per_stack(registry):
    assert state_bytes(registry.optimizer("adamw-8bit"), local(1, 2048, Part.NORM, count=4)) == 8 * 4 * 2048


def test_muon_leaves_embedding_head_and_vectors_to_adamw(registry):
    muon = registry.optimizer("muon")
    for part in (Part.EMBEDDING, Part.HEAD):
        assert state_bytes(muon, local(1000, 64, part)) == 8 * 64_000
    assert state_bytes(muon, local(1, 64, Part.NORM)) == 8 * 64
    assert muon.temporary_bytes(local(1000, 64, Part.EMBEDDING), MIXED) == 0


def test_muon_orthogonalises_in_bfloat16(registry):
    temporary = registry.optimizer("muon").temporary_bytes(local(1000, 64), MIXED)
    assert temporary.item() == 2 * (4 * 64_000 + 2 * 64 * 64)


def test_came_keeps_a_momentum_and_two_factored_moments(registry):
    """arXiv 2307.02047, algorithm 2: m, and r and c of both the gradient and the instability."""
    assert state_bytes(registry.optimizer("came"), local(4096, 11008)) == 4 * (4096 * 11008 + 2 * (4096 + 11008))


def test_experts_count_every_matrix_of_the_stack(registry):
    group = ParameterGroup(name="up", part=Part.MATRIX, rows=((Axis.EXPERT_MLP, 512),), columns=((Axis.EMBED, 256),),
                           stack=((Axis.EXPERTS, 8),))  # fmt: skip
    mine = LocalGroup(group=group, count=np.array([8.0, 4.0]), rows=np.array([512.0]), columns=np.array([256.0]))
    states = registry.optimizer("adafactor").states(mine, MIXED)
    totals = sum(np.asarray(state.elements) * state.bytes_per_element for state in states)
    assert totals.tolist() == [8 * (768 * 4 + STEP_COUNTER), 4 * (768 * 4 + STEP_COUNTER)]
