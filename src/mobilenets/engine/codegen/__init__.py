"""Kernels as Python that emits LLVM, and the steps of a network that are made of them."""
