"""The architecture of a row: the catalog's model overlaid by the row's cells, or the cells alone."""

import pytest

from planner.domain.architecture import Architecture, MixtureOfExperts
from planner.errors import InputError
from planner.importers.run_shapes import architecture_of, model_names
from planner.importers.runs import RunRow

GEMMA = Architecture(
    slug="gemma",
    name="Gemma",
    family="gemma",
    layers=28,
    hidden=3072,
    heads=16,
    kv_heads=16,
    head_dim=256,
    ffn_hidden=24576,
    vocab=256000,
    gated=True,
    tied_embeddings=True,
)
ROUTED = Architecture(
    slug="routed",
    name="Routed",
    family="moe",
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    ffn_hidden=14336,
    vocab=32000,
    gated=True,
    moe=MixtureOfExperts(experts=8, topk=2, expert_ffn=14336, shared_ffn=1024, first_k_dense=1),
)


def row(name=None, gated=None, **shape):
    return RunRow(model_name=name, shape=shape, gated=gated, n_gpus=8)


def test_the_cells_alone_are_an_untied_transformer_with_hidden_over_heads_wide_heads():
    found, filled = architecture_of(
        row("GPT 22B", False, layers=48, hidden=6144, heads=64, kv_heads=64, ffn_hidden=24576, vocab=51200), None
    )
    assert (found.head_dim, found.tied_embeddings, found.gated, found.vocab) == (96, False, False, 51200)
    assert filled == ()


@pytest.mark.parametrize(("gated", "vocab", "ffn_hidden"), [(False, 50304, 16384), (True, 32000, 11008)])
def test_an_open_vocabulary_and_width_follow_the_kind_of_mlp(gated, vocab, ffn_hidden):
    found, filled = architecture_of(row(None, gated, layers=2, hidden=4096, heads=32), None)
    assert (found.vocab, found.ffn_hidden, found.kv_heads) == (vocab, ffn_hidden, 32)
    assert {text.split(" = ")[0] for text in filled} == {"kv_heads", "ffn_hidden", "vocab"}


def test_the_cells_lie_over_the_catalogs_model():
    found, filled = architecture_of(row("gemma", layers=28, hidden=3072, vocab=256128), GEMMA)
    assert (found.vocab, found.head_dim, found.tied_embeddings) == (256128, 256, True)
    assert filled == ()


def test_an_overlay_that_changes_layers_or_hidden_is_named():
    found, filled = architecture_of(row("gemma", layers=4, hidden=2048), GEMMA)
    assert (found.layers, found.hidden, found.head_dim) == (4, 2048, 128)
    assert [text.split(" = ")[0] for text in filled] == ["layers", "hidden"]


def test_the_experts_keep_what_the_row_does_not_say():
    found, _ = architecture_of(row("routed", n_experts=16, topk=1), ROUTED)
    assert found.moe == MixtureOfExperts(experts=16, topk=1, expert_ffn=14336, shared_ffn=1024, first_k_dense=1)


def test_cells_alone_can_route():
    found, _ = architecture_of(
        row("8x proxy", True, layers=4, hidden=6144, heads=48, n_experts=8, topk=2, expert_ffn=32768), None
    )
    assert found.moe == MixtureOfExperts(experts=8, topk=2, expert_ffn=32768)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (row("GPT", hidden=1024), "layers: "),
        (row("GPT", layers=2), "hidden: "),
        (row("Nemotron 3 Super", layers=88, hidden=4096), "model_name: "),
        (row("Nemotron-H 56B", layers=118, hidden=8192, heads=64), "model_name: "),
        (row("NewMoE 8x7B", layers=32, hidden=4096, heads=32), "n_experts"),
        (row("New 30B A3B", layers=32, hidden=4096, heads=32), "n_experts"),
        (row("GPT", layers=10_001, hidden=1024), "layers: "),
        (row("GPT", layers=2, hidden=64, heads=128), "heads: "),
        (row("GPT", layers=2, hidden=64, heads=2, n_experts=2, topk=4), "topk: "),
    ],
)
def test_an_architecture_that_is_not_known_is_an_error_never_read_as_dense(given, words):
    with pytest.raises(InputError) as caught:
        architecture_of(given, None)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama 3.1 8B", ("Llama 3.1 8B",)),
        ("Llama 2 70B LoRA (MLPerf)", ("Llama 2 70B LoRA (MLPerf)", "Llama 2 70B")),
        ("LLAMA3 70B SFT", ("LLAMA3 70B SFT", "LLAMA3 70B")),
        ("LoRA", ("LoRA",)),
    ],
)
def test_a_model_is_also_looked_up_without_the_method_behind_its_name(name, expected):
    assert model_names(name) == expected
