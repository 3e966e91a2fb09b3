#!/usr/bin/env python3
"""The page of `vkgpt explain` in a real browser: python3 tests/explain.py BUILD [CLASS ...].

Where there is no Chromium (tests/browser.py) the tests are skipped.

    python3 tests/explain.py BUILD --pictures DIR    writes screenshots of the pages, to look at
"""

import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from browser import CHROMIUM, DESKTOP, NO_CHROMIUM, PHONE, Browser, contrast, luminance

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / "build"
VKGPT = BUILD / "vkgpt"
FIXTURES = ROOT / "tests" / "fixtures"
TEXT = "Once upon a time there was a king who had three sons, and he sent them out into the wide world to seek their "
TEXT += "fortune. The eldest"
CLASSES = {"GPT-1": "gpt1/gelu-48", "GPT-2": "gpt2/gelu-new-48", "GPT-3": "neo/alternating-48", "OPT": "opt/before-48",
           "OPT-350M": "opt/after-projected-45-bin"}


def explain(path, *words):
    started = time.monotonic()
    words = [VKGPT, "explain", *words, "-o", path]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


@unittest.skipUnless(CHROMIUM, NO_CHROMIUM)
class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.page = Path(cls.folder.name) / "page.html"
        explain(cls.page, "-p", TEXT)
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual([url for url in self.browser.requests() if not url.startswith(("file:", "data:"))], [])


class Default(Pages):
    """The page of the default model."""

    def map_pixels(self):
        return self.browser.run("document.getElementById('map').toDataURL()")

    def test_hovering_changes_the_map(self):
        b = self.browser
        b.open(self.page)
        tokens = b.run("T")
        before, pixels = b.text("#cell"), self.map_pixels()
        b.hover("#map", 0.5 / tokens, 4.5 / tokens)
        after = b.text("#cell")
        self.assertNotEqual(after, before)
        self.assertNotEqual(self.map_pixels(), pixels)
        weight = b.run("weights(L - 1, 0, 4, 0)")
        self.assertIn(f"with weight {weight:.4f}", after)
        b.hover("#map", 4.5 / tokens, 0.5 / tokens)
        self.assertIn("which comes later", b.text("#cell"))

    def test_rows_sum_to_one(self):
        self.browser.open(self.page)
        worst = self.browser.run("""(() => { const to = n => [...Array(n).keys()];
            return Math.max(...to(L).flatMap(l => to(H).flatMap(h => to(T).map(
                t => Math.abs(1 - to(t + 1).reduce((sum, p) => sum + weights(l, h, t, p), 0)))))); })()""")
        self.assertLess(worst, 1e-3)

    def test_a_head_is_chosen(self):
        b = self.browser
        b.open(self.page)
        pixels = self.map_pixels()
        b.click("#heads .head:nth-of-type(2)")
        self.assertIn("head 2:", b.text("#cell"))
        self.assertNotEqual(self.map_pixels(), pixels)

    def test_a_token_is_chosen(self):
        b = self.browser
        b.open(self.page)
        self.assertEqual(b.run("document.querySelectorAll('.token').length"), b.run("data.ids.length"))
        b.click(".token:nth-child(3)")
        self.assertIn("Token 3 of", b.text("#token"))
        self.assertEqual(b.run("document.querySelectorAll('#next tbody tr').length"), 10)
        self.assertEqual(b.run("document.querySelectorAll('.token[aria-selected=true]').length"), 1)
        self.assertIn("The text goes on with", b.text("#next-lead"))
        b.hover("#lens div:nth-child(5)")
        self.assertIn("After layer 6", b.text("#guess"))
        b.hover("#norms svg", 0.1, 0.5)
        self.assertIn("after the embedding", b.text("#norm"))

    def test_keyboard(self):
        """Tab goes from part to part, arrow keys move inside."""
        b = self.browser
        b.open(self.page)
        stops = []
        for _ in range(5):
            b.press("Tab")
            stops.append(b.run("document.activeElement.id || document.activeElement.className"))
            outline = b.run("getComputedStyle(document.activeElement).outlineStyle")
            self.assertNotEqual(outline, "none", stops[-1])
            if stops[-1] == "token":
                b.press("Home")
                self.assertIn("Token 1 of", b.text("#token"))
                b.press("ArrowRight")
                self.assertIn("Token 2 of", b.text("#token"))
            elif stops[-1] == "lens":
                before = b.text("#guess")
                b.press("ArrowDown")
                self.assertIn("After layer 5", b.text("#guess"))
                self.assertNotEqual(b.text("#guess"), before)
            elif stops[-1] == "head":
                b.press("ArrowDown")
                b.press("ArrowRight")
                self.assertIn("Layer 5, head 2", b.text("#cell"))
            elif stops[-1] == "map":
                before = b.text("#cell")
                b.press("ArrowDown")
                self.assertNotEqual(b.text("#cell"), before)
        self.assertEqual(stops, ["skip", "token", "lens", "head", "map"])

    def test_light_and_dark(self):
        b = self.browser
        shades = []
        for dark in (False, True):
            b.open(self.page, dark=dark)
            page = b.run("getComputedStyle(document.body).backgroundColor")
            shades.append(luminance(page))
            for selector in ("h1", ".lead", "#token", "dt", "td", "footer"):
                color = b.run(f"getComputedStyle(document.querySelector({json.dumps(selector)})).color")
                self.assertGreater(contrast(color, page), 4.5, (selector, dark))
            b.hover("#map", 0.1, 0.9)
        self.assertGreater(shades[0], 0.8)
        self.assertLess(shades[1], 0.05)

    def test_phone(self):
        b = self.browser
        for size in (PHONE, (320, 640)):
            b.open(self.page, size)
            self.assertLessEqual(b.run("document.documentElement.scrollWidth"), size[0])
            self.assertLessEqual(b.run("document.getElementById('map').getBoundingClientRect().right"), size[0])
            right = "Math.max(...[...document.querySelectorAll('.token')].map(n => n.getBoundingClientRect().right))"
            self.assertLessEqual(b.run(right), size[0])
            b.click(".token:nth-child(2)")
            self.assertIn("Token 2 of", b.text("#token"))


