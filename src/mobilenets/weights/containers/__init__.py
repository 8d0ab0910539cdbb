"""What a file of weights is, whoever wrote it: tensors by name, or a graph of operators."""
