"""What tests of the page share: models, files and a server for it, and how to read what it shows."""

import contextlib
import functools
import http.server
import re
import threading

import numpy as np
from playwright.sync_api import expect

from fastai_charrnn.all import CharDataLoaders, char_learner

SEA = "She said that the sea was calm. He said: (it was not)! 12 boats\n" * 40
# what a page may never run or draw as HTML, and what confuses a terminal, a parser or a layout
HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    "</script><script>window.hacked=2</script>",
    "</textarea><h1>big</h1>",
    "<!-- ${window.hacked=3} {{data}} -->",
    "&lt;b&gt;&amp;&#106;",
    "javascript:window.hacked=4",
    "\u202eright to left \u05d0\u05d1 \u0627\u0628",
    "bell \7 line \u2028 paragraph \u2029 bom \ufeff lone \ufffd",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \U00020000",
    "__proto__ constructor toString",
]


def small_learner(text=SEA, **kwargs):
    "A learner that was trained for a moment."
    dls = CharDataLoaders.from_text(text, bs=64, device="cpu")
    learn = char_learner(dls, **dict(n_hid=16, seed=0) | kwargs)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-2)
    return learn


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    "Serves files and prints nothing."

    def log_message(self, *args):
        "Say nothing of a request."


@contextlib.contextmanager
def served(folder):
    "Serve a folder on a free port of this computer. Yields the address."
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class CharPage:
    "The page in a tab, by the names that a reader and a screen reader meet."

    def __init__(self, tab, address):
        self.tab = tab
        tab.goto(str(address))
        self.text = tab.get_by_role("textbox", name="Text", exact=True)
        self.next = tab.get_by_role("list", name="Next characters").first
        self.buttons = self.next.get_by_role("button")
        self.continue_button = tab.get_by_role("button", name="Continue", exact=True)
        self.stop_button = tab.get_by_role("button", name="Stop", exact=True)
        self.surprise = tab.get_by_role("region", name="Surprise")
        self.units = tab.get_by_role("region", name="Hidden units")
        self.continuation = tab.get_by_role("region", name="Continuation")
        self.buttons.first.wait_for()

    def slider(self, name):
        return self.tab.get_by_role("slider", name=name)

    def number(self, name):
        return self.tab.get_by_role("spinbutton", name=name)

    def type(self, text):
        "Replace the text, key by key as a fast reader, and wait for the bars."
        self.text.fill("")
        self.text.press_sequentially(text)
        self.settle()

    def settle(self):
        "Wait until the bars are those of what was typed."
        expect(self.next).to_have_attribute("aria-busy", "false")

    def bars(self):
        "The characters by their names and their probabilities, the likeliest first."
        labels = self.buttons.evaluate_all("(buttons) => buttons.map((button) => button.ariaLabel)")
        return [
            (m[1], float(m[2]) / 100) for m in (re.match(r"(?s)(.+?), (?:< )?([\d.]+) %", label) for label in labels)
        ]

    def generated(self):
        "The text of the continuation, without its prompt."
        return self.continuation.locator(".new").text_content()

    def status(self):
        return self.tab.get_by_role("status")


def named(char):
    "A character as the page names it."
    return {" ": "space", "\n": "line break"}.get(char, char)


def assert_bars_are(page, learn, text):
    "The bars are the probabilities of the model, as they are rounded on the page."
    probs = learn.next_probs(text)
    # the padding has a probability in the model, and is never chosen
    total = 1 - probs.pop(learn.dls.vocab[0], 0)
    expected = {named(char): p / total for char, p in probs.items()}
    shown = page.bars()
    probs = np.array([p for _, p in shown])
    np.testing.assert_allclose(probs, [expected[char] for char, _ in shown], atol=0.006)
    assert (np.diff(probs) <= 1e-9).all()
    left_out = set(expected) - {char for char, _ in shown}
    assert max((expected[char] for char in left_out), default=0) <= probs[-1] + 0.006
