"""The embedding networks' own layers, in the order that `architecture.embedding` runs them."""

from typing import Literal, get_args

from mobilenets.models.bodies import Body
from mobilenets.models.costs import LayerCost
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers
from mobilenets.tasks.checks import check_choice

Pooling = Literal["average", "gem", "depthwise"]
DIMENSIONS = 256
KERNEL = 7
"""Side of the last map at 224 pixels."""


def embedding(
    layers: Layers,
    body: Body,
    *,
    classes: int | None = None,
    dimensions: int = DIMENSIONS,
    pooling: Pooling = "gem",
    kernel: int = KERNEL,
    last: bool = True,
) -> None:
    """A body, a pool, a projection with a norm, and unit length.

    `classes` are those of a cosine classifier, which is there in training alone; None for none.
    `kernel` is the side of a depthwise pool. Without `last` V2 ends with its last block.
    """
    check(last=last)
    if classes is not None:
        check(classes=classes)
    check_choice("pooling", pooling, get_args(Pooling))
    for name, value in (("dimensions", dimensions), ("kernel", kernel)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    x = body.add(layers) if last else body.add_blocks(layers)
    channels, height, width = layers.shapes[x]
    tensors: dict[str, tuple[int, ...]] = {}
    if pooling == "depthwise":
        if kernel > min(height, width):
            raise ValueError(
                f"kernel must be at most the last map's side, {min(height, width)}, got {kernel}"
            )
        size = (height - kernel + 1, width - kernel + 1)
        x = layers.conv("pool", x, channels, kernel, depthwise=True, size=size)
    elif pooling == "gem":
        tensors = {"pool.power": (1,)}
    shape = layers.shapes[x]
    name = "mean" if pooling == "depthwise" else "pool"
    x = layers.add(
        LayerCost(
            name, "pool", shape, (channels, 1, 1), parameters=len(tensors), reads=(x,),
            tensors=tensors,
        )
    )  # fmt: skip
    x = layers.conv("projection", x, dimensions)
    x = layers.add(LayerCost("length", "norm", (dimensions, 1, 1), (dimensions,), reads=(x,)))
    if classes is not None:
        weight = {"classifier.weight": (classes, dimensions)}
        shape = layers.shapes[x]
        # No deployed file has it, so it costs nothing.
        layers.add(LayerCost("classifier", "training", shape, shape, reads=(x,), tensors=weight))
