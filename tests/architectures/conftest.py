"""Sublayers and readers collected from the plugin modules, without the registry."""

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

from planner.importers.huggingface import read_config
from planner.program.assemble import assemble

DATA = Path(__file__).parent.parent / "data"
PACKAGE = "planner.plugins"


def records(hook):
    package = importlib.import_module(PACKAGE)
    for module in sorted(found.name for found in pkgutil.iter_modules(package.__path__)):
        plugin = importlib.import_module(f"{PACKAGE}.{module}")
        if hasattr(plugin, hook):
            yield from getattr(plugin, hook)()


@pytest.fixture(scope="session")
def sublayers():
    return {sublayer.name: sublayer for sublayer in records("planner_sublayers")}


@pytest.fixture(scope="session")
def readers():
    return tuple(records("planner_config_readers"))


@pytest.fixture(scope="session")
def methods():
    return {method.name: method for method in records("planner_methods")}


@pytest.fixture(scope="session")
def frameworks():
    return {framework.name: framework for framework in records("planner_frameworks")}


@pytest.fixture
def config():
    """A small Llama's keys, to be changed at will."""
    return {
        "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 8,
        "num_key_value_heads": 2, "intermediate_size": 640, "vocab_size": 1000, "max_position_embeddings": 2048,
    }  # fmt: skip


@pytest.fixture
def program(sublayers, readers):
    """The program of an oracle configuration, by name."""

    def build(name):
        return assemble(read_config(DATA / "oracle" / "hf_configs" / f"{name}.json", readers), sublayers)

    return build


@pytest.fixture
def read(readers):
    """The architecture of a configuration given as keys."""
    return lambda keys: read_config(json.dumps(keys), readers)
