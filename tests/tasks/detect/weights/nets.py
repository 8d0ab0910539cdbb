"""SSD written once more in plain TensorFlow, from a torch network's weights, and TFLite of it."""

import tempfile
import warnings

import numpy as np

from tests import triton_first  # noqa: F401

V1_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
V2_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
YXHW = [1, 0, 3, 2]


class Net:
    """The layers of `model`, an SSD with its norms' epsilon at 1e-3, on images of one size.

    `symmetric` pads as torch does; `bottleneck` reads V2's first map before the expansion, as
    some ports do.
    """

    def __init__(self, model, *, symmetric=False, bottleneck=False):
        self.state = {k: v.numpy().astype(np.float64) for k, v in model.state_dict().items()}
        self.v2 = "backbone.last.conv.weight" in self.state
        self.symmetric, self.bottleneck = symmetric, bottleneck
        if bottleneck:
            self.narrow(len(self.state["backbone.blocks.12.project.conv.weight"]))

    def narrow(self, channels):
        """Cut the first map's heads down to so many channels."""
        for name, values in self.state.items():
            if name.startswith(("boxes.0.depthwise", "scores.0.depthwise")) and values.ndim:
                self.state[name] = values[:channels]
            elif name in ("boxes.0.predict.weight", "scores.0.predict.weight"):
                self.state[name] = values[:, :channels]

    def has(self, name):
        return any(key.startswith(f"{name}.") for key in self.state)

    def convolve(self, name, x, weight, bias, stride, rate=1):
        """`weight` is torch's; depthwise where it has one input channel for several."""
        import tensorflow as tf

        kernel = weight.shape[-1]
        padding = "SAME"
        if self.symmetric and kernel > 1:
            x = tf.pad(x, [[0, 0], [rate, rate], [rate, rate], [0, 0]])
            padding = "VALID"
        if weight.shape[1] == 1 and x.shape[3] > 1:
            filters = tf.constant(weight.transpose(2, 3, 0, 1), tf.float32)
            y = tf.nn.depthwise_conv2d(
                x, filters, [1, stride, stride, 1], padding, dilations=[rate] * 2
            )
        else:
            filters = tf.constant(weight.transpose(2, 3, 1, 0), tf.float32)
            y = tf.nn.conv2d(x, filters, stride, padding, dilations=rate)
        return tf.nn.bias_add(y, tf.constant(bias, tf.float32))

    def unit(self, name, x, stride=1, relu=True, rate=1):
        import tensorflow as tf

        x = self.convolve(name, x, *self.folded(name, 1e-3), stride, rate)
        return tf.nn.relu6(x) if relu else x

    def folded(self, name, eps):
        """A unit's weight and bias with its norm in them."""
        state = self.state
        norm = {k: state[f"{name}.norm.{k}"] for k in ("weight", "bias")}
        scale = norm["weight"] / np.sqrt(state[f"{name}.norm.running_var"] + eps)
        bias = norm["bias"] - scale * state[f"{name}.norm.running_mean"]
        return state[f"{name}.conv.weight"] * scale[:, None, None, None], bias

    def maps(self, x):
        x = self.unit("backbone.stem", x, 2)
        for index, stride in enumerate(V2_STRIDES if self.v2 else V1_STRIDES):
            name, before = f"backbone.blocks.{index}", x
            last_of_16 = index == (13 if self.v2 else 11)
            if last_of_16:
                tap = x
            if self.has(f"{name}.expand"):
                x = self.unit(f"{name}.expand", x)
                if last_of_16 and not self.bottleneck:
                    tap = x
            x = self.unit(f"{name}.depthwise", x, stride)
            if not self.v2:
                x = self.unit(f"{name}.pointwise", x)
                continue
            x = self.unit(f"{name}.project", x, relu=False)
            x = x + before if stride == 1 and x.shape[3] == before.shape[3] else x
        maps = [tap, self.unit("backbone.last", x) if self.v2 else x]
        for index in range(4):
            name = f"extras.{index}"
            x = self.unit(f"{name}.squeeze", maps[-1])
            if self.has(f"{name}.depthwise"):
                x = self.unit(f"{name}.expand", self.unit(f"{name}.depthwise", x, 2))
            else:
                x = self.unit(f"{name}.expand", x, 2)
            maps.append(x)
        return maps

    def head(self, kind, maps, values):
        import tensorflow as tf

        parts = []
        for index, x in enumerate(maps):
            name = f"{kind}.{index}"
            if self.has(f"{name}.depthwise"):
                x = self.unit(f"{name}.depthwise", x)
            weight = self.state[f"{name}.predict.weight"]
            bias = self.state[f"{name}.predict.bias"]
            if kind == "boxes":
                weight = weight.reshape(-1, 4, *weight.shape[1:])[:, YXHW].reshape(weight.shape)
                bias = bias.reshape(-1, 4)[:, YXHW].reshape(-1)
            y = self.convolve(name, x, weight, bias, 1)
            places = y.shape[1] * y.shape[2] * y.shape[3] // values
            parts.append(tf.reshape(y, [1, places, values]))
        return tf.concat(parts, 1)

    def __call__(self, x):
        """(1, height, width, 3) -> codes (1, anchors, 4) as y, x, height, width; raw scores."""
        maps = self.maps(x)
        values = len(self.state["scores.0.predict.bias"]) // 3
        return {"boxes": self.head("boxes", maps, 4), "scores": self.head("scores", maps, values)}


def postprocess(found, anchors, **options):
    """Behind what `Net` gives, scored: TensorFlow's marker for the operator.

    The converter replaces its body, and writes `options` into the file. `anchors` are (n, 4).
    """
    import tensorflow as tf

    values = {
        "max_detections": 5,
        "max_classes_per_detection": 1,
        "num_classes": found["scores"].shape[2] - 1,
        "use_regular_nms": False,
        "nms_score_threshold": 0.0,
        "nms_iou_threshold": 0.6,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
        **options,
    }
    kinds = {bool: "b", int: "i", float: "f"}
    attributes = " ".join(
        f'attr {{ key: "{k}" value {{ {kinds[type(v)]}: {str(v).lower()} }} }}'
        for k, v in values.items()
    )

    @tf.function(experimental_implements=f'name: "TFLite_Detection_PostProcess" {attributes}')
    def marked(boxes, scores, anchors):
        shapes = [1, 5, 4], [1, 5], [1, 5], [1]
        return tuple(tf.zeros(shape, tf.float32) for shape in shapes)

    names = "found_boxes", "found_classes", "found_scores", "found_count"
    outputs = marked(found["boxes"], found["scores"], tf.constant(anchors, tf.float32))
    return dict(zip(names, outputs, strict=True))


def convert(function, size, samples=None):
    """The bytes of a TFLite file of `function`, of an image `x`; `samples` make it integers."""
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(
        function, input_signature=[tf.TensorSpec((1, *size, 3), tf.float32, name="x")]
    )
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the converter's own deprecations
        tf.saved_model.save(module, folder, signatures=module.run)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.allow_custom_ops = True
        if samples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x[None]] for x in samples)
        return converter.convert()


def interpret(data, image):
    """What LiteRT gives for one (height, width, 3) image: every output by its name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    return interpreter.get_signature_runner()(x=image[None])
