"""A trained model as read from its checkpoint folder: what the models of all systems share."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from vislang.core.config import from_json
from vislang.core.errors import CheckpointError, ConfigError, DataError, brief, shown
from vislang.core.onnx_graphs import WEIGHTS, ExportedNetwork, is_exported, read_manifest
from vislang.core.quiet_backend import import_backend_quietly
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import CachedDescriptors, check_weights
from vislang.features.model_inputs import encode_layers
from vislang.features.pipeline import FeatureBatch
from vislang.features.reading_options import ReadingOptions
from vislang.text.vocabulary import Vocabulary
from vislang.training import checkpoints

_SMALL = 4096  # a width that costs little memory; settings that a network does not use may exceed its arrays


@dataclass(frozen=True)
class TrainedModel:
    """A network with its vocabulary and the description of its training.

    Attributes:
        network: a Keras model with `config`, and with `num_features` where it reads cached features; or its exported
            graphs (`vislang.core.onnx_graphs`).
        vocabulary: the words that it knows; None for a model without words.
        description: config.json of the checkpoint: kind, preset, settings, seed, backbone and data.
        backbone_weights: weights file of the backbone that encodes images; None: the usual places
            (`vislang.backbones.registry.load_backbone`).
    """

    kind: ClassVar[str]  # as in config.json
    has_words: ClassVar[bool] = True
    config_class: ClassVar[type[Any]]
    sizes: ClassVar[tuple[str, ...]] = ("num_features",)  # entries of the description
    backbone_entries: ClassVar[tuple[str, ...]] = ("name", "weights")  # that a description must have

    network: Any
    vocabulary: Any
    description: dict[str, Any]
    backbone_weights: str | Path | None = field(default=None, kw_only=True)

    @classmethod
    def new_network(cls, config: Any, *sizes: Any) -> Any:
        """Build a Keras network of the config, the number of words if there are any, and the entries of `sizes`."""
        raise NotImplementedError

    @classmethod
    def build_network(cls, description: dict[str, Any], vocabulary: Vocabulary | None) -> Any:
        """Build the network of a description, without its weights.

        Raises:
            KeyError: the description lacks an entry.
            ConfigError: settings that this version does not know.
        """
        config = from_json(cls.config_class, description["config"])
        sizes = [description[name] for name in cls.sizes]
        if vocabulary is not None:
            sizes.insert(0, len(vocabulary))
        return cls.new_network(config, *sizes)

    @classmethod
    def read(
        cls,
        folder: str | Path,
        *,
        backbone_weights: str | Path | None = None,
        network_weights: Path | None = None,
    ) -> Self:
        """Read a checkpoint folder.

        Args:
            folder: written by training.
            backbone_weights: as in `TrainedModel`.
            network_weights: other weights in the folder than the best.

        Raises:
            CheckpointError: missing, damaged or of another kind.
            ConfigError: settings that this version does not know.
            DataError: weights of the backbone other than in training, where it is part of the model.
        """
        folder = Path(folder)
        description = checkpoints.read_settings(folder, cls.kind)
        vocabulary = None
        if cls.has_words:
            vocabulary = checkpoints.read_vocabulary(folder)

        def keras_network() -> Any:
            return cls._read_keras(folder, description, vocabulary, network_weights)

        if network_weights is None and is_exported(folder):
            network = cls._read_exported(folder, description, keras_network)
            if (folder / WEIGHTS).is_file():
                backbone_weights = backbone_weights or folder  # which holds the CNN, too
        else:
            network = keras_network()
        return cls(network, vocabulary, description, backbone_weights=backbone_weights).with_files(folder)

    @classmethod
    def _read_keras(
        cls, folder: Path, description: dict[str, Any], vocabulary: Vocabulary | None, network_weights: Path | None
    ) -> Any:
        """Build the Keras network of a checkpoint folder with its weights; errors as for `read`."""
        if (folder / WEIGHTS).is_file() and not (folder / checkpoints.WEIGHTS).is_file():
            raise CheckpointError(
                f"{folder} is an exported model, whose graphs alone can be used, by ONNX Runtime (pip install"
                " onnxruntime); for anything else load the checkpoint that it was exported from"
            )
        import_backend_quietly()
        from vislang.core.compile import outside_of_graphs

        with outside_of_graphs():
            with _problems_of(folder, "network"):
                cls._check_description(description)
                cls._check_widths(description, network_weights or folder / checkpoints.WEIGHTS)
                network = cls.build_network(description, vocabulary)
            checkpoints.load_weights(network, folder, network_weights)
        return network

    @classmethod
    def _read_exported(
        cls, folder: Path, description: dict[str, Any], keras_network: Callable[[], Any]
    ) -> ExportedNetwork:
        """Return the graphs of an exported folder; errors as for `read`."""
        with _problems_of(folder, "model"):
            cls._check_description(description)
            config = from_json(cls.config_class, description["config"])
            sizes = {name: description[name] for name in cls.sizes}
        arrays = functools.partial(checkpoints.stored_arrays, folder / checkpoints.WEIGHTS)
        return ExportedNetwork(read_manifest(folder), config, sizes, arrays, keras_network)

    @classmethod
    def _check_description(cls, description: dict[str, Any]) -> None:
        """Refuse entries of other types than training writes, with a KeyError or ValueError."""
        config, backbone = description["config"], description["backbone"]
        if not isinstance(config, dict) or not isinstance(backbone, dict):
            raise ValueError("config and backbone are no objects")
        for entry in cls.backbone_entries:
            if not isinstance(backbone[entry], dict if entry == "weights" else str):
                raise ValueError(f"backbone has {entry} {shown(backbone[entry])}")
        if not all(isinstance(one, str) for one in backbone.get("weights", {}).values()):
            raise ValueError(f"backbone has weights {shown(backbone['weights'])}")
        if not isinstance(description.get("data", {}), dict) or not isinstance(description.get("preset", ""), str):
            raise ValueError("data is no object, or preset no text")

    @classmethod
    def _check_widths(cls, description: dict[str, Any], weights: Path) -> None:
        """Refuse a network that is wider than any array of its weights, before it takes memory, with a ValueError."""
        widths = {name: description[name] for name in cls.sizes}
        for name, value in description["config"].items():
            if name.endswith(("_dim", "_heads")):
                widths[name] = value
        widest = max(side for shape in checkpoints.stored_shapes(weights) for side in (_SMALL, *shape))
        for name, value in widths.items():
            if np.max(value) > widest:
                raise ValueError(f"{name} is {shown(value)}, its weights are at most {widest} wide")

    def with_files(self, folder: Path) -> Self:
        """Return the model with what else its checkpoint folder and its backbone hold."""
        return self

    @property
    def config(self) -> Any:
        """The settings that it was trained with."""
        return self.network.config

    @property
    def backbone(self) -> str:
        """The name of the CNN whose features it reads."""
        return self.description["backbone"]["name"]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of backbone, words and weights: two models with the same one give the same results."""
        if isinstance(self.network, ExportedNetwork):
            return self.network.manifest.fingerprint
        words = None
        if self.vocabulary is not None:
            words = self.vocabulary.words
        digest = hashlib.sha256(json.dumps([self.description["backbone"], words]).encode())
        for array in self.fingerprinted():
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def fingerprinted(self) -> list[Any]:
        """Return the arrays that results depend on."""
        return list(self.network.weights)

    def check_width(self, descriptors: Any) -> None:
        """Refuse features [..., F] of another width than the network was trained on.

        Raises:
            DataError: the widths differ.
        """
        width = descriptors.shape[-1]
        if width != self.network.num_features:
            raise DataError(
                f"features are {width} wide, expected {self.network.num_features} ({self.backbone}, layers "
                f"{','.join(self.config.layers)}); extract them with that backbone"
            )

    def cached_descriptors(self, cache: FeatureCache, ids: Sequence[str]) -> CachedDescriptors:
        """Return the descriptors of some images of an open cache, read from it batch by batch.

        Raises:
            DataError: an image is not there, or the features were made with other weights.
        """
        check_weights(cache, self.description["backbone"])
        return CachedDescriptors([(cache, ids)], self.backbone, self.config.layers, budget_bytes=0)

    def reading_options(self, options: ReadingOptions) -> ReadingOptions:
        """Return the options with `backbone_weights` where they name no weights file."""
        if options.weights is not None:
            return options
        return replace(options, weights=self.backbone_weights)

    def encode_batches(
        self, sources: Sequence[Any], options: ReadingOptions, layers: Sequence[str] | None = None
    ) -> Iterator[FeatureBatch]:
        """Encode images to the features that the network reads, batch by batch.

        Args:
            sources: paths, bytes, PIL images or arrays.
            layers: feature layers; None: those of the settings.

        Raises:
            DataError: weights other than in training, or an unreadable image and `options.strict`.
        """
        layers = layers or self.config.layers
        return encode_layers(sources, layers, self.description["backbone"], self.reading_options(options))


@contextlib.contextmanager
def _problems_of(folder: Path, what: str) -> Iterator[None]:
    """Turn errors about the description in config.json into those of `TrainedModel.read`."""
    try:
        yield
    except (ConfigError, CheckpointError):
        raise
    except KeyError as error:
        raise CheckpointError(f"{folder}: config.json lacks {error}; copy or train the checkpoint anew") from error
    except Exception as error:  # Keras and its backend raise many kinds for sizes that make no network
        raise CheckpointError(
            f"{folder}: config.json describes no {what} ({brief(error)}); copy or train the checkpoint anew"
        ) from error
