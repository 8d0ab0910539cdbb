"""The main job from end to end, on data that is built in."""

from mobilenets.demo.run import THRESHOLD, Outcome, run_demo

__all__ = ["THRESHOLD", "Outcome", "run_demo"]
