"""Where a model computes is one value, and what it says is what every command says."""

import pytest
import torch
from torch import nn

from vitrail.config import Run
from vitrail.errors import ConfigError
from vitrail.settings import EvaluateSettings, LookSettings, PredictSettings, ProbeSettings, TourSettings
from vitrail.training.runtime import Runtime


@pytest.mark.parametrize("kind", [EvaluateSettings, PredictSettings, ProbeSettings, LookSettings, TourSettings, Run])
def test_every_command_that_computes_takes_a_device_and_chooses_by_itself(kind: type) -> None:
    assert kind.device == "auto"  # type: ignore[attr-defined]


def test_settings_of_a_run_and_of_a_command_mean_the_same_place() -> None:
    run = Run(device="cpu", precision="bf16")
    command = EvaluateSettings(checkpoint="c", data="d", device="cpu", precision="bf16")
    assert Runtime.of(run) == Runtime.of(command) == Runtime.named("cpu", "bf16")
    assert str(Runtime.of(run)) == "cpu, bf16"


def test_a_product_is_computed_in_the_precision_that_is_asked_for() -> None:
    matrix = torch.eye(4)
    for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with Runtime.named("cpu", name).autocast():
            assert (matrix @ matrix).dtype == kind


def test_a_model_is_drawn_where_it_lies_in_fp32() -> None:
    runtime = Runtime.where(nn.Linear(2, 2))
    assert (runtime.device.type, runtime.precision.name) == ("cpu", "fp32")


def test_nothing_is_compiled_without_being_asked_for() -> None:
    module = nn.Linear(2, 2)
    assert Runtime.named("cpu").compiled(module) is module


def test_a_model_cannot_be_compiled_where_no_compiler_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"--run\.compile needs a C\+\+ compiler"):
        Runtime.of(Run(device="cpu", compile=True))


@pytest.mark.parametrize(("device", "precision"), [("gpu", "auto"), ("cpu", "fp16"), ("cuda:99", "auto"), ("cpu", "x")])
def test_what_is_not_there_is_refused(device: str, precision: str) -> None:
    with pytest.raises(ConfigError):
        Runtime.named(device, precision)


def test_threads_are_those_of_torch() -> None:
    assert Runtime.named("cpu").threads == torch.get_num_threads()
