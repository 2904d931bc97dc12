"""Parameters equal those that transformers counts, for every configuration at hand."""

import csv
import json
from pathlib import Path

import pytest

from planner.program.assemble import assemble
from planner.program.parameters import Axis, Part

DATA = Path(__file__).parent.parent / "data"
with (DATA / "oracle" / "params.csv").open(newline="") as file:
    ORACLE = {row["model"]: row for row in csv.DictReader(file)}
COUNTS = json.loads((DATA / "transformers" / "counts.json").read_text())


@pytest.mark.parametrize("name", sorted(ORACLE))
def test_total_and_active_parameters_equal_the_oracle(name, program):
    built, row = program(name), ORACLE[name]
    assert built.total_params == int(row["total_params"])
    assert built.active_params == int(row["active_params"])


@pytest.mark.parametrize("name", sorted(ORACLE))
def test_embedding_and_head_parameters_equal_the_oracle(name, program):
    """The oracle's embedding includes learned positions, its head the head's bias; tied heads count zero there."""
    built, row = program(name), ORACLE[name]
    tables = sum(group.elements for group in built.embedding.parameters if group.part is Part.EMBEDDING)
    head = sum(group.elements for group in built.head.parameters if group.name.startswith("head") and not group.tied)
    head -= sum(group.elements for group in built.head.parameters if group.part is Part.NORM)
    assert tables == int(row["embedding_params"])
    assert head == int(row["lm_head_params"])


@pytest.mark.parametrize("name", sorted(ORACLE))
def test_routed_expert_parameters_equal_the_oracle(name, program):
    built = program(name)
    routed = sum(group.elements * count for group, count in built.groups() if Axis.EXPERTS in group.axes)
    assert routed == int(ORACLE[name]["routed_expert_params"])


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_options_of_a_family_change_the_count_as_in_transformers(name, read, sublayers):
    assert assemble(read(COUNTS[name]["config"]), sublayers).total_params == COUNTS[name]["total_params"]


def test_older_key_names_give_the_same_architecture(read, config):
    version_4 = {**config, "rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "bfloat16"}
    version_5 = {**config, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "dtype": "bfloat16"}
    assert read(version_4) == read(version_5)
    old = {"num_hidden_layers": "n_layer", "hidden_size": "n_embd", "num_attention_heads": "n_head"}
    assert read({old.get(key, key): value for key, value in config.items()}) == read(config)
