"""English words that name nothing: articles, prepositions, conjunctions, auxiliary verbs and numbers."""

# A caption may repeat these; of other words, every repetition counts.
FUNCTION_WORDS = (
    "a", "an", "the", "this", "that", "these", "those", "some", "another", "other", "each", "one", "two", "three",
    "of", "in", "on", "at", "to", "with", "by", "for", "from", "into", "onto", "over", "under", "near", "behind",
    "through", "around", "between", "up", "down", "out", "off", "front", "top", "next", "and", "or", "while", "as",
    "is", "are", "be", "being", "it", "its", "his", "her", "their",
)  # fmt: skip
