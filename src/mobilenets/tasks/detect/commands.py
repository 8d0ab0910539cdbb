"""What detection adds to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults, Option

DEFAULTS = Defaults(top=100, threshold=0.4, batch=32)

_IOU = Option(
    "iou",
    float,
    "To detect: of two boxes of a class that overlap more (intersection over union), the surer one "
    "stays; 0.6 if not given.",
    reading=True,
)

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(
        (_IOU,),
        "Of a detector also where each thing is: boxes are left, top, right and bottom in the "
        "image's pixels.",
    ),
    "eval": Addition((_IOU,), "A detector's average precision, by COCO's protocol and VOC 2007's."),
    "export": Addition(
        (Option("nms", bool, "A detector's suppression inside; runs on ONNX Runtime."),),
        "A detector's boxes and scores are decoded in the file, and suppressed by whoever runs it "
        "unless `--nms` is given.",
    ),
    "profile": Addition((Option("head_kernel", int, "SSD: 1 or 3, of its heads' convolutions."),)),
    "data check": Addition(
        (
            Option(
                "model",
                str,
                "The detector whose anchors are laid over boxes; else ssdlite_mobilenet_v2.",
            ),
            Option("resolution", int, "Of its input; the paper's if not given.", least=1),
        ),
        "Of boxes: images and objects of each part and class, sizes, and the objects that no "
        "anchor of a detector reaches.",
    ),
}
