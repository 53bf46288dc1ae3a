"""Whether explanations are true, as the card says it."""

import pytest

from vitrail.card.explanations import explanations_section


def curves_of(named: list[float], random: list[float], inserted: list[float], drawn: list[float]) -> dict:
    return {
        "named": {"deletion_area": named, "insertion_area": inserted},
        "random": {"deletion_area": random, "insertion_area": drawn},
    }


def test_a_map_is_called_better_only_where_both_curves_say_so_beyond_chance() -> None:
    low, high = 3 * [0.1, 0.12, 0.11, 0.13], 3 * [0.4, 0.45, 0.41, 0.46]
    found = {
        "leave-one-out": curves_of(low, high, high, low),
        "grad-cam": curves_of(high, low, low, high),
        "chefer": curves_of(low, high, 3 * [0.2, 0.5, 0.1, 0.6], 3 * [0.5, 0.2, 0.6, 0.1]),
    }
    section = explanations_section(found, "again", "Where.")
    facts = dict(section.facts)
    assert facts["Removal of each patch"] == "better than random maps"
    assert facts["Grad-CAM"] == "worse than random maps"
    assert facts["Gradient-weighted attention rollout"] == "not told apart from random maps on these images"
    gains = section.values["leave-one-out"]
    assert gains["deletion_area"]["value"] == pytest.approx(sum(b - a for a, b in zip(low, high, strict=True)) / 12)
    assert section.tables[0].rows[0][3] == 12


def test_a_few_images_tell_nothing() -> None:
    for count in (1, 9):
        curves = curves_of(count * [0.1], count * [0.5], count * [0.6], count * [0.2])
        section = explanations_section({"chefer": curves}, "again", "Where.")
        assert section.facts[0][1] == "not known: it takes 10 images to tell, and some that differ"
