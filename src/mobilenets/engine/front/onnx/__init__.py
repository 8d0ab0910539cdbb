"""ONNX files: read, checked, and translated operator by operator."""
