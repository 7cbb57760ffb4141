"""Days of a contact centre on paper, decided by the production engine itself: from chance, or from a journal."""

from callcenter.simulation.day import Day, Simulation, Tally
from callcenter.simulation.figures import Estimate, figures
from callcenter.simulation.scenario import Scenario, simulate

__all__ = ["Day", "Estimate", "Scenario", "Simulation", "Tally", "figures", "simulate"]
