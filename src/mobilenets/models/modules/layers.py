"""The three things both papers are made of: a convolution with its norm, and two blocks."""

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mobilenets.models.geometry import (
    BN_EPS,
    NEGATIVE_SLOPE,
    Block,
    Padding,
    Rectifier,
    Shortcut,
    same_padding,
)


@dataclass(frozen=True)
class Norm:
    """Batch normalisation as torch counts it: `momentum` is 1 - TensorFlow's decay."""

    eps: float = BN_EPS
    momentum: float = 0.003


RELU6: tuple[Rectifier, float] = ("relu6", NEGATIVE_SLOPE)


def rectify(activation: Rectifier, negative_slope: float) -> nn.Module:
    """The module of an activation."""
    if activation == "leaky_relu":
        return nn.LeakyReLU(negative_slope)
    return nn.ReLU() if activation == "relu" else nn.ReLU6()


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, then `activation` unless that is None.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride)), by one of three paddings:
    `same` puts the odd pixel at the bottom and the right, as TensorFlow does; `symmetric` puts
    the same number on every side, as most PyTorch networks do; `keras` is `same`, but gives a
    strided depthwise convolution one pixel at the bottom and the right whatever the size, as
    Keras applications' V1 does: it differs on odd sizes, where (H // 2, W // 2) comes out.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: Padding = "same",
        norm: Norm = Norm(),
        activation: tuple[Rectifier, float] | None = RELU6,
    ) -> None:
        super().__init__()
        # At stride 1 all agree: the convolution's own zeros cost no copy of what it reads.
        self.same = padding != "symmetric" and kernel > 1 and stride > 1
        self.trailing = padding == "keras" and groups > 1 and stride > 1
        pad = 0 if self.same else dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, stride, pad, dilation=dilation, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(c_out, eps=norm.eps, momentum=norm.momentum)
        self.act: nn.Module = rectify(*activation) if activation else nn.Identity()

    def pad(self, x: Tensor) -> Tensor:
        """Zeros around `x` where the convolution itself cannot place them."""
        if not self.same:
            return x
        if self.trailing:
            return F.pad(x, (0, 1, 0, 1))
        conv = self.conv
        kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
        top, bottom = same_padding(x.shape[2], kernel, stride, dilation)
        left, right = same_padding(x.shape[3], kernel, stride, dilation)
        if top == bottom == left == right == 0:
            return x
        return F.pad(x, (left, right, top, bottom))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.act(self.norm(self.conv(self.pad(x))))
        return out

    def channels(self, x: Tensor, keep: slice) -> Tensor:
        """The output channels `keep` alone; a depthwise convolution gets only those as `x`."""
        conv, norm = self.conv, self.norm
        groups = keep.stop - keep.start if conv.groups > 1 else 1
        x = F.conv2d(
            self.pad(x), conv.weight[keep], None, conv.stride, conv.padding, conv.dilation, groups
        )
        assert norm.running_mean is not None
        assert norm.running_var is not None
        if norm.training and keep.start == 0 and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)  # once, not for every slice
        x = F.batch_norm(
            x,
            norm.running_mean[keep],
            norm.running_var[keep],
            norm.weight[keep],
            norm.bias[keep],
            norm.training,
            norm.momentum or 0.0,
            norm.eps,
        )
        out: Tensor = self.act(x)
        return out


