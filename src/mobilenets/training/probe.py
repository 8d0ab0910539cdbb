"""Before the first step: a new head is fitted to the features that a run starts from.

Which rows it is fitted to, and how, is the use's `probe` part; here is what all uses share: which
images, on which device, and one head for all processes.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from mobilenets.card import ModelCard, card_of
from mobilenets.data.dataset import Dataset
from mobilenets.evaluation import batches, spread
from mobilenets.inference import CPU_PART
from mobilenets.models.modules.norms import unfold
from mobilenets.tasks.task import Task
from mobilenets.training.fitting import MICRO_SIDE
from mobilenets.training.samples import Samples

PROBE = "the probe"
"""What epoch 0 of a run is called whose head was fitted."""
AS_IT_CAME = "the weights as they came"
"""What epoch 0 of a run is called whose head is not new."""


def begin(
    model: nn.Module,
    task: Task,
    dataset: Dataset,
    say: Callable[[str], None],
    *,
    fresh: bool,
    probe: bool,
    cpu: bool,
) -> str:
    """Fit a `fresh` head with a `probe`; what epoch 0 is then, in words.

    Empty where a head is new and stays so: there is nothing to measure.
    """
    if not fresh:
        return AS_IT_CAME
    if not (probe and task.has("probe")):
        return ""
    return PROBE if fit_head(model, card_of(model), task, dataset, say, cpu=cpu) else ""


def fit_head(
    model: nn.Module,
    card: ModelCard,
    task: Task,
    dataset: Dataset,
    say: Callable[[str], None] = lambda line: None,
    *,
    cpu: bool = False,
) -> bool:
    """Fit the head of `model` in place, as the use's `probe` part has it; whether it was.

    `dataset` are the training images; of many, some drawn at random. With several
    processes each reads its share, and all get the head that the first one fits.
    """
    chosen = spread(len(dataset), task.probe.most(len(dataset.classes)))
    together = dist.is_available() and dist.is_initialized()
    rank, world = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    rows = features(model, card, task, dataset, chosen[rank::world], cpu=cpu)
    if world > 1:
        parts = [part for part in gather_object([rows]) if part]
        rows = tuple(torch.cat(some) for some in zip(*parts, strict=True))
    told = ""
    model.to("cpu")
    if rank == 0 and rows:
        told = task.probe.fit(model, rows)
    if world > 1:
        found: list[Any] = [told, model.state_dict() if rank == 0 else None]
        broadcast_object_list(found)
        told = found[0]
        model.load_state_dict(found[1])
    if not told:
        return False
    some = f", {len(chosen)} of {len(dataset)}" if len(chosen) < len(dataset) else ""
    say(f"the head starts from a probe: {told}{some}")
    return True


@torch.no_grad()
def features(
    model: nn.Module,
    card: ModelCard,
    task: Task,
    dataset: Dataset,
    indices: list[int],
    *,
    cpu: bool = False,
) -> tuple[Tensor, ...]:
    """What the head is fitted to, from the images at `indices`; () where none can be read.

    The network sees them as it will to predict. It is left in evaluation mode.
    """
    device = torch.device("cpu")
    if torch.accelerator.is_available() and not cpu:
        device = torch.accelerator.current_accelerator() or device
    model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = CPU_PART if device.type == "cpu" else task.defaults.batch
    found: list[tuple[Tensor, ...]] = []
    for batch in batches(dataset, indices, card.preprocessing, size):
        if not len(batch.inputs):
            continue
        images = torch.from_numpy(batch.inputs).to(device, memory_format=torch.channels_last)
        rows = task.probe.rows(model, images, batch.targets, batch.sizes)
        found.append(tuple(part.detach().cpu() for part in rows))
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def measure_norms(model: nn.Module, samples: Samples, pixels: int) -> None:
    """Unfold the norms on 256 training images of 224 x 224, or as many fewer larger ones.

    They have `pixels` each, and are the same in every process.
    """
    share = min(MICRO_SIDE**2 / pixels, 1.0)
    keys = [(0, index) for index in spread(len(samples.dataset), max(round(256 * share), 1))]
    together = max(round(32 * share), 1)
    unfold(
        model,
        (
            torch.stack([samples[key][0] for key in keys[first : first + together]])
            for first in range(0, len(keys), together)
        ),
    )
