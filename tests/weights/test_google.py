"""Files written here in the documented layout, by code that knows nothing of vitrail's converters."""

import numpy as np
import pytest
import torch

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.detect import translate
from vitrail.weights.formats import google
from vitrail.weights.load import load_weights
from vitrail.weights.reader import read_state

D, K, E, L, P, SIZE, CLASSES = 32, 4, 8, 2, 8, 24, 5
N = (SIZE // P) ** 2
OPTIONS = {"width": D, "num_heads": K, "depth": L, "patch_size": P, "image_size": SIZE, "num_classes": CLASSES}
NUMBERS = {"original": ("1", "2", "3"), "big_vision": ("0", "1", "0")}


def flax_vit(naming: str, seed: int = 0, rows: int = N + 1) -> dict[str, np.ndarray]:
    """Random parameters of a ViT as Flax has them: kernels HWIO and (in, out), heads apart."""
    draw = np.random.default_rng(seed).standard_normal
    attention, norm2, mlp = NUMBERS[naming]

    def kernel(*shape: int) -> np.ndarray:
        return (draw(shape) * 0.2).astype(np.float32)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}/scale": 1 + kernel(D), f"{name}/bias": kernel(D)}

    file = {
        "embedding/kernel": kernel(P, P, 3, D),
        "embedding/bias": kernel(D),
        "cls": kernel(1, 1, D),
        "head/kernel": kernel(D, CLASSES),
        "head/bias": kernel(CLASSES),
        **norm("Transformer/encoder_norm"),
    }
    positions = "Transformer/posembed_input/pos_embedding" if naming == "original" else "pos_embedding"
    file[positions] = kernel(1, rows, D)
    for i in range(L):
        block = f"Transformer/encoderblock_{i}"
        file |= norm(f"{block}/LayerNorm_0") | norm(f"{block}/LayerNorm_{norm2}")
        heads = f"{block}/MultiHeadDotProductAttention_{attention}"
        for part in ("query", "key", "value"):
            file |= {f"{heads}/{part}/kernel": kernel(D, K, E), f"{heads}/{part}/bias": kernel(K, E)}
        file |= {f"{heads}/out/kernel": kernel(K, E, D), f"{heads}/out/bias": kernel(D)}
        for j, (inputs, outputs) in enumerate(((D, 4 * D), (4 * D, D))):
            dense = f"{block}/MlpBlock_{mlp}/Dense_{j}"
            file |= {f"{dense}/kernel": kernel(inputs, outputs), f"{dense}/bias": kernel(outputs)}
    return file


