"""Finding pictures on a page without a server: a search box, and each picture open large."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STYLE = """
.finder { position: sticky; top: 0; z-index: 2; padding: 12px 0; background: var(--ground); }
.finder input {
  width: 100%; padding: 12px 16px; font: inherit; font-size: 1.05rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: 12px;
}
.finder input:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
.finder output { display: block; min-height: 1.5em; margin-top: 6px; font-size: 0.875rem; color: var(--soft); }
.find[hidden] { display: none; }
button.open { display: block; width: 100%; padding: 0; border: 0; background: #0001; cursor: zoom-in; }
button.open img { display: block; width: 100%; height: 260px; object-fit: contain; }
button.open:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
dialog.large { max-width: min(96vw, 1400px); max-height: 96vh; padding: 0; border: 0; border-radius: 14px;
  background: var(--card); color: var(--ink); overflow: hidden; }
dialog.large::backdrop { background: rgb(0 0 0 / 78%); }
dialog.large img { display: block; width: auto; max-width: 100%; max-height: calc(96vh - 90px); margin: 0 auto;
  min-width: min(80vw, 480px); object-fit: contain; }
dialog.large p { margin: 0; padding: 12px 18px 14px; font-weight: 600; max-width: none; text-align: center; }
dialog.large button { position: absolute; top: 8px; right: 8px; width: 44px; height: 44px; border: 0;
  border-radius: 50%; font-size: 1.4rem; color: #fff; background: rgb(0 0 0 / 55%); cursor: pointer; }
"""

_UNIT = 25  # stored scores in one standard deviation of all words and pictures

# A picture fits when its caption or name holds every word, or when it stands out among the pictures by the sum of the
# scores of the known words: in that query, and in comparison with what words usually do.
_SCRIPT = """
(() => {
  const cards = [...document.querySelectorAll('.find')], box = document.querySelector('.finder input');
  const said = document.querySelector('.finder output'), grid = document.querySelector('.written');
  const data = document.getElementById('word-scores');
  const known = data ? JSON.parse(data.textContent) : {words: [], scores: ''};
  const bytes = Uint8Array.from(atob(known.scores), letter => letter.charCodeAt(0));
  const scores = new Int8Array(bytes.buffer), number = new Map(known.words.map((word, place) => [word, place]));
  const texts = cards.map(card => card.dataset.text);
  const wordsOf = text => text.toLowerCase().match(/[\\p{L}\\p{N}]+/gu) || [];
  const total = (words, card) => words.reduce((sum, word) => sum + scores[word * cards.length + card], 0);

  function search() {
    const words = wordsOf(box.value), seen = words.map(word => number.get(word)).filter(word => word !== undefined);
    const sums = cards.map((_, card) => total(seen, card));
    const mean = sums.reduce((a, b) => a + b, 0) / cards.length;
    const spread = Math.sqrt(sums.reduce((a, b) => a + (b - mean) ** 2, 0) / cards.length);
    const literal = texts.map(text => words.length > 0 && words.every(word => text.includes(word)));
    const bar = Math.max(1.2 * spread, 1.2 * UNIT * Math.sqrt(seen.length));
    const stands = sums.map(sum => seen.length > 0 && sum > mean + bar);
    const order = cards.map((_, card) => card);
    if (words.length) order.sort((a, b) => literal[b] - literal[a] || sums[b] - sums[a] || a - b);
    let count = 0;
    for (const card of order) {
      cards[card].hidden = words.length > 0 && !literal[card] && !stands[card];
      count += !cards[card].hidden;
      grid.append(cards[card]);
    }
    const unknown = words.filter(word => data && !number.has(word) && !texts.some(text => text.includes(word)));
    said.textContent = !words.length ? '' : `${count} of ${cards.length} pictures`
      + (unknown.length ? `; unknown: ${unknown.join(', ')}` : '');
  }

  const large = document.querySelector('dialog.large');
  let open = null;
  function show(card) {
    open = card;
    const picture = card.querySelector('button.open img'), shown = large.querySelector('img');
    shown.src = picture.src;
    shown.alt = picture.alt;
    large.querySelector('p').textContent = picture.alt;
    if (!large.open) large.showModal();
  }
  function step(by) {
    const visible = [...grid.children].filter(card => !card.hidden && card.querySelector('button.open'));
    show(visible[(visible.indexOf(open) + by + visible.length) % visible.length]);
  }
  grid.addEventListener('click', event => {
    const button = event.target.closest('button.open');
    if (button) show(button.closest('.find'));
  });
  large.addEventListener('click', event => { if (!event.target.closest('img, p')) large.close(); });
  large.addEventListener('keydown', event => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
  });
  box.addEventListener('input', search);
})();
"""


@dataclass(frozen=True)
class WordScores:
    """How well each word fits each picture, for search by meaning inside a page.

    Attributes:
        words: W lower-case words.
        scores: float [W, N], such as cosines; only their order within a word matters.
    """

    words: Sequence[str]
    scores: np.ndarray


def search_box(hint: str) -> str:
    """Write the box; `hint` is shown while it is empty."""
    return (
        f'<search class="finder"><label><span class="hidden">Search the pictures</span>'
        f'<input type="search" placeholder="{hint}" autocomplete="off"></label>'
        '<output aria-live="polite"></output></search>'
    )


def finder(scores: WordScores | None) -> str:
    """Write what stands at the end of the page: the large view, the scores, and the script."""
    return (
        '<dialog class="large" aria-label="Picture"><img src="data:," alt=""><p></p>'
        '<button type="button" aria-label="Close">\N{MULTIPLICATION SIGN}</button></dialog>'
        + (_stored(scores) if scores is not None else "")
        + f"<script>{_SCRIPT.replace('UNIT', str(_UNIT))}</script>"
    )


def _stored(scores: WordScores) -> str:
    """Centre each word over the pictures and keep a byte of each score; `UNIT` of them are one deviation overall."""
    values = np.asarray(scores.scores, np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    small = np.clip(np.round(_UNIT * values / max(float(values.std()), 1e-12)), -127, 127).astype(np.int8)
    content = {"words": list(scores.words), "scores": base64.b64encode(small.tobytes()).decode("ascii")}
    text = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    return f'<script type="application/json" id="word-scores">{text}</script>'
