"""Captions to words for scoring: the PTB tokenizer that published scores use, in one Java call, or ours without Java.

A tokenized caption is one string, its words joined by blanks, as pycocoevalcap passes them on.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eval.metrics.captions.java import jar_folder, java_words, require_file, start_java, stop_java
from vislang.core.errors import EvalError
from vislang.text.tokenizer import tokenize

PTB = "ptb"
TREEBANK = "treebank"
TIMEOUT = 600.0  # seconds; 30,000 captions take about one

# pycocoevalcap's list; Java prints brackets in lower case, so that those are kept, there as here.
_MARKS = "'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;"
_PUNCTUATION = frozenset(_MARKS.split())
# All that some reader takes for the end of a line or of a text: one of them would shift every later caption.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(caption: str) -> str:
    """Replace line separators and control characters by blanks, and what UTF-8 cannot hold by a question mark."""
    return _BREAKS.sub(" ", caption).encode("utf-8", "replace").decode("utf-8")


def ptb_tokenize(
    captions: Sequence[str], *, timeout: float = TIMEOUT, folder: Path | None = None, java: str | None = None
) -> list[str]:
    """Tokenize with Stanford's PTB tokenizer, all captions in one Java call.

    Args:
        captions: any texts; equal ones are sent once, empty ones stay empty.
        timeout: seconds for the call.
        folder: where pycocoevalcap is, when not where Python finds it.
        java: a Java, when not the one that `find_java` gives.

    Returns:
        For each caption its words, in lower case and without punctuation, joined by blanks.

    Raises:
        EvalError: no Java, no jar, a failure or time-out of Java, or another number of lines than was sent.
    """
    lines = list(map(one_line, captions))
    distinct = []
    for line in dict.fromkeys(lines):
        if line.strip():
            distinct.append(line)
    if not distinct:
        return [""] * len(lines)
    answers = _call_java(distinct, timeout, folder or jar_folder(), java)
    if len(answers) != len(distinct):
        raise EvalError(
            f"the PTB tokenizer gave {len(answers)} lines for {len(distinct)} captions, expected one each; "
            "no caption can be trusted to belong to its image, please report the captions"
        )
    words_of = {line: _without_punctuation(answer) for line, answer in zip(distinct, answers, strict=True)}
    return [words_of.get(line, "") for line in lines]


def treebank_tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize with the toolkit's own tokenizer, which needs no Java.

    `tokenizer_agreement` measures how often it agrees with PTB.
    """
    words_of = {caption: " ".join(tokenize(one_line(caption))) for caption in dict.fromkeys(captions)}
    return [words_of[caption] for caption in captions]


def tokenizer_agreement(captions: Sequence[str], *, java: str | None = None) -> float:
    """Give the share of captions, 0..1, that both tokenizers turn into the same words.

    Raises:
        EvalError: no captions, or the PTB tokenizer cannot run.
    """
    if not captions:
        raise EvalError("no captions were given, expected at least one to compare tokenizers on")
    pairs = zip(ptb_tokenize(captions, java=java), treebank_tokenize(captions), strict=True)
    return sum(ptb == ours for ptb, ours in pairs) / len(captions)


def _call_java(lines: list[str], timeout: float, folder: Path, java: str | None) -> list[str]:
    jar = require_file(folder / "tokenizer" / "stanford-corenlp-3.4.1.jar")
    arguments = ["-XX:TieredStopAtLevel=1", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    arguments += ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
    with tempfile.TemporaryFile() as words:
        process = start_java(arguments, stderr=words.fileno(), program=java)
        try:
            output, _ = process.communicate("".join(f"{line}\n" for line in lines).encode(), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EvalError(
                f"the PTB tokenizer did not end within {timeout:g} s for {len(lines)} captions; "
                "give it more time, or use the tokenizer that needs no Java: tokenizer='treebank'"
            ) from error
        finally:
            stop_java(process)
        words.seek(0)
        if process.returncode:
            raise EvalError(
                f"the PTB tokenizer ended with code {process.returncode}: {java_words(words.read())}; mend Java, "
                "or use the tokenizer that needs none: tokenizer='treebank'"
            )
    return output.decode("utf-8").split("\n")[:-1]


def _without_punctuation(line: str) -> str:
    return " ".join(word for word in line.rstrip().split(" ") if word not in _PUNCTUATION)
