"""What segmentation adds to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults, Option

DEFAULTS = Defaults(top=100, threshold=0.001, batch=4)
"""21 logits for each of 513 x 513 pixels take 22 MB: few images at once."""

_RUNNING = (
    Option("multi_scale", bool, "To segment: six sizes and flips, the papers' MF."),
    Option("output_stride", int, "To segment: 8, 16 or 32, whatever was trained."),
)
_ARGMAX = Option("argmax", bool, "To segment: each pixel's class, not logits.")

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(
        _RUNNING,
        "Of a segmentation network the classes by their share of the image; `--save-dir` gets the "
        "image in its classes' colours with a legend, and a PNG whose pixels are the classes' "
        "numbers.",
    ),
    "eval": Addition(
        _RUNNING,
        "Of a segmentation network the mean intersection over union, at the images' own sizes.",
    ),
    "export": Addition(
        (_ARGMAX,),
        "A segmentation network's logits are brought to the input's size in the file, and with "
        "`--argmax` the best class of each pixel is chosen there.",
    ),
    "bench": Addition((_ARGMAX,)),
    "profile": Addition(
        (
            Option("aspp", bool, "DeepLabv3: three dilated branches too."),
            Option("multi_scale", bool, "DeepLabv3: six scales, each also mirrored."),
        )
    ),
    "data check": Addition(
        text="Of masks: the share of pixels and the number of images of each class, and void's "
        "share.",
    ),
}
