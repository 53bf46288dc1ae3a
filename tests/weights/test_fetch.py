"""Models fetched by name, from a hub on this machine: no test reaches a network."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import vitrail
from tests.support.hub import Hub, Repository, serving
from vitrail import output
from vitrail.cli import main
from vitrail.config import Preprocessing
from vitrail.errors import ConfigError, MissingExtra, WeightsError
from vitrail.heads.names import build_model, parse_model
from vitrail.trust.reliability import learn_reliability
from vitrail.weights import fetch, remembered
from vitrail.weights.calibration_file import (
    LearnedFrom,
    StoredReliability,
    calibration_folder,
    read_calibration,
    write_calibration,
)
from vitrail.weights.convert import convert
from vitrail.weights.description import Description
from vitrail.weights.fetch import chosen
from vitrail.weights.named import find_model

from .random_weights import randomise

constants = pytest.importorskip("huggingface_hub.constants")

TINY = {"width": 32, "depth": 2, "num_heads": 1, "image_size": 32, "patch_size": 8, "num_classes": 3}
NAME = "me/socks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as transformers saves it, and a file of another framework beside it."""
    folder = tmp_path_factory.mktemp("repository")
    model = randomise(build_model("vit_ti16", **TINY))
    save_file(model.state_dict(), folder / "plain.safetensors")
    convert(folder / "plain.safetensors", "huggingface", folder / "saved", num_heads=1)
    (folder / "saved" / "tf_model.h5").write_bytes(b"\x89HDF" + bytes(10_000))
    (folder / "saved" / "pytorch_model.bin").write_bytes(bytes(10_000))
    return folder / "saved"


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, which huggingface_hub takes for the only one, and empty caches."""
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_HUB_DISABLE_XET": True,
        "DOWNLOAD_CHUNK_SIZE": 1000,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(fetch, "FETCHED", {})
    monkeypatch.setattr(remembered, "_here", {})
    with serving() as server:
        at(server.address, monkeypatch)
        server.repositories[NAME] = Repository.of_folder(folder)
        yield server


def at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub look for the hub elsewhere, as HF_ENDPOINT does when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def as_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has fetched; what is on the disk stays."""
    monkeypatch.setattr(fetch, "FETCHED", {})


def test_a_model_is_fetched_by_name_and_only_what_it_needs(hub: Hub, folder: Path) -> None:
    found = find_model(f"hf:{NAME}")
    assert sorted(hub.downloads()) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert (found.path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert found.origin is not None
    assert (found.origin.commit, found.origin.licence) == (hub.repositories[NAME].commit, "apache-2.0")
    model, _ = vitrail.from_pretrained(NAME)
    own, _ = vitrail.from_pretrained(folder)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    assert torch.equal(model(images), own(images))


def test_a_command_takes_a_name_and_asks_the_hub_once(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "inspect", f"hf:{NAME}"]) == 0
    said = capsys.readouterr()
    assert "vit" in said.out
    assert "fetching me/socks from the hub: config.json, preprocessor_config.json, model.safetensors" in said.err
    assert len([path for _, path, _ in hub.asked if path.startswith("/api/")]) == 1


