"""The figures of segmentation against scikit-learn's, and a loss that void has no part in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torch import Tensor, nn

from vitrail.config import Preprocessing
from vitrail.data.segments import VOID
from vitrail.heads.names import build_model
from vitrail.heads.segmenter import Segmenter
from vitrail.settings import Dense
from vitrail.tasks.segmentation.loss import Segmentation, confusion, figures, pixel_loss
from vitrail.training.measure import add_up, mean_of_ratios, measure

CLASSES = 4


class Given(nn.Module):
    """A model whose scores are the image's own channels."""

    num_classes = CLASSES
    depth = 0

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SimpleNamespace(strides=(1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return images


def task() -> Segmentation:
    plain = Preprocessing(channels=CLASSES, mean=(0.0,) * CLASSES, std=(1.0,) * CLASSES)
    return Segmentation(Given(), plain)  # type: ignore[arg-type]


def batch_of(found: list[Tensor], truth: list[Tensor]) -> dict[str, Tensor]:
    """Images that score ``found`` highest, padded to a common size."""
    height, width = (max(t.shape[axis] for t in truth) for axis in (0, 1))

    def padded(maps: Tensor, value: int) -> Tensor:
        return F.pad(maps, (0, width - maps.shape[-1], 0, height - maps.shape[-2]), value=value)

    images = [padded(200 * F.one_hot(f.long(), CLASSES).permute(2, 0, 1).to(torch.uint8), 0) for f in found]
    sizes = torch.tensor([list(t.shape) for t in truth])
    semantic = torch.stack([padded(t, VOID) for t in truth])
    return {"image": torch.stack(images), "semantic": semantic, "size": sizes, "shape": sizes}


@given(st.integers(0, 10_000), st.integers(1, 3), st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_figures_over_batches_of_any_sizes_equal_those_of_scikit_learn(seed: int, count: int, void: float) -> None:
    torch.manual_seed(seed)
    sizes = torch.randint(1, 9, (count, 2)).tolist()
    found = [torch.randint(0, CLASSES, size, dtype=torch.uint8) for size in sizes]
    truth = [torch.randint(0, CLASSES, size, dtype=torch.uint8) for size in sizes]
    truth = [torch.where(torch.rand(t.shape) < void, torch.tensor(VOID, dtype=torch.uint8), t) for t in truth]
    parts = [slice(0, 1), slice(1, None)][: 1 + (count > 1)]
    measured = measure(task(), [batch_of(found[part], truth[part]) for part in parts])
    said, right = (torch.cat([t.flatten() for t in maps]).numpy() for maps in (found, truth))
    said, right = said[right != VOID], right[right != VOID]
    if not len(right):
        assert np.isnan(measured["mean_iou"])
        return
    seen = sorted(set(said) | set(right))
    assert measured["mean_iou"] == pytest.approx(jaccard_score(right, said, labels=seen, average="macro"), abs=1e-12)
    assert measured["pixel_accuracy"] == pytest.approx(accuracy_score(right, said), abs=1e-12)
    table = confusion(torch.from_numpy(right), torch.from_numpy(said), CLASSES)
    assert (table.numpy() == confusion_matrix(right, said, labels=range(CLASSES))).all()


def test_mean_iou_is_of_the_whole_and_not_the_mean_over_images() -> None:
    truth = [torch.tensor([[0, 0, 0, 0]], dtype=torch.uint8), torch.tensor([[1]], dtype=torch.uint8)]
    found = [torch.tensor([[0, 0, 0, 1]], dtype=torch.uint8), torch.tensor([[1]], dtype=torch.uint8)]
    measured = measure(task(), [batch_of(found[:1], truth[:1]), batch_of(found[1:], truth[1:])])
    assert measured["mean_iou"] == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_a_class_that_is_neither_there_nor_found_does_not_count() -> None:
    totals = add_up(task(), [batch_of([torch.zeros(2, 2)], [torch.zeros(2, 2, dtype=torch.uint8)])])
    sums, counts = totals["mean_iou"]
    assert counts == [4, 0, 0, 0]
    assert mean_of_ratios(sums, counts) == 1.0


def test_one_void_pixel_changes_nothing_but_its_own_count() -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, CLASSES, (5, 7), dtype=torch.uint8)
    found = torch.randint(0, CLASSES, (5, 7), dtype=torch.uint8)
    whole = confusion(truth, found, CLASSES)
    without = truth.clone()
    without[2, 3] = VOID
    difference = whole - confusion(without, found, CLASSES)
    assert difference.sum() == 1
    assert difference[int(truth[2, 3]), int(found[2, 3])] == 1


def test_figures_are_those_of_a_table_counted_by_hand() -> None:
    found = figures(torch.tensor([[3, 1], [2, 4]]))
    assert [value.tolist() for value in found["mean_iou"]] == [[3, 4], [6, 7]]
    assert [value.tolist() for value in found["pixel_accuracy"]] == [7, 10]
    assert [value.tolist() for value in found["mean_accuracy"]] == [[3, 4], [4, 6]]


def test_the_loss_is_the_mean_over_pixels_that_are_not_void() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, CLASSES, 3, 5, requires_grad=True)
    target = torch.randint(0, CLASSES, (2, 3, 5), dtype=torch.uint8)
    target[0, :, :2] = VOID
    total = sum(
        -scores[b, :, y, x].log_softmax(0)[target[b, y, x].long()]
        for b in range(2)
        for y in range(3)
        for x in range(5)
        if target[b, y, x] != VOID
    )
    assert torch.allclose(pixel_loss(scores, target), total / 24)
    pixel_loss(scores, target).backward()
    assert scores.grad is not None
    assert (scores.grad[0, :, :, :2] == 0).all()


def test_a_batch_of_nothing_but_void_has_loss_zero_and_a_gradient() -> None:
    scores = torch.randn(1, CLASSES, 2, 2, requires_grad=True)
    loss = pixel_loss(scores, torch.full((1, 2, 2), VOID, dtype=torch.uint8))
    loss.backward()
    assert loss == 0
    assert scores.grad is not None
    assert (scores.grad == 0).all()


def test_auxiliary_losses_count_with_their_weight() -> None:
    torch.manual_seed(0)
    backbone = build_model("vit_ti16", num_classes=0, width=32, depth=4, num_heads=2, patch_size=8, image_size=32)
    model = Segmenter(backbone, CLASSES, Dense("setr_mla", width=32, norm="group", dropout=0.0))
    batch = {
        "image": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
        "semantic": torch.randint(0, CLASSES, (2, 32, 32), dtype=torch.uint8),
    }
    learned = Segmentation(model, Preprocessing(), auxiliary=0.4)
    scores, extra = model.all_scores(learned.normalise(batch["image"]))
    assert len(extra) == 4
    losses = [pixel_loss(part, batch["semantic"]) for part in (scores, *extra)]
    assert torch.allclose(learned(batch)["loss"], losses[0] + 0.4 * sum(losses[1:]))
    assert set(learned.export_state()) == set(model.state_dict())
