"""Pages: the frame, shared elements, thumbnails."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vislang.core.errors import DataError
from vislang.draw.html.elements import (
    Row,
    large_picture,
    number_card,
    origin_section,
    picture,
    picture_card,
    section,
    table,
)
from vislang.draw.html.page import Page
from vislang.draw.html.thumbnails import data_uri, thumbnail

HOSTILE = "<script>alert('&\"')</script> $title"
ESCAPED = "&lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt; $title"


def decoded(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def test_a_page_has_its_parts_in_order_and_escapes_what_is_plain():
    page = Page(
        HOSTILE, [HOSTILE, ""], iter(["<p>one</p>", "<p>two $style</p>"]), "p { color: red }", "alert(1)", "a.b"
    )
    text = page.html()
    assert text.count(ESCAPED) == 3  # title, heading, tag
    assert text.count("<li>") == 1
    assert "<p>one</p>\n<p>two $style</p>\n" in text
    assert text.index("prefers-color-scheme") < text.index("p { color: red }") < text.index("<body>")
    assert text.index("<p>two") < text.index("python -m a.b") < text.index("<script>\nalert(1)</script>")
    assert 'name="viewport"' in text
    assert "http" not in text
    assert "url(" not in text


def test_a_page_without_script_has_none_and_is_written_whole(tmp_path):
    page = Page("A", [], ["<p></p>"])
    page.write(tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == page.html()
    assert "<script" not in page.html()

    def broken():
        yield "<p></p>"
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        Page("A", [], broken()).write(tmp_path / "broken.html")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_sections_and_pictures_escape_what_is_plain():
    assert section(HOSTILE, "<b>", text=HOSTILE, command=HOSTILE).count(ESCAPED) == 3
    assert section("a", "<b>") == "<section><h2>a</h2><b></section>"
    missing = f'<div class="missing" role="img" aria-label="no picture at hand: {ESCAPED}">{ESCAPED}</div>'
    assert picture(None, "a dog", HOSTILE) == large_picture(None, "a dog", HOSTILE) == missing
    assert large_picture("data:x", HOSTILE, "a").count(ESCAPED) == 2
    assert f'data-text="{ESCAPED}"' in picture_card("", "<p></p>", text=HOSTILE)


def test_tables_mark_groups_sources_and_our_rows():
    rows = [Row(HOSTILE, ["<b>1</b>", "2", "3"], HOSTILE), Row("mine", ["4", "5", "6"], "here", ours=True)]
    shown = table("A table", ["x", "y", "z", "Source"], rows, groups=[("one", 1), ("two", 2)])
    assert shown.count(ESCAPED) == 2
    assert "<b>1</b>" in shown
    assert shown.count('<tr class="ours">') == 1
    assert '<th class="group group-start" colspan="2" scope="colgroup">two</th><td></td></tr>' in shown
    assert '<td class="group-start">4</td><td class="group-start">5</td><td>6</td><td class="source">here' in shown
    assert shown.count(' class="source"') == 3


def test_a_bar_never_leaves_its_rail():
    card = number_card("CIDEr", 130.0, (110.0, 150.0), [130.0], spread="", full=120.0)
    assert 'x1="91.67%" x2="100.00%"' in card
    assert 'cx="100.00%"' in card


def test_the_origin_of_a_result_leaves_out_its_scores():
    text = origin_section({"metrics": {"r1": 1.0}, "commit": HOSTILE})
    assert "r1" not in text
    assert "&lt;script&gt;" in text


def test_thumbnails_are_small_and_broken_images_leave_a_gap(tmp_path):
    Image.new("RGBA", (900, 600), (1, 2, 3, 4)).save(tmp_path / "big.png")
    uri = thumbnail(tmp_path / "big.png")
    assert decoded(uri).size == (320, 213)
    assert len(uri) < 20_000
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    assert thumbnail(tmp_path / "broken.jpg") is None
    assert thumbnail(tmp_path / "absent.jpg") is None
    assert thumbnail(None) is None
    Image.new("1", (9_000, 9_000)).save(tmp_path / "bomb.png")
    assert thumbnail(tmp_path / "bomb.png") is None, "a picture that claims gigabytes is not decoded"


def test_thumbnails_show_16_bit_grey_and_transparency_as_the_decoder_does(tmp_path):
    levels = np.tile(np.linspace(0, 65535, 256).round().astype(np.uint16), (64, 1))
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert np.asarray(decoded(thumbnail(tmp_path / "deep.png"))).mean() == pytest.approx(127.5, abs=1.0)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(decoded(thumbnail(tmp_path / "clear.png"))).min() == 255


def test_data_uris_keep_transparency_and_the_longest_side():
    assert decoded(data_uri(Image.new("RGBA", (20, 10)))).mode == "RGBA"
    assert decoded(data_uri(Image.new("RGB", (400, 200)), side=100)).size == (100, 50)
    assert decoded(data_uri(Image.new("L", (20, 10)), side=100)).size == (20, 10)
