"""Deletion and insertion against runs on what is left, and maps whose truth is known."""

import pytest
import torch

from tests.explain.naive import NaiveViT, classifier, log_probability, noise
from vitrail.errors import ConfigError
from vitrail.explain.faithfulness import Curves, Faithfulness, curves_of, measure_faithfulness, order_of, random_curves
from vitrail.explain.fill import mean_fill
from vitrail.explain.removal import Removal
from vitrail.explain.target import Target


def test_curves_are_the_probability_of_what_is_left_and_of_what_was_put_in():
    model, images = classifier(), noise(2, 8, 12)
    removal = Removal(model, images, Target(torch.tensor([1, 0])))
    values = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(6))
    curves = curves_of(removal, order_of(removal, values), steps=6)
    naive = NaiveViT(model)
    for number, chosen in enumerate([1, 0]):
        order = sorted(range(6), key=lambda patch, number=number: -float(values[number].flatten()[patch]))
        deleted, inserted = [], []
        for count in range(7):
            for kept, found in ((order[count:], deleted), (order[:count], inserted)):
                logits = naive.logits(images[number].numpy(), sorted(kept))
                found.append(float(torch.tensor(log_probability(logits, chosen)).exp()))
        assert curves.deletion[number].tolist() == pytest.approx(deleted, abs=1e-6)
        assert curves.insertion[number].tolist() == pytest.approx(inserted, abs=1e-6)
        area = sum((deleted[i] + deleted[i + 1]) / 2 / 6 for i in range(6))
        assert float(curves.deletion_area[number]) == pytest.approx(area, abs=1e-6)
        assert float(curves.drop(1 / 3)[number]) == pytest.approx(deleted[0] - deleted[2], abs=1e-6)
    assert curves.deletion[:, 0].tolist() == pytest.approx(curves.insertion[:, -1].tolist(), abs=1e-6)


def test_the_map_turned_round_and_random_ones_stand_beside():
    model, images = classifier(), noise(2, 8, 12)
    removal = Removal(model, images, Target(torch.tensor([1, 0])))
    values = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(6))
    random = random_curves(removal, seed=4)
    found = measure_faithfulness(removal, values, random)
    turned = measure_faithfulness(removal, -values, random)
    torch.testing.assert_close(found.least.deletion, turned.named.deletion)
    torch.testing.assert_close(random_curves(removal, seed=4).deletion, found.random.deletion)
    assert not torch.equal(found.random.deletion, random_curves(removal, seed=5).deletion)
    assert random.deletion[:, 0].tolist() == pytest.approx(found.named.deletion[:, 0].tolist(), abs=1e-6)


def test_a_model_without_class_token_keeps_its_last_patch():
    model, images = classifier(pool="mean"), noise(1, 8, 12)
    removal = Removal(model, images, Target(torch.tensor([1])))
    curves = curves_of(removal, torch.tensor([[3, 1, 0, 2, 5, 4]]), steps=6)
    last = torch.nn.functional.one_hot(torch.tensor([[4, 3]]), 6).bool()
    ends = removal.scores(last, "probability")[0].tolist()
    assert curves.deletion[0, -2:].tolist() == pytest.approx([ends[0]] * 2, abs=1e-6)
    assert curves.insertion[0, :2].tolist() == pytest.approx([ends[1]] * 2, abs=1e-6)


def test_coarser_maps_order_filled_cells_and_ties_go_row_by_row():
    model = classifier("bit_r50x1", image_size=32, depths=(1, 1))
    removal = Removal(model, noise(1, 32, 32), Target(torch.tensor([1])), mean_fill, side=8)
    order = order_of(removal, torch.tensor([[[0.0, 0], [0, 1]]]))
    assert order[0, 0] == 15
    assert order_of(removal, torch.zeros(1, 4, 4))[0].tolist() == list(range(16))
    with pytest.raises(ConfigError, match="not finite"):
        order_of(removal, torch.full((1, 4, 4), float("nan")))
    with pytest.raises(ConfigError, match="one step"):
        curves_of(removal, order, steps=0)


def test_the_sentence_says_what_removing_does_beside_random():
    shares = torch.tensor([0.0, 0.2, 1.0])
    named = Curves(shares, torch.tensor([[0.9, 0.19, 0.1]]), torch.tensor([[0.1, 0.8, 0.9]]))
    random = Curves(shares, torch.tensor([[0.9, 0.78, 0.1]]), torch.tensor([[0.1, 0.1, 0.9]]))
    said = Faithfulness(named, random, random).sentence(0)
    assert said == "removing the 20 % it names lowers the probability by 0.71; random 0.12"
    coarse = Curves(torch.tensor([0.0, 0.5, 1.0]), named.deletion, named.insertion)
    assert Faithfulness(coarse, coarse, coarse).sentence(0).startswith("removing the 50 % it names")
    assert "raises the probability by 0.71" in Faithfulness(
        Curves(shares, 1 - named.deletion, named.insertion), random, random
    ).sentence(0)
