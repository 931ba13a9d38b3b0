"""Tokenizer, vocabulary and word vectors."""
