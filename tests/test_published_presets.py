"""Presets named after a paper, setting by setting.

Each table below has the constants of the original, with the section of the paper or code that they come from. What the
preset has instead is in `OURS`, with the words that tell of it in docs/differences.md.
"""

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from captioner.alignment.config import ALIGNMENTS, AlignmentConfig
from captioner.config import CONFIGS as CAPTIONERS
from captioner.config import CaptionerConfig
from naturalness.config import CONFIGS as LANGUAGE_MODELS
from naturalness.config import NaturalnessConfig
from preimage.config import CONFIGS as SEARCHES
from preimage.config import SIGMA, SIGMA_SIDE, B, PreimageConfig, V
from vse.config import CONFIGS as RANKERS
from vse.config import VseConfig

DIFFERENCES = (Path(__file__).resolve().parent.parent / "docs" / "differences.md").read_text(encoding="utf-8")

# The code of Kiros et al. 2014: train.trainer's arguments, layers.py, optim.py, vocab.py, homogeneous_data.py.
KIROS = {
    "tokenizer": "whitespace",
    "min_count": 1,
    "drop_rarest": 2,  # n_words lacks the two special words
    "append_end": True,
    "max_words": 100,
    "encoder": "gru",
    "word_dim": 300,
    "hidden_dim": 1024,
    "sentence_pooling": "last",
    "project_sentences": False,
    "sentence_dropout": 0.0,
    "word_dropout": 0.0,
    "layers": ("fc7@center-crop-224-bgr-mean/v1",),
    "image_scaling": "unit",
    "image_pooling": "mean",
    "image_dropout": 0.0,
    "normalize_images_in_loss": False,
    "embed_dim": 1024,
    "loss": "summed_hinge",
    "margin": 0.2,
    "warmup_updates": 0,
    "same_image_is_negative": True,
    "optimizer": "kiros_adam",
    "learning_rate": 2e-4,
    "schedule": "constant",
    "clip_norm": 2.0,
    "l2": 0.0,
    "batch_size": 128,
    "batching": "homogeneous",
    "epochs": 15,
    "validate_updates": 100,
    "ensemble_size": 1,
}
# Faghri et al. 2018, table 1 and the options of its code.
VSEPP = {
    **KIROS,
    "drop_rarest": 0,
    "append_end": False,
    "tokenizer": "treebank",
    "image_scaling": "none",
    "normalize_images_in_loss": True,
    "loss": "hardest_hinge",
    "same_image_is_negative": False,
    "optimizer": "adam",
    "schedule": "step",
    "step_epochs": 15,
    "batching": "shuffled",
    "epochs": 30,
    "validate_updates": 0,
}
# Karpathy and Fei-Fei 2015, sections 3.2 and 4, and the defaults of neuraltalk where the paper has none.
KARPATHY = {
    "min_count": 5,
    "unknown_words": "skip",
    "model": "mrnn",
    "hidden_dim": 512,
    "word_dim": 512,  # neuraltalk adds image and word to the hidden units
    "feed_once": True,
    "relu_encoders": False,
    "layers": ("fc7@squash-224-bgr-mean/v1",),
    "image_scaling": "none",
    "embedding_dropout": 0.5,
    "image_dropout": 0.5,
    "output_dropout": 0.5,
    "word_dropout": 0.0,
    "mean_descriptor_rate": 0.0,
    "label_smoothing": 0.0,
    "weighted_cross_entropy": 0.0,
    "scheduled_sampling": 0.0,
    "l2": 1e-8,
    "optimizer": "rmsprop",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "clip_norm": 0.0,
    "clip_value": 5.0,
    "batch_size": 100,
    "batching": "shuffled",
    "epochs": 50,
    "select_by": "perplexity",
    "ensemble_size": 1,
    "self_critical_epochs": 0,
    "beam": 7,
    "length_power": 0.0,
    "decode_words": 20,
    "forbid_repeats": False,
    "no_repeat_ngram": 0,
    "repetition_weight": 0.0,
    "scorers": 0,
    "scorer_weight": 0.0,
    "consensus_images": 0,
    "consensus_weight": 0.0,
    "tied_words": False,
}
# neuraltalk's driver.py: --generator lstm and its sizes.
NEURALTALK = {**KARPATHY, "model": "lstm", "word_dim": 256, "hidden_dim": 256, "lstm_tanh": False}
# cfg.py and s2vt.py of Ramanishka et al. 2017.
RAMANISHKA = {
    **KARPATHY,
    "min_count": 1,
    "max_words": 24,
    "model": "s2vt",
    "reading_order": "snake",
    "block_side": 1,
    "word_dim": 300,
    "hidden_dim": 1300,
    "layers": ("grid",),
    "l2": 0.0,
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "clip_value": 0.0,
    "epochs": 10,
    "beam": 1,
    "decode_words": 25,
}
# Karpathy and Fei-Fei 2015, sections 3.1 and 4.1.
ALIGNMENT = {
    "min_count": 5,
    "word_dim": 300,
    "word_vectors": "word2vec",
    "learn_words": False,
    "recurrent": "relu",
    "hidden_dim": 300,
    "directions": "sum",
    "relu_words": True,
    "global_dim": 0,
    "bag_dim": 0,
    "layers": ("crops-detector",),
    "image_scaling": "none",
    "context": False,
    "global_only": False,
    "joint_dim": 1000,
    "pooling": "max",
    "normalised": False,
    "loss": "summed_hinge",
    "margin": 1.0,
    "same_image_is_negative": True,
    "word_dropout": 0.0,
    "optimizer": "sgd",
    "momentum": 0.9,
    "schedule": "constant",
    "clip_value": 5.0,
    "clip_norm": 0.0,
    "batch_size": 100,
    "batching": "shuffled",
    "best_checkpoints": 5,
    "whole_image_cost": 0.0,
    "proposal_weight": 0.0,
}
# train_vlm.py and compute_saliency_map.py of Kato and Harada 2015.
KATO = {
    "experts": [{"layer": "conv5_4", "context": "scan", "space": "components", "errors": "square", "gamma": 0.0}],
    "fixation_expert": -1,
    "information_layer": "",
    "mirror_padding": 0,
    "pca_cells": 100_000,
    "depth": 2,
    "ramp": True,
    "learning_rate": 10.0,
    "momentum": 0.9,
    "batch_size": 16,
    "updates": 20_000,
    "drop_every": 5_000,
    "save_every": 1_000,
    "power": 0.5,
    "map_side": 0,
    "places": "half_cell",
}
# The same of all six layers, of VGG-19 for fixations and of AlexNet for reconstructions.
KATO_LAYER = KATO["experts"][0]
VGG19_LAYERS = ("data", "pre:block1_conv2", "pre:block2_conv2", "pre:block3_conv4", "pre:block4_conv4")
ALEXNET_GAMMAS = {"data": 0.0, "conv1": 1.0, "conv2": 0.1, "conv3": 0.01, "conv4": 0.001, "conv5": 0.0001}
KATO_VGG19 = {
    **KATO,
    "experts": [{**KATO_LAYER, "layer": layer} for layer in (*VGG19_LAYERS, "pre:block5_conv4")],
    "learning_rate": 20.0,
    "batch_size": 1,
}
KATO_ALEXNET = {
    **KATO,
    "experts": [{**KATO_LAYER, "layer": layer, "gamma": gamma} for layer, gamma in ALEXNET_GAMMAS.items()],
}
# deep-goggle, the code of Mahendran and Vedaldi, CVPR 2015.
CVPR15 = {
    "data_weight": 1.0,
    "objective": "relative",
    "scaling": "cvpr15",
    "alpha": 6.0,
    "alpha_weight": 8e-10,
    "tv_beta": 2.0,
    "tv_weight": None,  # 1, 10 or 100 by depth
    "bound": 0.0,
    "parameters": "pixels",
    "start": "normal",
    "update_rule": "momentum",
    "rate": 0.004,
    "rate_unit": "sigma_squared",
    "momentum": 0.9,
    "iterations": (100, 200, 100),
    "rates": (1.0, 0.1, 0.01),
    "jitter": 0,
    "zoom": 0.0,
}
# nnpreimage, the code of Mahendran and Vedaldi, IJCV 2016.
IJCV16 = {
    "data_weight": 100.0,  # one of 1, 20, 100, 300
    "activation_weight": 1.0,
    "objective": "relative",
    "scaling": "ijcv16",
    "alpha": 6.0,
    "alpha_weight": 1.0,
    "tv_beta": 2.0,
    "tv_weight": 1.0,
    "bound": 160.0,
    "parameters": "pixels",
    "start": "uniform",
    "update_rule": "adagrad_momentum",
    "rate": 0.05 * 80.0**2 / 6.0,
    "rate_unit": "pixels",
    "momentum": 0.9,
    "iterations": (300, 50),
    "rates": (1.0, 0.1),
    "jitter": -1,
    "zoom": 0.0,
    "still_stages": 1,
}
# reconstruct.py of Kato and Harada 2015.
KATO_SEARCH = {
    "data_weight": 1.0,
    "objective": "standardised",
    "alpha_weight": 0.0,
    "tv_weight": 0.0,
    "prior_weight": 10.0,
    "prior_loss": 0.0,  # the loss of the language model itself
    "bound": 0.0,
    "parameters": "pixels",
    "start": "training",
    "update_rule": "momentum",
    "rate": 2.0**19,
    "rate_unit": "one",
    "momentum": 0.9,
    "iterations": (1000,),
    "rates": (1.0,),
    "jitter": 0,
    "zoom": 0.0,
}
PUBLISHED = {
    "kiros": (RANKERS["kiros"], KIROS),
    "kiros-bow": (RANKERS["kiros-bow"], {**KIROS, "encoder": "bow", "sentence_pooling": "sum", "word_dim": 1024}),
    "vsepp": (RANKERS["vsepp"], VSEPP),
    "karpathy": (CAPTIONERS["karpathy"], KARPATHY),
    "neuraltalk": (CAPTIONERS["neuraltalk"], NEURALTALK),
    "ramanishka": (CAPTIONERS["ramanishka"], RAMANISHKA),
    "aligner": (ALIGNMENTS["karpathy"], ALIGNMENT),
    "kato": (LANGUAGE_MODELS["kato"], KATO),
    "kato-vgg19": (LANGUAGE_MODELS["kato-vgg19"], KATO_VGG19),
    "kato-alexnet": (LANGUAGE_MODELS["kato-alexnet"], KATO_ALEXNET),
    "cvpr15": (SEARCHES["cvpr15"], CVPR15),
    "ijcv16": (SEARCHES["ijcv16"], IJCV16),
    "kato-search": (SEARCHES["kato"], KATO_SEARCH),
}
# preset, setting: what the preset has instead, and the words of docs/differences.md that say so.
POOLED = "Features are the pooled output"
OURS = {
    ("kiros", "layers"): (("pooled",), POOLED),
    ("kiros-bow", "layers"): (("pooled",), POOLED),
    ("vsepp", "layers"): (("pooled",), POOLED),
    ("vsepp", "warmup_updates"): (235, "first 235 updates use the summed hinge"),
    ("vsepp", "batching"): ("bucketed", "batches of similar lengths"),
    ("karpathy", "layers"): (("pooled@320",), "of the image at 320 pixels"),
    ("karpathy", "image_scaling"): ("standardised", "standardised per dimension"),
    ("karpathy", "embedding_dropout"): (0.3, "Dropout is 0.3, not 0.5"),
    ("karpathy", "image_dropout"): (0.3, "Dropout is 0.3, not 0.5"),
    ("karpathy", "output_dropout"): (0.3, "Dropout is 0.3, not 0.5"),
    ("karpathy", "learning_rate"): (5e-4, "rises to 5e-4"),
    ("karpathy", "schedule"): ("cosine", "falls by a cosine over 8 epochs"),
    ("karpathy", "epochs"): (8, "falls by a cosine over 8 epochs"),
    ("karpathy", "batching"): ("bucketed", "batches of similar lengths"),
    ("karpathy", "length_power"): (0.7, "log-probability / length^0.7"),
    ("neuraltalk", "layers"): (("pooled",), "`neuraltalk` reads them at the backbone's own size"),
    ("neuraltalk", "image_scaling"): ("standardised", "standardised per dimension"),
    ("neuraltalk", "batching"): ("bucketed", "batches of similar lengths"),
    ("neuraltalk", "epochs"): (10, "10 epochs, not 50"),
    ("ramanishka", "batching"): ("by_image", "all captions of an image are one batch"),
    ("aligner", "word_vectors"): ("", "word vectors are random and fixed"),
    ("aligner", "layers"): (("regions-detector@320",), "pooled by RoI-align"),
    ("aligner", "image_scaling"): ("standardised_unit", "standardised and L2-normalised"),
    ("aligner", "clip_value"): (500.0, "clipped at 500, not 5"),
    ("aligner", "batching"): ("bucketed", "batches of similar lengths"),
    ("kato", "experts"): (
        [{"layer": "conv_pw_11_bn", "context": "scan", "space": "components", "errors": "square", "gamma": 0.0}],
        "`conv_pw_11_bn`",
    ),
    ("kato", "updates"): (800, "800 updates"),
    ("kato", "drop_every"): (200, "divided by 10 every 200"),
    ("kato", "save_every"): (100, "checkpoint every 100"),
}
# Settings that the paper leaves open: what the presets have.
OPEN = {
    "karpathy": {"max_words": 50, "best_checkpoints": 1},
    "neuraltalk": {"max_words": 50, "best_checkpoints": 1},
    "ramanishka": {"best_checkpoints": 1},
    "aligner": {
        "max_words": 50,
        "embedding_dropout": 0.3,
        "state_dropout": 0.3,
        "region_dropout": 0.3,
        "l2": 0.0,
        "learning_rate": 1e-5,
        "epochs": 10,
        "validate_updates": 0,
        "beta": 0.15,
    },
}


