"""Every command of the tables, through the published console scripts."""

from pathlib import Path

import pytest

import table

HERE = Path(__file__).parent


def steps(name: str):
    scenarios = table.load(HERE / name)
    return [
        pytest.param(scenario, number, id=f"{scenario.name}.{step['id']}")
        for scenario in scenarios
        for number, step in enumerate(scenario.steps)
    ]


@pytest.mark.parametrize("scenario, number", steps("commands_5.yaml"))
def test_5(world, client5, scenario, number):
    scenario.run_to(number, client5, world.variables(), ["--output", "json"])


@pytest.mark.parametrize("scenario, number", steps("commands_4.yaml"))
def test_4(world, client4, scenario, number):
    scenario.run_to(number, client4, world.variables(), [])
