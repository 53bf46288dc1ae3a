"""Files whose names are right and whose tensors are not: one clear error, whatever is done with them."""

import contextlib

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.convert import convert, write_state
from vitrail.weights.detect import LAYOUTS, translate
from vitrail.weights.inspect import verify
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import open_weights

SHAPE = {"width": 16, "depth": 1, "num_heads": 2, "image_size": 16, "patch_size": 8}
NAMES = ("google", "big_vision", "torchvision", "huggingface", "huggingface_2026", "mae", "timm", "vitrail")


def whole(layout: str) -> dict[str, torch.Tensor]:
    mae = layout in ("mae", "huggingface")
    options = {"decoder_width": 16, "decoder_depth": 1} if mae else {"num_classes": 3}
    state = build_model("mae_vit_s16" if mae else "vit_s16", **SHAPE, **options).state_dict()
    return LAYOUTS[layout].from_plain(translate(state, "x")[0], 2)


WHOLE = {layout: whole(layout) for layout in NAMES}
SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)
DTYPES = st.sampled_from([torch.float32, torch.int64, torch.bool, torch.float64, torch.bfloat16, torch.complex64])


@pytest.mark.parametrize("layout", NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wrong_shapes_types_and_names_end_in_one_error(tmp_path, layout, data):
    state = dict(WHOLE[layout])
    for name in data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=3, unique=True)):
        match data.draw(st.sampled_from(["reshape", "drop", "rename"])):
            case "reshape":
                state[name] = torch.zeros(data.draw(SHAPES), dtype=data.draw(DTYPES))
            case "drop":
                del state[name]
            case "rename":
                state[data.draw(st.text("abc._/0", max_size=12)) + name] = state.pop(name)
    kind = ".pth" if any(t.is_complex() for t in state.values()) or LAYOUTS[layout].suffix != ".npz" else ".npz"
    path = tmp_path / f"a{kind}"
    write_state(state, path, kind, {})
    models = [build_model("vit_s16", **SHAPE, num_classes=3), build_model("mae_vit_s16", **SHAPE, decoder_width=16)]
    actions = [lambda model=model: load_weights(model, path) for model in models]
    actions += [lambda to=to: convert(path, to, tmp_path / to / f"b{LAYOUTS[to].suffix}") for to in NAMES]
    for action in (*actions, lambda: verify(path), lambda: str(verify(path)), lambda: open_weights(path).preprocessing):
        with contextlib.suppress(WeightsError):
            action()
