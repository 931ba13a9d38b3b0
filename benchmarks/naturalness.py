"""All four directions of the visual language model in one graph against four loops over rows, and a large photograph.

Run: python benchmarks/naturalness.py
"""

import resource
import sys
import time
from pathlib import Path

from timing import fastest

SIDE, WIDTH = 28, 96  # cells of a side and components, as of a picture of 448 pixels at 16 pixels a cell
LARGE = (3000, 4000)


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # from its own folder this file would be the package
    from vislang.core.cli import import_backend_quietly

    import_backend_quietly()
    import keras
    import numpy as np

    from naturalness.api import load_model
    from naturalness.predictors.lstm import DirectionalPredictors
    from vislang.training.compile import compiled

    maps = np.random.default_rng(0).normal(size=(1, SIDE, SIDE, WIDTH)).astype(np.float32)
    layer = DirectionalPredictors(WIDTH, WIDTH)
    whole = compiled(layer, ((1, SIDE, SIDE, WIDTH), "float32"))
    loop = row_by_row(layer)
    found, slow = whole(maps), loop(maps)
    down = keras.ops.convert_to_numpy(found[0])[0]
    largest = float(np.abs(down - np.stack(slow[0], axis=1)).max())
    taken = fastest({"together": lambda: whole(maps), "row by row": lambda: loop(maps)}, 3)
    told = ", ".join(f"{name} {1000 * spent:.0f} ms" for name, spent in taken.items())
    print(f"{SIDE} x {SIDE} cells, {WIDTH} components: {told}; largest difference {largest:.1e}")
    model = load_model()
    picture = np.random.default_rng(1).integers(0, 255, (*LARGE, 3), np.uint8)
    started = time.perf_counter()
    model.map(picture)
    spent = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"map of {LARGE[1]} x {LARGE[0]} pixels: {spent:.1f} s, peak memory {peak:.2f} GB with TensorFlow (bound 1.5)"
    )
    print(f"ratio: {taken['row by row'] / taken['together']:.1f}")


def row_by_row(layer):
    """Give a function that scans every row and column alone, step by step, as the equations stand, compiled a step."""
    import numpy as np
    from keras import ops

    from naturalness.predictors.lstm import DIRECTIONS, as_sequences
    from vislang.training.compile import compiled

    units, depth = layer.units, layer.depth

    def stepper(number):
        def step(value, *states):
            after = []
            for level in range(depth):
                hidden, cell = states[2 * level], states[2 * level + 1]
                gates = ops.matmul(value, layer.inputs[level][number]) + ops.matmul(
                    hidden, layer.recurrent[level][number]
                )
                i, f, o, g = ops.split(gates + layer.biases[level][number], 4, axis=-1)
                cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
                value = ops.sigmoid(o) * ops.tanh(cell)
                after += [value, cell]
            return (ops.matmul(value, layer.output_kernel[number]) + layer.output_bias[number], *after)

        spec = ((1, units), "float32")
        return compiled(step, ((1, layer.width), "float32"), *[spec] * (2 * depth))

    steps = [stepper(number) for number in range(4)]

    def scan(maps):
        found = []
        for step, direction in zip(steps, DIRECTIONS, strict=True):
            rows = np.asarray(as_sequences(maps, direction))
            scanned = []
            for row in range(rows.shape[1]):
                states, outputs = [np.zeros((1, units), np.float32)] * (2 * depth), []
                for cell in rows[:-1, row]:
                    output, *states = step(cell[None], *states)
                    outputs.append(np.asarray(output)[0])
                scanned.append(np.stack(outputs))
            found.append(scanned)
        return found

    return scan


if __name__ == "__main__":
    main()
