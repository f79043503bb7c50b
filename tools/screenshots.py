"""Take pictures of a page in Chromium: wide and on a phone, in light and dark.

    python tools/screenshots.py model.html                 pictures of this page in build/screenshots
    python tools/screenshots.py http://127.0.0.1:8000      of a server, such as `charrnn serve`
    python tools/screenshots.py model.html --out pictures --text "The value of " --length 200

Types the text, generates a continuation, and points at a character, so that every part of the page has something to
show. `make screenshots` takes pictures of the page of the pretrained model of Nietzsche.
"""

import argparse
from pathlib import Path

from chromium import find_chromium, launch, missing
from installers import root

# pixels: width and height of the window
SIZES = {"1280": dict(width=1280, height=900), "390": dict(width=390, height=844)}
SCHEMES = ("light", "dark")


def address(
    page: str,  # an address, or the path of a file
) -> str:
    "The address of a page."
    return page if "://" in page else Path(page).resolve().as_uri()


def fill(
    tab,  # of the browser, with the page
    text: str,  # to type; empty: the one that the page begins with
    length: int,  # of the continuation
):
    "Use every part of the page."
    if text:
        tab.get_by_role("textbox", name="Text", exact=True).fill(text)
    tab.get_by_role("spinbutton", name="Length").fill(str(length))
    tab.get_by_role("button", name="Continue", exact=True).click()
    tab.get_by_role("status").filter(has_text="complete").wait_for()
    shaded = tab.get_by_role("region", name="Surprise").first.locator(".shaded")
    shaded.locator("[data-kind]").first.wait_for()
    tab.get_by_role("checkbox", name="depends on").first.check()
    shaded.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowLeft")
    # the links of the last prediction, and the transitions of bars
    tab.wait_for_timeout(800)


def take(
    browser,  # that is running
    page: str,  # an address
    size: str,  # a key of `SIZES`
    scheme: str,  # "light" or "dark"
    out: Path,  # the picture to write, .png
    text: str,  # as `fill`
    length: int,
):
    "Open the page in a window of its own, use it, and write a picture of all of it."
    is_phone = int(size) < 600
    look = dict(color_scheme=scheme, device_scale_factor=2 if is_phone else 1, is_mobile=is_phone, has_touch=is_phone)
    context = browser.new_context(viewport=SIZES[size], **look)
    tab = context.new_page()
    tab.goto(page)
    tab.get_by_role("list", name="Next characters").first.wait_for()
    fill(tab, text, length)
    tab.screenshot(path=out, full_page=True)
    context.close()
    print(out)


def arguments() -> argparse.Namespace:
    "The command line."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help="the path of a page, or its address")
    parser.add_argument("--out", type=Path, default=root / "build/screenshots", help="folder for the pictures")
    parser.add_argument("--text", default="", help="text to type, instead of the one that the page begins with")
    parser.add_argument("--length", type=int, default=200, help="characters of the continuation")
    return parser.parse_args()


def main():
    from playwright.sync_api import sync_playwright

    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            raise SystemExit(missing)
        browser = launch(playwright, path)
        for size in SIZES:
            for scheme in SCHEMES:
                out = args.out / f"page_{size}_{scheme}.png"
                take(browser, address(args.page), size, scheme, out, args.text, args.length)
        browser.close()


if __name__ == "__main__":
    main()
