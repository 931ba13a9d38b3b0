"""The page of captioned pictures in a real browser: its search field, the large view, its width, its errors."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from captioner.inference import Caption
from captioner.output_formats import Captioned
from captioner.page import captions_page
from vislang.draw.html.search_field import WordScores

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")

CAPTIONS = {
    "dog.png": "a brown dog runs",
    "boy.png": "a boy on a swing",
    "sea.png": "a surfer on a wave",
    "red.png": "a car",
}
# The cosine of each word with each picture; "puppy" is in no caption.
SCORES = WordScores(
    ["dog", "puppy", "wave", "car", "boy", "a"],
    np.array([[9, 0, 0, 0], [8, 0, 1, 0], [0, 0, 9, 0], [0, 0, 0, 9], [0, 9, 0, 0], [0, 0, 0, 0]]) / 10,
)
# Steps of a person, and what they then see.
ACTIONS = """
<script>
const faults = [];
window.addEventListener('error', event => faults.push(event.message));
window.addEventListener('load', () => {
  const box = document.querySelector('.search-field input'), large = document.querySelector('dialog.large');
  const visible = () => [...document.querySelectorAll('.picture-card')].filter(card => card.offsetParent)
    .map(card => card.querySelector('h2').textContent);
  const search = words => { box.value = words; box.dispatchEvent(new Event('input')); return visible(); };
  const seen = {all: visible(), width: [document.documentElement.scrollWidth, window.innerWidth]};
  for (const words of ['dog', 'puppy', 'WAVE!', 'boy.png', 'zebra']) seen[words] = search(words);
  seen.said = document.querySelector('.search-field output').textContent;
  seen.cleared = search('');
  document.querySelector('button.open').click();
  const picture = large.querySelector('img');
  seen.large = [large.open, picture.naturalWidth, large.querySelector('p').textContent];
  large.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
  seen.next = large.querySelector('p').textContent;
  large.querySelector('button').click();
  seen.closed = !large.open;
  seen.faults = faults;
  document.body.insertAdjacentHTML('beforeend', '<pre id="seen"></pre>');
  document.getElementById('seen').textContent = JSON.stringify(seen);
});
</script>
"""


def page(folder):
    random = np.random.default_rng(0)
    pictures = []
    for name, caption in CAPTIONS.items():
        Image.fromarray(random.integers(0, 256, (300, 900, 3), dtype=np.uint8)).save(folder / name)
        probabilities = (*(0.5 for _ in caption.split()), 0.9)
        pictures.append(Captioned(folder / name, [Caption(caption, -3.0, probabilities)] * 3))
    page = captions_page("Pictures", ["a tag"], pictures, ["left.jpg: not a picture"], scores=SCORES)
    return page.html().replace("<head>", "<head>" + ACTIONS, 1)


@pytest.fixture(scope="module", params=[(390, 844), (1280, 900)], ids=["phone", "desktop"])
def seen(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(page(folder), encoding="utf-8")
    width, height = request.param
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    words += [f"--window-size={width},{height}", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*words, f"file://{folder / 'page.html'}"], capture_output=True, text=True, timeout=120)
    found = done.stdout.rpartition('<pre id="seen">')[2].partition("</pre>")[0]
    assert found.startswith("{"), done.stderr[-2000:]
    return json.loads(html.unescape(found)) | {"console": re.findall(r"CONSOLE.*", done.stderr)}


def test_the_search_field_finds_by_meaning_by_caption_and_by_name(seen):
    assert seen["all"] == list(CAPTIONS)
    assert seen["dog"] == ["dog.png"]
    assert seen["puppy"] == ["dog.png"]
    assert seen["WAVE!"] == ["sea.png"]
    assert seen["boy.png"] == ["boy.png"]


def test_what_no_picture_fits_says_so_and_an_empty_field_brings_all_back(seen):
    assert seen["zebra"] == []
    assert seen["said"] == "0 of 4 pictures; unknown: zebra"
    assert sorted(seen["cleared"]) == sorted(CAPTIONS)


def test_pictures_open_large_and_close(seen):
    assert seen["large"] == [True, 800, "a brown dog runs"]
    assert seen["next"] == "a boy on a swing"
    assert seen["closed"]


def test_the_page_is_no_wider_than_the_screen_and_has_no_errors(seen):
    width, screen = seen["width"]
    assert width <= screen
    assert seen["faults"] == []
    assert seen["console"] == []
