"""A head fitted to the features of a network that stays as it is.

What the `probe` parts of uses share: regularised softmax regression, its strength chosen by folds;
and a head of more than one layer, which learns from features kept in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRENGTHS = (1.0, 10.0, 100.0, 1e3, 1e4)
"""scikit-learn's C, for features whose mean squared distance from their mean is 1."""
USUAL = 100.0
"""Where there are too few rows, or too many, to choose by."""
FOLDS = 4
ITERATIONS = 200
ROUGHLY = 1e-4
"""Gradient at which a fit ends that only chooses the strength."""
DECAY = 0.05
"""Of a head that learns, decoupled."""
OPERATIONS = 2e12
"""Multiply-adds that choosing may take at most: about two minutes of one core."""


class Linear(NamedTuple):
    """A fitted layer in float64: its outputs are `x @ weight.T + bias`."""

    weight: Tensor
    """(outputs, channels)"""
    bias: Tensor
    """(outputs,)"""


class Fitted(NamedTuple):
    """A layer, and what is known of it."""

    layer: Linear
    strength: float
    """The one of `STRENGTHS` that it was fitted with."""
    right: float
    """Share of the rows that are right when they are left out; NaN where none could be."""


def softmax_regression(
    x: Tensor,
    y: Tensor,
    classes: int,
    strength: float,
    *,
    start: Linear | None = None,
    tolerance: float = 1e-7,
) -> Linear:
    """The layer with the least `strength * sum of cross entropies + |weight|^2 / 2`.

    Of (N, channels) features with (N,) classes, or (N, classes) shares of them that sum to 1. It is
    the objective of scikit-learn's `LogisticRegression(C=strength)`; the bias is free.
    `tolerance` is that of the gradient, divided by `strength * N`; `start` a layer to begin with.
    """
    x = x.double()
    start = start or Linear(x.new_zeros(classes, x.shape[1]), x.new_zeros(classes))

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        fit = F.cross_entropy(F.linear(x, weight, bias), y)
        # Divided by strength x N: gradients of one size, however many rows there are.
        return fit + weight.square().sum() / (2 * strength * len(x))

    return _least(loss, start, tolerance)


def _least(loss: Callable[[Tensor, Tensor], Tensor], start: Linear, tolerance: float) -> Linear:
    """The layer with the least `loss(weight, bias)`, a convex one, by L-BFGS from `start` on."""
    weight = start.weight.clone().double().requires_grad_()
    bias = start.bias.clone().double().requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=ITERATIONS,
        tolerance_grad=tolerance,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        value = loss(weight, bias)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(closure)  # type: ignore[no-untyped-call]
    return Linear(weight.detach(), bias.detach())


def fit_classes(x: Tensor, y: Tensor, classes: int, together: Tensor | None = None) -> Fitted:
    """A layer for `classes`, fitted to (N, channels) features with (N,) classes.

    The strength is the one with the least cross entropy on rows left out, by folds inside these
    rows; those with one number in `together`, (N,), are left out together. A class without rows
    gets a small score. The same rows give the same layer. Raises ValueError for features that are
    not finite.
    """
    x, back = settled(x)
    seen, places = torch.unique(y, return_inverse=True)
    strength, right = _choose(x, places, len(seen), together)
    weight, bias = back(softmax_regression(x, places, len(seen), strength))
    whole = Linear(weight.new_zeros(classes, weight.shape[1]), bias.new_zeros(classes))
    whole.bias.fill_(float(bias.min()))
    whole.weight[seen], whole.bias[seen] = weight, bias
    return Fitted(whole, strength, right)


