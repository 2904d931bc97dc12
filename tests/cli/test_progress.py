"""A bar for those who wait, and for nobody else."""

from __future__ import annotations

import io

import pytest

from planner.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(monkeypatch, stream, clock, seconds):
    monkeypatch.setattr(progress.sys, "stderr", stream)
    with progress.progress_bar("searching") as tell:
        for fraction in (0.25, 0.5, 1.0):
            clock[0] += seconds
            tell(fraction)
    return stream.getvalue()


def test_a_terminal_sees_how_far_it_is_after_a_second(monkeypatch, clock):
    drawn = shown(monkeypatch, Terminal(), clock, 0.7)
    assert "searching" in drawn
    assert "100%" in drawn


def test_what_is_answered_within_a_second_draws_nothing(monkeypatch, clock):
    assert shown(monkeypatch, Terminal(), clock, 0.1) == ""


def test_a_pipe_sees_nothing(monkeypatch, clock):
    assert shown(monkeypatch, io.StringIO(), clock, 5.0) == ""
