"""Training on several devices of one machine: JAX divides each batch among them, and each keeps a copy of the weights.

The network, its loss and its gradient stay those of the whole batch: every sentence is still a negative of all images
of the batch, on whatever device they lie.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from vislang.core.errors import ConfigError


class WholeBatches(keras.distribution.DataParallel):
    """Data parallel with batches that reach every device whole; `divided` cuts them in the graph.

    Keras would take the layout of the first batch for all, and refuse a batch that does not divide.
    """

    def get_data_layout(self, data_shape: tuple[int, ...]) -> keras.distribution.TensorLayout:
        """Return the layout of an array of a batch: a copy on every device."""
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


@contextlib.contextmanager
def several_devices(count: int) -> Iterator[None]:
    """Train on so many devices of this machine while the context lasts; 1: as without it.

    Raises:
        ConfigError: fewer than 1, a backend that cannot, or more devices than there are.
    """
    if count == 1:
        yield
        return
    with WholeBatches(devices=_first_devices(count)).scope():
        yield


def _first_devices(count: int) -> list[str]:
    if count < 1:
        raise ConfigError(f"--devices got {count}, expected 1 or more")
    backend = keras.backend.backend()
    if backend != "jax":
        raise ConfigError(
            f"--devices got {count}, and Keras runs on {backend}, which trains on one; several need JAX: set"
            " KERAS_BACKEND=jax and install it with pip install -e '.[jax]'"
        )
    found = keras.distribution.list_devices()
    if len(found) < count:
        raise ConfigError(
            f"--devices got {count}, JAX finds {len(found)} ({', '.join(found)}); on a CPU, to try it:"
            f" XLA_FLAGS=--xla_force_host_platform_device_count={count}"
        )
    return found[:count]


def divided(batch: Any) -> Any:
    """Divide the first axis of every array of a batch among the devices in use, inside a compiled graph.

    Where it does not divide, the last devices get less; no row is dropped or repeated.

    Args:
        batch: arrays in any nesting of tuples, lists and dictionaries.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    import jax

    axes = jax.sharding.PartitionSpec(distribution.batch_dim_name)
    sharding = jax.sharding.NamedSharding(distribution.device_mesh.backend_mesh, axes)
    return keras.tree.map_structure(lambda array: jax.lax.with_sharding_constraint(array, sharding), batch)