def settled(x: Tensor) -> tuple[Tensor, Callable[[Linear], Linear]]:
    """Features with a mean of 0 and a mean squared length of 1, in float64, of few dimensions.

    And what makes of a layer on these one on the features as they came. ValueError where these are
    not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise ValueError("features must be finite numbers")
    x = x.double()
    middle = x.mean(0)
    x = x - middle
    scale = x.square().sum(1).mean().sqrt().clamp_min(1e-12)
    x = x / scale
    basis: Tensor | None = None
    if len(x) < x.shape[1]:  # the solution lies in the span of the rows: fewer dimensions
        basis = torch.linalg.svd(x, full_matrices=False).Vh  # (N, channels)
        x = x @ basis.T

    def back(layer: Linear) -> Linear:
        weight = (layer.weight if basis is None else layer.weight @ basis) / scale
        return Linear(weight, layer.bias - weight @ middle)

    return x, back


def binary_regression(
    x: Tensor, marks: Tensor, strengths: Tensor, *, tolerance: float = 1e-7
) -> Linear:
    """For each of K columns of marks the layer of two-class logistic regression, all at once.

    Of (N, channels) features, (N, K) marks of 1, 0 and below 0 for unknown, (K,) strengths as in
    `softmax_regression`: of column k the objective is that of scikit-learn's
    `LogisticRegression(C=strengths[k])` on the rows that it knows.
    """
    x, known = x.double(), (marks >= 0).double()
    wanted = marks.clamp_min(0).double()
    count = known.sum(0).clamp_min(1)

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        outputs = F.linear(x, weight, bias)
        each = F.binary_cross_entropy_with_logits(outputs, wanted, reduction="none") * known
        fit = each.sum(0) / count
        return (fit + weight.square().sum(1) / (2 * strengths * count)).sum()

    outputs = marks.shape[1]
    start = Linear(x.new_zeros(outputs, x.shape[1]), x.new_zeros(outputs))
    return _least(loss, start, tolerance)


def fit_marks(x: Tensor, marks: Tensor) -> Fitted:
    """A layer with an output for each column of marks: 1, 0, and below 0 for unknown.

    Of (N, channels) features and (N, K) marks. Each column has a strength of its own, the one with
    the least cross entropy on rows left out; `strength` is that of most. A column of which one
    side alone is known gets its share, whatever is seen. The same rows give the same layer. Raises
    ValueError for features that are not finite.
    """
    channels = x.shape[1]
    x, back = settled(x)
    yes, no = (marks == 1).sum(0), (marks == 0).sum(0)
    able = torch.nonzero((yes > 0) & (no > 0)).flatten()
    shares = torch.log((yes.double() + 0.5) / (no.double() + 0.5))
    if not len(able):
        return Fitted(Linear(x.new_zeros(marks.shape[1], channels), shares), USUAL, float("nan"))
    strengths, right = _choose_each(x, marks[:, able])
    found = back(binary_regression(x, marks[:, able], strengths))
    whole = Linear(x.new_zeros(marks.shape[1], channels), shares)
    whole.weight[able], whole.bias[able] = found.weight, found.bias
    return Fitted(whole, float(strengths.mode().values), right)


def _choose_each(x: Tensor, marks: Tensor) -> tuple[Tensor, float]:
    """The best of `STRENGTHS` for each column, and the share of marks right when left out."""
    rows, columns = marks.shape
    usual = x.new_full((columns,), USUAL)
    cost = 4 * 50 * rows * x.shape[1] * max(columns, 1) * len(STRENGTHS)
    folds = min(FOLDS, rows, int(OPERATIONS / cost)) if columns else 0
    if folds < 2:
        return usual, float("nan")
    place = torch.randperm(rows, generator=torch.Generator().manual_seed(0)) % folds
    losses = x.new_zeros(len(STRENGTHS), columns)
    hits = torch.zeros_like(losses)
    for fold in range(folds):
        out = place == fold
        known = marks[out] >= 0
        for index, strength in enumerate(STRENGTHS):
            layer = binary_regression(
                x[~out], marks[~out], torch.full_like(usual, strength), tolerance=ROUGHLY
            )
            outputs = F.linear(x[out], *layer)
            wanted = marks[out].clamp_min(0).double()
            each = F.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
            losses[index] += (each * known).sum(0)
            hits[index] += (((outputs > 0) == (wanted > 0)) & known).sum(0)
    best = losses.argmin(0)
    right = hits.gather(0, best[None]).sum() / (marks >= 0).sum()
    return x.new_tensor(STRENGTHS)[best], float(right)


def _choose(x: Tensor, y: Tensor, classes: int, together: Tensor | None) -> tuple[float, float]:
    """The best of `STRENGTHS`, and the share of rows that it has right when they are left out."""
    folds = _folds(y, classes) if together is None else _grouped_folds(together)
    # Two passes of two products for each of some 50 iterations.
    cost = 4 * 50 * len(x) * x.shape[1] * classes * len(STRENGTHS)
    folds = folds[: int(OPERATIONS / cost)]
    if not folds:
        return USUAL, float("nan")
    scores = sum(_scores(x, y, classes, left_out) for left_out in folds)
    assert isinstance(scores, Tensor)
    best = int(scores[:, 0].argmin())
    tested = sum(int(fold.sum()) for fold in folds)
    return STRENGTHS[best], float(scores[best, 1]) / tested


def _folds(y: Tensor, classes: int) -> list[Tensor]:
    """Masks of the rows left out in each fold: each class is spread evenly over them."""
    order = torch.argsort(y, stable=True)
    counts = torch.bincount(y, minlength=classes)
    first = torch.cumsum(counts, 0) - counts
    place = torch.empty_like(y)
    place[order] = torch.arange(len(y)) - first[y[order]]  # its number within its class
    folds = min(FOLDS, int(counts.max()))
    return [place % folds == fold for fold in range(folds)] if folds > 1 else []


def _grouped_folds(together: Tensor) -> list[Tensor]:
    """Masks of the rows left out in each fold: of whole groups, as many in each."""
    place = torch.unique(together, return_inverse=True)[1]
    folds = min(FOLDS, int(place.max()) + 1)
    return [place % folds == fold for fold in range(folds)] if folds > 1 else []


def _scores(x: Tensor, y: Tensor, classes: int, left_out: Tensor) -> Tensor:
    """For each strength, of the rows left out: the sum of cross entropies, and how many right."""
    found = x.new_zeros(len(STRENGTHS), 2)
    layer = None
    for index, strength in enumerate(STRENGTHS):  # each from the one before: it is near
        layer = softmax_regression(
            x[~left_out], y[~left_out], classes, strength, start=layer, tolerance=ROUGHLY
        )
        outputs = F.linear(x[left_out], *layer)
        found[index, 0] = F.cross_entropy(outputs, y[left_out], reduction="sum")
        found[index, 1] = (outputs.argmax(1) == y[left_out]).sum()
    return found


def last_inputs(model: nn.Module, last: nn.Module, images: Tensor) -> Tensor:
    """What the layer `last` gets when the network sees (N, 3, H, W) images."""
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        model(images)
    finally:
        hook.remove()
    return seen[0]


@torch.no_grad()
def put(layer: Linear, into: nn.Linear | nn.Conv2d) -> None:
    """Give a network's layer, linear or a convolution of 1x1, the fitted weights."""
    assert into.bias is not None
    into.weight.copy_(layer.weight.view_as(into.weight))
    into.bias.copy_(layer.bias)


