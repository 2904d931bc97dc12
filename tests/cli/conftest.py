"""The command line in process, with answers made by hand behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cli.answers import ESTIMATES, RunsFixture, make_answer, make_evaluation

from planner.cli.main import main

PARAMS = {"schema": "planner.catalog.params/1", "total_params": 8_030_261_248, "active_params": 8_030_261_248,
          "embedding_params": 525_336_576}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def planner(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Calls `planner` with these arguments."""

    def call(*arguments: str) -> Outcome:
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller's changes what a test sees."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "PLANNER_DEBUG", "PLANNER_DATABASE_URL", "PLANNER_PLUGINS_DISABLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The calls that reach `planner.api`, each answered by hand."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def answering(answer: object) -> Callable[..., object]:
        def answered(*arguments: Any, **named: Any) -> object:
            calls.append((arguments, named))
            return answer

        return answered

    monkeypatch.setattr("planner.api.plan_among", answering(make_answer()))
    monkeypatch.setattr("planner.api.evaluate", answering(make_evaluation()))
    monkeypatch.setattr("planner.api.estimate", answering(ESTIMATES))
    monkeypatch.setattr("planner.api.evaluate_runs", answering(RunsFixture()), raising=False)
    monkeypatch.setattr("planner.api.model_parameters", answering(PARAMS))
    return calls
