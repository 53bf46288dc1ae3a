from typing import Any

import pytest
import torch
from PIL import Image

from vitrail.config import Preprocessing, replace
from vitrail.data.batches import collate
from vitrail.data.joint import JointTransform
from vitrail.data.objects import Objects, no_objects
from vitrail.errors import ConfigError
from vitrail.heads.dense import dense_options
from vitrail.heads.detr import match
from vitrail.heads.names import build_model
from vitrail.heads.registry import head_for, put_head
from vitrail.settings import Dense
from vitrail.tasks.detection.loss import Detection

SMALL = Dense(width=32, hidden=32, norm="group", anchor_size=4, proposals=50, regions=32, queries=20, layers=1)
HEADS = ["mask_rcnn", "faster_rcnn", "cascade_mask_rcnn", "detr"]


def detector(head: str, model: str = "swin_t", **changes: Any) -> Detection:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"embed_width": 32, "depths": (1, 1, 1, 1)} if model == "swin_t" else {}
    shape = shape or {"width": 64, "depth": 4, "num_heads": 2}
    backbone = build_model(model, num_classes=0, image_size=64, **shape)
    dense = replace(SMALL, **changes)
    return Detection(put_head(backbone, head, dense_options(dense, 3)), Preprocessing((64, 64)))


def sample(height: int, width: int, boxes: list[list[float]], classes: list[int]) -> dict[str, Any]:
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    objects = Objects(torch.tensor(boxes).view(-1, 4).float(), torch.tensor(classes, dtype=torch.int64), masks)
    size = torch.tensor([height, width])
    image = torch.randint(256, (3, height, width), dtype=torch.uint8)
    return {"image": image, "size": size, "original": size, "index": 0, "objects": objects}


ODD = [
    # As large as the image, touching every border, and one of a single pixel.
    sample(45, 71, [[0, 0, 71, 45], [10, 10, 11, 11]], [0, 1]),
    sample(80, 33, [], []),
]
MANY = [sample(96, 96, [[x, y, x + 5.0, y + 5.0] for x in range(0, 90, 5) for y in range(0, 90, 5)][:300], [2] * 300)]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("samples", [ODD, MANY, ODD[1:]], ids=["odd", "300 objects", "no object"])
def test_a_batch_of_any_shape_trains_every_parameter(head: str, samples: list[dict[str, Any]]) -> None:
    task = detector(head).train()
    losses = task(collate(samples))
    assert torch.isfinite(losses["loss"])
    losses["loss"].backward()
    assert not [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)


@pytest.mark.parametrize("head", HEADS)
def test_what_is_found_lies_in_the_image_and_does_not_depend_on_its_batch(head: str) -> None:
    task = detector(head).eval()
    together = task.find(collate(ODD))
    alone = [task.find(collate([one]))[0] for one in ODD]
    for mine, other, one in zip(together, alone, ODD, strict=True):
        height, width = one["size"].tolist()
        assert torch.equal(mine.boxes, other.boxes)
        assert torch.equal(mine.scores, other.scores)
        assert (mine.boxes[:, 2] <= width + 1e-3).all()
        assert (mine.boxes[:, 3] <= height + 1e-3).all()
        if task.model.finds_masks and len(mine):
            assert mine.pasted(0, height, width).shape == (height, width)


def test_half_precision_leaves_boxes_and_losses_in_full() -> None:
    task = detector("mask_rcnn").train()
    torch.manual_seed(0)
    full = task(collate(ODD))["loss"]
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        half = task(collate(ODD))["loss"]
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.1)


@pytest.mark.parametrize("model", ["swin_t", "vit_ti16"])
def test_one_image_is_learned_by_heart(model: str) -> None:
    torch.manual_seed(0)
    task = detector("mask_rcnn", model).train()
    one = sample(64, 64, [[8, 8, 28, 30], [36, 30, 60, 58]], [0, 2])
    one["image"][:] = 40
    one["image"][0, 8:30, 8:28] = 220
    one["image"][1, 30:58, 36:60] = 220
    batch = collate([one, one])
    optimizer = torch.optim.AdamW(task.parameters(), lr=2e-3)
    for _ in range(100):
        optimizer.zero_grad()
        task(batch)["loss"].backward()
        optimizer.step()
    found = task.eval().find(batch)[0]
    found = found.keep(found.scores > 0.7)
    assert sorted(found.classes.tolist()) == [0, 2]
    first = found.boxes[found.classes == 0][0]
    assert (first - torch.tensor([8.0, 8, 28, 30])).abs().max() < 4


def test_the_padding_of_a_batch_is_no_part_of_an_image() -> None:
    task = detector("mask_rcnn").eval()
    batch = collate(ODD)
    before = task.find(batch)[1]
    batch["image"][1, :, 80:] = 255
    batch["image"][1, :, :, 33:] = 255
    after = task.find(batch)[1]
    assert torch.equal(before.boxes, after.boxes)


def test_anchors_have_the_size_of_their_stride() -> None:
    model = detector("faster_rcnn").model
    sizes = [size for (size,) in model.proposals.anchor_generator.sizes]
    assert sizes == [16, 32, 64, 128, 256]


def test_a_head_for_another_task_is_refused() -> None:
    assert head_for("detect", "auto") == "mask_rcnn"
    with pytest.raises(ConfigError, match="upernet cannot detect"):
        head_for("detect", "upernet")


@pytest.mark.parametrize(
    ("head", "setting", "answer"),
    [
        ("mask_rcnn", {"width": 0}, "--dense.width must be 1 or more"),
        ("mask_rcnn", {"windows": -4}, "--dense.windows must be 0 or more"),
        ("mask_rcnn", {"anchor_size": 0.0}, "--dense.anchor-size must be above 0"),
        ("mask_rcnn", {"norm": "batch"}, "is for a segmenter"),
        ("detr", {"queries": 0}, "--dense.queries must be 1 or more"),
        ("detr", {"width": 48}, "must be a multiple"),
        ("detr", {"pyramid": "simple"}, "are for region detectors"),
    ],
)
def test_a_shape_that_cannot_work_is_refused(head: str, setting: dict[str, Any], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        detector(head, **setting)


def test_each_object_gets_the_query_that_fits_it() -> None:
    wanted = torch.tensor([[0.25, 0.25, 0.2, 0.2], [0.75, 0.75, 0.2, 0.2]])
    boxes = torch.cat([wanted.flip(0) + 0.01, torch.tensor([[0.5, 0.5, 0.9, 0.9]])])
    rows, columns = match(torch.zeros(3, 4), boxes, torch.tensor([1, 2]), wanted)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_jitter_and_padding_leave_empty_images_empty() -> None:

    image, objects = JointTransform(40, 2.0, "large", (0.5, 1.5))(Image.new("RGB", (50, 30)), no_objects((50, 30)))
    assert image.shape == (3, 40, 40)
    assert len(objects) == 0
