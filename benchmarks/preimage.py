"""Inverting 16 images in one batch against one after the other, and a step against tf-keras-vis's.

Run: python benchmarks/preimage.py [--steps 20] [--rounds 2] [--size 128]
The network is MobileNet 0.75 with random weights. Every call of the library compiles its search. tf-keras-vis (pip
install tf-keras-vis) maximises the same channel with total variation and jitter; where it is not installed, this part
is left out.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from timing import fastest

IMAGES = 16
LAYER = "conv_pw_5_relu"


def main() -> None:
    args = parse()
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # from its own folder this file would be the package
    from preimage.networks.loading import load_network

    network = load_network("mobilenet_0.75", weights="random", size=args.size)
    against_peer(network, args.steps, args.rounds)
    ratio = batch_against_singles(network, args.steps, args.rounds)
    print(f"ratio: {ratio:.1f} times faster than {IMAGES} single inversions")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    return parser.parse_args()


def batch_against_singles(network, steps: int, rounds: int) -> float:
    """Time the methods of inverting 16 images, and print them."""
    from preimage.api import invert_images
    from preimage.config import search_config
    from preimage.optimization.parameterization import spectral_noise
    from preimage.options import SearchOptions

    config = search_config("ijcv16", [f"iterations={steps}", "rates=1"])
    images = spectral_noise(network.mean, network.size, IMAGES)
    found = {}
    seconds = {}

    def singles() -> np.ndarray:
        parts = []
        for row in range(IMAGES):
            options = SearchOptions(seed=row)
            parts.append(invert_images(network, images[row : row + 1], LAYER, preset=config, options=options).images)
        return np.concatenate(parts)

    calls: dict[str, Callable] = {
        "one batch": lambda: invert_images(network, images, LAYER, preset=config).images,
        "single calls": singles,
    }
    for name, call in calls.items():  # each call compiles its search, so nothing has to be warmed up
        for _ in range(rounds):
            started = time.perf_counter()
            found[name] = call()
            seconds[name] = min(seconds.get(name, np.inf), time.perf_counter() - started)
    difference = np.abs(found["one batch"] - found["single calls"]).mean()
    assert difference < 0.5, f"both must give the same images, got a mean difference of {difference} of 255"
    print(f"{IMAGES} inversions of {LAYER}, {network.size} pixels, {steps} steps, difference {difference:.2g} of 255:")
    for name, spent in seconds.items():
        print(f"  {name}: {spent:.2f} s")
    return seconds["single calls"] / seconds["one batch"]


def against_peer(network, steps: int, rounds: int) -> None:
    """Time a step of activation maximisation, and print it beside tf-keras-vis's."""
    try:
        from tf_keras_vis.activation_maximization import ActivationMaximization
        from tf_keras_vis.activation_maximization.input_modifiers import Jitter
        from tf_keras_vis.activation_maximization.regularizers import TotalVariation2D
    except ImportError:
        print("tf-keras-vis is not installed; a step is not compared with its")
        return
    import keras

    from preimage.config import search_config
    from preimage.optimization.objectives import Activation, unit_directions
    from preimage.optimization.optimizer import ImageOptimizer
    from preimage.optimization.priors import with_priors

    directions = unit_directions(LAYER, network.shape(LAYER), [7] * IMAGES, channel_mean=True)
    config = search_config("ijcv16", [f"iterations={steps}", "rates=1", "still_stages=0", "jitter=4"])
    term = with_priors(1.0 * Activation(LAYER, directions), network, LAYER, config)
    search = ImageOptimizer(network, term, config)
    peer = ActivationMaximization(keras.Model(network.model.input, network.output(LAYER)), clone=False)
    seeds = np.random.default_rng(0).uniform(-1, 1, (IMAGES, network.size, network.size, 3)).astype(np.float32)

    def peer_search() -> None:
        peer(
            lambda output: keras.ops.mean(output[..., 7], axis=(1, 2)), seed_input=seeds, input_range=(-1, 1),
            input_modifiers=[Jitter(jitter=4)], regularizers=[TotalVariation2D(weight=1.0)], steps=steps,
        )  # fmt: skip

    best = fastest({"ours": search.run, "tf-keras-vis": peer_search}, rounds)
    print(f"a step of maximising a channel, {IMAGES} images at once:")
    for name, spent in best.items():
        print(f"  {name}: {1000 * spent / steps:.0f} ms")
    print(f"  {best['tf-keras-vis'] / best['ours']:.2f} times as fast as tf-keras-vis")


if __name__ == "__main__":
    main()
