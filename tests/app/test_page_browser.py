"""Pages in a real browser: the search field, the large view, maps of words, widths, errors."""

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
from captioner.region_captions import Region
from preimage.pages import panels
from saliency.page import SCRIPT as WORD_MAPS_SCRIPT
from saliency.page import STYLE as WORD_MAPS_STYLE
from saliency.page import explained_image
from saliency.word_maps import Explanation
from vislang.draw.html import elements
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page
from vislang.draw.html.search_field import WordScores
from vislang.draw.html.thumbnails import data_uri

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
    images = []
    for name, caption in CAPTIONS.items():
        Image.fromarray(random.integers(0, 256, (300, 900, 3), dtype=np.uint8)).save(folder / name)
        probabilities = (*(0.5 for _ in caption.split()), 0.9)
        images.append(Captioned(folder / name, [Caption(caption, -3.0, probabilities)] * 3))
    page = captions_page("Pictures", ["a tag"], images, ["left.jpg: not a picture"], scores=SCORES)
    return page.html().replace("<head>", "<head>" + ACTIONS, 1)


def run_in_browser(folder, page, width, height):
    """Return what the page's own script left in #seen, and the browser's console."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    words += [f"--window-size={width},{height}", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*words, f"file://{folder / 'page.html'}"], capture_output=True, text=True, timeout=120)
    found = done.stdout.rpartition('<pre id="seen">')[2].partition("</pre>")[0]
    assert found.startswith("{"), done.stderr[-2000:]
    return json.loads(html.unescape(found)) | {"console": re.findall(r"CONSOLE.*", done.stderr)}


@pytest.fixture(scope="module", params=[(390, 844), (1280, 900)], ids=["phone", "desktop"])
def seen(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return run_in_browser(folder, page(folder), *request.param)


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


# All other elements, on one page; a long name and a wide table may not widen it.
ELEMENT_ACTIONS = """
<script>
const faults = [];
window.addEventListener('error', event => faults.push(event.message));
window.addEventListener('load', () => {
  const seen = {width: [document.documentElement.scrollWidth, window.innerWidth]};
  const shown = () => [...document.querySelectorAll('.layer.on')].map(one => [...one.parentNode.children].indexOf(one));
  const words = document.querySelectorAll('.places button');
  const figure = document.querySelector('.explained figure').getBoundingClientRect();
  const box = document.querySelector('.layer.box').getBoundingClientRect();
  seen.box = [box.left - figure.left, box.top - figure.top, box.width, box.height, figure.width, figure.height];
  seen.body = document.querySelector('.explained .body').getBoundingClientRect().top - figure.top;
  seen.first = shown();
  words[0].dispatchEvent(new Event('mouseenter'));
  seen.over = shown();
  words[0].dispatchEvent(new Event('mouseleave'));
  seen.left = shown();
  words[2].focus();
  seen.focused = shown();
  words[2].blur();
  words[0].click();
  seen.pressed = [shown(), words[0].getAttribute('aria-pressed'), words[1].getAttribute('aria-pressed')];
  document.querySelector('.panels button.open').click();
  seen.large = document.querySelector('dialog.large p').textContent;
  seen.faults = faults;
  document.body.insertAdjacentHTML('beforeend', '<pre id="seen"></pre>');
  document.getElementById('seen').textContent = JSON.stringify(seen);
});
</script>
"""


def elements_page():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    explanation = Explanation(
        words=("dog", "red"),
        unknown=(False, False),
        written=True,
        method="gradient",
        losses=np.random.default_rng(0).random((1, 2, 4, 4)),
        whole=np.zeros((1, 2)),
        evidence=np.array([0.0, 1.0], np.float32),
        seen=(0.0, 0.0, 1.0, 1.0),
        seconds=np.zeros(1),
    )
    name = "a_very_long_name_without_a_blank_" * 4
    region = Region((0.25, 0.5, 0.75, 1.0), name, 0.0)
    rows = [elements.Row(name, ["1.0"] * 20, name)]
    values = np.eye(9)
    names = [f"layer_{number}" for number in range(9)]
    sections = [
        elements.main_numbers([elements.number_card("R@1", 20.0, (19.0, 21.0), [20.0], spread="one seed")], "A note."),
        elements.section(name, elements.table("A table", [*["R@1"] * 20, "Source"], rows), command=f"python {name}"),
        elements.cards([elements.picture_card(elements.picture(None, "", name), f'<p class="caption">{name}</p>')]),
        elements.figure_card(name, [(name, data_uri(Image.fromarray(pixels)))] * 5),
        panels.panels([panels.head("x")] * 6, [[panels.cell(pixels, "a panel", name)] * 6]),
        panels.heat_map(values, names, names, corner=name, matched=[]),
        explained_image(Image.fromarray(pixels), name, explanation, regions={"Regions": [region]}),
    ]
    style = LARGE_VIEW_STYLE + panels.PANELS_STYLE + WORD_MAPS_STYLE
    return Page(name, [name], sections, style, LARGE_VIEW_SCRIPT + WORD_MAPS_SCRIPT).html()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)], ids=["phone", "desktop"])
def test_elements_fit_the_screen_and_maps_follow_the_words(tmp_path, width, height):
    found = run_in_browser(tmp_path, elements_page().replace("<head>", "<head>" + ELEMENT_ACTIONS, 1), width, height)
    assert found["width"][0] <= found["width"][1]
    assert found["first"] == [2], "the second word's map, behind the picture and the first map"
    assert found["over"] == [1]
    assert found["left"] == [2]
    assert found["focused"] == [3], "the box of the region, by the keyboard"
    *box, figure_width, figure_height = found["box"]
    expected = [0.25 * figure_width, 0.5 * figure_height, 0.5 * figure_width, 0.5 * figure_height]
    assert box == pytest.approx(expected, abs=1.0)
    assert figure_width > 0.5 * found["width"][1], "the picture uses the width of the window"
    assert (found["body"] < 1) == (width > 760), "beside the picture; on a phone below it"
    assert found["pressed"] == [[1], "true", "false"]
    assert found["large"] == "a panel"
    assert found["faults"] == []
    assert found["console"] == []