class DepthwiseSeparable(nn.Module):
    """Paper 1, Figure 3: depthwise 3x3, then pointwise 1x1, each with norm and ReLU6."""

    def __init__(
        self,
        block: Block,
        *,
        padding: Padding = "same",
        norm: Norm = Norm(),
        activation: tuple[Rectifier, float] = RELU6,
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            block.c_in,
            block.c_in,
            3,
            stride=block.stride,
            dilation=block.dilation,
            groups=block.c_in,
            padding=padding,
            norm=norm,
            activation=activation,
        )
        self.pointwise = ConvNormAct(block.c_in, block.c_out, norm=norm, activation=activation)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class InvertedResidual(nn.Module):
    """Paper 2, Figure 3 and Table 1: expand 1x1, depthwise 3x3, project 1x1 without ReLU6.

    With an expansion of 1 there is no expansion convolution. The shortcut is there where the
    stride is 1 and the channels are equal. `channel_groups` above 1 runs the block as section
    5.1 does: that many slices of the expanded tensor, one after another, their projections
    summed; the same result, and the memory of one slice.
    """

    def __init__(
        self,
        block: Block,
        *,
        padding: Padding = "same",
        norm: Norm = Norm(),
        linear: bool = True,
        shortcut: Shortcut = "bottleneck",
        activation: tuple[Rectifier, float] = RELU6,
    ) -> None:
        super().__init__()
        hidden = block.c_in * block.expansion
        self.expand: nn.Module = (
            ConvNormAct(block.c_in, hidden, norm=norm, activation=activation)
            if block.expansion > 1
            else nn.Identity()
        )
        self.depthwise = ConvNormAct(
            hidden,
            hidden,
            3,
            stride=block.stride,
            dilation=block.dilation,
            groups=hidden,
            padding=padding,
            norm=norm,
            activation=activation,
        )
        self.project = ConvNormAct(
            hidden, block.c_out, norm=norm, activation=None if linear else activation
        )
        keeps_shape = block.stride == 1 and block.c_in == block.c_out
        self.shortcut = keeps_shape and shortcut == "bottleneck"
        self.passes_expansion = keeps_shape and block.expansion > 1 and shortcut == "expansion"
        self.channel_groups = 1

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.channel_groups > 1:
            return self.forward_in_groups(x)
        return self.reduce(x, self.expand(x))

    def reduce(self, x: Tensor, expanded: Tensor) -> Tensor:
        """What follows the expansion: depthwise, projection, shortcut."""
        y: Tensor = self.project(self.depthwise(expanded))
        return x + y if self.shortcut else y

    def forward_in_groups(self, x: Tensor) -> Tensor:
        """Paper 2, section 5.1: F(x) = sum_i A_i N(B_i x) over `channel_groups` slices."""
        project = self.project.conv.weight
        hidden = project.shape[1]
        bounds = [hidden * i // self.channel_groups for i in range(self.channel_groups + 1)]
        total: Tensor | None = None
        for start, stop in pairwise(bounds):
            if start == stop:
                continue
            keep = slice(start, stop)
            inner = (
                self.expand.channels(x, keep)
                if isinstance(self.expand, ConvNormAct)
                else x[:, keep]
            )
            inner = F.conv2d(self.depthwise.channels(inner, keep), project[:, keep])
            total = inner if total is None else total + inner
        y: Tensor = self.project.act(self.project.norm(total))
        return x + y if self.shortcut else y


def initialise(module: nn.Module, sigma: float = 0.09) -> None:
    """The released code's start: normal with `sigma`, cut at two of them; zero bias; norm 1, 0."""
    for child in module.modules():
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(child.weight, std=sigma, a=-2 * sigma, b=2 * sigma)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.BatchNorm2d):
            nn.init.ones_(child.weight)
            nn.init.zeros_(child.bias)


def initialise_he(network: nn.Module) -> None:
    """Another start: He's normal by the fan-out in the backbone, blocks with a shortcut closed.

    arXiv 1502.01852, with fans as torch counts them, and arXiv 1706.02677, section 5.1: the last
    norm of a block with a shortcut begins at 0, so that gradients pass it by. Convolutions of the
    head begin as torch has them. Kernels are smaller than the released code's, depthwise ones
    above all, so an optimizer whose steps have one length, such as AdamW, turns them sooner.
    """
    backbone = set(cast(nn.Module, network.backbone).modules())
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module in backbone:
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Conv2d):
            module.reset_parameters()
        elif isinstance(module, InvertedResidual) and module.shortcut:
            nn.init.zeros_(module.project.norm.weight)


def fold_norms(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose convolutions carry their batch normalisation."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = cast(nn.BatchNorm2d, nn.Identity())
    return network
