// A picture matches when its caption or name holds every word of the query, or when it stands out among the pictures by
// the sum of the scores of the known words: in this query, and in comparison with what words usually score.
(() => {
  const grid = document.querySelector('.searchable'), cards = [...grid.children];
  const field = document.querySelector('.search-field input'), status = document.querySelector('.search-field output');
  const stored = document.getElementById('word-scores');
  const data = stored ? JSON.parse(stored.textContent) : {words: [], scores: '', unit: 1};
  const bytes = Uint8Array.from(atob(data.scores), letter => letter.charCodeAt(0));
  const scores = new Int8Array(bytes.buffer), rows = new Map(data.words.map((word, row) => [word, row]));
  const texts = cards.map(card => card.dataset.text);
  const wordsOf = text => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [];

  function search() {
    const words = wordsOf(field.value), known = words.filter(word => rows.has(word)).map(word => rows.get(word));
    const sums = cards.map((_, card) => known.reduce((sum, row) => sum + scores[row * cards.length + card], 0));
    const mean = sums.reduce((a, b) => a + b, 0) / cards.length;
    const deviation = Math.sqrt(sums.reduce((a, b) => a + (b - mean) ** 2, 0) / cards.length);
    const threshold = mean + Math.max(1.2 * deviation, 1.2 * data.unit * Math.sqrt(known.length));
    const literal = texts.map(text => words.length > 0 && words.every(word => text.includes(word)));
    const order = cards.map((_, card) => card);
    if (words.length) order.sort((a, b) => literal[b] - literal[a] || sums[b] - sums[a] || a - b);
    let count = 0;
    for (const card of order) {
      const matches = literal[card] || known.length > 0 && sums[card] > threshold;
      cards[card].hidden = words.length > 0 && !matches;
      count += !cards[card].hidden;
      grid.append(cards[card]);
    }
    const unknown = words.filter(word => stored && !rows.has(word) && !texts.some(text => text.includes(word)));
    status.textContent = !words.length ? '' : `${count} of ${cards.length} pictures`
      + (unknown.length ? `; unknown: ${unknown.join(', ')}` : '');
  }

  field.addEventListener('input', search);
})();
