"""What makes rows of outputs from rows of inputs, and in which order stages are streamed as one."""
