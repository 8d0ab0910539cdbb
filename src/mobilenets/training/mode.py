"""What of a network learns in an epoch: all of it, or the head alone."""

from typing import cast

from accelerate import Accelerator
from torch import nn

from mobilenets.tasks.recipe import Recipe
from mobilenets.training.norms import freeze_statistics


class Mode:
    """Brings a run's network into the mode of an epoch."""

    def __init__(self, model: nn.Module, recipe: Recipe, accelerator: Accelerator) -> None:
        self.model, self.recipe, self.accelerator = model, recipe, accelerator
        self.wrapped: nn.Module | None = None
        self.frozen = False

    def __call__(self, epoch: int) -> nn.Module:
        """The network as it is trained in an epoch: as Accelerate runs it, many processes too."""
        frozen = epoch < self.recipe.freeze_epochs
        wrapped = self.wrap(frozen)
        wrapped.train()
        if self.recipe.norm == "frozen":
            freeze_statistics(self.model)
        if frozen:
            cast(nn.Module, self.model.backbone).eval()
        return wrapped

    def wrap(self, frozen: bool) -> nn.Module:
        """The network inside a shell, so that it itself stays as it was.

        Wrapped anew when what learns changes, since gradients are exchanged for that alone.
        """
        if self.wrapped is None or frozen != self.frozen:
            if self.recipe.freeze_epochs:
                cast(nn.Module, self.model.backbone).requires_grad_(not frozen)
            self.wrapped = self.accelerator.prepare_model(nn.Sequential(self.model))
            self.frozen = frozen
        assert self.wrapped is not None
        return self.wrapped
