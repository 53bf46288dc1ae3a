"""Saved, opened and pushed models; the hub itself is replaced where huggingface_hub would reach the network."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import vitrail
from tests.commands.foreign import timm_file
from vitrail.cli import main
from vitrail.config import Preprocessing
from vitrail.errors import MissingExtra, WeightsError
from vitrail.heads.names import build_model, parse_model
from vitrail.weights import fetch
from vitrail.weights.card import model_card
from vitrail.weights.description import Description
from vitrail.weights.hashes import tensors_sha256
from vitrail.weights.hub import from_pretrained, push_to_hub, save_pretrained

from .random_weights import randomise, relative_difference

OPTIONS = {"width": 64, "depth": 1, "num_heads": 1, "image_size": (32, 48), "patch_size": 8, "num_classes": 2}
DESCRIPTION = Description(
    parse_model("vit_s16", OPTIONS),
    Preprocessing((32, 48), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), resize="squash"),
    ("left sock", "right sock"),
    {"data": "/home/me/socks", "epochs": 3, "lr": 0.001, "weights": None},
)


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FETCHED", {})


@pytest.fixture
def model() -> torch.nn.Module:
    return randomise(build_model("vit_s16", **OPTIONS))


def test_what_is_saved_is_opened_bit_for_bit_with_all_that_is_known(model, tmp_path):
    folder = save_pretrained(model, tmp_path / "socks", DESCRIPTION)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again, description = from_pretrained(folder)
    assert description == from_pretrained(str(folder))[1]
    assert (description.class_names, description.preprocessing) == (DESCRIPTION.class_names, DESCRIPTION.preprocessing)
    assert not again.training
    images = torch.randn(1, 3, 32, 48)
    assert torch.equal(again(images), model(images))


def test_a_run_is_saved_from_its_best_checkpoint_with_its_figures(tmp_path):
    settings = {"channels": 1, "epochs": 1, "batch_size": 256, "labels": 256, "loader": {"workers": 0}}
    tiny = {"patch_size": 8, "width": 32, "depth": 1, "num_heads": 1}
    run = vitrail.train("digits", out=str(tmp_path / "run"), image_size=16, architecture=tiny, **settings)
    folder = save_pretrained(run.folder, tmp_path / "saved")
    card = (folder / "README.md").read_text()
    assert f"| top1 | {run.metrics['top1']:.4g} |" in card
    assert "trained on `digits`" in card
    assert vitrail.evaluate(str(folder), "digits").top1 == vitrail.evaluate(str(run.folder), "digits").top1


def test_the_card_says_task_data_classes_preprocessing_and_use():
    card = model_card(DESCRIPTION, {"top1": 0.91234, "loss": 0.5})
    head, body = card.split("---\n")[1:3]
    assert "library_name: vitrail" in head
    assert "pipeline_tag: image-classification" in head
    for said in ("socks", "left sock, right sock", "32x48", "0.1, 0.2, 0.3", "0.4, 0.5, 0.6", "| top1 | 0.9123 |"):
        assert said in body
    for said in ("vitrail.from_pretrained", "epochs: 3", "million parameters", "vitrail predict"):
        assert said in body
    assert "/home/me" not in card, "where the images lay is nobody's business"
    assert "\n\n\n" not in card


def test_the_card_of_an_encoder_asks_for_no_classes():
    spec = parse_model("mae_vit_s16", {"image_size": 32, "patch_size": 8})
    card = model_card(Description(spec, Preprocessing((32, 32)), settings={"data": "socks"}))
    assert "pipeline_tag: image-feature-extraction" in card
    assert "vitrail train DATA --weights" in card
    assert "Classes" not in card


def test_folders_of_other_libraries_are_opened(model, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=32,
        patch_size=8,
        layer_norm_eps=1e-6,
        id2label={0: "cat", 1: "dog"},
    )
    theirs = randomise(transformers.ViTForImageClassification(config))
    theirs.save_pretrained(tmp_path)
    ours, description = from_pretrained(tmp_path)
    assert description.class_names == ("cat", "dog")
    assert description.model.backbone_options["num_heads"] == 4
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images).logits) < 1e-5


class Hub:
    """What huggingface_hub.HfApi is asked for, and the files it would have sent."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.files: dict[str, bytes] = {}

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> str:
        self.asked.append(("create", repository, private, exist_ok))
        return f"https://hub.example/{repository}"

    def upload_folder(self, *, folder_path: str, repo_id: str, commit_message: str) -> None:
        self.asked.append(("upload", repo_id, commit_message))
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    replacement = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: replacement)
    return replacement


def test_pushing_makes_the_repository_and_sends_the_whole_folder(model, hub, tmp_path):
    save_pretrained(model, tmp_path / "socks", DESCRIPTION)
    assert push_to_hub(tmp_path / "socks", "me/socks", private=True) == "https://hub.example/me/socks"
    assert hub.asked == [("create", "me/socks", True, True), ("upload", "me/socks", "Add the model")]
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors"}
    assert json.loads(hub.files["config.json"])["class_names"] == ["left sock", "right sock"]
    assert b'vitrail.from_pretrained("me/socks")' in hub.files["README.md"]
    assert hub.files["model.safetensors"] == (tmp_path / "socks" / "model.safetensors").read_bytes()