def in_words(fitted: Fitted, rows: int) -> str:
    """`logistic regression on 112 images; left out in turn, .875 of them were right`."""
    text = f"logistic regression on {rows} images' features (C {fitted.strength:g})"
    if fitted.right == fitted.right:  # not NaN
        text += f", right for {fitted.right:.3f} of those left out in turn"
    return text


def learn_on(
    parts: Sequence[nn.Module],
    loss: Callable[[Tensor], Tensor],
    rows: int,
    *,
    steps: int,
    batch: int,
    rate: float,
) -> None:
    """Bring `parts` of a network to a small loss: `loss` is that of the rows at some places.

    AdamW, the rate rising for a tenth of the steps and then falling as a cosine does; `batch` of
    the `rows` at a time, or all. Norms use the statistics of the batch, and in the end have those
    of all rows. All else is as in evaluation. The same rows give the same weights.
    """
    found = [parameter for part in parts for parameter in part.parameters()]
    groups = [
        {"params": [p for p in found if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in found if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    random = torch.Generator().manual_seed(0)
    norms = norms_of(parts)
    for norm in norms:
        norm.train()
    for step in range(steps):
        share = min(10 * (step + 1) / steps, (1 + math.cos(math.pi * step / steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        value = loss(torch.randperm(rows, generator=random)[:batch])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    settle_norms(norms, loss, rows, batch)


@torch.no_grad()
def settle_norms(
    norms: Sequence[nn.BatchNorm2d], run: Callable[[Tensor], object], rows: int, batch: int
) -> None:
    """Give norms the mean statistics of all rows, in batches of one size that `run` passes."""
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that it sees
        norm.train()
    for places in torch.arange(rows).tensor_split(math.ceil(rows / batch)):
        run(places)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()


def norms_of(parts: Sequence[nn.Module]) -> list[nn.BatchNorm2d]:
    """The batch normalisation layers inside `parts`, however deep."""
    return [m for part in parts for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
