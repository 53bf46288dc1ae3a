"""What the authors of a model report for it; every figure with its source."""

from __future__ import annotations

from dataclasses import dataclass

VIT = "google-research/vision_transformer, README.md"
VIT_PAPER = "ViT, table 2"
SCALING = "Scaling Vision Transformers (Zhai et al. 2022), abstract"
BIT = "google-research/big_transfer, README.md"
BIT_PAPER = "BiT, table 1"
SWIN = "microsoft/Swin-Transformer, README.md"
BIG_VISION = "google-research/big_vision, configs/vit_s16_i1k.py"
MAE_FINETUNE = "facebookresearch/mae, FINETUNE.md"
TORCHVISION = "torchvision, weights of its own training"
TIMM = "huggingface/pytorch-image-models, results/results-imagenet.csv"

AUGREG = "ImageNet-21k (AugReg), fine-tuned"
IMAGENET_21K = "ImageNet-21k, fine-tuned"
IMAGENET_22K = "ImageNet-22k, fine-tuned"
IMAGENET_1K = "ImageNet-1k"
JFT = "JFT-300M, fine-tuned"
MAE_1600 = "MAE on ImageNet-1k for 1600 epochs, "


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        model: vitrail's name of the model.
        image_size: height and width of the test images, in pixels; None where the source does not say.
        top1: accuracy on ImageNet-1k's validation set, in per cent.
        training: what the weights were trained on, and how.
        source: where the figure stands.
    """

    model: str
    image_size: int | None
    top1: float
    training: str
    source: str


PUBLISHED: tuple[Published, ...] = (
    Published("vit_ti16", 384, 78.22, AUGREG, VIT),
    Published("vit_s32", 384, 79.58, AUGREG, VIT),
    Published("vit_s16", 384, 83.73, AUGREG, VIT),
    Published("vit_s16", 224, 78.84, "ImageNet-1k (AugReg)", TIMM),
    Published("vit_s16", 224, 76.5, "ImageNet-1k for 90 epochs, sincos_2d, pool mean", BIG_VISION),
    Published("vit_b32", 384, 83.59, AUGREG, VIT),
    Published("vit_b32", 384, 81.66, IMAGENET_21K, VIT),
    Published("vit_b32", 224, 74.91, "ImageNet-1k (AugReg)", TIMM),
    Published("vit_b16", 384, 85.49, AUGREG, VIT),
    Published("vit_b16", 384, 84.53, IMAGENET_21K, VIT),
    Published("vit_b16", 224, 83.66, MAE_1600 + "fine-tuned", MAE_FINETUNE),
    Published("vit_b16", 224, 81.07, "ImageNet-1k for 300 epochs", TORCHVISION),
    Published("vit_b16", 224, 79.15, "ImageNet-1k (AugReg)", TIMM),
    Published("vit_l32", 384, 81.89, IMAGENET_21K, VIT),
    Published("vit_l16", 384, 85.59, AUGREG, VIT),
    Published("vit_l16", 384, 85.05, IMAGENET_21K, VIT),
    Published("vit_l16", 224, 85.95, MAE_1600 + "fine-tuned", MAE_FINETUNE),
    Published("vit_l16", 224, 79.66, IMAGENET_1K, TORCHVISION),
    Published("vit_l16", 512, 87.76, JFT, VIT_PAPER),
    Published("vit_h14", 518, 88.55, JFT, VIT_PAPER),
    Published("vit_h14", 224, 86.93, MAE_1600 + "fine-tuned", MAE_FINETUNE),
    Published("vit_h14", 448, 87.8, MAE_1600 + "fine-tuned", MAE_FINETUNE),
    Published("vit_g14", None, 90.45, "JFT-3B, fine-tuned", SCALING),
    Published("r_vit_ti16", 384, 75.40, AUGREG, VIT),
    Published("r26_vit_s32", 384, 83.85, AUGREG, VIT),
    Published("r50_vit_b16", 384, 85.08, IMAGENET_21K, VIT),
    Published("r50_vit_l32", 384, 85.99, AUGREG, VIT),
    Published("bit_r50x1", 480, 80.68, IMAGENET_21K, BIT),
    Published("bit_r152x2", 480, 85.15, IMAGENET_21K, BIT),
    Published("bit_r152x4", 480, 85.39, IMAGENET_21K, BIT_PAPER),
    Published("bit_r50x1", 224, 82.8, "distilled from bit_r152x2", BIT),
    Published("swin_t", 224, 81.2, IMAGENET_1K, SWIN),
    Published("swin_t", 224, 80.9, IMAGENET_22K, SWIN),
    Published("swin_s", 224, 83.2, IMAGENET_1K, SWIN),
    Published("swin_s", 224, 83.2, IMAGENET_22K, SWIN),
    Published("swin_b", 224, 83.5, IMAGENET_1K, SWIN),
    Published("swin_b", 224, 85.2, IMAGENET_22K, SWIN),
    Published("swin_b_384", 384, 84.5, IMAGENET_1K, SWIN),
    Published("swin_b_384", 384, 86.4, IMAGENET_22K, SWIN),
    Published("swin_l", 224, 86.3, IMAGENET_22K, SWIN),
    Published("swin_l_384", 384, 87.3, IMAGENET_22K, SWIN),
    Published("mae_vit_b16", 224, 67.8, MAE_1600 + "linear probe", MAE_FINETUNE),
    Published("mae_vit_l16", 224, 76.0, MAE_1600 + "linear probe", MAE_FINETUNE),
    Published("mae_vit_h14", 224, 77.2, MAE_1600 + "linear probe", MAE_FINETUNE),
)


def published(model: str) -> tuple[Published, ...]:
    """Return what is published for a model, best first; empty where nothing is known."""
    return tuple(sorted((row for row in PUBLISHED if row.model == model), key=lambda row: -row.top1))
