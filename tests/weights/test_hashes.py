"""SHA-256 of weights, and where they come from."""

import hashlib
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.commands.untrained import untrained
from vitrail.errors import WeightsError
from vitrail.weights.hashes import file_sha256, files_of, tensors_sha256
from vitrail.weights.origin import ASK, OWN, licence_of_model


def test_the_hash_of_tensors_is_that_of_lines_and_bytes_written_out_by_hand() -> None:
    tensors = {"b": torch.tensor([[1.5, -2.0]]), "a": torch.tensor([7], dtype=torch.int64)}
    text = b"a int64 1\n" + struct.pack("<q", 7) + b"b float32 1x2\n" + struct.pack("<ff", 1.5, -2.0)
    assert tensors_sha256(tensors) == hashlib.sha256(text).hexdigest()


def test_the_hash_of_tensors_depends_on_every_bit_and_not_on_the_file_or_the_layout_in_memory(tmp_path: Path) -> None:
    tensors = {"w": torch.arange(12.0).reshape(3, 4), "scalar": torch.tensor(2.0)}
    known = tensors_sha256(tensors)
    save_file(tensors, tmp_path / "a.safetensors", metadata={"about": "x"})
    save_file(tensors, tmp_path / "b.safetensors")
    assert file_sha256(tmp_path / "a.safetensors") != file_sha256(tmp_path / "b.safetensors")
    assert tensors_sha256({"scalar": tensors["scalar"], "w": tensors["w"].T.contiguous().T}) == known
    assert tensors_sha256({**tensors, "w": tensors["w"].reshape(4, 3)}) != known
    changed = tensors["w"].clone()
    changed[2, 3] = torch.nextafter(changed[2, 3], torch.tensor(100.0))
    assert tensors_sha256({**tensors, "w": changed}) != known


def test_the_hash_of_a_file_is_the_one_of_its_bytes_and_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"x" * 3_000_001)
    assert file_sha256(tmp_path / "w.bin") == hashlib.sha256(b"x" * 3_000_001).hexdigest()
    with pytest.raises(WeightsError, match="cannot be read"):
        file_sha256(tmp_path / "none.bin")


def test_all_shards_of_an_index_are_named_once(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "two.safetensors", "b": "one.safetensors", "c": "two.safetensors"}})
    )
    assert [path.name for path in files_of(index)] == ["one.safetensors", "two.safetensors"]
    index.write_text("[]")
    with pytest.raises(WeightsError, match="no index of shards"):
        files_of(index)


def test_a_run_has_the_licence_of_the_weights_it_began_with_through_other_runs(tmp_path: Path) -> None:
    foreign = tmp_path / "timm" / "model.safetensors"
    foreign.parent.mkdir()
    save_file({"x": torch.zeros(1)}, foreign)
    assert licence_of_model(foreign) == ASK
    (foreign.parent / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    first, second = untrained(tmp_path / "first"), untrained(tmp_path / "second")
    assert licence_of_model(second) == OWN
    _began_with(first, foreign)
    _began_with(second, first)
    assert licence_of_model(second) == "apache-2.0"
    _began_with(first, tmp_path / "gone.safetensors")
    assert "not there any more" in licence_of_model(second)


def test_the_licence_of_a_repository_is_known_without_asking_the_hub(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run")
    _began_with(run, "hf:somebody/unheard-of")
    assert licence_of_model(run) == "not stated by somebody/unheard-of; ask who made it"
    _began_with(run, "hf:timm/vit_small_patch16_224.augreg_in21k_ft_in1k")
    assert licence_of_model(run).startswith("apache-2.0")


def _began_with(run: Path, weights: object) -> None:
    config = json.loads((run / "config.json").read_text())
    config["settings"]["weights"] = str(weights)
    (run / "config.json").write_text(json.dumps(config))