class Models(Pages):
    """Pages of other models and texts."""

    def test_classes_differ(self):
        """The drawings of the four classes are those of their facts."""
        b, drawings = self.browser, {}
        for name, checkpoint in CLASSES.items():
            explain(self.page, "-m", FIXTURES / checkpoint, "--ids", "1,2,3,4,5,6,7,8,9")
            b.open(self.page)
            drawings[name] = b.run("document.getElementById('block').innerHTML")
            self.assertEqual(b.complaints(), [])
        self.assertEqual(len(set(drawings.values())), len(CLASSES))
        for name, words in {"GPT-1": "after each sublayer", "GPT-2": "final norm", "GPT-3": "layers 1 to 2: blue ones",
                            "OPT": "ReLU", "OPT-350M": "project out"}.items():
            self.assertIn(words, drawings[name])
        self.assertNotIn("final norm", drawings["GPT-1"])
        self.assertNotIn("ReLU", drawings["GPT-2"])
        self.assertIn("from row 2", drawings["OPT"])

    def test_hostile_text(self):
        """No text of a token becomes a part of the page."""
        text = "</script><script>document.title='broken'</script><!-- <img src=x onerror=alert(1)> \x01\t\n"
        explain(self.page, "-p", text)
        self.browser.open(self.page)
        self.assertNotEqual(self.browser.run("document.title"), "broken")
        self.assertEqual(self.browser.run("document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.browser.run("document.querySelectorAll('img').length"), 0)
        self.assertIn("</script>", self.browser.run("document.getElementById('flow').textContent"))

    def test_one_token(self):
        explain(self.page, "--ids", "5")
        self.browser.open(self.page)
        self.assertIn("Token 1 of 1", self.browser.text("#token"))
        self.assertEqual(self.browser.run("weights(0, 0, 0, 0)"), 1)


class Size(unittest.TestCase):
    def test_64_tokens(self):
        """Under 3 MB, and with a warm pipeline cache under 5 s."""
        with tempfile.TemporaryDirectory() as name:
            page = Path(name) / "page.html"
            words = ("--ids", ",".join(str(7 * i) for i in range(64)))
            explain(page, *words)
            self.assertLess(page.stat().st_size, 3e6)
            self.assertLess(min(explain(page, *words) for _ in range(3)), 5)


def pictures(folder):
    """Screenshots, to look at."""
    folder.mkdir(exist_ok=True)
    browser, page = Browser(), folder / "page.html"
    explain(page, "-p", TEXT)
    for where, size in (("desktop", DESKTOP), ("phone", PHONE)):
        for shade in ("light", "dark"):
            browser.open(page, size, shade == "dark")
            browser.picture(folder / f"{where}-{shade}.png")
    for name, checkpoint in CLASSES.items():
        explain(page, "-m", FIXTURES / checkpoint, "--ids", "1,2,3,4,5,6,7,8,9")
        browser.open(page)
        browser.picture(folder / f"{name}.png")
    browser.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pictures"]:
        pictures(Path(sys.argv[2]))
    else:
        unittest.main()
