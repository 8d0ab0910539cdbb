"""What runs between two barriers, on all threads at once: steps built from kernels."""
