"""Training methods: what trains, what is added."""

import pytest

from planner.errors import InputError
from planner.plugin import Part


def trained(program):
    return sum(group.elements * count for group, count in program.groups() if group.trainable)


def test_full_training_changes_nothing(methods, program):
    built = program("llama-3-8b")
    assert methods["full"].apply(built, {}) is built


@pytest.mark.parametrize("rank", [1, 8, 64])
def test_adapters_of_llama_3_8b_have_rank_times_inputs_and_outputs(methods, program, rank):
    built = methods["lora"].apply(program("llama-3-8b"), {"rank": rank})
    hidden, kv_width, ffn = 4096, 1024, 14336
    attention = 2 * (hidden + hidden) + 2 * (hidden + kv_width)
    assert trained(built) == 32 * rank * (attention + 3 * (hidden + ffn))


def test_everything_else_is_frozen(methods, program):
    built = methods["lora"].apply(program("qwen3-30b-a3b"), {})
    for block in built.blocks:
        for group in block.parameters:
            assert group.trainable == (".lora_" in group.name)
            assert not (group.trainable and group.part is not Part.MATRIX)
    names = {group.name for block in built.kinds for group in block.parameters if group.trainable}
    assert not any(name.startswith("router") for name in names)
    assert "experts.gate.lora_a" in names


@pytest.mark.parametrize("rank", [0, -1, 2.5, float("nan"), float("inf"), 1e9])
def test_a_rank_that_is_no_rank_is_refused(methods, program, rank):
    with pytest.raises(InputError, match="rank must be a whole number"):
        methods["lora"].apply(program("gpt2"), {"rank": rank})
