"""What compiled code and its caller agree on; needs no LLVM.

The code is one function `void network(context, thread, threads, barrier)`, which all threads call.
The context is an array of addresses: the arena, the weights, the clock's readings, the input, and
then the outputs.
"""

FUNCTION = "network"
"""The compiled function's symbol."""

ARENA, WEIGHTS, CLOCK, INPUT, OUTPUTS = range(5)
"""Where each address is in the context; the other outputs follow the first."""
