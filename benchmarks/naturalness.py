"""Visual language model: four directions in one graph against loops over rows; the map of a large photograph.

Run: python benchmarks/naturalness.py
"""

import resource
import sys
import time
from pathlib import Path

from timing import fastest

SIDE = 28  # cells, as of an image of 448 pixels with 16 pixels per cell
WIDTH = 96  # components
LARGE = (3000, 4000)


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # from its own folder this file would be the package
    from vislang.core.quiet_backend import import_backend_quietly

    import_backend_quietly()
    import keras
    import numpy as np

    from naturalness.api import load_model
    from naturalness.predictors.lstm import DirectionalPredictors
    from vislang.core.compile import compiled

    maps = np.random.default_rng(0).normal(size=(1, SIDE, SIDE, WIDTH)).astype(np.float32)
    layer = DirectionalPredictors(WIDTH, WIDTH)
    whole = compiled(layer, ((1, SIDE, SIDE, WIDTH), "float32"))
    loop = row_by_row(layer)
    found = whole(maps)
    slow = loop(maps)
    down = keras.ops.convert_to_numpy(found[0])[0]
    largest = float(np.abs(down - np.stack(slow[0], axis=1)).max())
    times = fastest({"together": lambda: whole(maps), "row by row": lambda: loop(maps)}, 3)
    text = ", ".join(f"{name} {1000 * spent:.0f} ms" for name, spent in times.items())
    print(f"{SIDE} x {SIDE} cells, {WIDTH} components: {text}; largest difference {largest:.1e}")
    model = load_model()
    image = np.random.default_rng(1).integers(0, 255, (*LARGE, 3), np.uint8)
    started = time.perf_counter()
    model.map(image)
    spent = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"map of {LARGE[1]} x {LARGE[0]} pixels: {spent:.1f} s, peak memory {peak:.2f} GB with TensorFlow (bound 1.5)"
    )
    print(f"ratio: {times['row by row'] / times['together']:.1f}")


def row_by_row(layer):
    """Return a function that scans every row and column alone, as the equations are written, with a compiled step."""
    import numpy as np
    from keras import ops

    from naturalness.predictors.lstm import DIRECTIONS, as_sequences
    from vislang.core.compile import compiled

    units = layer.units
    depth = layer.depth

    def stepper(direction):
        def step(value, *states):
            after = []
            for level in range(depth):
                hidden = states[2 * level]
                cell = states[2 * level + 1]
                gates = ops.matmul(value, layer.inputs[level][direction]) + ops.matmul(
                    hidden, layer.recurrent[level][direction]
                )
                i, f, o, g = ops.split(gates + layer.biases[level][direction], 4, axis=-1)
                cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
                value = ops.sigmoid(o) * ops.tanh(cell)
                after += [value, cell]
            return (ops.matmul(value, layer.output_kernel[direction]) + layer.output_bias[direction], *after)

        spec = ((1, units), "float32")
        return compiled(step, ((1, layer.width), "float32"), *[spec] * (2 * depth))

    steps = [stepper(direction) for direction in range(4)]

    def scan(maps):
        found = []
        for step, direction in zip(steps, DIRECTIONS, strict=True):
            rows = np.asarray(as_sequences(maps, direction))
            scanned = []
            for row in range(rows.shape[1]):
                states = [np.zeros((1, units), np.float32)] * (2 * depth)
                outputs = []
                for cell in rows[:-1, row]:
                    output, *states = step(cell[None], *states)
                    outputs.append(np.asarray(output)[0])
                scanned.append(np.stack(outputs))
            found.append(scanned)
        return found

    return scan


if __name__ == "__main__":
    main()