def test_what_the_hub_refuses_is_one_sentence(model, hub, monkeypatch):
    def refuse(*args: object, **options: object) -> str:
        raise OSError("401 Unauthorized\nwith many lines")

    monkeypatch.setattr(hub, "create_repo", refuse)
    with pytest.raises(WeightsError, match=r"me/socks could not be pushed \(401 Unauthorized\); .*hf auth login"):
        push_to_hub(model, "me/socks", description=DESCRIPTION)
    with pytest.raises(WeightsError, match="OWNER/NAME"):
        push_to_hub(model, "socks", description=DESCRIPTION)


def test_without_huggingface_hub_the_command_that_installs_it_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for action in (lambda: push_to_hub(model, "me/socks", description=DESCRIPTION), lambda: from_pretrained("me/x")):
        with pytest.raises(MissingExtra, match=r'pip install "vitrail\[hub\]"'):
            action()


def test_a_model_without_a_description_is_refused(model, tmp_path):
    with pytest.raises(WeightsError, match="say what it is"):
        save_pretrained(model, tmp_path / "x")
    with pytest.raises(WeightsError, match="no weights file"):
        from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("source", "said"),
    [(7, "not int"), (None, "not NoneType"), ("a\0b", "null character"), ("~nobody/run", "there is no weights file")],
)
def test_what_is_no_path_is_refused_in_a_sentence(source: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=said):
        save_pretrained(source, tmp_path / "out")
    with pytest.raises(WeightsError, match=said):
        from_pretrained(source)


def test_wrong_types_are_refused_in_a_sentence(tmp_path: Path) -> None:
    wrong: Any = {"name": "vit"}
    with pytest.raises(WeightsError, match="not dict"):
        save_pretrained(torch.nn.Linear(1, 1), tmp_path / "out", wrong)
    assert not (tmp_path / "out").exists()


def trust_json(folder: Path, tensors, data: str = "/home/me/socks") -> Path:
    """Write a trust card as ``vitrail trust`` does, of three sections."""
    from vitrail.card.sections import Section, TrustCard, card_json, not_measured

    sections = (
        Section(
            "accuracy",
            "Accuracy",
            (("right (top-1)", "91.2 % (88.0 to 94.0)"),),
            command="vitrail evaluate {model} {data}",
        ),
        not_measured("stress", "Under stress", "vitrail stress {model} {data}"),
        not_measured("audit", "Leaks", "vitrail doctor {data} --deep --encoder '/home/me/my weights.pt' --out x"),
        Section("weights", "The weights", (("licence", "mit <b>"),), values={"tensors": tensors_sha256(tensors)}),
    )
    card = TrustCard("/home/me/runs/socks", "vit_s16", data, "test", (), sections)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trust.json").write_text(json.dumps(card_json(card)))
    return folder / "trust.json"


def test_the_trust_card_of_a_model_goes_into_its_own_card_without_where_anything_lies(model, hub, tmp_path):
    folder = save_pretrained(model, tmp_path / "socks", DESCRIPTION)
    assert "Trust" not in (folder / "README.md").read_text()
    trust_json(folder / "trust", model.state_dict())
    push_to_hub(folder, "me/socks")
    card = hub.files["README.md"].decode()
    assert "| right (top-1) | 91.2 % (88.0 to 94.0) |" in card
    assert "`vitrail evaluate FOLDER socks` repeats it." in card
    assert "Not measured.\n\n`vitrail stress FOLDER socks` measures it." in card
    assert "mit &lt;b&gt;" in card
    assert "`vitrail doctor socks --deep --encoder ENCODER --out x` measures it." in card
    assert "/home/me" not in card
    assert "\n\n\n" not in card
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors"}


def test_a_trust_card_of_other_weights_or_a_damaged_one_is_never_passed_on(model, tmp_path):
    other = randomise(build_model("vit_s16", **OPTIONS), seed=8)
    card = trust_json(tmp_path / "elsewhere", other.state_dict())
    with pytest.raises(WeightsError, match="about other weights than these"):
        save_pretrained(model, tmp_path / "socks", DESCRIPTION, trust=card)
    assert not (tmp_path / "socks").exists()
    card.write_text(card.read_text()[:-20])
    with pytest.raises(WeightsError, match="is no trust card"):
        save_pretrained(model, tmp_path / "socks", DESCRIPTION, trust=card)


def test_the_command_passes_on_the_trust_card_of_anybodys_weights(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = timm_file(tmp_path / "socks.safetensors", 2)
    trust_json(tmp_path / "runs" / "trust-socks", from_pretrained(file)[0].state_dict())
    assert main(["weights", "push", "socks.safetensors", "--to", "me/socks"]) == 0
    assert "| right (top-1) | 91.2 % (88.0 to 94.0) |" in hub.files["README.md"].decode()
