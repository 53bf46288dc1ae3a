"""What is kept of each image of a segmenter, against loops over pixels and scikit-learn."""

from collections import deque

import numpy as np
import pytest
import torch
from sklearn import metrics

from vitrail.data.segments import VOID
from vitrail.data.sources import Images
from vitrail.tasks.segmentation import study as study_module
from vitrail.tasks.segmentation.loss import figures
from vitrail.tasks.segmentation.metrics import summarise
from vitrail.tasks.segmentation.study import STEPS, Study, average_precision, precision_recall
from vitrail.trust.intervals import RESAMPLES

CLASSES = 4


def image_of(seed: int, height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """Return classes in blocks, some of them void, and probabilities that are right more often than not."""
    random = np.random.RandomState(seed)
    target = np.kron(random.randint(0, CLASSES - 1, (height // 8, width // 8)), np.ones((8, 8), dtype=np.int64))
    target[:3] = VOID
    known = np.where(target == VOID, 0, target)
    scores = random.normal(size=(CLASSES, height, width)) + 1.5 * (np.arange(CLASSES)[:, None, None] == known)
    shares = torch.from_numpy(scores).softmax(dim=0)[None].float()
    return torch.from_numpy(target.astype(np.uint8))[None], shares


def studied(seeds: list[int]) -> tuple[Study, dict[str, tuple[list[float], list[float]]]]:
    """Return a study of images, and what is added up of them."""
    study, totals = Study(), {}
    for number, seed in enumerate(seeds):
        target, found = image_of(seed)
        study.watch(target, found)
        table = torch.from_numpy(tables([seed])[0])
        losses = -found.gather(1, target.long().where(target != VOID, 0)[:, None])[:, 0][target != VOID].log().sum()
        measured = {**figures(table), "loss": (losses, table.sum())}
        study.each({"index": torch.tensor([number])}, measured)
        for name, pair in measured.items():
            rows = [np.atleast_1d(one.numpy().astype(np.float64)) for one in pair]
            totals[name] = [a + b for a, b in zip(totals[name], rows, strict=True)] if name in totals else rows
    return study, {name: tuple(one.tolist() for one in pair) for name, pair in totals.items()}


def tables(seeds: list[int]) -> list[np.ndarray]:
    found = []
    for seed in seeds:
        target, shares = image_of(seed)
        table = np.zeros((CLASSES, CLASSES), dtype=np.int64)
        for is_, said in zip(target[0].flatten().tolist(), shares[0].argmax(dim=0).flatten().tolist(), strict=True):
            if is_ != VOID:
                table[is_, said] += 1
        found.append(table)
    return found


def test_confusions_and_main_mistakes_are_those_of_a_loop_over_pixels() -> None:
    study, _ = studied([3, 4])
    assert study.table.tolist() == sum(tables([3, 4])).tolist()
    for mistake, table in zip(study.mistakes, tables([3, 4]), strict=True):
        np.fill_diagonal(table, 0)
        assert mistake == (table.max(), *divmod(int(table.argmax()), CLASSES))


@pytest.mark.parametrize("kind", range(CLASSES - 1))
def test_average_precision_is_scikit_learns_of_probabilities_in_a_hundred_steps(kind: int) -> None:
    target, found = image_of(7)
    study = Study()
    study.watch(target, found)
    known = (target[0] != VOID).numpy()
    steps = np.floor(found[0, kind].numpy() * STEPS)[known]
    labels = (target[0] == kind).numpy()[known]
    assert average_precision(study.sure[kind]) == pytest.approx(metrics.average_precision_score(labels, steps))
    precision, recall = precision_recall(study.sure[kind])
    theirs = metrics.precision_recall_curve(labels, steps)
    assert precision[-1] == pytest.approx(labels.mean())
    assert set(np.round(theirs[0][:-1], 9)) <= {*np.round(precision, 9)}
    assert recall[-1] == 1.0
    assert average_precision(study.sure[CLASSES - 1]) is None


def test_regions_are_those_of_a_flood_fill_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "EDGES", (65, 200))
    target, found = image_of(5)
    study = Study()
    study.watch(target, found)
    classes, called = target[0].numpy(), found[0].argmax(dim=0).numpy()
    counts, seen = np.zeros((CLASSES, 3, 2), dtype=np.int64), np.zeros(classes.shape, dtype=bool)
    for start in zip(*np.nonzero(classes != VOID), strict=True):
        if seen[start]:
            continue
        seen[start], region, queue = True, [], deque([start])
        while queue:
            y, x = queue.popleft()
            region.append((y, x))
            for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                inside = 0 <= place[0] < classes.shape[0] and 0 <= place[1] < classes.shape[1]
                if inside and not seen[place] and classes[place] == classes[start]:
                    seen[place] = True
                    queue.append(place)
        size = 0 if len(region) < 65 else 1 if len(region) < 200 else 2
        counts[classes[start], size] += (len(region), sum(called[place] == classes[place] for place in region))
    assert study.regions.tolist() == counts.tolist()
    assert (counts[:, :, 0].sum(axis=0) > 0).sum() >= 2


def test_intervals_are_those_of_images_drawn_anew_and_values_those_that_were_added_up() -> None:
    seeds = [3, 4, 5, 6, 8, 9, 11, 13, 14, 17, 18, 19]
    study, totals = studied(seeds)
    images = Images(tuple(range(len(seeds))), None, tuple(f"{seed}.png" for seed in seeds))
    found = summarise("test", images, totals, study, tuple("abcd"), ())
    known = tables(seeds)
    random, drawn = np.random.RandomState(0), []
    for weights in random.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), RESAMPLES):
        table = sum(weight * one for weight, one in zip(weights, known, strict=True))
        union = table.sum(axis=0) + table.sum(axis=1) - table.diagonal()
        drawn.append(np.mean([table[k, k] / union[k] for k in range(CLASSES) if union[k]]))
    one = found.estimates["mean_iou"]
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert (one.low, one.high) == pytest.approx((2 * found.mean_iou - high, 2 * found.mean_iou - low))
    assert one.value == found.mean_iou
    assert found.estimates["loss"].value == found.loss
    assert [row.iou.value for row in found.per_class] == pytest.approx([row[2] for row in found.classes])
    assert [row.found.value for row in found.per_class[:3]] == pytest.approx([row[3] for row in found.classes[:3]])
    assert found.per_class[3].found.value is None
    shares = {name: table.diagonal().sum() / table.sum() for name, table in zip(images.names, known, strict=True)}
    assert [one.file for one in found.worst_images] == sorted(shares, key=shares.__getitem__)[:8]
    assert found.worst_images[0].right == pytest.approx(min(shares.values()))


def test_of_large_images_fewer_pixels_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "MOST_COUNTED", 1000)
    target, found = image_of(5)
    study = Study()
    study.watch(target, found)
    step = 3  # 4 classes x 14 x 19 pixels are more than 1000, 4 x 14 x 14 are not
    while found[0, :, ::step, ::step].numel() > 1000:
        step += 1
    assert study.sure.sum() == CLASSES * int((target[0, ::step, ::step] != VOID).sum())
