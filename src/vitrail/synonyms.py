"""What settings and commands are called elsewhere, so that a word of another library's is answered by what it means."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection

SETTINGS: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate", "lr_rate", "learningrate", "base_lr", "peak_lr", "max_lr", "lrate", "rate", "eta", "lr0"),
    "lr_for_batch": ("blr", "scale_lr", "auto_lr", "lr_scaling", "linear_scaling"),
    "epochs": ("num_epochs", "n_epochs", "num_train_epochs", "max_epochs", "nepochs", "nb_epochs", "epoch"),
    "batch_size": ("bs", "batch", "b", "train_batch_size", "per_device_train_batch_size", "batchsize", "bsz"),
    "image_size": ("img_size", "imgsz", "imsize", "input_size", "resolution", "size", "crop_size", "image_sz"),
    "channels": ("in_chans", "in_channels", "num_channels", "input_channels", "grayscale", "grey"),
    "out": ("output", "output_dir", "out_dir", "outdir", "save_dir", "logdir", "log_dir", "run_dir", "dest", "o"),
    "weights": ("pretrained", "checkpoint", "ckpt", "finetune", "init", "initial_checkpoint", "load", "load_from"),
    "features": ("in", "index", "embeddings", "database", "gallery"),
    "recipe": ("preset", "cfg", "config_name", "policy"),
    "model": ("arch", "backbone", "model_name", "network", "net", "encoder"),
    "objective": ("method", "pretext", "ssl", "pretrain_method"),
    "labels": ("label_fraction", "subset", "fraction", "shots", "few_shot", "num_labels"),
    "validation_share": ("val_split", "validation_split", "val_ratio", "val_share", "val_fraction", "val_size"),
    "smoothing": ("label_smoothing", "label_smooth", "ls"),
    "freeze": ("freeze_backbone", "frozen_stages", "freeze_layers", "freeze_encoder", "frozen"),
    "tune_blocks": ("partial", "unfreeze", "partial_finetune", "last_blocks"),
    "mask_ratio": ("masking_ratio", "mask_percentage", "mask_rate", "mask_share"),
    "mask_unit": ("mask_patch_size", "mask_size"),
    "normalize_target": ("norm_pix_loss", "norm_pix", "normalise_target", "norm_target"),
    "decoder_width": ("decoder_embed_dim", "decoder_dim"),
    "architecture.patch_size": ("patch", "patchsize"),
    "architecture.width": ("embed_dim", "hidden_size", "dim", "hidden_dim"),
    "architecture.depth": ("num_layers", "num_hidden_layers", "n_layers", "num_blocks"),
    "architecture.num_heads": ("heads", "num_attention_heads", "n_heads"),
    "architecture.drop_path": ("drop_path_rate", "stochastic_depth", "droppath"),
    "architecture.dropout": ("drop", "drop_rate", "dropout_rate", "hidden_dropout_prob"),
    "architecture.attention_dropout": ("attn_drop", "attn_drop_rate", "attention_probs_dropout_prob"),
    "architecture.pool": ("global_pool", "pooling", "cls_token"),
    "architecture.positions": ("pos_embed", "position_embedding", "positional_encoding"),
    "architecture.window": ("window_size",),
    "optim.kind": ("optimizer", "optimiser", "opt", "optim", "solver"),
    "optim.weight_decay": ("wd", "decay", "l2", "weightdecay"),
    "optim.layer_decay": ("llrd", "layerwise_decay", "lr_decay", "layer_lr_decay", "ld"),
    "optim.clip": ("clip_grad", "grad_clip", "max_grad_norm", "gradient_clip", "gradient_clip_val", "clip_norm"),
    "optim.ema": ("model_ema", "ema_decay", "ema_rate", "use_ema"),
    "optim.momentum": ("mom",),
    "optim.betas": ("beta1", "beta2", "adam_beta1", "adam_beta2", "beta", "opt_betas"),
    "schedule.kind": ("sched", "scheduler", "lr_scheduler", "lr_schedule", "lr_scheduler_type", "schedule"),
    "schedule.warmup_epochs": ("warmup", "warm_up", "num_warmup_epochs", "warmup_epoch", "warmup_steps"),
    "schedule.min_factor": ("min_lr", "final_lr", "lr_min", "eta_min", "warmup_lr"),
    "augment.flip": ("hflip", "horizontal_flip", "fliplr", "random_flip"),
    "augment.crop_scale": ("scale", "rrc_scale", "random_crop", "min_scale"),
    "augment.crop_ratio": ("ratio", "aspect_ratio"),
    "augment.color_jitter": ("colour_jitter", "jitter", "colorjitter"),
    "augment.rand_augment": ("aa", "auto_augment", "randaugment", "randaug", "autoaugment", "ra"),
    "augment.erasing": ("reprob", "random_erasing", "random_erase", "cutout"),
    "augment.mixup": ("mixup_alpha", "mix_up"),
    "augment.cutmix": ("cutmix_alpha", "cut_mix"),
    "augment.mix_probability": ("mixup_prob", "mix_prob"),
    "augment.mix_switch": ("mixup_switch_prob", "switch_prob"),
    "loader.workers": ("num_workers", "workers", "dataloader_num_workers", "n_workers", "j", "nworkers", "num_threads"),
    "loader.cache": ("cache", "cache_images", "in_memory"),
    "loader.balanced": ("class_weights", "weighted_sampler", "oversample", "balance", "class_balanced"),
    "loader.views": ("repeated_aug", "num_views"),
    "run.seed": ("seed", "random_seed", "manual_seed", "random_state"),
    "run.device": ("device", "gpu", "gpus", "cuda", "cpu", "accelerator", "no_cuda", "use_gpu", "mps", "devices"),
    "run.precision": ("precision", "amp", "fp16", "bf16", "half", "mixed_precision", "dtype", "float16", "bfloat16"),
    "run.compile": ("compile", "torchcompile", "torch_compile"),
    "run.micro_batch": ("accumulate", "grad_accum", "gradient_accumulation_steps", "accum_iter", "micro_batch_size"),
    "run.evaluate_every": (
        "eval_every",
        "val_every",
        "eval_interval",
        "check_val_every_n_epoch",
        "eval_steps",
        "eval_freq",
    ),
    "run.save_every": ("save_steps", "checkpoint_every", "save_interval", "save_freq", "ckpt_every", "save_period"),
    "run.keep": ("save_total_limit", "max_checkpoints", "checkpoint_hist"),
    "run.patience": ("early_stopping", "early_stop", "early_stopping_patience"),
    "run.tensorboard": ("tb", "tensor_board"),
    "dense.head": ("head", "detector", "decode_head", "decoder"),
    "dense.classes": ("class_file", "names", "class_names"),
    "dense.ignore": ("ignore_index", "void", "ignore_label"),
    "top": ("topk", "top_k", "k"),
    "threshold": ("score_thr", "conf", "confidence", "conf_thres", "score_threshold", "min_score"),
    "scoring.window": ("part", "tile", "tile_size", "window_size", "slide", "crop_size"),
    "scoring.scales": ("tta", "multi_scale", "multiscale"),
    "count": ("num_images", "n", "max_images"),
    "hours": ("budget", "time", "max_hours"),
    "seeds": ("num_seeds", "n_seeds", "repeats"),
    "neighbours": ("neighbors", "knn", "k", "nb_knn", "n_neighbors"),
    "to": ("format", "layout", "target", "dst_format"),
    "source": ("reference", "original", "against"),
    "data": ("dataset", "data_dir", "data_path", "input", "images", "train_dir", "root", "data_root"),
    "task": ("problem", "mode", "type"),
    "json": ("as_json", "output_json"),
}
"""For each setting, dotted as in Python, what it is called elsewhere."""

NEAR = 0.85
"""Likeness of letters from which a word is taken for a misspelt one."""

VALUES: dict[str, str] = {
    **dict.fromkeys(("gpu", "cuda", "use_gpu", "gpus"), "cuda"),
    **dict.fromkeys(("cpu", "no_cuda"), "cpu"),
    "mps": "mps",
    **dict.fromkeys(("fp16", "half", "float16"), "fp16"),
    **dict.fromkeys(("bf16", "bfloat16"), "bf16"),
    **dict.fromkeys(("amp", "mixed_precision"), "auto"),
}
"""The value that goes with some of these words."""

EXPLAINED: dict[str, str] = {
    "resume": "there is nothing to give: the same command with the same --out goes on where the run was",
    "auto_resume": "there is nothing to give: the same command with the same --out goes on where the run was",
    "resume_from": "there is nothing to give: the same command with the same --out goes on where the run was",
    "resume_from_checkpoint": "there is nothing to give: the same command with the same --out goes on where it was",
    "labels": "there is nothing to give: no labels are learned from here (vitrail train and probe have it)",
    "num_classes": "there is nothing to give: the classes are those of the data",
    "nb_classes": "there is nothing to give: the classes are those of the data",
    "class_num": "there is nothing to give: the classes are those of the data",
    "mean": "there is nothing to give: the normalisation is that of the weights, or ImageNet's",
    "std": "there is nothing to give: the normalisation is that of the weights, or ImageNet's",
    "distributed": "there is nothing to give: start it with torchrun --nproc-per-node N -m vitrail",
    "local_rank": "there is nothing to give: start it with torchrun --nproc-per-node N -m vitrail",
    "world_size": "there is nothing to give: start it with torchrun --nproc-per-node N -m vitrail",
    "dist_url": "there is nothing to give: start it with torchrun --nproc-per-node N -m vitrail",
    "config": "there are no configuration files: every setting is an option, and --recipe NAME gives many at once",
    "wandb": "there is no such log: metrics.jsonl in the run folder holds every figure (see --run.tensorboard)",
    "overwrite": "there is nothing to give: take another --out, or remove the old folder",
    "force": "there is nothing to give: take another --out, or remove the old folder",
    "exist_ok": "there is nothing to give: take another --out, or remove the old folder",
    "verbose": "there is nothing to give: what is worth knowing is printed",
    "eval": "that is a command of its own: vitrail evaluate RUN DATA",
    "evaluate": "that is a command of its own: vitrail evaluate RUN DATA",
    "linear_probe": "that is a command of its own: vitrail probe WEIGHTS DATA",
    "version": "the version is printed by: vitrail --version",
}
"""What there is no setting for, and why or what to do instead."""

VERBS: dict[str, tuple[str, ...]] = {
    "train": ("fit", "finetune", "fine_tune", "fine_tuning", "learn", "run", "tune", "training", "main"),
    "pretrain": ("mae", "simmim", "mpp", "ssl", "selfsupervised", "self_supervised", "pre_train", "pretraining"),
    "evaluate": ("eval", "test", "validate", "val", "measure", "score", "benchmark", "metrics", "evaluation"),
    "predict": ("inference", "infer", "classify", "detect", "segment", "label", "prediction", "predictions", "apply"),
    "embed": ("embedding", "embeddings", "features", "extract", "vectors", "search", "retrieve", "similar", "nearest"),
    "look": ("visualize", "visualise", "attention", "plot", "show", "draw", "explain", "view", "viz", "inspect_model"),
    "probe": ("knn", "linear", "linprobe", "linear_probe", "linear_eval"),
    "plan": ("estimate", "budget", "autotune", "tune_batch", "profile"),
    "stress": ("robustness", "robust", "occlusion", "corruptions", "shuffle", "attack", "adversarial", "patchdrop"),
    "trust": ("card", "model_card", "trust_card", "trustcard", "audit", "sign", "sheet", "datasheet", "report"),
    "paper": ("reproduce", "papers", "table", "tables", "experiment", "experiments"),
    "weights": ("export", "convert", "inspect", "verify", "push", "upload", "checkpoint", "import", "load", "save"),
    "models": ("list", "zoo", "model", "recipes", "list_models", "ls"),
    "doctor": ("check", "info", "env", "diagnose", "validate_data", "lint", "status", "version", "verify_data"),
    "tour": ("demo", "start", "quickstart", "example", "examples", "hello", "init", "tutorial"),
}
"""For each command, what it is called elsewhere."""


def by_meaning(name: str, known: Collection[str], spelt: Callable[[str, str], str] = lambda name, _: repr(name)) -> str:
    """Say what to do about a setting that is not known: which one is meant, or why there is none; "" if unsure.

    Args:
        name: as it was given; case, dashes and dots do not matter.
        known: the dotted names there are.
        spelt: writes a known name, and the value that the given name stands for (or "").
    """
    plain = _plain(name)
    for wanted in dict.fromkeys((plain, plain.rpartition(".")[2])):
        if found := _named(wanted, known):
            return f"did you mean {' or '.join(spelt(full, VALUES.get(wanted, '')) for full in found[:3])}?"
        if wanted in EXPLAINED:
            return EXPLAINED[wanted]
    # A misspelt word of another library's.
    near = difflib.get_close_matches(plain.rpartition(".")[2], {word for words in SETTINGS.values() for word in words})
    found = _named(near[0], known) if near and _likeness(near[0], plain) > NEAR else []
    return f"did you mean {' or '.join(spelt(full, '') for full in found[:3])}?" if found else ""


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _named(wanted: str, known: Collection[str]) -> list[str]:
    """Return the known names that a word means, the surest ground first."""
    # The same word under another heading: weight_decay is optim.weight_decay.
    same = [full for full in known if wanted in (full, full.rpartition(".")[2])]
    elsewhere = [full for full in known if wanted in SETTINGS.get(full, ())]
    # What is run.device of `train` is plain device of `predict`.
    plain = [
        full
        for full in known
        if any(wanted in others and full == whole.rpartition(".")[2] for whole, others in SETTINGS.items())
    ]
    return same or elsewhere or plain


def verb_meant(name: str, known: Collection[str]) -> str:
    """Return the command that goes by another name elsewhere, or ""."""
    plain = _plain(name)
    return next((verb for verb, others in VERBS.items() if plain in others and verb in known), "")


def _plain(name: str) -> str:
    return name.strip("-").replace("-", "_").lower()
