"""A pretraining step of a masked autoencoder beside transformers', lightly's and one built of timm's blocks.

The same shapes, targets and optimizer (fused AdamW) for all, one run, interleaved: every round times each
configuration once, in a shuffled order, and the matrix product of 2048 x 2048 in the same type, so that what the
machine does besides hits all alike. Printed: median milliseconds, the ratio to ours within a round (median, and the
middle half of the rounds), and the efficiency, the share of the matrix product's rate that the multiplications of the
model reach.

    python benchmarks/mae.py                          vit_s16 at 224, decoder of 8 x 512, batch 16, bf16; all peers
    python benchmarks/mae.py --model vit_b16 --only vitrail "timm sdpa" "transformers eager"
    python benchmarks/mae.py --memory                 the largest memory of each, in a process of its own

A peer's name says which of its attention paths it takes; a configuration ending in "compiled" is torch.compile's.
Use no other load on the machine; OMP_NUM_THREADS chooses the cores. lightly is only timed where it is installed.
"""

from __future__ import annotations

import argparse
import functools
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from timing import Run, interleave
from torch import Tensor, nn

from vitrail.heads.names import build_model
from vitrail.models.cost import cost
from vitrail.models.mae import MAE
from vitrail.training.precision import keep_large_buffers

SEEN = 0.25


class Ours(nn.Module):
    """vitrail's, drawing a mask and taking the loss as `vitrail pretrain` does."""

    def __init__(self, mae: MAE, compiled: bool) -> None:
        super().__init__()
        self.mae = mae
        self.loss_of = torch.compile(mae.loss_of) if compiled else mae.loss_of

    def forward(self, images: Tensor) -> Tensor:
        return self.loss_of(images, self.mae.split(images))


class TransformersLoss(nn.Module):
    def __init__(self, mae: MAE, attention: str) -> None:
        super().__init__()
        from transformers import ViTMAEConfig, ViTMAEForPreTraining

        own, shape = mae.config, mae.encoder.config
        config = ViTMAEConfig(
            hidden_size=shape.width,
            num_hidden_layers=shape.depth,
            num_attention_heads=shape.num_heads,
            intermediate_size=4 * shape.width,
            image_size=shape.image_size[0],
            patch_size=shape.patch_size,
            decoder_hidden_size=own.decoder_width,
            decoder_num_hidden_layers=own.decoder_depth,
            decoder_num_attention_heads=own.decoder_heads,
            decoder_intermediate_size=4 * own.decoder_width,
            norm_pix_loss=True,
            attn_implementation=attention,
        )
        self.model = ViTMAEForPreTraining(config)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).loss


