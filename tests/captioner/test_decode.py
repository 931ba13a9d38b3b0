"""Decoding of toy languages: against all their sentences, and against slow searches that do one image at a time."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from captioner.decoding.beam_search import beam_search
from captioner.decoding.decoder import Decoder
from captioner.decoding.options import DecodeOptions
from captioner.decoding.repetition import RepetitionRules
from captioner.decoding.sampling import sample
from captioner.decoding.sentences import IMPOSSIBLE, repeated_words
from captioner.decoding.step import FORBIDDEN
from vislang.core.errors import CheckpointError, ConfigError, DataError
from vislang.text.vocabulary import END, PAD, START, UNKNOWN, Vocabulary

V = 7  # four special words and three others
WORDS = (END, 4, 5, 6)
SEEDS = range(3)
NO_RULES = RepetitionRules()
RULES = [
    RepetitionRules(no_repeat_ngram=1),
    RepetitionRules(no_repeat_ngram=2),
    RepetitionRules(no_repeat_ngram=3),
    RepetitionRules(forbid_repeats=True),
    RepetitionRules(forbid_repeats=True, no_repeat_ngram=3),
]


class Toy:
    """A language with a state, made up at random; what an image says shifts its words.

    Descriptors are [B, N, V]; those that are not there hold NaN.
    """

    def __init__(self, seed, end=0.0, width=4):
        random = np.random.default_rng(seed)
        self.mix, self.out = random.normal(size=(width, width)), 2 * random.normal(size=(width, V))
        self.words = random.normal(size=(V, width))
        self.out_bias = np.zeros(V)
        self.out_bias[[END, UNKNOWN, PAD]] = end, 2.0, 2.0  # what must not be said is likely
        self.strength = keras.Variable(1.0)
        self.variables = [self.strength]
        self.steps = 0

    def start(self, descriptors, mask):
        there = ops.expand_dims(mask, -1)
        total = ops.sum(ops.where(there, descriptors, 0.0), axis=1)
        memory = {"bias": total / ops.sum(ops.cast(there, "float32"), axis=1)}
        return memory, [ops.zeros((ops.shape(descriptors)[0], len(self.mix)))]

    def step(self, memory, state, words):
        self.steps += 1
        times = ops.shape(words)[0] // ops.shape(memory["bias"])[0]
        read = ops.take(ops.array(self.words, "float32"), words, axis=0)
        hidden = ops.tanh(ops.matmul(state[0], ops.array(self.mix, "float32")) + read)
        bias = ops.repeat(memory["bias"], times, axis=0) * self.strength + self.out_bias.astype("float32")
        return ops.log_softmax(ops.matmul(hidden, ops.array(self.out, "float32")) + bias), [hidden]

    def next_log_probs(self, image, sentence):
        """Give float64 [V] after a list of words: the same language for one image, with [N, V] descriptors."""
        hidden = np.zeros(len(self.mix))
        for word in (START, *sentence):
            hidden = np.tanh(hidden @ self.mix + self.words[word])
        logits = hidden @ self.out + self.out_bias + image.mean(axis=0)
        return logits - np.log(np.exp(logits).sum())

    def log_prob(self, image, sentence):
        return sum(self.next_log_probs(image, sentence[:t])[word] for t, word in enumerate(sentence))


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 2, V)).astype(np.float32)


def decode(toy, descriptors, mask=None, numbers=None, **options):
    mask = np.ones(descriptors.shape[:2], bool) if mask is None else mask
    return Decoder(toy, DecodeOptions(**options))(descriptors, mask, numbers)


def searched(toy, descriptors, **options):
    """Search without compiling."""
    memory, state = toy.start(ops.array(descriptors), ops.ones(descriptors.shape[:2], "bool"))
    found = beam_search(toy.step, memory, state, len(descriptors), **options)
    return tuple(ops.convert_to_numpy(one) for one in found)


def read(words):
    """Turn int [T] words into a tuple, the end mark included."""
    words = words.tolist()
    return tuple(words[: words.index(END) + 1] if END in words else words)


def all_sentences(max_words):
    inner = [word for word in WORDS if word != END]
    for length in range(max_words):
        for words in itertools.product(inner, repeat=length):
            yield (*words, END)
    yield from itertools.product(inner, repeat=max_words)


def quality(log_prob, sentence, length_power):
    return log_prob / len(sentence) ** length_power


def ranked_sentences(toy, image, max_words, length_power=0.0):
    scored = [(toy.log_prob(image, sentence), sentence) for sentence in all_sentences(max_words)]
    return sorted(scored, key=lambda one: -quality(*one, length_power))


def slow_search(toy, image, width, max_words, *, length_power=0.0, groups=1, diversity=0.0, repetition=NO_RULES):
    """Diverse beam search by its definition; with one group, beam search."""
    beams = [[(0.0, ())] for _ in range(groups)]
    for t in range(max_words):
        used = []
        for group in range(groups):
            candidates = []
            for log_prob, sentence in beams[group]:
                if END in sentence:
                    candidates.append((quality(log_prob, sentence, length_power), log_prob, sentence))
                    continue
                for word in WORDS:
                    if repeats((*sentence, word), repetition):
                        continue
                    longer, total = (*sentence, word), log_prob + toy.next_log_probs(image, sentence)[word]
                    cost = diversity * used.count(word)
                    candidates.append((quality(total - cost, longer, length_power), total, longer))
            best = sorted(candidates, key=lambda one: -one[0])[: width // groups]
            beams[group] = [(log_prob, sentence) for _, log_prob, sentence in best]
            used += [sentence[t] for _, sentence in beams[group] if len(sentence) == t + 1]
    return sorted(itertools.chain(*beams), key=lambda one: -quality(*one, length_power))


def repeats(words, rules):
    """Whether the last word of a sentence repeats what the rules exclude, by their definition."""
    words = tuple(words)
    n = rules.no_repeat_ngram
    earlier_ngrams = [words[start : start + n] for start in range(len(words) - n)]
    if n and words[-n:] in earlier_ngrams:
        return True
    return rules.forbid_repeats and words[-1:] == words[-2:-1]


def repeats_somewhere(sentence, rules):
    return any(repeats(sentence[:length], rules) for length in range(1, len(sentence) + 1))


def assert_same(words, log_probs, expected):
    """Compare what was found for one image, int [K, T] and float [K], with (log_prob, sentence) pairs."""
    assert [read(one) for one in words[: len(expected)]] == [sentence for _, sentence in expected]
    np.testing.assert_allclose(log_probs[: len(expected)], [log_prob for log_prob, _ in expected], rtol=1e-4)
    assert (log_probs[len(expected) :] == np.float32(IMPOSSIBLE)).all()
    assert (words[len(expected) :] == END).all()


@pytest.mark.parametrize("length_power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_beam_wide_enough_ranks_all_sentences(seed, length_power):
    toy, descriptors = Toy(seed), images(2, seed)
    words, log_probs = searched(toy, descriptors, width=4**4, max_words=4, length_power=length_power)
    for number, image in enumerate(descriptors):
        expected = ranked_sentences(toy, image, 4, length_power)
        assert len(expected) == 121
        assert_same(words[number], log_probs[number], expected)


@pytest.mark.parametrize("length_power", [0.0, 1.0])
@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_narrow_beam_equals_the_slow_one(seed, width, length_power):
    toy, descriptors = Toy(seed), images(3, seed)
    words, log_probs = searched(toy, descriptors, width=width, max_words=6, length_power=length_power)
    for number, image in enumerate(descriptors):
        expected = slow_search(toy, image, width, 6, length_power=length_power)
        assert_same(words[number], log_probs[number], expected)


@pytest.mark.parametrize(("width", "groups"), [(4, 2), (6, 2), (6, 3), (3, 3)])
@pytest.mark.parametrize("seed", SEEDS)
def test_diverse_groups_equal_their_definition(seed, width, groups):
    toy, descriptors = Toy(seed), images(3, seed)
    options = {"max_words": 5, "groups": groups, "diversity": 1.3, "length_power": 0.5 * (seed % 2)}
    words, log_probs = searched(toy, descriptors, width=width, **options)
    for number, image in enumerate(descriptors):
        assert_same(words[number], log_probs[number], slow_search(toy, image, width, **options))


@pytest.mark.slow
def test_one_group_without_cost_is_beam_search_and_cost_brings_variety():
    toy, descriptors, usual = Toy(1), images(6), {"width": 3, "num": 3, "max_words": 6}
    plain = decode(toy, descriptors, **usual)
    one_group = decode(toy, descriptors, method="diverse", groups=1, diversity=0.0, **usual)
    np.testing.assert_array_equal(plain.words, one_group.words)
    np.testing.assert_array_equal(plain.log_probs, one_group.log_probs)
    alike = decode(toy, descriptors, method="diverse", diversity=0.0, **usual)
    various = decode(toy, descriptors, method="diverse", diversity=2.0, **usual)
    assert (alike.words == alike.words[:, :1]).all()  # three greedy searches
    assert len({read(words) for words in various.words[0]}) > 1


@pytest.mark.parametrize("length_power", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_stopping_early_changes_nothing(seed, length_power):
    toy, descriptors = Toy(seed, end=1.5), images(4, seed)
    options = {"width": 5, "max_words": 12, "length_power": length_power}
    words, log_probs = searched(toy, descriptors, **options)
    toy.steps = 0
    for num in (1, 2):
        first, first_log_probs = searched(toy, descriptors, num=num, **options)
        np.testing.assert_array_equal(first, words[:, :num])
        np.testing.assert_array_equal(first_log_probs, log_probs[:, :num])
    assert length_power or toy.steps < 2 * 12  # steps are counted one by one: nothing is compiled here


class Table:
    """A language without state: float [V] probabilities of a word after each word, the same for all images."""

    variables = ()

    def __init__(self, after):
        table = np.full((V, V), 1e-30)
        for word, following in after.items():
            table[word, list(following)] = list(following.values())
        self.log_probs = np.log(table).astype(np.float32)

    def start(self, descriptors, mask):
        return (), [descriptors[:, 0, :1]]

    def step(self, memory, state, words):
        return ops.take(ops.array(self.log_probs), words, axis=0), state


def test_a_finished_sentence_is_never_charged_again():
    # "4 ." has 0.40; what goes on is worth less, however long; an end mark that cost something would turn that round.
    table = Table({START: {4: 0.8, 5: 0.2}, 4: {END: 0.5, 5: 0.5}, 5: {6: 1.0}, 6: {6: 0.9, END: 0.1}})
    table.log_probs[END] = -3.0
    found = decode(table, images(1), width=3, num=3, max_words=9)
    assert read(found.words[0, 0]) == (4, END)
    assert found.log_probs[0, 0] == pytest.approx(np.log(0.4), rel=1e-6)


def test_a_sentence_cut_by_the_limit_is_kept_without_an_end_mark():
    table = Table({START: {4: 0.6, 5: 0.4}, 4: {4: 1.0}, 5: {END: 1.0}})
    found = decode(table, images(1), width=2, num=2, max_words=5)
    assert found.words[0].tolist() == [[4] * 5, [5, END, END, END, END]]
    np.testing.assert_allclose(found.log_probs[0], np.log([0.6, 0.4]), rtol=1e-6)
    by_length = decode(table, images(1), width=2, num=2, max_words=5, length_power=1.0)
    assert by_length.words[0, 0].tolist() == [4] * 5  # log(0.6) / 5 beats log(0.4) / 2


def test_sentences_that_do_not_exist_are_marked():
    table = Table({START: {4: 1.0}, 4: {END: 1.0}})
    table.log_probs[table.log_probs < -20] = -np.inf
    for more in ({"method": "beam"}, {"method": "diverse", "groups": 1}):
        found = decode(table, images(2), width=5, num=5, max_words=4, **more)
        assert found.exists.tolist() == [[True, False, False, False, False]] * 2
        assert read(found.words[1, 0]) == (4, END)
        assert (found.words[:, 1:] == END).all()
        assert np.isfinite(found.log_probs).all()
    sampled = decode(table, images(2), method="sample", num=3, max_words=4)
    assert {read(words) for words in sampled.words.reshape(-1, 4)} == {(4, END)}


def test_no_word_may_follow():
    table = Table({START: {UNKNOWN: 1.0}})
    table.log_probs[table.log_probs < -20] = -np.inf
    for method in ("beam", "greedy", "sample"):
        found = decode(table, images(1), method=method, max_words=3)
        assert not found.exists.any()
        assert (found.words == END).all()


@pytest.mark.parametrize(
    "options", [{}, {"length_power": 1.0}, {"method": "diverse"}, {"method": "greedy", "num": 1, "width": None}]
)
def test_a_batch_equals_its_images_one_by_one(options):
    toy, descriptors = Toy(3, end=-5.0), images(7)
    decoder = Decoder(toy, DecodeOptions(**{"width": 4, "num": 4, "max_words": 8, **options}))
    mask = np.ones((7, 2), bool)
    mask[3:, 1] = False
    descriptors[3:, 1] = np.nan
    whole = decoder(descriptors, mask)
    for number in range(7):
        kept = slice(number, number + 1), slice(0, mask[number].sum())
        one = decoder(descriptors[kept], mask[kept])
        np.testing.assert_array_equal(one.words, whole.words[kept[0]])
        np.testing.assert_allclose(one.log_probs, whole.log_probs[kept[0]], rtol=1e-5)
    assert len({read(words) for words in whole.words[:, 0]}) > 1  # images do say different things


def test_greedy_is_one_beam_and_takes_the_likeliest_word():
    toy, descriptors = Toy(2), images(5)
    greedy = decode(toy, descriptors, method="greedy", max_words=7)
    beam = decode(toy, descriptors, width=1, max_words=7)
    np.testing.assert_array_equal(greedy.words, beam.words)
    np.testing.assert_array_equal(greedy.log_probs, beam.log_probs)
    for number, image in enumerate(descriptors):
        sentence = []
        while END not in sentence and len(sentence) < 7:
            log_probs = toy.next_log_probs(image, sentence)
            sentence.append(max(WORDS, key=lambda word, log_probs=log_probs: log_probs[word]))
        assert read(greedy.words[number, 0]) == tuple(sentence)
        assert greedy.log_probs[number, 0] == pytest.approx(toy.log_prob(image, sentence), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["beam", "greedy", "diverse", "sample"])
def test_forbidden_words_and_repeats_never_come(method):
    options = {"method": method, "max_words": 8, "num": 1 if method == "greedy" else 3}
    usual = decode(Toy(0, end=-3.0), images(20), **options).words
    assert not np.isin(usual, FORBIDDEN).any()
    for rules in RULES:
        assert any(repeats_somewhere(read(words), rules) for words in usual.reshape(-1, 8))
        decoder = Decoder(
            Toy(0, end=-3.0),
            DecodeOptions(forbid_repeats=rules.forbid_repeats, no_repeat_ngram=rules.no_repeat_ngram, **options),
        )
        varied = decoder(images(20), np.ones((20, 2), bool))
        assert not np.isin(varied.words, FORBIDDEN).any()
        assert varied.exists[:, 0].all()
        assert not any(repeats_somewhere(read(words), rules) for words in varied.words.reshape(-1, 8))


@settings(deadline=None)
@given(
    sentence=st.lists(st.sampled_from([4, 5, 6]), max_size=12),
    free=st.integers(1, 3),
    rules=st.builds(RepetitionRules, forbid_repeats=st.booleans(), no_repeat_ngram=st.integers(0, 5)),
)
def test_the_excluded_words_are_those_that_repeat(sentence, free, rules):
    words = np.full((1, len(sentence) + free), END, np.int32)
    words[0, : len(sentence)] = sentence
    found = ops.convert_to_numpy(rules.exclude(ops.zeros((1, V)), ops.array(words), len(sentence)))
    excluded = set(np.flatnonzero(found[0] == np.float32(IMPOSSIBLE)).tolist()) - {PAD}
    assert excluded == {word for word in range(4, V) if repeats((*sentence, word), rules)}


def test_repeated_words_are_counted_but_function_words():
    vocabulary = Vocabulary(["a", "man", "in", "blue", "red", "and", "bike", "riding"])
    function_words = vocabulary.encode(["a", "in", "and"])
    for sentence, count in [
        ("a man riding a bike", 0),
        ("a man riding a bike in a bike", 1),
        ("a man and a man in a man", 2),
        ("a man in blue and a man in blue", 2),
        ("", 0),
    ]:
        words = np.zeros((2, 12), np.int32)
        ids = vocabulary.encode(sentence.split(), end=True)
        words[1, : len(ids)] = ids
        assert repeated_words(words, function_words).tolist() == [0, count], sentence


@pytest.mark.parametrize("rules", RULES)
def test_a_beam_wide_enough_ranks_all_sentences_without_repetition(rules):
    toy, descriptors = Toy(1, end=-2.0), images(2, 1)
    words, log_probs = searched(toy, descriptors, width=3**5, max_words=5, length_power=0.7, repetition=rules)
    for number, image in enumerate(descriptors):
        ranked = ranked_sentences(toy, image, 5, 0.7)
        allowed = [(log_prob, sentence) for log_prob, sentence in ranked if not repeats_somewhere(sentence, rules)]
        assert len(allowed) < len(ranked)
        best = min(len(allowed), 40)  # beams beyond those of a level may be lost
        assert_same(words[number][:best], log_probs[number][:best], allowed[:best])


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "options", [{"width": 1}, {"width": 3, "length_power": 0.7}, {"width": 6, "groups": 2, "diversity": 1.3}]
)
def test_a_narrow_beam_without_repetition_equals_the_slow_one(rules, options):
    toy, descriptors = Toy(2, end=-2.0), images(3, 2)
    words, log_probs = searched(toy, descriptors, max_words=7, repetition=rules, **options)
    for number, image in enumerate(descriptors):
        expected = slow_search(toy, image, max_words=7, repetition=rules, **options)
        assert_same(words[number], log_probs[number], expected)


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_rules_that_no_sentence_breaks_change_nothing(method):
    toy, descriptors = Toy(1), images(6)
    free = decode(toy, descriptors, method=method, num=3, max_words=6)
    ruled = decode(toy, descriptors, method=method, num=3, max_words=6, no_repeat_ngram=6)
    long_ngrams = decode(toy, descriptors, method=method, num=3, max_words=6, no_repeat_ngram=5)
    assert not any(repeats_somewhere(read(words), RepetitionRules(no_repeat_ngram=5)) for words in free.words[:, 0])
    np.testing.assert_array_equal(ruled.words, free.words)
    np.testing.assert_array_equal(ruled.log_probs, free.log_probs)
    np.testing.assert_array_equal(long_ngrams.words[:, 0], free.words[:, 0])
    np.testing.assert_array_equal(long_ngrams.log_probs[:, 0], free.log_probs[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["beam", "greedy", "diverse", "sample"])
def test_ties_do_no_harm(method):
    equal = Table(dict.fromkeys(range(V), dict.fromkeys(range(V), 1 / V)))
    found = decode(equal, images(2), method=method, max_words=3)
    assert found.exists.all()
    assert np.isin(found.words, WORDS).all()


def noise_of(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def sampled(toy, descriptors, noise, **options):
    memory, state = toy.start(ops.array(descriptors), ops.ones(descriptors.shape[:2], "bool"))
    found = sample(toy.step, memory, state, ops.array(noise), **options)
    return tuple(ops.convert_to_numpy(one) for one in found)


def share_of(toy, image, sentence, temperature=1.0, top_p=1.0):
    """The probability of drawing a sentence."""
    share = 1.0
    for t, word in enumerate(sentence):
        weights = np.zeros(V)
        weights[list(WORDS)] = np.exp(toy.next_log_probs(image, sentence[:t])[list(WORDS)] / temperature)
        weights /= weights.sum()
        order = np.argsort(-weights)
        likelier = np.cumsum(weights[order]) - weights[order]
        weights[order[likelier >= top_p]] = 0
        share *= weights[word] / weights.sum()
    return share


@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}, {"temperature": 1.5, "top_p": 0.8}, {"top_p": 0.5}])
def test_sentences_are_drawn_as_often_as_they_should_be(options):
    from scipy.stats import chisquare

    toy, descriptors, draws = Toy(5), images(2), 6000
    words, _ = sampled(toy, descriptors, noise_of((2, draws, 3)), **options)
    for number, image in enumerate(descriptors):
        shares = {sentence: share_of(toy, image, sentence, **options) for sentence in all_sentences(3)}
        assert sum(shares.values()) == pytest.approx(1.0)
        counts = dict.fromkeys(shares, 0)
        for one in words[number]:
            counts[read(one)] += 1
        assert all(shares[sentence] > 0 for sentence, count in counts.items() if count)  # the tail is never drawn
        common = [sentence for sentence in shares if shares[sentence] * draws >= 5]
        rest = draws - sum(counts[sentence] for sentence in common)
        expected = [shares[sentence] * draws for sentence in common]
        observed = [counts[sentence] for sentence in common]
        if draws - sum(expected) >= 5:
            observed, expected = [*observed, rest], [*expected, draws - sum(expected)]
        scale = sum(observed) / sum(expected)
        assert chisquare(observed, np.array(expected) * scale).pvalue > 0.01


def test_drawn_sentences_carry_the_log_probabilities_of_the_network():
    toy, descriptors = Toy(4), images(3)
    words, log_probs = sampled(toy, descriptors, noise_of((3, 5, 6)), temperature=0.7, top_p=0.9)
    for number, sample_number in np.ndindex(3, 5):
        expected = toy.log_prob(descriptors[number], read(words[number, sample_number]))
        assert log_probs[number, sample_number] == pytest.approx(expected, rel=1e-4)


def test_extreme_noise_draws_the_ends_of_the_distribution():
    toy, descriptors = Toy(4), images(1)
    ends = [0.0, np.nextafter(np.float32(1), np.float32(0))]
    words, _ = sampled(toy, descriptors, np.array(ends, np.float32)[None, :, None])
    assert words[0, :, 0].tolist() == [WORDS[0], WORDS[-1]]


def test_draws_hang_on_the_seed_and_the_image_alone():
    toy, descriptors, numbers = Toy(6), images(6), np.array([10, 11, 12, 13, 14, 15])
    decoder = Decoder(toy, DecodeOptions(method="sample", num=4, max_words=6, seed=3))
    mask = np.ones((6, 2), bool)
    whole = decoder(descriptors, mask, numbers)
    np.testing.assert_array_equal(decoder(descriptors, mask, numbers).words, whole.words)
    order = np.array([4, 1, 3])
    np.testing.assert_array_equal(decoder(descriptors[order], mask[order], numbers[order]).words, whole.words[order])
    assert (decoder(descriptors, mask, numbers + 1).words != whole.words).any()
    other = Decoder(toy, dataclasses.replace(decoder.options, seed=4))
    assert (other(descriptors, mask, numbers).words != whole.words).any()


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_one_trace_serves_all_batches_and_follows_the_weights(method):
    toy = Toy(0)
    decoder = Decoder(toy, DecodeOptions(method=method, max_words=6))
    first = decoder(images(5), np.ones((5, 2), bool))
    traced = toy.steps
    decoder(images(3)[:, :1], np.ones((3, 1), bool))
    toy.strength.assign(-4.0)
    second = decoder(images(5), np.ones((5, 2), bool))
    if keras.backend.backend() == "tensorflow":  # elsewhere every size is compiled
        assert toy.steps == traced
    assert (first.words != second.words).any()
    np.testing.assert_array_equal(second.words, decode(toy, images(5), method=method, max_words=6).words)


@pytest.mark.parametrize("method", ["beam", "greedy", "diverse", "sample"])
def test_no_image_gives_no_sentence(method):
    found = decode(Toy(0), images(0), method=method, max_words=6)
    assert found.words.shape == (0, 1, 6)
    assert found.log_probs.shape == (0, 1)


def test_shapes_that_do_not_fit_are_refused():
    decoder = Decoder(Toy(0), DecodeOptions())
    with pytest.raises(DataError, match=r"descriptors have shape \(2, 2, 7\) and their mask \(2, 3\), expected"):
        decoder(images(2), np.ones((2, 3), bool))
    decoder(images(2), np.ones((2, 2), bool))
    with pytest.raises(DataError, match=r"shape \(2, 2, 6\) .* expected \[images, descriptors, 7\]"):
        decoder(images(2)[..., :6], np.ones((2, 2), bool))


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_a_network_that_gives_nan_is_an_error(method):
    descriptors = images(3)
    descriptors[1] = np.nan
    with pytest.raises(CheckpointError, match="the network returns NaN for 1 of 3 images"):
        decode(Toy(0), descriptors, method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "bean"}, "setting method got 'bean', expected one of: beam, greedy, diverse, sample"),
        ({"width": 0}, "setting width got 0, expected 1 or more"),
        ({"method": "sample", "temperature": 0.0}, "setting temperature got 0.0, expected more than 0"),
        ({"method": "sample", "temperature": float("nan")}, "setting temperature got nan, expected more than 0"),
        ({"method": "sample", "top_p": 1.5}, "setting top_p got 1.5, expected more than 0, at most 1"),
        ({"method": "diverse", "diversity": -1.0}, "setting diversity got -1.0, expected 0 or more"),
        ({"num": 6, "width": 5}, "setting num got 6, expected at most the width 5; widen the beam"),
        ({"method": "greedy", "num": 2}, "setting num got 2 with method 'greedy', expected 1; 'beam' finds several"),
        ({"temperature": 2.0}, "temperature is for method sample, got method beam; leave one out"),
        ({"method": "greedy", "width": 2}, "width is for method beam or diverse, got method greedy"),
        (
            {"method": "sample", "temprature": 2.0},
            "unknown option of DecodeOptions 'temprature'; did you mean temperature",
        ),
        ({"method": "diverse", "groups": 2, "width": 5}, "setting groups got 2, expected a divisor of the width 5"),
    ],
)
def test_impossible_options_are_refused_in_one_line(options, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        DecodeOptions(**options)
