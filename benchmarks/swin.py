"""Swin beside timm, torchvision and transformers: the same weights' shapes, one run, interleaved.

Every round times each model once, in a shuffled order, and the matrix product of 2048 x 2048 in the same type, so
that what the machine does besides hits all alike. Printed: median milliseconds, the ratio of every peer's time to
ours within a round (median, and the middle half of the rounds), and the efficiency, the share of the matrix
product's rate that the multiplications of the model reach.

    python benchmarks/swin.py                                inference of swin_t, batch 16, bf16, compiled and frozen
    python benchmarks/swin.py --training                     a training step with fused AdamW
    python benchmarks/swin.py --size 384 384 --window 12
    python benchmarks/swin.py --size 800 1216 --batch 1      a dense size; peers that cannot are left out
    python benchmarks/swin.py --eager --precision fp32
    python benchmarks/swin.py --profile --peers timm         where each model's time goes, by kind of kernel

Use no other load on the machine; OMP_NUM_THREADS chooses the cores. Compiling takes minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from timing import Run, interleave
from torch import Tensor, nn

from vitrail.heads.names import build_model
from vitrail.models.cost import cost
from vitrail.models.swin import SIZES, SwinConfig
from vitrail.training.precision import keep_large_buffers


class Logits(nn.Module):
    """A model of transformers that gives its logits alone, as all others do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).logits


def heads(config: SwinConfig) -> list[int]:
    return [config.embed_width * 2**s // config.head_width for s in range(len(config.depths))]


def timm(config: SwinConfig) -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=config.image_size,
        embed_dim=config.embed_width,
        depths=config.depths,
        num_heads=tuple(heads(config)),
        window_size=config.window,
        drop_path_rate=0.0,
    )


def torchvision(config: SwinConfig) -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        [config.patch_size] * 2,
        config.embed_width,
        list(config.depths),
        heads(config),
        list(config.window),
        stochastic_depth_prob=0.0,
    )


def transformers(attention: str) -> Callable[[SwinConfig], nn.Module]:
    def build(config: SwinConfig) -> nn.Module:
        from transformers import SwinConfig as TheirConfig
        from transformers import SwinForImageClassification

        shape = TheirConfig(
            image_size=config.image_size,
            embed_dim=config.embed_width,
            depths=list(config.depths),
            num_heads=heads(config),
            window_size=config.window[0],
            drop_path_rate=0.0,
            num_labels=1000,
            attn_implementation=attention,
        )
        return Logits(SwinForImageClassification(shape))

    return build


PEERS: dict[str, Callable[[SwinConfig], nn.Module]] = {
    "timm": timm,
    "torchvision": torchvision,
    "transformers eager": transformers("eager"),
    "transformers sdpa": transformers("sdpa"),
}


def inference(model: nn.Module, images: Tensor, compiled: bool) -> Run:
    model.eval()
    run = torch.compile(model) if compiled else model

    def once() -> object:
        with torch.inference_mode(not compiled), torch.no_grad():
            return run(images)

    return once


def training(model: nn.Module, images: Tensor, compiled: bool) -> Run:
    """A forward and backward pass under autocast where weights are fp32, and a step of fused AdamW."""
    model.train()
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    labels = torch.arange(len(images), device=images.device) % 1000

    def once() -> object:
        with torch.autocast(images.device.type, images.dtype, enabled=images.dtype is not torch.float32):
            loss = nn.functional.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return once


KINDS = {
    "linear layers": ("_linear_pointwise", "aten::mm", "aten::addmm"),
    "attention's products": ("aten::bmm",),
    "attention's kernel": ("vitrail::attention",),
}


def profile(run: Run, passes: int = 5) -> dict[str, float]:
    """Return milliseconds of one pass by kind of kernel; a fused one with an exponential is taken for softmax."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as taken:
        for _ in range(passes):
            run()
    found: dict[str, float] = {}
    for event in taken.key_averages():
        kind = next((kind for kind, names in KINDS.items() if any(name in event.key for name in names)), "all else")
        if "cpp_fused" in event.key and ("softmax" in event.key or "exp_" in event.key):
            kind = "softmax"
        found[kind] = found.get(kind, 0.0) + event.self_cpu_time_total / 1e3 / passes
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="swin_t", choices=SIZES)
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224))
    parser.add_argument("--window", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--profile", action="store_true", help="on a CPU: where the time goes, in place of how much it is"
    )
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    options = parser.parse_args()

    keep_large_buffers()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    # Weights become constants of the graph, and are laid out anew once; it is for inference only.
    torch._inductor.config.freezing = not options.training
    torch._inductor.config.cpp.enable_kernel_profile = options.profile
    ours = build_model(options.model, image_size=tuple(options.size), window=options.window)
    config = ours.backbone.config
    models = {"vitrail": ours} | {name: PEERS[name](config) for name in options.peers}
    images = torch.randn(options.batch, 3, *options.size, device=device, dtype=dtype)

    runs: dict[str, Run] = {}
    for name, model in models.items():
        model = model.to(device, torch.float32 if options.training else dtype)
        run = (training if options.training else inference)(model, images, not options.eager)
        try:
            for _ in range(3):
                run()
        except Exception as error:
            print(f"{name} cannot: {str(error).splitlines()[0]}")
        else:
            runs[name] = run

    if options.profile:
        for name, run in runs.items():
            print(name, ", ".join(f"{kind} {ms:.0f} ms" for kind, ms in sorted(profile(run).items())))
        return

    with torch.device("meta"):
        shape = build_model(options.model, image_size=tuple(options.size), window=options.window)
    # Two operations a multiply-accumulate; a training step costs about three forward passes.
    flops = 2 * cost(shape).multiply_accumulates * options.batch * (3 if options.training else 1)

    taken = interleave(runs, options.rounds, dtype, device)
    work = "a training step" if options.training else "inference"
    print(f"{work}: {options.model} {images.shape[2]}x{images.shape[3]}, batch {options.batch}, {options.precision}")
    taken.report("vitrail", flops)


if __name__ == "__main__":
    main()