def patches_of(images: Tensor, size: int) -> Tensor:
    """Cut images into normalised patches ``(B, N, P * P * C)``, as the two peers below predict them."""
    patches = nn.functional.unfold(images, size, stride=size).transpose(1, 2)
    return (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()


def draw(images: Tensor, count: int) -> Tensor:
    """Draw an order of ``count`` patches for each image; the first ones are seen."""
    return torch.rand(len(images), count, device=images.device).argsort(dim=1)


def pick(tokens: Tensor, places: Tensor) -> Tensor:
    return tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


class TimmLoss(nn.Module):
    """A masked autoencoder as one would build it of timm's embedding and blocks."""

    def __init__(self, mae: MAE, attention: str) -> None:
        super().__init__()
        from timm.layers import PatchEmbed, set_fused_attn
        from timm.models.vision_transformer import Block

        set_fused_attn(attention == "sdpa")
        own, shape = mae.config, mae.encoder.config
        self.size, width, narrow = shape.patch_size, shape.width, own.decoder_width
        norm = functools.partial(nn.LayerNorm, eps=1e-6)
        self.embed = PatchEmbed(shape.image_size[0], shape.patch_size, 3, width)
        count = self.embed.num_patches
        self.first = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.places = nn.Parameter(torch.randn(1, count, width) * 0.02, requires_grad=False)
        self.blocks = nn.Sequential(
            *(Block(width, shape.num_heads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(shape.depth))
        )
        self.norm = norm(width)
        self.narrow = nn.Linear(width, narrow)
        self.hidden = nn.Parameter(torch.randn(1, 1, narrow) * 0.02)
        self.narrow_places = nn.Parameter(torch.randn(1, count + 1, narrow) * 0.02, requires_grad=False)
        self.decoder = nn.Sequential(
            *(Block(narrow, own.decoder_heads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(own.decoder_depth))
        )
        self.narrow_norm = norm(narrow)
        self.predict = nn.Linear(narrow, shape.patch_size**2 * 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images) + self.places
        order = draw(images, tokens.shape[1])
        seen = int(tokens.shape[1] * SEEN)
        tokens = torch.cat([self.first.expand(len(images), -1, -1), pick(tokens, order[:, :seen])], dim=1)
        tokens = self.narrow(self.norm(self.blocks(tokens)))
        hidden = self.hidden.to(tokens.dtype).expand(len(images), order.shape[1] - seen, -1)
        full = pick(torch.cat([tokens[:, 1:], hidden], dim=1), order.argsort(dim=1))
        full = torch.cat([tokens[:, :1], full], dim=1) + self.narrow_places
        predicted = self.predict(self.narrow_norm(self.decoder(full)))[:, 1:]
        loss = (predicted - patches_of(images, self.size)).square().mean(dim=-1)
        return loss.gather(1, order[:, seen:]).mean()


class LightlyLoss(nn.Module):
    """lightly's masked encoder and decoder, put together as its documentation shows, with normalised targets."""

    def __init__(self, mae: MAE, attention: str) -> None:
        super().__init__()
        from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
        from timm.layers import set_fused_attn
        from timm.models.vision_transformer import VisionTransformer

        set_fused_attn(attention == "sdpa")
        own, shape = mae.config, mae.encoder.config
        vit = VisionTransformer(
            shape.image_size[0], shape.patch_size, embed_dim=shape.width, depth=shape.depth, num_heads=shape.num_heads
        )
        self.size, self.count = shape.patch_size, vit.patch_embed.num_patches
        self.encoder = MaskedVisionTransformerTIMM(vit)
        self.decoder = MAEDecoderTIMM(
            num_patches=self.count,
            patch_size=shape.patch_size,
            embed_dim=shape.width,
            decoder_embed_dim=own.decoder_width,
            decoder_depth=own.decoder_depth,
            decoder_num_heads=own.decoder_heads,
        )

    def forward(self, images: Tensor) -> Tensor:
        order = draw(images, self.count)
        seen = int(self.count * SEEN)
        first = torch.zeros(len(images), 1, dtype=order.dtype, device=order.device)
        visible, hidden = torch.cat([first, order[:, :seen] + 1], dim=1), order[:, seen:] + 1
        tokens = self.decoder.embed(self.encoder.encode(images=images, idx_keep=visible))
        full = self.decoder.mask_token.to(tokens.dtype).expand(len(images), self.count + 1, -1)
        full = full.scatter(1, visible.unsqueeze(-1).expand_as(tokens), tokens)
        predicted = self.decoder.predict(pick(self.decoder.decode(full), hidden))
        return (predicted - pick(patches_of(images, self.size), hidden - 1)).square().mean()


PEERS: dict[str, Callable[[MAE], nn.Module]] = {
    f"{name} {attention}": lambda mae, peer=peer, attention=attention: peer(mae, attention)
    for name, peer in (("transformers", TransformersLoss), ("timm", TimmLoss), ("lightly", LightlyLoss))
    for attention in ("eager", "sdpa")
}
CONFIGURATIONS = [f"{name}{end}" for name in ("vitrail", *PEERS) for end in ("", " compiled")]


def build(name: str, options: argparse.Namespace) -> nn.Module:
    """Make the module that turns images into a loss."""
    mae = build_model(
        f"mae_{options.model}", decoder_width=options.decoder[1], decoder_depth=options.decoder[0], decoder_heads=16
    )
    plain = name.removesuffix(" compiled")
    if plain == "vitrail":
        return Ours(mae, name != plain)
    peer = PEERS[plain](mae)
    return torch.compile(peer) if name != plain else peer


def step(model: nn.Module, images: Tensor) -> Run:
    """A forward and backward pass under autocast where weights are fp32, and a step of fused AdamW."""
    model.train()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1.5e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    drawn, dtype = images.float(), images.dtype

    def once() -> object:
        with torch.autocast(images.device.type, dtype, enabled=dtype is not torch.float32):
            loss = model(drawn)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return once


def memory(name: str, options: argparse.Namespace, images: Tensor) -> None:
    """Take three steps and print by how much the process grew, or what a GPU held at most."""
    used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # noqa: E731
    before = used()
    run = step(build(name, options).to(images.device), images)
    for _ in range(3):
        run()
    grown = torch.cuda.max_memory_allocated() / 2**20 if images.device.type == "cuda" else used() - before
    print(f"{name:30} {grown:9,.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_s16")
    parser.add_argument("--decoder", type=int, nargs=2, default=(8, 512), metavar=("DEPTH", "WIDTH"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=CONFIGURATIONS, choices=CONFIGURATIONS)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()

    keep_large_buffers()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    images = torch.randn(options.batch, 3, 224, 224, device=device, dtype=dtype)
    if options.child:
        memory(options.only[0], options, images)
        return
    if options.memory:
        for name in options.only:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--child", "--only", name], check=False)
        return

    with torch.device("meta"):
        shape = build_model(
            f"mae_{options.model}", decoder_width=options.decoder[1], decoder_depth=options.decoder[0], decoder_heads=16
        )
    # Two operations a multiply-accumulate; a training step costs about three forward passes.
    flops = 2 * cost(shape).multiply_accumulates * options.batch * 3

    runs: dict[str, Run] = {}
    for name in options.only:
        began = time.perf_counter()
        try:
            run = step(build(name, options).to(device), images)
            for _ in range(2):
                run()
        except Exception as error:
            print(f"{name} cannot: {str(error).splitlines()[0]}", flush=True)
        else:
            runs[name] = run
            print(f"{name} is ready after {time.perf_counter() - began:.0f} s", flush=True)

    taken = interleave(runs, options.rounds, dtype, device)
    print(f"mae_{options.model}, decoder {options.decoder}, batch {options.batch}, {options.precision}, {device}")
    taken.report(min((name for name in runs if name.startswith("vitrail")), key=taken.median), flops)


if __name__ == "__main__":
    main()
