"""The article's worked examples, and the activation formula against its own parts."""

import itertools

import pytest

from planner.plugin import EstimateInput

KNOWN = EstimateInput(params=7e9, gpu_memory_bytes=24e9, layers=32, hidden=4096, heads=32, seq_len=2048, micro_batch=2)


@pytest.fixture
def answer(registry):
    """All estimates for an input, by name."""

    def ask(known):
        return {e.name: e for rule in registry.estimators.values() for e in rule.estimates(known)}

    return ask


def test_seven_billion_parameters_at_rest(answer):
    found = answer(KNOWN)
    gigabytes = [found[f"weights in {name}"].value / 1e9 for name in ("fp32", "bf16", "int8", "int4")]
    assert gigabytes == [28, 14, 7, 3.5]


def test_training_state_is_x_plus_y_plus_twelve(answer):
    found = answer(KNOWN)
    assert found["training state, bf16"].value == 16 * 7e9
    assert found["training state, fp32 gradients"].value == 18 * 7e9


def test_seven_gpus_of_24_gigabytes_train_seven_billion(answer):
    assert answer(KNOWN)["GPUs for training"].value == 7


def test_inference_takes_an_eighth_to_a_ninth_of_the_gpus(answer):
    found = answer(EstimateInput(params=175e9, gpu_memory_bytes=80e9))
    training = 175 * 18 * 1.25 / 80
    assert found["GPUs for training"].value == 50
    assert found["GPUs for inference, at least"].value == 6 >= training / 9
    assert found["GPUs for inference, at most"].value == 7 >= training / 8


def test_inference_takes_a_quarter_of_the_training_state(answer):
    found = answer(KNOWN)
    assert found["inference memory, at most"].value * 4 == found["training state, bf16"].value


@pytest.mark.parametrize(
    ("layers", "batch", "sequence", "hidden", "heads"),
    [*itertools.product((1, 32), (1, 4), (512, 2048), (4096,), (32,)), (96, 1, 2048, 12288, 96)],
)
def test_activation_parts_sum_to_the_article_s_total(answer, layers, batch, sequence, hidden, heads):
    found = answer(
        EstimateInput(params=1e9, layers=layers, hidden=hidden, heads=heads, seq_len=sequence, micro_batch=batch)
    )
    p = 2
    total = layers * batch * sequence * hidden * p * (16 + 2 / p + heads * sequence / hidden * (2 + 1 / p))
    assert found["activations"].value == pytest.approx(total, rel=1e-12)
    parts = [found[f"activations, {part}"].value for part in ("mlp", "attention", "norms")]
    assert sum(parts) == found["activations"].value


def test_activations_at_two_bytes_are_the_34_sbh_of_the_paper(answer):
    """arXiv 2205.05198, equation 2: sbh(34 + 5as/h) per layer."""
    s, b, h, a = KNOWN.seq_len, KNOWN.micro_batch, KNOWN.hidden, KNOWN.heads
    assert answer(KNOWN)["activations"].value == 32 * s * b * h * (34 + 5 * a * s / h)


def test_the_article_s_printed_parts_are_short_by_the_linear_inputs(answer):
    """As printed, attention is 2abs²p + abs²: 5bshp + bsh per layer less than the total needs."""
    s, b, h, a, p = KNOWN.seq_len, KNOWN.micro_batch, KNOWN.hidden, KNOWN.heads, 2
    printed = 32 * ((9 * b * s * h * p + b * s * h) + (2 * a * b * s * s * p + a * b * s * s) + 2 * b * s * h * p)
    assert answer(KNOWN)["activations"].value - printed == 32 * (5 * b * s * h * p + b * s * h)


def test_chinchilla_tokens_and_flops(answer):
    """arXiv 2203.15556: 70 billion parameters, 1.4 trillion tokens, 5.76e23 FLOPs (6ND: 5.88e23)."""
    found = answer(EstimateInput(params=70e9))
    assert found["compute-optimal tokens"].value == 1.4e12
    assert found["training FLOPs"].value == pytest.approx(5.76e23, rel=0.03)
    assert answer(EstimateInput(params=1e9, tokens=1e9))["training FLOPs"].value == 6e18


def test_rules_stay_silent_where_their_inputs_are_unknown(answer):
    found = answer(EstimateInput(params=7e9))
    assert "activations" not in found
    assert "GPUs for training" not in found


def test_every_estimate_names_what_it_leaves_out_or_its_source(answer):
    for estimate in answer(KNOWN).values():
        assert estimate.source
        assert estimate.formula
    assert "leaves out" in answer(KNOWN)["GPUs for training"].note
