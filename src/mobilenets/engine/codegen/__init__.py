"""From a plan to LLVM text and object code: the only room that calls LLVM for a network."""
