"""A mesh cut into boxes: every allowed layout is in one of them, and few others are."""

from __future__ import annotations

import numpy as np
import pytest

from planner.search import boxes as cutting
from planner.search.boxes import boxes
from planner.search.space import make_layouts

CHOICES = {"zero": (0, 1, 2), "recompute": ("none", "full"), "schedule": ("1f1b", "interleaved", "zb1p")}
TUPLES = 200


def mesh():
    return make_layouts({"tp": np.arange(1.0, TUPLES + 1)}, CHOICES)


def patterns(seed, shape=(3, 2, 3)):
    """Some rules that refuse values of one choice or of two, for some tuples each; no tuple is refused altogether."""
    random = np.random.default_rng(seed)
    allowed = np.ones((*shape, TUPLES), dtype=np.bool_)
    for _ in range(4):
        tuples = random.random(TUPLES) < 0.5
        where = tuple(slice(None) if random.random() < 0.5 else random.integers(size) for size in shape)
        allowed[where] &= ~tuples
    allowed[0, 0, 0] |= ~allowed.reshape(-1, TUPLES).any(axis=0)
    return allowed


def places(box):
    """The places in the mesh of all layouts of a box, and whether each is allowed."""
    grid = np.ix_(*box.kept, box.tuples)
    return np.broadcast_to(sum(axis * 10_000**at for at, axis in enumerate(grid)), box.layouts.shape)


@pytest.mark.parametrize("worth", [1, 100, 10**9])
@pytest.mark.parametrize("seed", range(5))
def test_every_allowed_layout_is_in_one_box(seed, worth, monkeypatch):
    monkeypatch.setattr(cutting, "WORTH_A_BOX", worth)
    allowed = patterns(seed)
    found = list(boxes(mesh(), allowed))
    seen = np.concatenate([places(box)[np.broadcast_to(box.allowed, box.layouts.shape)] for box in found])
    wanted = sum(axis * 10_000**at for at, axis in enumerate(np.nonzero(allowed)))
    assert np.array_equal(np.sort(seen), np.sort(wanted))
    assert len(found) > 1 or worth > 1


def test_a_box_has_the_values_and_tuples_that_it_says(monkeypatch):
    monkeypatch.setattr(cutting, "WORTH_A_BOX", 1)
    for box in boxes(mesh(), patterns(1)):
        assert np.array_equal(box.layouts["tp"], box.tuples + 1.0)
        for (axis, values), kept in zip(CHOICES.items(), box.kept, strict=True):
            assert box.layouts.values[axis] == tuple(values[place] for place in kept)


def test_refused_layouts_are_left_out_where_that_is_worth_it(monkeypatch):
    """Half of the tuples suit one schedule, the others another one."""
    allowed = np.zeros((1, 1, 3, TUPLES), dtype=np.bool_)
    allowed[..., 0, ::2], allowed[..., 1, 1::2] = True, True
    (whole,) = boxes(mesh(), allowed)
    assert whole.layouts.shape == (3, 2, 3, TUPLES)
    monkeypatch.setattr(cutting, "WORTH_A_BOX", 100)
    assert [box.layouts.shape for box in boxes(mesh(), allowed)] == [(3, 2, 1, TUPLES // 2)] * 2
    assert all(box.allowed.all() for box in boxes(mesh(), allowed))


def test_a_rule_that_no_choice_matters_to_cuts_nothing():
    (box,) = boxes(mesh(), np.ones((1, 1, 1, TUPLES), dtype=np.bool_))
    assert box.layouts.shape == (3, 2, 3, TUPLES)
