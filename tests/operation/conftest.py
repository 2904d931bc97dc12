"""A catalog made once, and questions asked of it."""

from __future__ import annotations

import pytest

from planner import Operation, Recipe, Search, evaluate, plan


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}"


@pytest.fixture
def planned(database):
    """The answer of `planner plan` for Llama 3 8B on 512 A100, operated as given."""

    def answer(search=None, model="llama3-7b", cluster="a100-pool", **operation):
        return plan(Recipe(model=model, cluster=cluster, operation=Operation(**operation)), search, database=database)

    return answer


@pytest.fixture
def evaluated(database):
    """The plan of one layout, operated as given."""

    def answer(recipe, layout, **operation):
        asked = Recipe(**recipe, operation=Operation(**operation))
        return evaluate(asked, layout, database=database).plan

    return answer


@pytest.fixture
def small(planned):
    """On eight GPUs, which a search is quick over."""

    def answer(**asked):
        wanted = Search(max_gpus=8, **{key: asked.pop(key) for key in ("objective", "deadline_s", "budget_usd", "sensitivity")
                                       if key in asked})  # fmt: skip
        return planned(wanted, **asked)

    return answer
