"""Rows of images in memory: where each lies, and which of them an output row reads."""

from dataclasses import dataclass

from mobilenets.engine.ir.graph import Conv, Tensor
from mobilenets.engine.ir.types import ElementType
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.values import Index, Pointer


@dataclass(frozen=True)
class ImageShape:
    """An image's height, width, channels and type; in memory its channels are last."""

    height: int
    width: int
    channels: int
    element: ElementType

    @property
    def row(self) -> int:
        """Elements in a row of pixels: width times channels."""
        return self.width * self.channels

    @property
    def row_bytes(self) -> int:
        """Bytes in a row of pixels."""
        return self.row * self.element.size

    @property
    def size(self) -> int:
        """Elements in the whole image."""
        return self.height * self.row


@dataclass(frozen=True)
class RowBuffer:
    """Where the rows of an image of `height` rows lie: all of them, or only the last `slots`.

    `step`: elements from one row to the next. With fewer slots than rows it is a ring: row r is in
    slot r mod `slots`, until a later row overwrites it.
    """

    pointer: Pointer
    step: int
    slots: int
    height: int

    @property
    def ring(self) -> bool:
        """Whether rows are overwritten by later ones."""
        return self.slots < self.height

    def at(self, e: Emitter, row: Index) -> Pointer:
        """The address of row `row`, which must be one that is still held."""
        slot = e.mod(row, self.slots) if self.ring else row
        return e.at(self.pointer, e.mul(slot, self.step))


@dataclass(frozen=True)
class Window:
    """Which input rows an output row reads: `size` of them, `dilation` apart.

    The windows of two neighbouring output rows are `stride` apart; the first begins `before` rows
    above the image, which has `height` rows.
    """

    size: int
    stride: int
    dilation: int
    before: int
    height: int

    def first(self, row: int) -> int:
        """The first input row that exists, of those that `row` reads."""
        return max(0, row * self.stride - self.before)

    def stop(self, row: int) -> int:
        """One past the last input row that exists, of those that `row` reads."""
        last = row * self.stride - self.before + (self.size - 1) * self.dilation
        return max(0, min(self.height, last + 1))


def window_of(conv: Conv, height: int) -> Window:
    """The rows that a convolution's output rows read."""
    return Window(conv.weight.shape[2], conv.strides[0], conv.dilations[0], conv.pads[0], height)


def window_rows(
    e: Emitter, window: Window, source: RowBuffer, row: Index, zeros: Pointer
) -> list[Pointer]:
    """Addresses of the input rows that an output row reads; zeros where there is none."""
    result = []
    for i in range(window.size):
        at = e.sub(e.add(e.mul(row, window.stride), i * window.dilation), window.before)
        if isinstance(at, int):
            result.append(source.at(e, at) if 0 <= at < window.height else zeros)
            continue
        address = e.choose_address(e.compare("slt", at, window.height), source.at(e, at), zeros)
        if i * window.dilation < window.before:
            address = e.choose_address(e.compare("sge", at, 0), address, zeros)
        result.append(address)
    return result


def shape_of(tensor: Tensor) -> ImageShape:
    """An image (1, C, H, W) as an ImageShape."""
    _, channels, height, width = tensor.shape
    return ImageShape(height, width, channels, tensor.dtype)
