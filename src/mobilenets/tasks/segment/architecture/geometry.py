"""The numbers of DeepLabv3's head and the arithmetic on them: no torch."""

HEAD_CHANNELS = 256
HEAD_NORM_EPS = 1e-5
HEAD_NORM_MOMENTUM = 0.0003
DROPOUT = 0.1
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of multi-scale inference (paper 2, Table 7: MF)."""


def atrous_rates(output_stride: int) -> tuple[int, int, int]:
    """Of ASPP's three 3x3 branches (arXiv 1706.05587, section 3.3)."""
    factor = 16 / output_stride
    return int(6 * factor), int(12 * factor), int(18 * factor)


def scaled_side(side: int, scale: float) -> int:
    """Pixels of a side of `side` at a scale: 513 at 0.5 is 257, corners on corners.

    As the released code: parts of a pixel are cut off.
    """
    return max(int((side - 1) * scale) + 1, 2)
