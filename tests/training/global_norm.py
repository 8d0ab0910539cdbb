"""Run by test_processes.py: two processes of a GlobalBatchNorm2d, half a batch each."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mobilenets.training.norms import share_statistics


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    torch.manual_seed(0)
    norm = share_statistics(torch.nn.BatchNorm2d(3, momentum=0.1), torch.device("cpu"))
    part = slice(4 * rank, 4 * rank + 4)
    x = torch.randn(8, 3, 5, 4)[part].requires_grad_()
    weight = torch.randn(8, 3, 5, 4)[part]
    (norm(x) * weight).sum().backward()
    out = {"grad": x.grad, "mean": norm.running_mean, "var": norm.running_var}
    torch.save(out, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (sys.argv[1],), nprocs=2)
