"""Writes Caffe networks with random weights, with the new list of layers and with the old one, for tests.

A network is a list of dictionaries, such as {"name": "conv1", "type": "Convolution", "bottom": ["data"],
"top": ["conv1"], "options": {"num_output": 8, ...}, "blobs": [array, ...]}.
"""

import struct
from pathlib import Path

import numpy as np

# Of V1LayerParameter in caffe.proto: the name and the number of each type.
OLD_TYPES = {
    "Concat": ("CONCAT", 3),
    "Convolution": ("CONVOLUTION", 4),
    "Dropout": ("DROPOUT", 6),
    "Flatten": ("FLATTEN", 8),
    "InnerProduct": ("INNER_PRODUCT", 14),
    "LRN": ("LRN", 15),
    "Pooling": ("POOLING", 17),
    "ReLU": ("RELU", 18),
    "Sigmoid": ("SIGMOID", 19),
    "Softmax": ("SOFTMAX", 20),
    "Split": ("SPLIT", 22),
    "Eltwise": ("ELTWISE", 25),
}
OPTIONS = {
    "InnerProduct": "inner_product_param",
    "BatchNorm": "batch_norm_param",
    "ReLU": "relu_param",
    "LRN": "lrn_param",
}
WORDS = {"MAX", "AVE", "SUM", "PROD", "ACROSS_CHANNELS", "WITHIN_CHANNEL", "FLOOR", "CEIL", "STOCHASTIC"}


def layer(name, kind, bottom, top=None, blobs=(), **options) -> dict:
    bottoms = [bottom] if isinstance(bottom, str) else list(bottom)
    tops = [top or name] if isinstance(top or name, str) else list(top)
    return {"name": name, "type": kind, "bottom": bottoms, "top": tops, "options": options, "blobs": list(blobs)}


def prototxt(layers, shape, *, old=False, header="") -> str:
    """Write the text; `shape` is [N, C, H, W] of the input "data"."""
    lines = [
        'name: "test"  # drawn by a test',
        header or 'input: "data"\n' + "\n".join(f"input_dim: {n}" for n in shape),
    ]
    for each in layers:
        lines.append(f"{'layers' if old else 'layer'} {{")
        lines.append(f'  name: "{each["name"]}"')
        lines.append(f"  type: {OLD_TYPES[each['type']][0]}" if old else f'  type: "{each["type"]}"')
        lines += [f'  bottom: "{blob}"' for blob in each["bottom"]] + [f'  top: "{blob}"' for blob in each["top"]]
        if each["options"]:
            lines.append(f"  {OPTIONS.get(each['type'], each['type'].lower() + '_param')} {{")
            for key, values in each["options"].items():
                lines += [f"    {key}: {_text(v)}" for v in (values if isinstance(values, (list, tuple)) else [values])]
            lines.append("  }")
        lines.append("}")
    return "\n".join(lines) + "\n"


def caffemodel(layers, *, old=False, numbers="packed") -> bytes:
    """Write the weights; `numbers` is "packed", "unpacked" or "double"."""
    content = _bytes(1, b"test")
    for each in layers:
        blobs = [_blob(array, old, numbers) for array in each["blobs"]]
        if old:
            parts = [_bytes(2, blob.encode()) for blob in each["bottom"]] + [_bytes(4, each["name"].encode())]
            parts += [_number(5, OLD_TYPES[each["type"]][1])] + [_bytes(6, blob) for blob in blobs]
        else:
            parts = [_bytes(1, each["name"].encode()), _bytes(2, each["type"].encode())]
            parts += [_bytes(3, blob.encode()) for blob in each["bottom"]] + [_bytes(7, blob) for blob in blobs]
        content += _bytes(2 if old else 100, b"".join(parts))
    return content


def write(folder: Path, layers, shape, *, old=False, numbers="packed", header="") -> tuple[Path, Path]:
    """Write both files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text, weights = folder / "net.prototxt", folder / "net.caffemodel"
    text.write_text(prototxt(layers, shape, old=old, header=header))
    weights.write_bytes(caffemodel(layers, old=old, numbers=numbers))
    return text, weights


def _blob(array, old: bool, numbers: str) -> bytes:
    array = np.asarray(array)
    padded = (1,) * (4 - array.ndim) + array.shape
    shape = b"".join(_number(field, n) for field, n in enumerate(padded, start=1))
    if not old:
        shape = _bytes(7, _bytes(1, b"".join(varint(n) for n in array.shape)))
    if numbers == "double":
        return shape + _bytes(8, array.astype("<f8").tobytes())
    if numbers == "unpacked":
        return shape + b"".join(b"\x2d" + struct.pack("<f", value) for value in array.ravel())
    return shape + _bytes(5, array.astype("<f4").tobytes())


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def _text(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if not isinstance(value, str) or value in WORDS else f'"{value}"'
