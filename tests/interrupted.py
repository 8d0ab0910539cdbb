"""A training run that somebody stops."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mobilenets.training.loop import InterruptedRunError, Trainer


@contextmanager
def stopped_before(epoch: int) -> Iterator[None]:
    """Runs in this block end before that epoch, counted from 0, as by Ctrl-C."""
    real = Trainer.train_epoch

    def stopped(self, number, report):
        if number == epoch:
            raise InterruptedRunError("stopped")
        real(self, number, report)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", stopped)
        yield
