"""The main job from end to end, on data that is built in."""

from mobilenets.demo.run import Measured, Outcome, run_demo

__all__ = ["Measured", "Outcome", "run_demo"]
