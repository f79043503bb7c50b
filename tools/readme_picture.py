"""Draw the pictures of README: docs/pictures/first_look.png and the badges.

    python tools/readme_picture.py

A hidden cell of nbs/index.ipynb stores the numbers of the picture in the notebook's outputs, so the picture shows the
network that README's code trains. Run `tools/outputs.py index.ipynb` first. The badges show values of settings.ini.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

from constraints import settings

from fastai_charrnn._files import atomic_path, atomic_write

root = Path(__file__).parents[1]
folder = root / "docs/pictures"
picture = folder / "first_look.png"
# metadata of the PNG: a digest of the numbers that it shows
key = "made_of"
# pixels: narrow enough to be read on a phone
width = 720
height = 620
dpi = 100
# characters of text
per_line = 44
n_lines = 5
dark = "#24292f"
grey = "#57606a"
blue = "#0969da"
orange = "#bc4c00"
green = "#1a7f37"


def numbers(
    notebook: dict,  # nbs/index.ipynb, with its outputs
) -> dict:  # training (pairs of epoch and loss), validation, ngrams, text, bits
    "The numbers stored in the notebook. Losses are in nats, surprise is in bits."
    outputs = [output for cell in notebook["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]
    for output in outputs:
        if "application/json" in output.get("data", {}):
            return output["data"]["application/json"]
    sys.exit("nbs/index.ipynb has no numbers for the picture: run `python tools/outputs.py index.ipynb`")


def digest(shown: dict) -> str:
    "A digest of the numbers that a picture shows."
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


# the text


def wrapped(
    text: str,  # any text
    width: int = per_line,  # characters in a line, at most
) -> list[list[int]]:  # the positions of the characters of each line
    "Break the text at spaces and line ends, which are left out at a break."
    lines = []
    line = []
    for word in re.finditer(r"\S+", text):
        positions = list(range(*word.span()))
        if line and len(line) + 1 + len(positions) <= width:
            # the space before the word
            line += [word.start() - 1, *positions]
        else:
            line = positions
            lines.append(line)
    return lines


def draw_text(ax, shown: dict):
    "Draw each character on a shade of red for its surprise."
    from matplotlib.patches import Rectangle

    ax.set(xlim=(0, per_line), ylim=(n_lines, 0))
    ax.axis("off")
    style = dict(family="monospace", size=18, color=dark, ha="center", va="center", parse_math=False)
    for y, line in enumerate(wrapped(shown["text"])[:n_lines]):
        for x, position in enumerate(line):
            char = shown["text"][position].replace("\n", " ")
            ax.add_patch(Rectangle((x, y), 1, 1, color=_red(shown["bits"][position]), linewidth=0))
            ax.text(x + 0.5, y + 0.53, char, **style)


def _red(bits):
    "The shade for a surprise, from transparent at 0 bits to full at 8."
    alpha = min(max(bits, 0) / 8, 1) * 0.75
    return (0.9, 0.235, 0.118, alpha)


def draw_legend(ax):
    "Draw the shades of red with their bits."
    from matplotlib.patches import Rectangle

    ax.set(xlim=(0, per_line), ylim=(1, 0))
    ax.axis("off")
    ax.text(0, 0.5, "surprise in bits:", size=14, color=grey, va="center")
    for i, bits in enumerate((0, 2, 4, 6, 8)):
        label = f"{bits}+" if bits == 8 else str(bits)
        ax.add_patch(Rectangle((11 + 3 * i, 0.05), 3, 0.9, color=_red(bits), linewidth=0))
        ax.text(12.5 + 3 * i, 0.52, label, size=14, color=dark, ha="center", va="center")


# the losses


def draw_losses(ax, shown: dict):
    "Draw the losses by epoch, and the name and last value of each curve."
    epochs, losses = zip(*shown["training"])
    valid = shown["validation"]
    ngrams = shown["ngrams"]
    ax.plot(epochs, losses, color=blue, lw=2.2)
    ax.plot(range(1, len(valid) + 1), valid, "o-", color=orange, lw=2.2, ms=7)
    ax.axhline(ngrams, color=green, lw=2.2, ls="--")
    lowest = min(*losses, *valid, ngrams)
    ax.set(xlim=(0, len(valid) * 1.01), ylim=(lowest - 0.12, lowest + 1), xticks=range(len(valid) + 1))
    ax.set_xlabel("epochs", size=14, color=grey)
    ax.set_ylabel("loss, nats per character", size=14, color=grey)
    ax.tick_params(labelsize=14, colors=grey)
    ax.spines[["top", "right"]].set_visible(False)
    labels = [("training", losses[-1], blue), ("validation", valid[-1], orange), ("counting n-grams", ngrams, green)]
    style = dict(size=15, weight="bold", ha="right", va="top", transform=ax.transAxes)
    for i, (name, loss, colour) in enumerate(labels):
        ax.text(0.98, 0.95 - 0.13 * i, f"{name}, {loss:.3f}", color=colour, **style)


def draw(
    shown: dict,  # as `numbers` returns them
    path: Path,  # of a PNG, is replaced
):
    "Draw the whole picture."
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    title = "How much does unseen text surprise the network?"
    figure.text(10 / width, 1 - 22 / height, title, size=17, weight="bold", color=dark, va="center")
    draw_text(_axes(figure, 45, 34 * n_lines), shown)
    draw_legend(_axes(figure, 55 + 34 * n_lines, 26))
    draw_losses(_axes(figure, 265, 290, left=84), shown)
    with atomic_path(path) as part:
        figure.savefig(part, format="png", metadata={key: digest(shown), "Software": None})
    plt.close(figure)


def _axes(figure, top, tall, left=10):
    "Axes of a height in pixels, from `left` to the right margin, `top` pixels from the top."
    return figure.add_axes([left / width, 1 - (top + tall) / height, (width - left - 14) / width, tall / height])


# badges


def badge(
    label: str,  # on the left
    value: str,  # on the right
) -> str:  # an SVG
    "A label and a value next to each other."
    left = _text_width(label)
    right = _text_width(value)
    name = f"{label}: {value}"
    style = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff" lengthAdjust="spacingAndGlyphs"'
    size = f'width="{left + right}" height="20"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}">
<title>{name}</title>
<clipPath id="r"><rect {size} rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#444c56"/>
<rect x="{left}" width="{right}" height="20" fill="#0969da"/>
</g>
<text x="7" y="14" textLength="{left - 14}" {style}>{label}</text>
<text x="{left + 7}" y="14" textLength="{right - 14}" {style}>{value}</text>
</svg>
"""


def _text_width(text):
    "The width of a part of a badge in pixels."
    return round(6.6 * len(text)) + 14


def badges() -> dict[str, str]:  # SVGs by file name
    "Badges for Python, fastai and the license, as settings.ini has them."
    config = settings()
    pythons = config["python_versions"].split()
    fastai = re.search(r"fastai>=(\d+\.\d+)", config["requirements"])[1]
    values = dict(python=f"{pythons[0]} – {pythons[-1]}", fastai=fastai, license=config["license"])
    return {f"{label}.svg": badge(label, value) for label, value in values.items()}


def main():
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in badges().items():
        atomic_write(folder / name, svg)
    index = json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))
    draw(numbers(index), picture)


if __name__ == "__main__":
    main()
