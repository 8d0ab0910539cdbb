"""Everything between an image file and an answer in words, without torch."""

from typing import Literal

Runtime = Literal["auto", "mobilenets", "onnxruntime"]
"""What runs an .onnx file: this package's engine or the other, the first that can."""
