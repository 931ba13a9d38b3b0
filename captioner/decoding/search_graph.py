"""The search of a Keras network as one compiled graph."""

from collections.abc import Callable
from typing import Any, Protocol

from keras import ops

from captioner.decoding.beam_search import beam_search
from captioner.decoding.repetition import RepetitionRules
from captioner.decoding.sampling import sample
from captioner.decoding.step import Tensor, Tree
from vislang.core.compile import Spec, compiled


class StepModel(Protocol):
    """What decoding needs of a captioner; see `captioner.decoding.step` for `step`."""

    variables: list

    def start(self, descriptors: Tensor, mask: Tensor) -> tuple[Tree, Tree]:
        """Return the memory of float32 [B, N, D] descriptors with mask bool [B, N], and the state before any word."""

    def step(self, memory: Tree, state: Tree, words: Tensor) -> tuple[Tensor, Tree]:
        """Read int32 [H] words; return float32 [H, V] log-probabilities of the next word and the next state."""


def search_graph(network: StepModel, options: Any, width: int) -> Callable:
    """Compile a search.

    Args:
        network: built.
        options: `DecodeOptions` of which no field is None.
        width: D of the descriptors.

    Returns:
        a function of descriptors float32 [B, N, D], mask bool [B, N] and, to sample, noise float32 [B, num, T], which
        returns int32 [B, num, T] words and float32 [B, num] log-probabilities as `beam_search` and `sample` do.
    """

    def search(descriptors: Tensor, mask: Tensor, *noise: Tensor) -> tuple[Tensor, Tensor]:
        memory, state = network.start(descriptors, mask)
        repetition = RepetitionRules(options.forbid_repeats, options.no_repeat_ngram)
        if noise:
            return sample(
                network.step,
                memory,
                state,
                noise[0],
                temperature=options.temperature,
                top_p=options.top_p,
                repetition=repetition,
            )
        groups = 1
        if options.method == "diverse":
            groups = options.groups or options.width
        return beam_search(
            network.step,
            memory,
            state,
            ops.shape(descriptors)[0],
            width=options.width or 1,  # "greedy" is one beam
            max_words=options.max_words,
            length_power=options.length_power or 0.0,
            num=options.num,
            groups=groups,
            diversity=options.diversity or 0.0,
            repetition=repetition,
        )

    inputs: list[Spec] = [((None, None, width), "float32"), ((None, None), "bool")]
    if options.method == "sample":
        inputs.append(((None, options.num, options.max_words), "float32"))
    return compiled(search, *inputs, model=network)
