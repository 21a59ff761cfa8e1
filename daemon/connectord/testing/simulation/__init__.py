"""The whole daemon in a simulated world, repeatable from one number; docs/guarantees.md says what is drawn."""

from connectord.testing.simulation.observer import Violation
from connectord.testing.simulation.run import Outcome, run_seed

__all__ = ["Outcome", "Violation", "run_seed"]
