"""The pictures of README: docs/pictures/first_look.png and the badges.

    python tools/readme_picture.py

The picture is drawn from numbers that a hidden cell of nbs/index.ipynb stores among the notebook's outputs, so it shows
the network that README's code trains: run `tools/outputs.py index.ipynb` first. The badges say what settings.ini says.
"""

import configparser
import hashlib
import json
import os
import re
import sys
from pathlib import Path

root = Path(__file__).parent.parent
folder = root / "docs/pictures"
picture = folder / "first_look.png"
key = "made_of"  # of the PNG's metadata: a digest of the numbers it shows
# pixels: narrow, so that its letters can be read on a phone
width = 720
height = 620
dpi = 100
per_line, n_lines = 44, 5  # characters of text
dark = "#24292f"
grey = "#57606a"
blue = "#0969da"
orange = "#bc4c00"
green = "#1a7f37"


def numbers(
    nb: dict,  # nbs/index.ipynb, with its outputs
) -> dict:  # training (pairs of epoch and loss), validation, ngrams, text, bits
    "What the picture shows, as the notebook stored it. Losses are in nats, surprise is in bits."
    outputs = [o for c in nb["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    found = [o["data"]["application/json"] for o in outputs if "application/json" in o.get("data", {})]
    if not found:
        sys.exit("nbs/index.ipynb has no numbers for the picture: run `python tools/outputs.py index.ipynb`")
    return found[0]


def digest(shown: dict) -> str:
    "What a picture was made of."
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


def wrapped(
    text: str,  # any
    width: int = per_line,  # characters in a line, at most
) -> list[list[int]]:  # the positions of the characters of each line
    "Lines broken at spaces and line ends, which are not shown at a break."
    lines, line = [], []
    for word in re.finditer(r"\S+", text):
        positions = [*([word.start() - 1] if line else []), *range(*word.span())]
        if line and len(line) + len(positions) > width:
            lines.append(line)
            line, positions = [], positions[1:]
        line = line + positions
    return [*lines, line]


def draw_text(ax, shown: dict):
    "Each character on a red that grows with its surprise, and a legend."
    from matplotlib.patches import Rectangle

    ax.set(xlim=(0, per_line), ylim=(n_lines, 0))
    ax.axis("off")
    for y, line in enumerate(wrapped(shown["text"])[:n_lines]):
        for x, i in enumerate(line):
            ax.add_patch(Rectangle((x, y), 1, 1, color=_red(shown["bits"][i]), linewidth=0))
            ax.text(
                x + 0.5,
                y + 0.53,
                shown["text"][i].replace("\n", " "),
                family="monospace",
                size=18,
                color=dark,
                ha="center",
                va="center",
                parse_math=False,
            )


def _red(bits):
    return (0.9, 0.235, 0.118, min(max(bits, 0) / 8, 1) * 0.75)


def draw_legend(ax):
    "The shades of red, with their bits."
    from matplotlib.patches import Rectangle

    ax.set(xlim=(0, per_line), ylim=(1, 0))
    ax.axis("off")
    ax.text(0, 0.5, "surprise in bits:", size=14, color=grey, va="center")
    for x, bits in enumerate((0, 2, 4, 6, 8)):
        ax.add_patch(Rectangle((11 + 3 * x, 0.05), 3, 0.9, color=_red(bits), linewidth=0))
        ax.text(
            12.5 + 3 * x, 0.52, f"{bits}+" if bits == 8 else str(bits), size=14, color=dark, ha="center", va="center"
        )


def draw_losses(ax, shown: dict):
    "Loss by epoch, each curve with its name and last value beside it."
    epochs, losses = zip(*shown["training"])
    valid, ngrams = shown["validation"], shown["ngrams"]
    ax.plot(epochs, losses, color=blue, lw=2.2)
    ax.plot(range(1, len(valid) + 1), valid, "o-", color=orange, lw=2.2, ms=7)
    ax.axhline(ngrams, color=green, lw=2.2, ls="--")
    low = min(*losses, *valid, ngrams)
    ax.set(xlim=(0, len(valid) * 1.01), ylim=(low - 0.12, low + 1), xticks=range(len(valid) + 1))
    ax.set_xlabel("epochs", size=14, color=grey)
    ax.set_ylabel("loss, nats per character", size=14, color=grey)
    ax.tick_params(labelsize=14, colors=grey)
    ax.spines[["top", "right"]].set_visible(False)
    names = dict(training=(losses[-1], blue), validation=(valid[-1], orange)) | {"counting n-grams": (ngrams, green)}
    for k, (name, (loss, colour)) in enumerate(names.items()):
        ax.text(
            0.98,
            0.95 - 0.13 * k,
            f"{name}, {loss:.3f}",
            color=colour,
            size=15,
            weight="bold",
            ha="right",
            va="top",
            transform=ax.transAxes,
        )


def draw(
    shown: dict,  # what `numbers` found
    path: Path,  # of a PNG, is replaced
):
    "The whole picture."
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    title = "How much does unseen text surprise the network?"
    fig.text(10 / width, 1 - 22 / height, title, size=17, weight="bold", color=dark, va="center")
    draw_text(_axes(fig, 45, 34 * n_lines), shown)
    draw_legend(_axes(fig, 55 + 34 * n_lines, 26))
    draw_losses(_axes(fig, 265, 290, left=84), shown)
    part = path.with_name(f".{path.name}.part")
    fig.savefig(part, format="png", metadata={key: digest(shown), "Software": None})
    plt.close(fig)
    os.replace(part, path)


def _axes(fig, top, tall, left=10):
    "Axes from `left` to the right end, in pixels from the top."
    return fig.add_axes([left / width, 1 - (top + tall) / height, (width - left - 14) / width, tall / height])


# badges


def badge(
    label: str,  # on the left
    value: str,  # on the right
) -> str:  # an SVG
    "A label and a value side by side."
    left, right = (round(6.6 * len(o)) + 14 for o in (label, value))
    wide = left + right
    name = f"{label}: {value}"
    style = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff" lengthAdjust="spacingAndGlyphs"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="20" role="img" aria-label="{name}">
<title>{name}</title>
<clipPath id="r"><rect width="{wide}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#444c56"/>
<rect x="{left}" width="{right}" height="20" fill="#0969da"/>
</g>
<text x="7" y="14" textLength="{left - 14}" {style}>{label}</text>
<text x="{left + 7}" y="14" textLength="{right - 14}" {style}>{value}</text>
</svg>
"""


def badges() -> dict[str, str]:  # SVGs, by the names of their files
    "What settings.ini says about Python, fastai and the license."
    config = configparser.ConfigParser(delimiters=["="])
    config.read(root / "settings.ini", encoding="utf-8")
    settings = config["DEFAULT"]
    pythons = settings["python_versions"].split()
    fastai = re.search(r"fastai>=(\d+\.\d+)", settings["requirements"])[1]
    values = dict(python=f"{pythons[0]} – {pythons[-1]}", fastai=fastai, license=settings["license"])
    return {f"{label}.svg": badge(label, value) for label, value in values.items()}


def main():
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in badges().items():
        (folder / name).write_text(svg, encoding="utf-8")
    draw(numbers(json.loads((root / "nbs/index.ipynb").read_text(encoding="utf-8"))), picture)


if __name__ == "__main__":
    main()
