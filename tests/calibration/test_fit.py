"""Factors from runs whose truth is known: steps made of arithmetic, network and the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.calibration.fit import ARITHMETIC_KNOTS, FEWEST_RUNS, NETWORK_KNOTS, Runs, fit, folds_of

FACTORS = st.floats(0.4, 1.15)


def runs(arithmetic=1.0, network=1.0, *, count=12, over_network=True, noise=0.0, kinds=None, seed=0):
    """Steps of `count` runs, predicted from three parts and measured where two of the rates are other than predicted."""
    random = np.random.default_rng(seed)
    work, sent, rest = random.uniform(0.5, 2.0, count), random.uniform(0.2, 2.0, count), random.uniform(0.0, 0.1, count)
    if not over_network:
        sent = np.zeros(count)
    measured = (work / arithmetic + sent / network + rest) * np.exp(random.normal(0.0, noise, count))
    by_arithmetic = np.asarray(ARITHMETIC_KNOTS)[:, None, None]
    by_network = np.asarray(NETWORK_KNOTS)[None, :, None]
    steps = (work / by_arithmetic + sent / by_network + rest) / measured
    names = tuple("abcdefghijklmnopqrstuvwxyz"[:count])
    return Runs(steps=steps, kinds=tuple(kinds or names), configurations=names)


@given(FACTORS, FACTORS)
@example(0.5625, 1.125)
def test_factors_that_slowed_the_runs_are_found_again(arithmetic, network):
    found = fit(runs(arithmetic, network)).factors
    if abs(np.log(arithmetic)) > 0.05 and abs(np.log(network)) > 0.05:
        assert found.arithmetic == pytest.approx(arithmetic, rel=0.01)
        assert found.network == pytest.approx(network, rel=0.01)


def test_only_the_arithmetic_is_fitted_to_runs_without_a_network():
    found = fit(runs(0.8, over_network=False))
    assert (found.fitted, found.over_network) == (("arithmetic",), 0)
    assert found.factors.arithmetic == pytest.approx(0.8, rel=0.01)
    assert found.factors.network == 1.0


def test_runs_as_predicted_need_no_factor():
    found = fit(runs(noise=0.03, count=20))
    assert (found.fitted, found.factors.arithmetic, found.factors.network) == ((), 1.0, 1.0)
    assert np.array_equal(found.before, found.after)


def test_errors_on_held_out_runs_are_no_smaller_than_those_on_the_fitted_ones():
    found = fit(runs(0.7, 0.6, noise=0.1, count=24))
    assert np.mean(np.abs(found.after)) <= np.mean(np.abs(found.held_out)) < np.mean(np.abs(found.before))


def test_a_run_is_held_out_of_its_own_factor():
    # One odd run of three decides the factor of no fold that it is not in.
    odd = np.asarray([0.5, 1.0, 1.0])
    steps = 1.0 / np.asarray(ARITHMETIC_KNOTS)[:, None, None] * np.ones((1, len(NETWORK_KNOTS), 1)) * odd
    found = fit(Runs(steps=steps, kinds=("a", "b", "c"), configurations=("a", "b", "c")))
    assert found.fitted == ()
    assert found.held_out == pytest.approx(np.log(odd), abs=1e-9)


@settings(deadline=None)
@given(st.permutations(range(9)), st.booleans())
def test_the_order_of_the_runs_changes_nothing(order, one_model):
    whole = runs(0.93, noise=0.06, count=9, kinds=["a"] * 9 if one_model else None)
    found, other = fit(whole), fit(whole.some(np.asarray(order)))
    assert (found.factors, found.fitted) == (other.factors, other.fitted)
    assert found.held_out[order] == pytest.approx(other.held_out)


def test_the_same_configuration_many_times_is_not_many_runs():
    thrice = runs(0.5, count=1).some(np.zeros(3, dtype=int))
    assert fit(thrice) is None


def test_a_network_alone_may_be_slow():
    found = fit(runs(1.0, 0.5, noise=0.01))
    assert found.fitted == ("network",)
    assert found.factors.network == pytest.approx(0.5, rel=0.03)


def test_too_few_runs_are_not_fitted_to():
    assert fit(runs(0.5, count=FEWEST_RUNS - 1)) is None
    assert fit(runs(0.5, count=FEWEST_RUNS)) is not None


def test_a_factor_beyond_what_a_fit_may_take_is_named():
    assert fit(runs(0.2)).at_the_edge == ("arithmetic",)
    assert fit(runs(0.8, 0.8)).at_the_edge == ()


def test_folds_hold_whole_models_where_there_are_enough():
    folds, by_kind = folds_of(["a", "a", "b", "c", "d", "e", "f"], list("1234567"))
    assert (by_kind, folds.tolist()) == (True, [0, 0, 1, 2, 3, 4, 0])
    folds, by_kind = folds_of(["a", "b", "b"], ["3", "2", "1"])
    assert (by_kind, folds.tolist()) == (False, [2, 1, 0])
