"""From graph to graph, and from graph to fused units: rules that fold, move and join nodes."""
