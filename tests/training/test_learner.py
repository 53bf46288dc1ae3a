from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.toys import ToyBatches, ToyTask, hash_of
from vitrail.config import Optim
from vitrail.errors import TrainingError
from vitrail.training.learner import Failures, Learner, Means, seed_of, size_of
from vitrail.training.measure import to_device
from vitrail.training.runtime import Runtime

CPU = torch.device("cpu")


def learner(task: nn.Module | None = None, optim: Optim | None = None, precision: str = "fp32") -> Learner:
    return Learner(task or ToyTask(), optim or Optim(), runtime=Runtime.named("cpu", precision), seed=0, steps=20)


def learn(learner: Learner, step: int = 0, rate: float = 0.1, **batches: Any) -> None:
    toys = ToyBatches(**batches)
    learner.learn(next(toys.start(step)), step=step, batch_size=toys.batch_size, rate=rate)


def gradients(learner: Learner) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in learner.parameters if parameter.grad is not None])


class Spoilt(ToyTask):
    """Its loss is spoilt at will, without the gradient noticing by itself."""

    spoiler = 0.0

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        loss = super().forward(batch)["loss"]
        return {"loss": loss + torch.tensor(self.spoiler)}


@pytest.mark.parametrize("micro_batches", [2, 3, 8])
def test_accumulated_gradients_are_those_of_the_whole_batch(micro_batches: int) -> None:
    whole, cut = (learner(ToyTask(dropout=0.0), Optim(clip=0.0)) for _ in range(2))
    learn(whole)
    learn(cut, micro_batches=micro_batches)  # three of eight: sizes 3, 3, 2
    torch.testing.assert_close(gradients(cut), gradients(whole), rtol=1e-5, atol=1e-7)


def test_dropout_belongs_to_the_seed_the_step_and_the_position() -> None:
    def drawn(step: int, position: int) -> str:
        task = learner()
        batch = {**next(ToyBatches().start(0))[0], "position": position}
        torch.rand(position + 17)  # whatever was drawn before
        task.learn([batch], step=step, batch_size=8, rate=0.0)
        return hash_of(gradients(task))

    assert drawn(3, 1) == drawn(3, 1)
    assert len({drawn(3, 1), drawn(3, 0), drawn(4, 1)}) == 3


@pytest.mark.parametrize("spoiler", [math.nan, math.inf, -math.inf])
def test_a_step_whose_loss_is_not_finite_changes_no_weight_and_no_moment(spoiler: float) -> None:
    task = Spoilt()
    spoilt = learner(task)
    learn(spoilt, step=0)
    before = hash_of([task.state_dict(), spoilt.optimizer.state_dict()["state"]])
    task.spoiler = spoiler
    learn(spoilt, step=1)
    assert hash_of([task.state_dict(), spoilt.optimizer.state_dict()["state"]]) == before
    assert spoilt.failures.read() == (1, 1)
    task.spoiler = 0.0
    learn(spoilt, step=2)
    assert hash_of([task.state_dict(), spoilt.optimizer.state_dict()["state"]]) != before
    assert spoilt.failures.read() == (0, 1)


def test_one_bad_micro_batch_of_many_skips_the_whole_step() -> None:
    once = learner()
    before = hash_of(once.task.state_dict())
    micro_batches = next(ToyBatches(micro_batches=4).start(0))
    micro_batches[2]["image"][0, 0] = math.nan
    once.learn(micro_batches, step=0, batch_size=8, rate=0.1)
    assert hash_of(once.task.state_dict()) == before


def test_the_gradient_is_clipped_to_its_norm() -> None:
    free, clipped = learner(optim=Optim(clip=0.0)), learner(optim=Optim(clip=0.01))
    learn(free)
    learn(clipped)
    assert gradients(free).norm() > 0.1
    assert gradients(clipped).norm().item() == pytest.approx(0.01, rel=1e-3)
    direction = F.cosine_similarity(gradients(free), gradients(clipped), dim=0)
    assert direction.item() == pytest.approx(1.0)
    assert clipped.means.read("grad_norm") == free.means.read("grad_norm")


def test_a_process_without_a_micro_batch_is_an_error_not_a_hang() -> None:
    with pytest.raises(TrainingError, match="smaller micro_batch"):
        learner().learn([], step=0, batch_size=8, rate=0.1)


def test_bf16_learns_with_weights_and_moments_in_fp32() -> None:
    task = learner(precision="bf16")
    learn(task)
    assert {p.dtype for p in task.parameters} == {torch.float32}
    assert task.failures.read() == (0, 0)


