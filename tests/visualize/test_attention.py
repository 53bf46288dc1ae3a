import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.explain.rollout import attention_maps
from vitrail.visualize.attention import panel


def test_panel_is_the_same_twice_and_leaves_random_numbers_alone(classifier, images):
    state = torch.get_rng_state()
    first = panel(
        attention_maps(classifier, images), images, (0.5,) * 3, (0.5,) * 3, captions=["a", "b", "c"], heads=[1]
    )
    second = panel(
        attention_maps(classifier, images), images, (0.5,) * 3, (0.5,) * 3, captions=["a", "b", "c"], heads=[1]
    )
    assert first.tobytes() == second.tobytes()
    assert torch.equal(state, torch.get_rng_state())


def test_panel_names_a_missing_head(classifier, images):
    with pytest.raises(ConfigError, match="there is no head 2"):
        panel(attention_maps(classifier, images), images, (0.5,) * 3, (0.5,) * 3, heads=[2])
