"""From a trained network to a file that a device runs; each export compared with its source."""

from mobilenets.export.onnx import Exported, export_onnx

__all__ = ["Exported", "export_onnx"]