def settings_without_effect(config) -> set[str]:
    """Settings that another setting turns off, or that belong to another kind of model."""
    off = {"attention_heads", "attention_dim", "recurrent_layers", "teacher_epochs"}
    if isinstance(config, VseConfig):
        if config.loss != "softmax":
            off.add("temperature")
        if config.schedule != "step":
            off.add("step_epochs")
    if isinstance(config, CaptionerConfig):
        off |= {"scorer_word_dim", "scorer_dim", "self_critical_rate", "self_critical_samples"}
        if config.model != "lstm":
            off.add("lstm_tanh")
        if config.model != "s2vt":
            off |= {"reading_order", "block_side"}
        if config.model != "mrnn":
            off |= {"feed_once", "relu_encoders"}
    if isinstance(config, AlignmentConfig):
        off |= {"global_weight", "pooling_temperature", "temperature"}
    if isinstance(config, NaturalnessConfig):
        off |= {"information_distance", "anomaly_weight", "ridge"}
    if isinstance(config, PreimageConfig):
        if not config.alpha_weight:
            off.add("alpha")
        if config.tv_weight == 0:
            off.add("tv_beta")
        if not config.alpha_weight and config.tv_weight == 0:
            off.add("scaling")
        if not config.jitter:
            off.add("still_stages")
        if config.objective == "standardised" or config.scaling == "cvpr15":
            off.add("activation_weight")  # of maximisations, which neither paper has
        if config.prior_loss:
            off |= {"prior_weight", "prior_loss"}  # without a prior model
    return off


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_setting_is_the_published_one_or_a_difference_that_is_told(name):
    config, published = PUBLISHED[name]
    expected = {**published, **OPEN.get(name, {})}
    for (preset, setting), (value, _) in OURS.items():
        if preset == name:
            assert setting in published
            assert value != published[setting], "no difference"
            expected[setting] = value
    found = asdict(config)
    found["experts"] = list(found.get("experts", ()))
    without_effect = settings_without_effect(config)
    names = {field.name for field in fields(config)}
    missing = names - without_effect - set(expected)
    assert not missing, f"settings that are pinned nowhere: {missing}"
    for setting in names & set(expected) - (without_effect - set(published)):
        assert found[setting] == expected[setting], setting


@pytest.mark.parametrize("words", sorted({words for _, words in OURS.values()}))
def test_each_difference_is_told(words):
    assert words in re.sub(r"\s+", " ", DIFFERENCES)


def test_defaults_are_those_of_the_papers():
    """Released files and old checkpoints are read with the defaults."""
    assert VseConfig() == RANKERS["kiros"]
    for config, published, ours in (
        (CaptionerConfig(), KARPATHY, {"layers", "image_scaling", "batching", "epochs"}),
        (AlignmentConfig(), ALIGNMENT, {"word_vectors", "layers", "image_scaling", "batching"}),
    ):
        different = {name for name, value in published.items() if getattr(config, name) != value}
        assert different == ours
    assert CaptionerConfig().lstm_tanh
    assert PreimageConfig().rate == pytest.approx(53.333, abs=1e-3)


def test_units_of_the_priors():
    assert (SIGMA, SIGMA_SIDE) == (27098.1157, 227)
    assert B == 80.0
    assert pytest.approx(80 / 6.5) == V
