"""The main job from end to end, on data that is built in."""

from mobilenets.demo.run import Outcome, Reached, run_demo, would_overwrite

__all__ = ["Outcome", "Reached", "run_demo", "would_overwrite"]
