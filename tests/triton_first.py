"""TensorFlow in a process that has torch too: import this before the first `import tensorflow`."""

import contextlib
import os

with contextlib.suppress(ImportError):
    # torch.compile's triton and TensorFlow each carry an LLVM, and triton's ends the process if
    # it is loaded second. Tests that run later may need it.
    import triton  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
