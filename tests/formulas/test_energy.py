"""Energy and money against published runs."""

from __future__ import annotations

import numpy as np
import pytest

from planner.formulas.cost import cost_usd
from planner.formulas.energy import carbon_kg, energy_kwh, facility_kwh, step_energy_j

array = np.asarray


def test_power_is_that_of_what_the_step_is_made_of() -> None:
    """3 s at 600 W, 1 s at 300 W, 1 s at 100 W."""
    assert float(step_energy_j(array(3.0), array(1.0), array(1.0), 600.0, 300.0, 100.0)) == pytest.approx(2200.0)


def test_blooms_emissions_in_france() -> None:
    """433,196 kWh at 57 g are 24.7 t of dynamic emissions (arXiv:2211.02001)."""
    used = energy_kwh(array(1_082_990.0), array(3600.0), 400.0)
    assert float(used) == pytest.approx(433_196)
    assert float(carbon_kg(used, 0.057)) / 1000 == pytest.approx(24.7, rel=1e-3)


def test_llama_3s_family_as_its_model_card_counts() -> None:
    """39.3 million H100-hours at 700 W and no overhead are 27.5 GWh, 11,390 t at 414 g."""
    used = facility_kwh(energy_kwh(array(39.3e6), array(3600.0), 700.0), 1.0)
    assert float(used) / 1e6 == pytest.approx(27.51)
    assert float(carbon_kg(used, 0.414)) / 1000 == pytest.approx(11_390, rel=1e-3)


def test_idle_hours_are_paid_too() -> None:
    """100 GPU-hours at 2 dollars, of which 80 % train: 125 are paid."""
    assert float(cost_usd(array(100.0), array(3600.0), 2.0, 0.8)) == pytest.approx(250.0)
