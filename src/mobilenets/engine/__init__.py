"""The inference compiler: ONNX in, machine code for this processor out, no torch, no C compiler."""

from mobilenets.engine.front.source import Source
from mobilenets.engine.plan.schedule import Choice, Schedule
from mobilenets.engine.run.compiler import available, compile  # noqa: A004
from mobilenets.engine.run.lanes import Lanes
from mobilenets.engine.run.pictures import Cut, Pixels, scale
from mobilenets.engine.run.session import BlockProfile, Net

__all__ = [
    "BlockProfile",
    "Choice",
    "Cut",
    "Lanes",
    "Net",
    "Pixels",
    "Schedule",
    "Source",
    "available",
    "compile",
    "scale",
]
