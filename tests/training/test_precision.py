from __future__ import annotations

import platform

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.training import precision
from vitrail.training.precision import keep_large_buffers, resolve

CPU = torch.device("cpu")


@pytest.mark.parametrize(("amx", "avx", "name"), [(True, True, "bf16"), (False, True, "bf16"), (False, False, "fp32")])
def test_auto_takes_bf16_only_where_the_cpu_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx: bool, name: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert resolve("auto", CPU).name == name


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_takes_bf16_from_cuda_capability_8_on(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve("auto", torch.device("cuda", 0)).name == name


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_autocast_computes_matrix_products_in_the_precision(name: str, dtype: torch.dtype) -> None:
    with resolve(name, CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("name", ["fp16", "bf61"])
def test_a_precision_that_cannot_work_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        resolve(name, CPU)


def test_auto_finds_a_device_that_works() -> None:
    assert torch.ones(1, device=precision.device("auto")).item() == 1.0


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_an_error_in_one_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=f"device .*{name}"):
        precision.device(name)


def test_the_process_gets_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert precision.device("auto", local_rank=3) == torch.device("cuda", 3)
    assert precision.device("cuda:1", local_rank=3) == torch.device("cuda", 1)


def test_large_buffers_are_kept_exactly_where_glibc_can() -> None:
    assert keep_large_buffers() == (platform.libc_ver()[0] == "glibc")
