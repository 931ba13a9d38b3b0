"""Shards on Apache Beam, and by its --runner on Flink, Spark or Dataflow."""

import importlib
from collections.abc import Sequence
from typing import Any

from vislang.core.errors import ConfigError, ToolkitError
from vislang.features.shards.job import Shard, ShardJob, process_shard


def run_beam(job: ShardJob, shards: Sequence[Shard], options: Sequence[str]) -> None:
    """Work on shards, whose reports lie beside their results afterwards.

    Args:
        job: all machines must see its folders under the same paths.
        shards: what is left to do.
        options: of Beam, such as ["--runner", "FlinkRunner", "--flink_master", "HOST:8081"].

    Raises:
        ToolkitError: as `process_shard`.
    """
    beam = load_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(process_shard, job)
    except Exception as error:  # a runner wraps what a worker raised
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ToolkitError):
            cause = cause.__cause__
        raise cause or error from error


def load_beam() -> Any:
    """Import Apache Beam.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("apache_beam")
    except ImportError as error:
        raise ConfigError(
            f"Apache Beam cannot be imported ({error}); install it into an environment of its own:"
            ' pip install -e ".[beam]"'
        ) from error
