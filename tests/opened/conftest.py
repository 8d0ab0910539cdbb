"""One small network in three forms, and pictures to show it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mobilenets.data.shapes import Shapes
from mobilenets.export import export_onnx
from mobilenets.weights.sources.own import save
from tests.small import of_shapes


class Files(NamedTuple):
    module: torch.nn.Module
    checkpoint: Path
    onnx: Path
    picture: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    model = of_shapes(48, width=0.35, resize="squash")
    shown = np.stack([np.asarray(Shapes(48).image(i)) for i in range(16)])
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # statistics of one batch: outputs that differ between images
    with torch.no_grad():
        model.train()(torch.from_numpy(shown).permute(0, 3, 1, 2) / 127.5 - 1)
    model.eval()
    folder = tmp_path_factory.mktemp("opened")
    save(model, folder / "m.safetensors")
    export_onnx(model, folder / "m.onnx")
    (folder / "photos").mkdir()
    for index in range(3):
        Shapes(60).image(index).save(folder / "photos" / f"{index}.png")
    return Files(model, folder / "m.safetensors", folder / "m.onnx", folder / "photos" / "0.png")
