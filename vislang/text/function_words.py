"""English words that name nothing: articles, pronouns, prepositions, conjunctions, auxiliary verbs and numbers."""

from collections.abc import Sequence

_WORDS = (
    "a an the this that these those some any no all both each every another other several many few more"
    " one two three four five six seven eight nine ten 's n't"
    " i you he she it we they him them me us his her hers its their my your our who which what where when"
    " himself herself itself themselves"
    " of in on at to with without by for from into onto over under above below near behind beside besides beyond"
    " before after during until against along alongside across among amongst towards toward within inside outside"
    " past through around about between up down out off away together front top next"
    " and or but nor not so than then there here while as if because just very too also"
    " is are was were am be been being has have had having do does did can could will would may might"
)
# A caption may repeat these; of other words, every repetition counts.
FUNCTION_WORDS = frozenset(_WORDS.split())
_COLOURS = "black white grey gray brown tan red orange yellow green blue purple pink gold silver"
COLOURS = frozenset(_COLOURS.split())


def texts_of_words(words: Sequence[str]) -> list[str]:
    """Return what a ranker reads for each word: the words since the last function word, up to it.

    So "dog" of "a black dog and a white dog" is read as "black dog" and as "white dog"; "black and white dog", of two
    colours, as one. A function word has no place; its text is empty.
    """
    texts = []
    start = 0
    for index, word in enumerate(words):
        if word not in FUNCTION_WORDS:
            texts.append(" ".join(words[start : index + 1]))
            continue
        texts.append("")
        beside = words[max(index - 1, 0) : index + 2]
        if len(beside) < 3 or beside[1] != "and" or not COLOURS.issuperset(beside[::2]):
            start = index + 1
    return texts
