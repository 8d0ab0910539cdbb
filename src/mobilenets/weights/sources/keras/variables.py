"""The variables of a layer, as Keras' formats name or number them, in torch's layouts."""

import re
from collections.abc import Sequence

import numpy as np

from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.weights.containers.hdf5 import Variables
from mobilenets.weights.containers.stored import FloatArray, StoredLayer
from mobilenets.weights.sources.keras import activations
from mobilenets.weights.sources.keras.config import KerasLayer

_FRAME = ("layers", "_layer_checkpoint_dependencies", "_functional", "model_weights")
"""Words in a path that are no layers."""


class LayerVariables:
    """Variables by the layer that they belong to, told by its path or its name."""

    def __init__(self, variables: Variables) -> None:
        self._numbered: dict[str, dict[int, FloatArray]] = {}
        self._named: dict[str, dict[str, FloatArray]] = {}
        self._used: set[str] = set()
        for path, values in variables.items():
            parts = [part for part in re.split(r"[/\\]", path) if part not in _FRAME]
            if parts and parts[0].startswith("optimizer"):
                continue
            role = parts[-1].split(":")[0]
            if role.isdigit() and len(parts) > 2 and parts[-2] == "vars":
                self._numbered.setdefault("/".join(parts[:-2]), {})[int(role)] = values
            elif len(parts) > 1:
                self._named.setdefault(parts[-2], {})[_ROLES.get(role, role)] = values

    def of(self, layer: KerasLayer, roles: Sequence[str]) -> dict[str, FloatArray]:
        """Those of a layer that has `roles`, in Keras' order; WeightsError where one is missing."""
        found = self._named.get(layer.name)
        if found is None and layer.path in self._numbered:
            numbered = self._numbered[layer.path]
            found = {role: numbered[i] for i, role in enumerate(roles) if i in numbered}
        missing = [role for role in roles if role not in (found or {})]
        if found is None or missing:
            raise WeightsError(f"there are no weights of its layer {layer.name!r} ({missing[0]})")
        return {role: found[role] for role in roles}


_ROLES = {"depthwise_kernel": "kernel"}


def convolution(
    layer: KerasLayer, found: dict[str, FloatArray], *, depthwise: bool = False
) -> StoredLayer:
    """From Keras' (kernel, kernel, in, out), or (in, out) of a dense layer."""
    kernel, bias = found["kernel"], found.get("bias")
    if kernel.ndim == 2 and not depthwise:
        return StoredLayer(layer.name, kernel.T[:, :, None, None], bias=bias, dense=True)
    if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1]:
        raise WeightsError(f"the kernel of {layer.name!r} is {kernel.shape}")
    if depthwise and kernel.shape[3] != 1:
        raise WeightsError(
            f"its layer {layer.name!r} has a depth_multiplier of {kernel.shape[3]}, must be 1"
        )
    if activations.number(layer.settings.get("groups", 1)) != 1:
        raise WeightsError(f"its layer {layer.name!r} has groups, which no MobileNet has")
    order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    return StoredLayer(layer.name, kernel.transpose(order), depthwise, bias)


def norm_of(
    layer: KerasLayer, variables: LayerVariables, bias: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Gamma, beta, mean, variance of a norm with our epsilon, behind a convolution's `bias`."""
    settings = layer.settings
    scale, center = bool(settings.get("scale", True)), bool(settings.get("center", True))
    roles = [*(["gamma"] * scale), *(["beta"] * center), "moving_mean", "moving_variance"]
    found = variables.of(layer, roles)
    mean, variance = found["moving_mean"], found["moving_variance"]
    gamma, beta = found.get("gamma", np.ones_like(mean)), found.get("beta", np.zeros_like(mean))
    eps = activations.number(settings.get("epsilon", BN_EPS))
    if eps is None or not 0 < eps < 1:
        raise WeightsError(f"the epsilon of its layer {layer.name!r} is {settings.get('epsilon')}")
    if eps != BN_EPS and (variance >= 0).all():
        # gamma / sqrt(variance + eps) stays as it is, also where a variance is nearly 0.
        wide = gamma.astype(np.float64) * np.sqrt((variance + BN_EPS) / (variance + eps))
        gamma = wide.astype(np.float32)
    return gamma, beta, mean if bias is None else mean - bias, variance
