import argparse
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from vitrail.errors import WeightsError
from vitrail.weights.reader import read_state

STATE = {"blocks.0.norm1.weight": torch.arange(6.0), "head.weight": torch.ones(2, 3, dtype=torch.bfloat16)}


class Bomb:
    """Touches a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "teacher"])
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_files_are_read_whatever_was_put_around_the_state(tmp_path, wrapper, legacy):
    content = {wrapper: STATE, "args": argparse.Namespace(lr=0.1), "epoch": 3} if wrapper else STATE
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert same(read_state(tmp_path / "a.pth"), STATE)


def test_safetensors_are_told_by_content_not_by_name(tmp_path):
    save_file(STATE, tmp_path / "a.pth")
    assert same(read_state(tmp_path / "a.pth"), STATE)


def test_npz_arrays_keep_names_values_types_and_order(tmp_path):
    arrays = {
        "Transformer/a/kernel": np.random.default_rng(0).standard_normal((3, 4, 5)),
        "half": np.arange(4, dtype=np.float16),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "scalar": np.float32(2.5),
        "bfloat16": torch.tensor([1.0, -2.0]).bfloat16().view(torch.int16).numpy().view("V2"),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    state = read_state(tmp_path / "a.npz")
    for name in ("Transformer/a/kernel", "half", "fortran", "big", "scalar"):
        assert np.array_equal(state[name].numpy(), arrays[name]), name
        assert state[name].shape == arrays[name].shape
    assert torch.equal(state["bfloat16"], torch.tensor([1.0, -2.0]).bfloat16())


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_put_together_from_their_index_or_folder(tmp_path, suffix):
    base = "model" if suffix == "safetensors" else "pytorch_model"
    names = list(STATE)
    shards = {name: f"{base}-{i + 1:05}-of-00002.{suffix}" for i, name in enumerate(names)}
    for name, shard in shards.items():
        (save_file if suffix == "safetensors" else torch.save)({name: STATE[name]}, tmp_path / shard)
    index = tmp_path / f"{base}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert same(read_state(index), STATE)
    assert same(read_state(tmp_path), STATE)
    (tmp_path / shards[names[0]]).unlink()
    with pytest.raises(WeightsError, match="not beside it"):
        read_state(index)


def test_an_index_cannot_reach_outside_its_folder(tmp_path):
    save_file(STATE, tmp_path / "secret.safetensors")
    (tmp_path / "in").mkdir()
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"head.weight": "../secret.safetensors"}}))
    with pytest.raises(WeightsError, match="outside its folder"):
        read_state(index)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": "i.index.json"}}', "{}"])
def test_a_broken_index_is_one_clear_error(tmp_path, content):
    (tmp_path / "i.index.json").write_text(content)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "i.index.json")


def test_a_missing_file_gets_the_nearest_name_beside_it(tmp_path):
    save_file(STATE, tmp_path / "deit_tiny.safetensors")
    with pytest.raises(WeightsError, match=r"did you mean 'deit_tiny\.safetensors'"):
        read_state(tmp_path / "deit_tny.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        read_state(tmp_path / "empty")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_malicious_pickle_executes_nothing(tmp_path, protocol):
    mark = tmp_path / "mark"
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"model": Bomb(mark)}, protocol=protocol))
    torch.save({"model": STATE, "x": Bomb(mark)}, tmp_path / "zip.pth", pickle_protocol=max(protocol, 2))
    torch.save([Bomb(mark)], tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("raw.pth", "zip.pth", "old.pth"):
        with pytest.raises(WeightsError):
            read_state(tmp_path / name)
    assert not mark.exists()


def test_a_refused_pickle_says_why(tmp_path):
    torch.save({"model": STATE, "x": Bomb(tmp_path / "mark")}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="more than tensors"):
        read_state(tmp_path / "a.pth")


def test_object_arrays_are_refused_and_execute_nothing(tmp_path):
    mark = tmp_path / "mark"
    np.savez(tmp_path / "a.npz", a=np.array([Bomb(mark)], dtype=object))
    with pytest.raises(WeightsError, match="Python objects"):
        read_state(tmp_path / "a.npz")
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(
    "content", [{"model": 3}, [1, 2], {}, {"a": torch.eye(3).to_sparse()}, {"a": torch.ones(1).expand(10**9)}]
)
def test_pytorch_files_without_plain_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError):
        read_state(tmp_path / "a.pth")


def zip_of(path: Path, name: str, size: int, head: bytes = b"") -> Path:
    """Write a zip whose one entry unfolds to ``size`` zero bytes after ``head``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as out:
        out.write(head)
        for _ in range(size // 2**20):
            out.write(bytes(2**20))
    return path


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_an_npz_bomb_is_refused_without_unfolding_it(tmp_path):
    size = 2**29
    path = zip_of(tmp_path / "a.npz", "a.npy", size, npy_header((size // 4,)))
    before = psutil.Process().memory_info().rss
    with pytest.raises(WeightsError, match="would unfold"):
        read_state(path)
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_a_pytorch_bomb_is_refused_without_unfolding_it(tmp_path):
    path = zip_of(tmp_path / "a.pth", "archive/data/0", 2**29)
    with pytest.raises(WeightsError, match="would unfold"):
        read_state(path)


def test_an_npy_header_cannot_ask_for_more_memory_than_the_file_has(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", npy_header((10**12,)) + bytes(16))
    with pytest.raises(WeightsError, match="larger or smaller"):
        read_state(tmp_path / "a.npz")


def pytorch_bytes(legacy: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(STATE, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def npz_bytes() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: tensor.float().numpy() for name, tensor in STATE.items()})
    return stream.getvalue()


WHOLE = {
    "safetensors": save(STATE),
    "npz": npz_bytes(),
    "pth": pytorch_bytes(False),
    "legacy": pytorch_bytes(True),
}


@pytest.mark.parametrize("kind", list(WHOLE))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_read_or_refused_but_never_crash(tmp_path, kind, data):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    try:
        state = read_state(path)
    except WeightsError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


MAGICS = [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04", bytes(8) + b"{", b"{"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(MAGICS),
    rest=st.binary(max_size=400),
)
def test_garbage_behind_any_magic_is_refused(tmp_path, head, rest):
    for suffix in ("npz", "pth", "json"):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(head + rest)
        with pytest.raises(WeightsError):
            read_state(path)
