"""The graph made smaller, in a few passes."""

from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.passes.folds import FOLDS, LAST, PATTERNS
from mobilenets.engine.passes.rewriter import Rewriter, Rule
from mobilenets.engine.passes.transposes import MOVES, TIDY

_PASSES: tuple[tuple[Rule, ...], ...] = (
    (*MOVES, *PATTERNS),
    (*MOVES, *PATTERNS, *FOLDS),
    (*TIDY, *FOLDS),
    (*TIDY, *FOLDS),
    LAST,
)
"""Move what is in the way, recognise, then fold: a sum would vanish in the layer before it and
the pattern with it. The fourth is for what the third uncovers;
the last takes layers apart into which nothing more is folded."""


def simplify(graph: Graph) -> Graph:
    """The same network in fewer nodes; what no output depends on is gone."""
    for rules in _PASSES:
        graph = Rewriter(graph, rules).run()
    return graph
