"""What torch computes on, by name."""

import pytest
import torch

from mobilenets.devices import describe, devices, find_device


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda:²"])
def test_a_name_that_is_none_is_refused(no_gpu, name):
    with pytest.raises(ValueError, match=r"device must be auto, cpu, cuda, cuda:N or mps, got"):
        find_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_what_is_not_there_is_refused_with_what_is(no_gpu, name):
    with pytest.raises(ValueError, match=f"this machine's, cpu, got '{name}'"):
        find_device(name)


def test_cards_by_number(two_gpus):
    assert devices()[:3] == ["cpu", "cuda:0", "cuda:1"]
    assert find_device("cuda:1") == torch.device("cuda", 1)
    assert find_device("auto") == find_device("cuda") == torch.device("cuda")
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"cpu, cuda:0, cuda:1.*, got 'cuda:2'"):
        find_device("cuda:2")
    assert describe(torch.device("cuda")) == "cuda:1 (card 1)"
    assert describe(torch.device("cuda:0")) == "cuda:0 (card 0)"


def test_without_a_card_it_is_the_cpu(no_gpu):
    assert find_device() == torch.device("cpu")
    assert describe(find_device()) == f"cpu, {torch.get_num_threads()} thread" + "s" * (
        torch.get_num_threads() > 1
    )