def naive_logits(file: dict[str, np.ndarray], images: np.ndarray, naming: str) -> np.ndarray:
    """ViT, equations 1 to 4 and appendix A, in float64, one image, one patch and one head at a time."""
    attention, norm2, mlp = NUMBERS[naming]
    w = {name: array.astype(np.float64) for name, array in file.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return (x - x.mean(-1, keepdims=True)) / deviation * w[f"{name}/scale"] + w[f"{name}/bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return x * 0.5 * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy())

    logits = []
    for image in images.astype(np.float64):  # (H, W, 3)
        tokens = []
        for row in range(0, SIZE, P):
            for column in range(0, SIZE, P):
                patch = image[row : row + P, column : column + P]
                tokens.append(np.einsum("hwc,hwcd->d", patch, w["embedding/kernel"]) + w["embedding/bias"])
        x = np.stack(tokens)
        if naming == "original":
            x = np.concatenate([w["cls"][0], x]) + w["Transformer/posembed_input/pos_embedding"][0]
        else:
            x = np.concatenate([w["cls"][0], x + w["pos_embedding"][0]])
        for i in range(L):
            block = f"Transformer/encoderblock_{i}"
            heads, y = f"{block}/MultiHeadDotProductAttention_{attention}", norm(x, f"{block}/LayerNorm_0")
            mixed = np.zeros_like(x)
            for k in range(K):
                q, key, v = (
                    y @ w[f"{heads}/{part}/kernel"][:, k] + w[f"{heads}/{part}/bias"][k]
                    for part in ("query", "key", "value")
                )
                scores = q @ key.T / np.sqrt(E)
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                mixed += (weights / weights.sum(-1, keepdims=True)) @ v @ w[f"{heads}/out/kernel"][k]
            x = x + mixed + w[f"{heads}/out/bias"]
            dense = f"{block}/MlpBlock_{mlp}/Dense"
            y = gelu(norm(x, f"{block}/LayerNorm_{norm2}") @ w[f"{dense}_0/kernel"] + w[f"{dense}_0/bias"])
            x = x + y @ w[f"{dense}_1/kernel"] + w[f"{dense}_1/bias"]
        logits.append(norm(x, "Transformer/encoder_norm")[0] @ w["head/kernel"] + w["head/bias"])
    return np.stack(logits)


def check_against_naive(path, file, naming) -> None:
    model = build_model("vit_s16", **OPTIONS).eval()
    report = load_weights(model, path)
    assert not (report.missing + report.dropped + report.unexpected + report.resized)
    images = np.random.default_rng(1).standard_normal((2, SIZE, SIZE, 3)).astype(np.float32)
    expected = naive_logits(file, images, naming)
    with torch.no_grad():
        got = model(torch.from_numpy(images).permute(0, 3, 1, 2)).double().numpy()
    assert np.abs(got - expected).max() / np.abs(expected).max() < 1e-5


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/"])
def test_an_original_file_gives_the_papers_logits(tmp_path, prefix):
    file = flax_vit("original")
    extra = {"opt/state/step": np.int64(3)} if prefix else {}
    np.savez(tmp_path / "a.npz", **{prefix + name: array for name, array in file.items()}, **extra)
    check_against_naive(tmp_path / "a.npz", file, "original")


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("prefix", ["", "params/", "params/img/"])
def test_a_big_vision_file_gives_the_papers_logits(tmp_path, prefix, stacked):
    file = flax_vit("big_vision", rows=N)
    named = dict(file)
    if stacked:
        for name in [n for n in named if n.startswith("Transformer/encoderblock_0/")]:
            rest = name.removeprefix("Transformer/encoderblock_0/")
            layers = [named.pop(f"Transformer/encoderblock_{i}/{rest}") for i in range(L)]
            named[f"Transformer/encoderblock/{rest}"] = np.stack(layers)
    other = {"params/txt/head/kernel": np.zeros((3, 3), np.float32)} if prefix == "params/img/" else {}
    np.savez(tmp_path / "a.npz", **{prefix + name: array for name, array in named.items()}, **other)
    check_against_naive(tmp_path / "a.npz", file, "big_vision")


def test_bfloat16_arrays_arrive_as_the_numbers_they_are(tmp_path):
    file = flax_vit("original")
    half = {n: torch.from_numpy(a).bfloat16() for n, a in file.items()}
    np.savez(tmp_path / "a.npz", **{n: t.view(torch.int16).numpy().view("V2") for n, t in half.items()})
    check_against_naive(tmp_path / "a.npz", {n: t.float().numpy() for n, t in half.items()}, "original")


@pytest.mark.parametrize("naming", ["original", "big_vision"])
def test_there_and_back_is_bit_identical(naming):
    file = {n: torch.from_numpy(a) for n, a in flax_vit(naming, rows=N + (naming == "original")).items()}
    plain, layout, _ = translate(file, "x")
    assert layout == {"original": "google", "big_vision": "big_vision"}[naming]
    assert google.heads_of(file) == K
    back = getattr(google, f"{naming}_from_plain")(plain, K)
    assert back.keys() == file.keys()
    assert all(torch.equal(back[n], file[n]) and back[n].shape == file[n].shape for n in file)


def test_another_number_of_heads_is_refused_though_every_tensor_would_fit(tmp_path):
    np.savez(tmp_path / "a.npz", **flax_vit("original"))
    with pytest.raises(WeightsError, match="num_heads=4"):
        load_weights(build_model("vit_s16", **{**OPTIONS, "num_heads": 2}), tmp_path / "a.npz")


def test_a_representation_layer_goes_with_its_head_or_with_none(tmp_path):
    file = flax_vit("original")
    file |= {"pre_logits/kernel": np.eye(D, dtype=np.float32), "pre_logits/bias": np.zeros(D, np.float32)}
    np.savez(tmp_path / "a.npz", **file)
    whole = build_model("vit_s16", **OPTIONS, representation=D)
    assert "pre_logits.weight" in load_weights(whole, tmp_path / "a.npz").loaded
    other = build_model("vit_s16", **{**OPTIONS, "num_classes": 3})
    assert "pre_logits.weight" in load_weights(other, tmp_path / "a.npz").dropped
    with pytest.raises(WeightsError, match="representation layer"):
        load_weights(build_model("vit_s16", **OPTIONS), tmp_path / "a.npz")


def test_a_file_cut_short_is_refused(tmp_path):
    file = flax_vit("original")
    del file["Transformer/encoderblock_1/LayerNorm_2/scale"]
    np.savez(tmp_path / "a.npz", **file)
    with pytest.raises(WeightsError, match="lacks 1 tensors"):
        load_weights(build_model("vit_s16", **OPTIONS), tmp_path / "a.npz")


def test_arrays_of_the_wrong_rank_are_an_error_that_names_the_layout(tmp_path):
    file = flax_vit("original")
    file["embedding/kernel"] = file["embedding/kernel"].reshape(-1, D)
    np.savez(tmp_path / "a.npz", **file)
    with pytest.raises(WeightsError, match="google names, but tensors that do not fit"):
        load_weights(build_model("vit_s16", **OPTIONS), tmp_path / "a.npz")


def hwio(weight: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(weight.detach().numpy().transpose(2, 3, 1, 0))


@pytest.mark.parametrize("old", [False, True])
def test_a_hybrids_stem_arrives_tensor_by_tensor(tmp_path, old):
    """Group norms are (1, 1, 1, C) in old files, and their names count from 1."""
    options = {"width": 64, "num_heads": 2, "depth": 1, "image_size": 64, "num_classes": 3, "stem_depths": (1, 2)}
    source = build_model("r50_vit_b16", **options)
    target = build_model("r50_vit_b16", **options)
    stem = source.backbone.patch_embed.backbone

    def norm(name, module):
        shape = (1, 1, 1, -1) if old else (-1,)
        return {
            f"{name}/scale": module.weight.detach().numpy().reshape(shape),
            f"{name}/bias": module.bias.detach().numpy().reshape(shape),
        }

    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    plain = {n.removeprefix("backbone."): t for n, t in source.state_dict().items()}
    ours = {n: t for n, t in plain.items() if not n.startswith("patch_embed.backbone.")}
    file = {n: t.numpy() for n, t in google.original_from_plain(ours, 2).items()}
    file |= {"conv_root/kernel": hwio(stem.stem.conv.weight), **norm("gn_root", stem.stem.norm)}
    for s, stage in enumerate(stem.stages, 1):
        for u, block in enumerate(stage.blocks, 1):
            for i in (1, 2, 3):
                file[f"block{s}/unit{u}/conv{i}/kernel"] = hwio(getattr(block, f"conv{i}").weight)
                file |= norm(f"block{s}/unit{u}/gn{i}", getattr(block, f"norm{i}"))
            if block.downsample is not None:
                file[f"block{s}/unit{u}/conv_proj/kernel"] = hwio(block.downsample.conv.weight)
                file |= norm(f"block{s}/unit{u}/gn_proj", block.downsample.norm)
    np.savez(tmp_path / "a.npz", **file)
    report = load_weights(target, tmp_path / "a.npz")
    assert not (report.missing + report.unexpected + report.dropped)
    assert all(torch.equal(t, target.state_dict()[n]) for n, t in source.state_dict().items())


def test_a_bit_file_arrives_tensor_by_tensor(tmp_path):
    source = build_model("bit_r50x1", depths=(1, 2), num_classes=3)
    target = build_model("bit_r50x1", depths=(1, 2), num_classes=3)
    backbone = source.backbone
    conv, file = "standardized_conv2d/kernel", {}
    file[f"resnet/root_block/{conv}"] = hwio(backbone.stem.conv.weight)
    for s, stage in enumerate(backbone.stages, 1):
        for u, block in enumerate(stage.blocks, 1):
            unit = f"resnet/block{s}/unit{u:02d}"
            for i, letter in enumerate("abc", 1):
                norm = getattr(block, f"norm{i}")
                file[f"{unit}/{letter}/{conv}"] = hwio(getattr(block, f"conv{i}").weight)
                file[f"{unit}/{letter}/group_norm/gamma"] = norm.weight.detach().numpy()
                file[f"{unit}/{letter}/group_norm/beta"] = norm.bias.detach().numpy()
            if block.downsample is not None:
                file[f"{unit}/a/proj/{conv}"] = hwio(block.downsample.conv.weight)
    file["resnet/group_norm/gamma"] = backbone.norm.weight.detach().numpy()
    file["resnet/group_norm/beta"] = backbone.norm.bias.detach().numpy()
    file["resnet/head/conv2d/kernel"] = source.head.weight.detach().numpy().T[None, None]
    file["resnet/head/conv2d/bias"] = source.head.bias.detach().numpy()
    np.savez(tmp_path / "a.npz", **file)
    report = load_weights(target, tmp_path / "a.npz")
    assert report.layout == "bit"
    assert not (report.missing + report.unexpected + report.dropped)
    assert all(torch.equal(t, target.state_dict()[n]) for n, t in source.state_dict().items())
    state = read_state(tmp_path / "a.npz")
    back = google.bit_from_plain(google.bit_to_plain(state), 1)
    assert all(torch.equal(back[n], state[n]) for n in state)


def test_attention_pooling_arrives_with_its_heads(tmp_path):
    options = {"width": D, "num_heads": K, "depth": 1, "patch_size": P, "image_size": SIZE, "pool": "attention"}
    source = build_model("vit_s16", **options, class_token=False, num_classes=3)
    target = build_model("vit_s16", **options, class_token=False, num_classes=3)
    pool = source.backbone.attn_pool
    plain = {n.removeprefix("backbone."): t for n, t in source.state_dict().items()}
    rest = {n: t for n, t in plain.items() if not n.startswith("attn_pool.")}
    file = {n: t.numpy() for n, t in google.big_vision_from_plain(rest, K).items()}
    heads = "MAPHead_0/MultiHeadDotProductAttention_0"
    key, value = pool.kv.weight.detach().chunk(2)
    key_bias, value_bias = pool.kv.bias.detach().chunk(2)
    for name, weight, bias in (
        ("query", pool.q.weight.detach(), pool.q.bias.detach()),
        ("key", key, key_bias),
        ("value", value, value_bias),
    ):
        file[f"{heads}/{name}/kernel"] = weight.numpy().T.reshape(D, K, E)
        file[f"{heads}/{name}/bias"] = bias.numpy().reshape(K, E)
    file[f"{heads}/out/kernel"] = pool.proj.weight.detach().numpy().T.reshape(K, E, D)
    file[f"{heads}/out/bias"] = pool.proj.bias.detach().numpy()
    file["MAPHead_0/probe"] = pool.latent.detach().numpy()
    file |= {
        f"MAPHead_0/LayerNorm_0/{n}": getattr(pool.norm, w).detach().numpy()
        for n, w in (("scale", "weight"), ("bias", "bias"))
    }
    for i, layer in enumerate((pool.mlp.fc1, pool.mlp.fc2)):
        file[f"MAPHead_0/MlpBlock_0/Dense_{i}/kernel"] = layer.weight.detach().numpy().T
        file[f"MAPHead_0/MlpBlock_0/Dense_{i}/bias"] = layer.bias.detach().numpy()
    np.savez(tmp_path / "a.npz", **file)
    report = load_weights(target, tmp_path / "a.npz")
    assert not (report.missing + report.unexpected + report.dropped)
    assert all(torch.equal(t, target.state_dict()[n]) for n, t in source.state_dict().items())
