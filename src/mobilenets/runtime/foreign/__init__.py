"""What can be known of an ONNX file that carries no card: what goes in, what comes out."""
