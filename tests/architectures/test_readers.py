"""What readers take from a file beside the counts: windows, rotation, fused projections, prediction layers, documentation."""

from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "models.md"


def test_every_model_type_is_documented(readers):
    documented = DOCUMENT.read_text(encoding="utf-8")
    assert [name for reader in readers for name in reader.model_types if f"`{name}`" not in documented] == []


def test_every_sublayer_and_method_is_documented(sublayers, methods):
    documented = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in (*sublayers, *methods) if f"`{name}`" not in documented] == []


def test_no_two_readers_claim_one_model_type(readers):
    claimed = [name for reader in readers for name in reader.model_types]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize(
    ("name", "window", "layers"),
    [
        ("gemma-2-2b", 4096, 13),
        ("gemma-3-4b-text", 1024, 29),
        ("llama-4-scout-text", 8192, 36),
        ("llama-3-8b", None, 0),
    ],
)
def test_windows_of_published_models(program, name, window, layers):
    architecture = program(name).architecture
    assert (architecture.window, architecture.window_layers) == (window, layers)


def test_a_window_that_is_switched_off_is_none(read, config):
    qwen = {**config, "model_type": "qwen2", "sliding_window": 1024, "max_window_layers": 3}
    assert read({**qwen, "use_sliding_window": False}).window is None
    assert read({**qwen, "use_sliding_window": True}).window_layers == 1
    assert read({**config, "model_type": "mistral", "sliding_window": None}).window is None


@pytest.mark.parametrize(
    ("name", "partial", "fused"),
    [("pythia-6.9b", True, True), ("phi-2", True, False), ("phi-4-mini", True, True), ("gpt2", False, True),
     ("llama-3-8b", False, False), ("falcon-40b", False, True), ("bloom-560m", False, True)],
)  # fmt: skip
def test_partial_rotation_and_fused_projections_of_published_models(program, name, partial, fused):
    architecture = program(name).architecture
    assert (architecture.partial_rotary, architecture.fused_qkv) == (partial, fused)


def test_an_absent_share_of_rotation_is_the_familys(read, config):
    assert not read(config).partial_rotary
    assert read({**config, "model_type": "stablelm"}).partial_rotary
    assert not read({**config, "model_type": "stablelm", "partial_rotary_factor": 1.0}).partial_rotary
    assert read({**config, "rope_parameters": {"partial_rotary_factor": 0.5}}).partial_rotary
    assert read({**config, "model_type": "gptj", "rotary_dim": 16}).partial_rotary


@pytest.mark.parametrize("model_type", ["deepseek_v3", "kimi_k2"])
def test_prediction_layers_and_latent_ranks_of_deepseek_v3(read, config, model_type):
    latent = {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 24, "qk_rope_head_dim": 8, "v_head_dim": 20}
    experts = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "n_shared_experts": 1}
    more = {"first_k_dense_replace": 1, "num_nextn_predict_layers": 1, "num_key_value_heads": 8}
    architecture = read({**config, **latent, **experts, **more, "model_type": model_type})
    assert (architecture.mixer, architecture.head_dim, architecture.mtp_layers) == ("mla", 32, 1)
    assert architecture.moe is not None
    assert [architecture.is_routed(layer) for layer in range(4)] == [False, True, True, True]


def test_dropout_is_read_from_any_of_its_names(read, config):
    assert not read(config).dropout
    assert not read({**config, "attention_dropout": 0.0}).dropout
    assert read({**config, "attention_dropout": 0.1}).dropout


def test_activations_have_one_name_each(read, config):
    assert read({**config, "hidden_act": "gelu_pytorch_tanh"}).activation == "gelu_tanh"
    assert read({**config, "hidden_act": "swish"}).activation == "silu"
