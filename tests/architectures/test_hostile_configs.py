"""Files that cannot be read are refused in one line that names the field."""

import io
import json
import re

import pytest

from planner.errors import EXIT_BAD_INPUT, InputError
from planner.importers import huggingface
from planner.importers.huggingface import read_config


@pytest.fixture
def refusal(readers):
    """The message with which a text (or keys) is refused."""

    def of(text):
        with pytest.raises(InputError) as caught:
            read_config(text if isinstance(text, str) else json.dumps(text), readers)
        assert caught.value.exit_status == EXIT_BAD_INPUT
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
        return str(caught.value)

    return of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "malformed JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ('{"a": 1,}', "malformed JSON"),
        ("[1, 2]", r"not a JSON object but \[1, 2\]"),
        ('{"num_hidden_layers": NaN}', "malformed JSON: NaN is not a JSON number"),
        ('{"num_hidden_layers": Infinity}', "Infinity is not a JSON number"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"num_hidden_layers": ' + "9" * 10_000 + "}", "too many digits"),
        ("{}", "model_type is missing"),
        ('{"model_type": 7}', "model_type must be a string, not 7"),
        ('{"model_type": "llama", "text_config": 3}', "text_config must be an object"),
    ],
)
def test_what_is_no_configuration_is_refused(refusal, text, message):
    assert re.search(message, refusal(text))


@pytest.mark.parametrize(
    "field", ["num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"]
)
def test_a_missing_field_is_named(refusal, config, field):
    del config[field]
    assert refusal(config) == f"{field} is missing"


@pytest.mark.parametrize("value", [0, -4, 3.5, "32", True, [32], {}, 1e12, 10**30])
@pytest.mark.parametrize("field", ["num_hidden_layers", "hidden_size", "num_key_value_heads", "vocab_size"])
def test_a_value_that_is_no_sensible_number_is_named(refusal, config, field, value):
    assert refusal({**config, field: value}).startswith(f"{field} must be ")


@pytest.mark.parametrize("field", ["tie_word_embeddings", "attention_bias", "mlp_bias"])
def test_a_flag_that_is_no_flag_is_named(refusal, config, field):
    assert refusal({**config, field: "yes"}) == f"{field} must be true or false, not 'yes'"


@pytest.mark.parametrize("rate", [-0.1, 2, "0.1"])
def test_a_dropout_rate_outside_zero_to_one_is_named(refusal, config, rate):
    assert refusal({**config, "attention_dropout": rate}).startswith("attention_dropout must be between 0 and 1")


@pytest.mark.parametrize("model_type", ["bert", "t5", "vit", "whisper", "roberta", "clip", "bart"])
def test_other_kinds_of_models_are_refused_as_what_they_are(refusal, config, model_type):
    assert (
        refusal({**config, "model_type": model_type})
        == f"model_type '{model_type}' is not a decoder-only language model"
    )


def test_encoder_decoders_of_any_name_are_refused(refusal, config):
    refused = refusal({**config, "model_type": "new-thing", "is_encoder_decoder": True})
    assert "is not a decoder-only language model" in refused


def test_an_unsupported_type_is_answered_with_the_nearest(refusal, config):
    assert refusal({**config, "model_type": "qwen3_mo"}).startswith(
        "unknown model_type 'qwen3_mo' (did you mean qwen3_moe"
    )


def test_heads_that_do_not_divide_the_width_need_a_head_dim(refusal, read, config):
    config["num_attention_heads"] = 6
    assert "hidden_size 256 is not a multiple of num_attention_heads 6" in refusal(config)
    assert read({**config, "head_dim": 40}).head_dim == 40


def test_key_value_heads_must_divide_the_heads(refusal, config):
    assert refusal({**config, "num_key_value_heads": 3}) == "8 attention heads are not a multiple of 3 key-value heads"


def test_more_experts_per_token_than_experts_are_refused(refusal, config):
    mixtral = {**config, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 5}
    assert "num_experts_per_tok 5 is more than the 4 experts" in refusal(mixtral)


@pytest.mark.parametrize("kinds", [["full_attention"], ["linear_attention"] * 4, [3] * 4, "full"])
def test_layer_types_that_cannot_be_read_are_named(refusal, config, kinds):
    assert refusal({**config, "model_type": "mistral", "layer_types": kinds}).startswith("layer_types ")


def test_a_gap_between_dense_layers_is_refused(refusal, config):
    moe = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "mlp_only_layers": [0, 2]}
    assert refusal({**config, "model_type": "qwen3_moe", **moe}).startswith(
        "mlp_only_layers must name the first layers"
    )


def test_files_over_the_limit_are_refused(refusal, readers, config, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface, "LARGEST_FILE_BYTES", 100)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert "larger than" in refusal(str(path))
    assert "larger than" in refusal(config)


def test_files_that_cannot_be_read_are_refused(refusal, tmp_path):
    assert refusal(str(tmp_path / "absent.json")).endswith("No such file or directory")
    assert refusal(str(tmp_path)).endswith("No such file or directory")
    binary = tmp_path / "config.json"
    binary.write_bytes(b"\xff\xfe\x00")
    assert refusal(str(binary)) == "not a UTF-8 text"
    assert "cannot read" in refusal("a\x00b")


def test_path_folder_text_and_standard_input_give_one_architecture(readers, config, tmp_path, monkeypatch):
    folder = tmp_path / "My Model-7B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8-sig")
    by_folder, by_path = read_config(folder, readers), read_config(str(folder / "config.json"), readers)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(config).encode())))
    by_pipe, by_text = read_config("-", readers), read_config(json.dumps(config), readers)
    assert by_folder == by_path
    assert by_pipe == by_text
    assert (by_folder.slug, by_folder.name) == ("my-model-7b", "My Model-7B")
    assert by_pipe.slug == "llama"


def test_of_a_multimodal_file_the_language_part_is_read(read, config):
    wrapped = {"model_type": "llava", "vision_config": {}, "text_config": config, "tie_word_embeddings": True}
    architecture = read(wrapped)
    assert architecture.layers == 4
    assert architecture.tied_embeddings
    assert architecture.note == "the language part of llava only"


def test_gemma_3_files_may_leave_out_what_equals_the_defaults(read):
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
            "sliding_window": 1024}  # fmt: skip
    architecture = read({"model_type": "gemma3", "text_config": text})
    assert (architecture.heads, architecture.kv_heads, architecture.vocab) == (8, 4, 262208)
    assert (architecture.window, architecture.window_layers) == (1024, 29)
