"""Several images at once: a network of one thread on each processor.

Where there are many images this beats several threads on one: no thread waits for another at the
end of a layer, and one that another program's work holds up holds up nobody else.
"""

import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.run.pool import MAX_THREADS
from mobilenets.engine.run.session import Net

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Lanes:
    """Twins of one network side by side: each takes the next image as soon as it is free.

    Called as a `Net` is, by one thread at a time. After `fork` the child has threads of its own.
    """

    def __init__(self, net: Net, count: int) -> None:
        """`net` is the first lane; the others share its code and weights.

        ValueError unless `count` is 1 to 64.
        """
        if not 1 <= count <= MAX_THREADS:
            raise ValueError(f"threads must be from 1 to {MAX_THREADS}, got {count!r}")
        self._nets = [net, *(net.twin() for _ in range(count - 1))]
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __call__(self, x: NDArray[np.float32]) -> Any:
        """Outputs for (N, ...) with any N: one array, or a tuple of several."""
        results = self._nets[0].empty(len(x))
        parts = [len(values) // max(1, len(x)) for values in results]
        images = itertools.count()
        busy = self._nets[: max(1, len(x))]

        def work(net: Net) -> None:
            for i in images:  # `next` is one step for all threads
                if i >= len(x):
                    return
                out = [r[i * n : (i + 1) * n] for r, n in zip(results, parts, strict=True)]
                net(x[i : i + 1], out=out)

        self._run(work, busy)
        return results[0] if len(results) == 1 else tuple(results)

    def _run(self, work: Any, nets: Sequence[Net]) -> None:
        """`work` for each net at once, the first in this thread; what one raises comes through."""
        others = []
        if len(nets) > 1:
            if self._threads is None or self._process != os.getpid():
                from concurrent.futures import ThreadPoolExecutor

                most = len(self._nets) - 1
                self._threads = ThreadPoolExecutor(most, thread_name_prefix="lane")
                self._process = os.getpid()
            others = [self._threads.submit(work, net) for net in nets[1:]]
        try:
            work(nets[0])
        finally:
            for other in others:
                other.result()
