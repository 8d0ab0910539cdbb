"""DeepLabv3 written once more in plain TensorFlow, from a torch network's weights."""

import numpy as np

from tests.tasks.detect.weights import nets as ssd_nets
from tests.tasks.detect.weights.nets import V1_STRIDES, V2_STRIDES


class Net(ssd_nets.Net):
    """The layers of `model`, a DeepLab with its backbone's epsilon at 1e-3, on images of one size.

    `order` is that of the branches in the concatenation; `tiles` writes dilated depthwise
    convolutions as cutting, convolving and putting together; `corners` aligns them in resizes.
    """

    def __init__(self, model, output_stride, *, order=None, tiles=False, corners=True, **knobs):
        super().__init__(model, **knobs)
        self.v2 = "backbone.blocks.0.project.conv.weight" in self.state
        self.output_stride, self.tiles, self.corners = output_stride, tiles, corners
        self.names = ["pool", *(f"branches.{i}" for i in range(4) if self.has(f"branches.{i}"))]
        self.order = order or range(len(self.names))

    def depthwise(self, name, x, stride, rate):
        import tensorflow as tf

        if rate == 1 or not self.tiles:
            return self.unit(name, x, stride, rate=rate)
        weight, bias = self.folded(name, 1e-3)
        pads, crops = [], []
        for side in x.shape[1:3]:
            beyond = -(side + 2 * rate) % rate
            pads.append([rate, rate + beyond])
            crops.append([0, beyond])
        x = tf.space_to_batch_nd(x, [rate, rate], pads)
        filters = tf.constant(weight.transpose(2, 3, 0, 1), tf.float32)
        x = tf.nn.depthwise_conv2d(x, filters, [1] * 4, "VALID")
        x = tf.nn.relu6(tf.nn.bias_add(x, tf.constant(bias, tf.float32)))
        return tf.batch_to_space(x, [rate, rate], crops)

    def features(self, x):
        x = self.unit("backbone.stem", x, 2)
        running, rate = 2, 1
        for index, asked in enumerate(V2_STRIDES if self.v2 else V1_STRIDES):
            name, before = f"backbone.blocks.{index}", x
            stride, later = (1, asked) if running == self.output_stride else (asked, 1)
            running *= stride
            if self.has(f"{name}.expand"):
                x = self.unit(f"{name}.expand", x)
            x = self.depthwise(f"{name}.depthwise", x, stride, rate)
            rate *= later
            if not self.v2:
                x = self.unit(f"{name}.pointwise", x)
                continue
            x = self.unit(f"{name}.project", x, relu=False)
            x = x + before if stride == 1 and x.shape[3] == before.shape[3] else x
        return x

    def head(self, name, x, rate=1):
        import tensorflow as tf

        return tf.nn.relu(self.convolve(name, x, *self.folded(name, 1e-5), 1, rate))

    def resize(self, x, size):
        import tensorflow as tf

        return tf.compat.v1.image.resize_bilinear(x, size, align_corners=self.corners)

    def coarse(self, x):
        """The logits at the feature map's places."""
        import tensorflow as tf

        x = self.features(x)
        size = x.shape[1:3]
        pooled = self.head("pool", tf.nn.avg_pool2d(x, size, 1, "VALID"))
        parts = [self.resize(pooled, size), self.head("branches.0", x)]
        for index in range(1, len(self.names) - 1):
            parts.append(self.head(f"branches.{index}", x, 6 * index * 16 // self.output_stride))
        weight, bias = self.folded("project", 1e-5)
        columns = np.arange(weight.shape[1]).reshape(-1, 256)[list(self.order)].ravel()
        joined = tf.concat([parts[index] for index in self.order], 3)
        x = tf.nn.relu(self.convolve("project", joined, weight[:, columns], bias, 1))
        state = self.state
        return self.convolve(
            "classifier", x, state["classifier.weight"], state["classifier.bias"], 1
        )

    def __call__(self, x):
        """(1, height, width, 3) -> logits (1, height, width, classes)."""
        return self.resize(self.coarse(x), x.shape[1:3])
