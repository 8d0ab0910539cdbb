"""`mobilenets verify`: whether two images show one thing."""

from typing import Annotated

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.options import AsJson, Running, Weights, say_where


@extended("vectors", before="threads")
def run(
    weights: Weights,
    first: Annotated[str, typer.Argument(metavar="IMAGE", help="An image.")],
    second: Annotated[str, typer.Argument(metavar="OTHER", help="Another one.")],
    rate: Annotated[
        float,
        typer.Option(help="Share of pairs of two things that may be taken for one: .01, .001."),
    ] = 0.01,
    threshold: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="The least cosine, in place of the one for the rate."),
    ] = None,
    *,
    running: Running,
    json: AsJson = False,
) -> None:
    """Say whether two images show one thing, and the cosine of their vectors.

    The least cosine for `--rate` was measured in training, on the validation images, and is kept in
    the checkpoint and in its exports. Weights that know of none give the cosine alone.

    Example: `mobilenets verify birds.onnx a.jpg b.jpg --rate 0.001`
    """
    from mobilenets.index.embedder import Embedder

    session = running.open(weights, many=True)
    embedder = Embedder(session)
    if embedder.note:
        say(f"note: {embedder.note}")
    where = say_where(session, json=json)
    kept = embedder.card.kept.get("thresholds", {})
    known = {float(name): one for name, one in kept.items()}
    if threshold is None and known and rate not in known:
        rates = ", ".join(f"{name:g}" for name in known)
        raise ValueError(f"rate must be one that was measured, {rates}, got {rate:g}")
    if threshold is None and known:
        threshold = known[rate]["cosine"]
    one, other = (embedder.one(path, exact=running.exact) for path in (first, second))
    cosine = float(one @ other)
    same = None if threshold is None else cosine >= threshold
    if json:
        print_json({"cosine": cosine, "threshold": threshold, "same": same, **where})
        return
    if threshold is None:
        out.line(f"cosine {cosine:.4f}; these weights know of no threshold: --threshold sets one")
        return
    words = "one thing" if same else "two things"
    out.line(f"{words}: cosine {cosine:.4f}, the least for one is {threshold:.4f}")
