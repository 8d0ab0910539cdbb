"""What compiled code and its caller agree on, without LLVM."""

FUNCTION = "network"
"""The compiled function: void (context, thread, threads, barrier)."""

ARENA, WEIGHTS, CLOCK, INPUT, OUTPUTS = range(5)