def test_what_is_exported_has_the_averaged_weights_and_what_learns_has_its_own() -> None:
    task = learner(optim=Optim(ema=0.5))
    name = "net.0.weight"
    learn(task)
    exported, learning = task.export_state()[name], task.state_dict()["task"][name]
    assert torch.equal(exported, task.ema.averages[0])  # type: ignore[union-attr]
    assert not torch.equal(exported, learning)
    assert torch.equal(learning, dict(task.task.named_parameters())[name])


def test_the_task_may_choose_what_is_exported() -> None:
    class Choosy(ToyTask):
        def export_state(self) -> dict[str, Tensor]:
            return {"head": self.net[-1].weight}  # type: ignore[dict-item]

    assert list(learner(Choosy()).export_state()) == ["head"]


def test_evaluation_has_the_averaged_weights_no_dropout_and_no_gradient() -> None:
    task = learner(optim=Optim(ema=0.5))
    learn(task)
    averaged = task.export_state()
    with task.evaluating() as lent:
        assert hash_of(lent.state_dict()) == hash_of(averaged)
        assert not lent.training
        assert not torch.is_grad_enabled()
    assert hash_of(task.task.state_dict()) != hash_of(averaged)


def test_a_checkpoint_of_another_model_is_an_error() -> None:
    with pytest.raises(TrainingError, match="another model"):
        learner().load_state_dict(learner(nn.Linear(2, 2)).state_dict())


def test_means_are_weighted_and_leave_out_what_is_not_finite() -> None:
    means = Means(CPU)
    for value, weight in ((1.0, 3.0), (5.0, 1.0), (math.nan, 9.0)):
        means.add({"loss": torch.tensor(value)}, weight)
    assert means.read("loss") == 2.0
    assert means.take() == {"loss": (8.0, 4.0)}
    assert math.isnan(means.read("loss"))


def test_failures_are_counted_in_a_row_and_altogether() -> None:
    failures = Failures(CPU)
    for failed in (True, True, False, True):
        failures.add(torch.tensor(failed))
    assert failures.read() == (1, 3)


def test_seeds_differ_and_stay_the_same_for_ever() -> None:
    seeds = {seed_of(seed, step, position) for seed in range(5) for step in range(20) for position in range(5)}
    assert len(seeds) == 500
    assert seed_of(0, 0, 0) == 3150921512212191848  # or old runs resume with other dropout
    assert all(0 <= seed < 2**63 for seed in seeds)


class Following(ToyTask):
    """A teacher follows its student as the steps go by: what self-distillation asks of a training loop."""

    uses_step = True
    teacher: Tensor

    def __init__(self, spoilt: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_buffer("teacher", torch.zeros_like(self.weight))
        self.spoilt, self.seen, self.called = spoilt, [], []

    @property
    def weight(self) -> Tensor:
        return self.get_parameter("net.0.weight")

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        self.seen.append((int(batch["step"]), batch["steps"]))
        loss = super().forward(batch)["loss"]
        return {"loss": loss * (torch.nan if int(batch["step"]) in self.spoilt else 1.0)}

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        self.called.append((step, steps))
        self.teacher.lerp_(self.weight, step / steps)


def test_a_task_that_asks_is_told_the_step_and_called_after_it_with_the_new_weights() -> None:
    task = Following()
    student = learner(task)
    learn(student, step=4, micro_batches=2)
    assert task.seen == [(4, 20), (4, 20)]
    assert task.called == [(5, 20)]
    torch.testing.assert_close(task.teacher, task.weight.detach() / 4)


def test_a_step_that_is_skipped_calls_nothing() -> None:
    task = Following(spoilt=(1,))
    student = learner(task)
    for step in range(3):
        learn(student, step=step)
    assert task.called == [(1, 20), (3, 20)]
    assert student.failures.read() == (0, 1)


def test_batches_say_no_step_to_a_task_that_does_not_ask() -> None:
    class Curious(ToyTask):
        def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
            assert not {"step", "steps"} & batch.keys()
            return super().forward(batch)

    learn(learner(Curious()))


def test_views_of_several_sizes_are_copied_to_the_device_and_counted_as_one_image_each() -> None:
    views = (torch.zeros(4, 1, 8, 8), torch.zeros(4, 1, 4, 4))
    batch = {"views": views, "index": torch.arange(4), "damaged": ["a.jpg"]}
    there = to_device(batch, torch.device("meta"))
    assert [view.device.type for view in there["views"]] == ["meta", "meta"]
    assert size_of({"views": views}) == 4
    assert size_of(batch) == 4
