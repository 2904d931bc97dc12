"""The shipped tables, predicted once."""

from __future__ import annotations

from functools import partial

import pytest

from planner import api
from planner.validation.tables import shipped
from planner.validation.validate import validate


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}"


@pytest.fixture(scope="session")
def predict_runs(database):
    return partial(api.evaluate_runs, database=database, with_ranges=True)


@pytest.fixture(scope="session")
def tracked(database, predict_runs):
    """The shipped steps alone: naming the file leaves the measured runs out, which take longer."""
    data, configs = str(shipped("memory.csv")), str(shipped("configs"))
    return validate("memory", predict_runs, data=data, configs=configs, database=database)
