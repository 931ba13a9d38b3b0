"""Every preset's network becomes ONNX graphs that compute the same; `make test-onnx` installs what these tests need."""

from dataclasses import fields, replace

import numpy as np
import pytest

from vislang.core.errors import ConfigError

pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from app.export.conversion import convert, signature  # noqa: E402
from app.export.graphs import functions_of  # noqa: E402
from captioner.alignment.config import ALIGNMENTS as ALIGNERS  # noqa: E402
from captioner.config import CONFIGS as CAPTIONERS  # noqa: E402
from naturalness.config import CONFIGS as NATURALNESS  # noqa: E402
from vislang.core.onnx_graphs import DECODE  # noqa: E402
from vse.config import CONFIGS as RANKERS  # noqa: E402

WORDS, FEATURES = 12, 16
SMALL = {"word_dim": 8, "hidden_dim": 8, "embed_dim": 8, "joint_dim": 8, "attention_dim": 8, "scorer_word_dim": 8}
SMALL |= {"scorer_dim": 8, "ensemble_size": 2, "beam": 3, "decode_words": 6, "attention_heads": 2}
SIDES = (2, 4, 5)  # of the axes whose sizes are free


def small(config):
    names = {field.name for field in fields(config)}
    values = {name: value for name, value in SMALL.items() if name in names}
    for name in ("global_dim", "bag_dim"):
        if getattr(config, name, 0):
            values[name] = 8
    return replace(config, **values)


def random_inputs(function):
    random = np.random.default_rng(0)
    arrays = []
    for one in signature(function):
        shape = [SIDES[axis] if side is None else side for axis, side in enumerate(one.shape)]
        kind = one.dtype.name
        if kind == "float32":
            arrays.append(np.asarray(random.random(shape, np.float32) + 0.5, np.float32))
        else:
            arrays.append(np.ones(shape, bool) if kind == "bool" else random.integers(3, WORDS, shape, np.int32))
    return arrays


def assert_converts(name, function):
    import onnxruntime

    session = onnxruntime.InferenceSession(convert(name, function).SerializeToString())
    arrays = random_inputs(function)
    expected = function(*arrays)
    if not isinstance(expected, (list, tuple)):
        expected = [expected]
    inputs = {one.name: array for one, array in zip(session.get_inputs(), arrays, strict=True)}
    for one, other in zip(session.run(None, inputs), expected, strict=True):
        if name == DECODE and one.dtype.kind == "i":  # of sentences after the best, equal ones may change places
            one, other = one[:, 0], np.asarray(other)[:, 0]
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5, err_msg=name)


def assert_all_convert(model_class, config, *sizes, vocabulary=None, description=None):
    import keras

    keras.utils.set_random_seed(1)
    network = model_class.new_network(config, *sizes)
    model = model_class(network, vocabulary, description or {})
    for name, one in functions_of(model).items():
        assert_converts(name, one.function)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["kiros", "kiros-bow", "best", "scenes"])
def test_rankers(preset):
    from vse.inference import TrainedRanker

    assert_all_convert(TrainedRanker, small(RANKERS[preset]), WORDS, FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["karpathy", "neuraltalk", "ramanishka", "best", "s2vt", "regions"])
def test_captioners(preset):
    from captioner.inference import TrainedCaptioner

    config = replace(small(CAPTIONERS[preset]), consensus_images=0, consensus_weight=0.0)
    assert_all_convert(TrainedCaptioner, config, WORDS, FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["karpathy", "best", "best-whole"])
def test_aligners(preset):
    from captioner.alignment.inference import TrainedAligner

    assert_all_convert(TrainedAligner, small(ALIGNERS[preset]), WORDS, FEATURES, 0)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["kato-prior", "best"])
def test_naturalness(preset):
    from naturalness.inference import TrainedNaturalness

    config = NATURALNESS[preset]
    assert_all_convert(TrainedNaturalness, config, (FEATURES,) * len(config.layers))


def test_a_scan_over_cells_cannot_be_exported():
    from naturalness.inference import TrainedNaturalness

    config = NATURALNESS["kato"]
    with pytest.raises(ConfigError, match="predict_errors_0 cannot be exported .* ONNX has no TensorListReserve"):
        assert_all_convert(TrainedNaturalness, config, (FEATURES,) * len(config.layers))


def test_what_onnx_lacks_is_named():
    import tensorflow as tf

    from vislang.core.compile import compiled

    function = compiled(lambda values: tf.math.lgamma(values), ((None,), "float32"))
    with pytest.raises(ConfigError, match="gammas cannot be exported as an ONNX graph: ONNX has no Lgamma"):
        convert("gammas", function)
