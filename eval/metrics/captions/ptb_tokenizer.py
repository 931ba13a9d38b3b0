"""Tokenizers for scoring: the PTB tokenizer of published scores, in one Java call, and ours without Java.

A tokenized caption is one string, its words joined by spaces, as in pycocoevalcap.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np

from eval.metrics.captions.java import jar_file, java_messages, start_java, stop_java
from vislang.core.errors import EvalError
from vislang.text.tokenizer import tokenize

PTB = "ptb"
TREEBANK = "treebank"
TIMEOUT = 600.0  # seconds; 30,000 captions take about one

# pycocoevalcap's list; Java prints brackets in lower case, so that those are kept, there as here.
_MARKS = "'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;"
_PUNCTUATION = frozenset(_MARKS.split())
# Characters that end a line or a text: one of them would shift every later caption.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(caption: str) -> str:
    """Replace line separators and control characters by spaces, and what UTF-8 cannot hold by a question mark."""
    return _BREAKS.sub(" ", caption).encode("utf-8", "replace").decode("utf-8")


def ptb_tokenize(captions: Sequence[str], *, timeout: float = TIMEOUT) -> list[str]:
    """Tokenize with Stanford's PTB tokenizer, all captions in one Java call; words are lower case, without punctuation.

    Empty captions stay empty; `timeout` is in seconds, for the call.

    Raises:
        EvalError: no Java, no jar, a failure or time-out of Java, or another number of lines than was sent.
    """
    lines = list(map(one_line, captions))
    distinct = list(filter(str.strip, dict.fromkeys(lines)))
    if not distinct:
        return [""] * len(lines)
    answers = _call_java(distinct, timeout)
    if len(answers) != len(distinct):
        raise EvalError(
            f"the PTB tokenizer returned {len(answers)} lines for {len(distinct)} captions, expected one each; "
            "please report the captions"
        )
    words_of = dict(zip(distinct, map(_without_punctuation, answers), strict=True))
    return [words_of.get(line, "") for line in lines]


def treebank_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize with the toolkit's own tokenizer, which needs no Java; see `tokenizer_agreement`."""
    return [" ".join(tokenize(one_line(caption))) for caption in captions]


def tokenizer_agreement(captions: Sequence[str]) -> float:
    """Return the share of captions, 0..1, with the same words from both tokenizers.

    Raises:
        EvalError: no captions, or the PTB tokenizer cannot run.
    """
    if not captions:
        raise EvalError("got no captions, expected at least one to compare tokenizers on")
    ptb = np.array(ptb_tokenize(captions))
    return float(np.mean(ptb == np.array(treebank_tokenize(captions))))


def _call_java(lines: list[str], timeout: float) -> list[str]:
    jar = str(jar_file("tokenizer/stanford-corenlp-3.4.1.jar"))
    arguments = ["-XX:TieredStopAtLevel=1", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer"]
    arguments += ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    with tempfile.TemporaryFile() as messages:
        process = start_java(arguments, messages.fileno())
        try:
            output, _ = process.communicate("\n".join([*lines, ""]).encode(), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EvalError(
                f"the PTB tokenizer did not end within {timeout:g} s for {len(lines)} captions; "
                "pass a longer timeout, or use the tokenizer that needs no Java: tokenizer='treebank'"
            ) from error
        finally:
            stop_java(process)
        messages.seek(0)
        if process.returncode:
            raise EvalError(
                f"the PTB tokenizer ended with code {process.returncode}: {java_messages(messages.read())}; repair "
                "Java, or use the tokenizer that needs none: tokenizer='treebank'"
            )
    return output.decode("utf-8").split("\n")[:-1]


def _without_punctuation(line: str) -> str:
    return " ".join(word for word in line.rstrip().split(" ") if word not in _PUNCTUATION)
