"""The innermost loops as LLVM text: the emitter, and one file for each kind of kernel."""
