"""Files as the original ranker's code of 2017 saves and reads them."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np

WORDS = ("a", "dog", "cat", "red", "blue", "on", "the", "grass", "two", "run")  # the last two have no row


def released_model(
    path: Path, *, encoder: str = "gru", words=("dog", "cat", "red", "blue"), dim: int = 6, word_dim: int = 4
) -> dict[str, np.ndarray]:
    """Write a model as the original code saves it: npz, dictionary and options, pickled as Python 2 did."""
    random = np.random.default_rng(5)
    dictionary = OrderedDict((word, number + 2) for number, word in enumerate(words))
    dim = word_dim if encoder == "bow" else dim
    shapes = {"Wemb": (len(words), word_dim), "ff_image_W": (5, dim), "ff_image_b": (dim,)}
    if encoder == "gru":
        shapes |= {"encoder_W": (word_dim, 2 * dim), "encoder_b": (2 * dim,), "encoder_U": (dim, 2 * dim)}
        shapes |= {"encoder_Wx": (word_dim, dim), "encoder_bx": (dim,), "encoder_Ux": (dim, dim)}
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(path, **arrays)
    path.with_name(path.name + ".dictionary.pkl").write_bytes(pickle.dumps(dictionary, protocol=0))
    path.with_name(path.name + ".pkl").write_bytes(pickle.dumps({"encoder": encoder, "margin": 0.2}, protocol=0))
    return arrays


def released_data(folder: Path, name: str, *, splits=("dev", "test"), images: int = 10, width: int = 5) -> None:
    """Write NAME_SPLIT_caps.txt and NAME_SPLIT_ims.npy: five captions of each image, whose row is repeated for each.

    All captions differ in words that a model of WORDS knows.
    """
    random = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        captions: dict[str, None] = {}
        while len(captions) < 5 * images:
            captions[" ".join(random.choice(WORDS[:-2], 4))] = None
        (folder / f"{name}_{split}_caps.txt").write_text("\n".join(captions) + "\n")
        rows = random.normal(size=(images, width)).astype(np.float32)
        np.save(folder / f"{name}_{split}_ims.npy", rows.repeat(5, axis=0))
