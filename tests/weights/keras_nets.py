"""Keras applications' networks with random weights, and TFLite files made from them."""

import warnings
from functools import cache

import numpy as np
import torch

from tests import triton_first  # noqa: F401

CLASSES = 7


@cache
def network(name, alpha, size, top=True):
    """`MobileNet` or `MobileNetV2` for images of `size`, its outputs the logits."""
    import keras

    keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no weights are published for such sizes
        model = getattr(keras.applications, name)(
            input_shape=(*size, 3),
            alpha=alpha,
            weights=None,
            include_top=top,
            **({"classes": CLASSES, "classifier_activation": None} if top else {}),
        )
    return randomise(model)


def randomise(model, seed=0):
    """Random everything, the norms' statistics too, near what their inputs really have."""
    rng = np.random.default_rng(seed)

    def draw(variable):
        part, shape = variable.path.split("/")[-1], variable.shape
        if part in ("gamma", "moving_variance"):
            return rng.uniform(0.5, 1.5, shape)
        if part in ("beta", "moving_mean", "bias"):
            return rng.normal(0, 0.3, shape)
        fan = 9 if len(shape) == 4 and shape[3] == 1 else np.prod(shape[:-1])
        return rng.normal(0, (2 / fan) ** 0.5, shape)

    model.set_weights([draw(variable) for variable in model.weights])
    return model


def peer(model):
    """`model` as a function of one of our batches, (N, 3, H, W)."""

    def call(x):
        images = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
        return torch.from_numpy(np.array(model(images, training=False)))

    return call


def convert(model, optimise=(), types=(), samples=None, integer=None):
    """The bytes of a TFLite file; `samples` are images to calibrate on, `integer` the IO type."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    function = tf.function(lambda x: model(x, training=False))
    shape = (1, *model.input_shape[1:])
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own deprecations
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        converter.optimizations = list(optimise)
        converter.target_spec.supported_types = list(types)
        if samples is not None:
            converter.representative_dataset = lambda: ([x[None]] for x in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if integer is not None:
            converter.inference_input_type = converter.inference_output_type = integer
        return converter.convert()


def interpret(path, images):
    """Scores of LiteRT's own run on (N, H, W, 3) real inputs, dequantised."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image):
        if source["dtype"] != np.float32:
            scale, zero = source["quantization"]
            limits = np.iinfo(source["dtype"])
            image = np.clip(np.round(image / scale + zero), limits.min, limits.max)
        interpreter.set_tensor(source["index"], image[None].astype(source["dtype"]))
        interpreter.invoke()
        scores = interpreter.get_tensor(target["index"])[0].astype(np.float32)
        if target["dtype"] != np.float32:
            scale, zero = target["quantization"]
            scores = (scores - zero) * scale
        return scores

    return np.stack([run(image) for image in images])