def test_predict_and_look_take_a_run_of_vitrails_from_the_hub(
    hub: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(folder.parent / "plain.safetensors", "vitrail", tmp_path / "own", num_heads=1)
    hub.repositories["me/own"] = Repository.of_folder(tmp_path / "own")
    Image.new("RGB", (40, 32), "red").save(tmp_path / "red.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    said = []
    for model in ("hf:me/own", tmp_path / "own"):
        assert main(["predict", str(model), str(tmp_path / "red.png"), "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert len(said[0].splitlines()) == 1
    assert main(["look", "hf:me/own", str(tmp_path / "red.png")]) == 0
    assert "A look at hf:me/own" in (tmp_path / "here" / "look" / "look.html").read_text()


def test_a_revision_is_fetched_and_an_unknown_one_answered_with_those_there_are(hub: Hub) -> None:
    hub.repositories[NAME].branches = ("main", "v1.0")
    origin = find_model(f"hf:{NAME}@v1.0").origin
    assert origin is not None
    assert origin.commit == hub.repositories[NAME].commit
    assert find_model(f"hf:{NAME}@{origin.commit}").path == find_model(f"hf:{NAME}@v1.0").path
    with pytest.raises(WeightsError, match=r"me/socks has no revision v1\.1; did you mean 'v1\.0'\?$"):
        find_model(f"hf:{NAME}@v1.1")
    with pytest.raises(WeightsError, match=r"no revision zzz; there are main, v1\.0$"):
        find_model(f"hf:{NAME}@zzz")


def test_what_is_in_the_cache_is_not_fetched_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_model(f"hf:{NAME}")
    hub.asked.clear()
    as_another_process(monkeypatch)
    assert find_model(f"hf:{NAME}") == first
    assert not hub.downloads()


def test_a_broken_connection_is_taken_up_where_it_broke(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.repositories[NAME].break_after = [5_500, 2_000]
    path = find_model(f"hf:{NAME}").path / "model.safetensors"
    assert path.read_bytes() == (folder / "model.safetensors").read_bytes()
    ranges = [asked for _, name, asked in hub.asked if name.endswith("model.safetensors") and asked]
    assert ranges == ["bytes=5000-", "bytes=7000-"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_with_another_digest_is_refused_and_removed(name: str, hub: Hub) -> None:
    hub.repositories[NAME].damaged = {name}
    with pytest.raises(WeightsError, match=f"{name} of me/socks is not what the hub says it is .*removed; run"):
        find_model(f"hf:{NAME}")
    assert not list(Path(constants.HF_HUB_CACHE).rglob(name))
    hub.repositories[NAME].damaged = set()
    assert find_model(f"hf:{NAME}").path.is_dir()


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", "other"])
def test_a_licence_with_conditions_is_accepted_once(
    licence: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories[NAME].licence = licence
    assert main(["weights", "inspect", f"hf:{NAME}"]) == 2
    assert f"{licence}; read it, and accept it once with --accept-license" in capsys.readouterr().err
    assert not hub.downloads(), "nothing is fetched before"
    assert main(["weights", "inspect", f"hf:{NAME}", "--accept-license"]) == 0
    as_another_process(monkeypatch)
    assert main(["weights", "inspect", f"hf:{NAME}"]) == 0
    as_another_process(monkeypatch)
    hub.repositories[NAME].licence = "cc-by-nc-nd-4.0"
    with pytest.raises(WeightsError, match=r"cc-by-nc-nd-4\.0; read it"):
        find_model(f"hf:{NAME}")


def test_a_licence_is_asked_for_again_where_nothing_can_be_remembered(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    hub.repositories[NAME].licence = "cc-by-nc-4.0"
    assert find_model(f"hf:{NAME}", accept_license=True).path.is_dir()
    as_another_process(monkeypatch)
    assert find_model(f"hf:{NAME}").path.is_dir(), "this process knows"
    as_another_process(monkeypatch)
    monkeypatch.setattr(remembered, "_here", {})
    with pytest.raises(WeightsError, match="accept it once"):
        find_model(f"hf:{NAME}")


def test_a_licence_is_not_accepted_for_what_lies_on_the_disk(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no licence is accepted"):
        find_model(folder, accept_license=True)
    with pytest.raises(ConfigError, match="is for weights that are fetched by name"):
        vitrail.create_model("vit_ti16", accept_license=True)


@pytest.mark.parametrize("way", ["offline", "refused", "down"])
def test_without_the_hub_the_cache_is_used_or_the_command_named_that_fetches(
    way: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = find_model(f"hf:{NAME}").path
    as_another_process(monkeypatch)
    if way == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif way == "refused":
        at("http://127.0.0.1:9", monkeypatch)
    hub.down = way == "down"
    capsys.readouterr()
    again = find_model(f"hf:{NAME}")
    assert again.path == found
    assert again.origin is not None
    assert again.origin.licence == "apache-2.0"
    assert ("is taken from the cache, at commit" in capsys.readouterr().err) == (way != "offline")
    with pytest.raises(WeightsError) as refused:
        find_model("hf:me/hats@v2")
    said = str(refused.value)
    assert "me/hats is not in the cache; where there is a network, run: " in said
    assert "hf download me/hats --revision v2 --local-dir hats; then copy the folder hats here" in said
    assert "\n" not in said


def test_a_licence_stays_known_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[NAME].licence = "cc-by-nc-4.0"
    find_model(f"hf:{NAME}", accept_license=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    as_another_process(monkeypatch)
    origin = find_model(f"hf:{NAME}").origin
    assert origin is not None
    assert origin.licence == "cc-by-nc-4.0"


def test_a_repository_that_is_not_there_is_answered_in_one_sentence(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"^there is no repository me/sock on the hub, or it is private [^\n]*$"):
        find_model("hf:me/sock")


def test_a_private_repository_opens_with_a_token_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[NAME].private = True
    with pytest.raises(WeightsError, match=r"or it is private \(then log in: hf auth login\)$"):
        find_model(f"hf:{NAME}")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert find_model(f"hf:{NAME}").path.is_dir()


def test_a_gated_repository_says_where_its_terms_are(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[NAME].gated = True
    with pytest.raises(WeightsError, match=f"accept its terms: do so on {hub.address}/me/socks"):
        find_model(f"hf:{NAME}")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert find_model(f"hf:{NAME}").path.is_dir()


def test_a_repository_without_weights_says_what_it_holds(hub: Hub) -> None:
    hub.repositories[NAME].files = {"README.md": b"socks", "tf_model.h5": b"", "model.onnx": b""}
    with pytest.raises(WeightsError, match=r"holds no weights that are read here \(it holds README\.md, model\.onnx"):
        find_model(f"hf:{NAME}")


def test_the_usual_name_is_fetched_before_others_and_safetensors_before_pickles() -> None:
    usual = {"model.safetensors", "pytorch_model.bin", "other.safetensors"}
    assert chosen(usual, NAME) == "model.safetensors"
    assert chosen(usual - {"model.safetensors"}, NAME) == "pytorch_model.bin"
    assert chosen({"a.bin", "a.safetensors", "sub/model.safetensors"}, NAME) == "a.safetensors"
    with pytest.raises(WeightsError, match=r"2 weights files \(a\.pth, b\.pth\).*hf download me/socks a\.pth"):
        chosen({"a.pth", "b.pth"}, NAME)


def test_a_sole_file_of_another_name_is_opened_and_found_again_without_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[NAME].files = {
        "vit.safetensors": (folder / "model.safetensors").read_bytes(),
        "config.json": (folder / "config.json").read_bytes(),
    }
    found = find_model(f"hf:{NAME}")
    assert found.path.name == "vit.safetensors"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    as_another_process(monkeypatch)
    assert find_model(f"hf:{NAME}") == found
    assert vitrail.inspect_weights(f"hf:{NAME}").layout == "huggingface"


def test_progress_is_said_now_and_then_with_the_time_that_is_left(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output.Progress, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(output.Progress, "THEN_EVERY", 0.0)
    monkeypatch.setattr(fetch, "MEGABYTE", 1)
    find_model(f"hf:{NAME}")
    size = len(hub.repositories[NAME].files["model.safetensors"])
    assert f"1,000 of {size:,} MB of model.safetensors, about 0 seconds left" in capsys.readouterr().err


def test_a_missing_extra_is_answered_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FETCHED", {})
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r'fetching me/socks needs huggingface_hub; .* pip install "vitrail\[hub\]"'):
        find_model(f"hf:{NAME}")


def test_origin_and_licence_are_shown_when_a_model_is_opened_and_inspected(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories[NAME].licence = "bsd-3-clause"
    assert main(["weights", "inspect", f"hf:{NAME}"]) == 0
    said = capsys.readouterr()
    commit = hub.repositories[NAME].commit
    assert f"origin         hf:{NAME} at commit {commit}" in said.out
    assert "licence        bsd-3-clause" in said.out
    assert f"{NAME} at commit {commit[:7]}: licence bsd-3-clause" in said.err


@pytest.mark.parametrize(
    ("card", "config", "licence"),
    [
        ("---\ntags:\n- vit\nlicense: mit\n---\n# Socks\nlicense: gpl-3.0\n", {}, "mit"),
        (
            "---\nlicense: other\nlicense_name: my-own\nlicense_link: https://example.org/l\n---\n",
            {},
            "my-own (https://example.org/l)",
        ),
        ("# No head\nlicense: mit\n", {"pretrained_cfg": {"license": "cc-by-nc-4.0"}}, "cc-by-nc-4.0"),
        (None, {"pretrained_cfg": {"license": "apache-2.0"}}, "apache-2.0"),
        (None, {"pretrained_cfg": {"license": 7}}, ""),
        (None, {}, ""),
    ],
)
def test_the_licence_of_a_folder_is_read_off_its_card_or_timms_config(
    card: str | None, config: dict, licence: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**json.loads((folder / "config.json").read_text()), **config}))
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    found = vitrail.inspect_weights(tmp_path)
    assert (found.licence, found.origin) == (licence, "")
    assert f"licence        {licence or 'not stated'}" in str(found)


def test_a_model_on_the_hub_abstains_by_what_lies_beside_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = randomise(build_model("vit_ti16", **TINY)).eval()
    preprocessing = Preprocessing(image_size=(32, 32))
    description = Description(parse_model("vit_ti16", TINY), preprocessing, ("a", "b", "c"))
    saved = vitrail.save_pretrained(model, tmp_path / "saved", description=description)
    random = np.random.default_rng(6)
    logits = random.normal(size=(150, 3))
    known = learn_reliability(logits, logits.argmax(axis=1), random.normal(size=(150, 32)))
    stored = StoredReliability(known, LearnedFrom("photos", "validation", 150))
    write_calibration(saved, stored, model, preprocessing)
    hub.repositories["me/sure"] = Repository.of_folder(saved)
    image, asked = Image.new("RGB", (32, 32), (90, 20, 10)), {"abstain": True, "device": "cpu", "precision": "fp32"}
    found = vitrail.predict("hf:me/sure", image, **asked)
    assert {"calibration.json", "calibration.safetensors"} <= set(hub.downloads())
    assert found == vitrail.predict(saved, image, **asked)
    assert found[0].unlike is not None
    # What the user learned anew lies in the user's folder, not in the hub's cache, and comes first.
    assert calibration_folder("hf:me/sure") == Path("runs/calibration-sure")
    write_calibration(calibration_folder("hf:me/sure"), replace(stored, coverage=0.5), model, preprocessing)
    own = read_calibration("hf:me/sure", model, preprocessing)
    assert own is not None
    assert own.coverage == 0.5
