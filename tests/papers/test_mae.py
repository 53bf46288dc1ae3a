import random
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import spearmanr

from vitrail.config import replace
from vitrail.papers.cells import by_recipe, encoded, fine_tuning, mae_pretraining, training
from vitrail.papers.grid import Filled, Row, Table, order_agrees
from vitrail.papers.mae import RATIO, SHARES, compare, labels_row
from vitrail.settings import PaperSettings, TrainSettings
from vitrail.tasks.recipes import find_recipe


def filled(ours: list[float], theirs: list[float]) -> Filled:
    rows = tuple(Row(str(n), lambda seed, folder: {}, {"top1": v, "probe": v}) for n, v in enumerate(theirs))
    figures = {row.name: {0: {"top1": v, "probe": v}} for row, v in zip(rows, ours, strict=True)}
    return Filled(Table("t", rows, ()), figures, "")


def test_orders_are_compared_as_spearman_did() -> None:
    generator = random.Random(0)
    for _ in range(20):
        ours, theirs = ([generator.randint(0, 6) / 10 for _ in range(8)] for _ in range(2))
        expected: Any = spearmanr(ours, theirs)
        assert order_agrees(filled(ours, theirs), "top1") == pytest.approx(expected.statistic)
    assert order_agrees(filled([0.5, 0.5], [0.1, 0.2]), "top1") == 0.0


def test_a_gap_within_the_noise_is_said_to_be_that() -> None:
    table = filled([0.5, 0.52], [0.1, 0.2])
    figures = {
        name: {s: {"top1": f[0]["top1"] + s / 10, "probe": 0.1} for s in (0, 1)} for name, f in table.figures.items()
    }
    assert "2.0 points apart, within the seeds' 7.1" in compare(Filled(table.table, figures, ""))


def test_tables_share_an_encoder_and_settings_have_one_each(tmp_path: Path) -> None:
    settings = replace(mae_pretraining(PaperSettings(), decoder_depth=1), epochs=0.1)
    one = encoded(settings, 0, tmp_path / "mae-ratio" / "row" / "seed_0")
    same = encoded(settings, 0, tmp_path / "mae-depth" / "another" / "seed_0")
    assert one.folder == same.folder
    assert not (one.folder / "report.html").exists(), "drawing every cell would take longer than training it"
    others = [
        encoded(settings, 1, tmp_path / "x" / "y" / "z"),
        encoded(replace(settings, mask_ratio=0.5), 0, one.folder),
    ]
    assert len({one.folder, *(other.folder for other in others)}) == 3


def test_fine_tuning_follows_the_small_recipe() -> None:
    settings, recipe = fine_tuning(PaperSettings()), find_recipe(TrainSettings, "finetune_small")
    assert (settings.lr, settings.optim) == (recipe.lr, recipe.optim)
    assert settings.architecture.pool == recipe.architecture.pool
    assert settings.architecture.width == mae_pretraining(PaperSettings()).architecture.width


@pytest.mark.parametrize("name", ["finetune_small_long", "scratch"])
def test_both_sides_of_the_comparison_learn_and_mix_by_their_recipe(name: str) -> None:
    base = training(PaperSettings(), 10, labels=0.1)
    settings, recipe = by_recipe(base, name), find_recipe(TrainSettings, name)
    assert (settings.lr, settings.optim) == (recipe.lr, recipe.optim)
    assert (settings.augment.mixup, settings.augment.cutmix) == (recipe.augment.mixup, recipe.augment.cutmix)
    assert settings.augment.crop_scale == base.augment.crop_scale
    assert settings.architecture.drop_path == recipe.architecture.drop_path


def test_rows_are_named_as_people_write() -> None:
    assert [row.name for row in RATIO.at(PaperSettings()).rows] == ["10 %", "30 %", "50 %", "75 %", "90 %"]
    assert labels_row(next(iter(SHARES)), pretrained=False) == "1 % of the labels, from scratch"
