"""Text and lines have the contrast that WCAG asks for, on light and on dark pages, also for the colour-blind."""

import itertools

import numpy as np
import pytest

from fastai_charrnn._colours import HUES, MAX_ALPHA, contrast, css_shade, luminance, over, readable, rgb

# text and background: a plain page, JupyterLab, VS Code, GitHub, Quarto; light, then dark
PAGES = [
    ("#000000", "#ffffff"),
    ("#1f2328", "#ffffff"),
    ("#343a40", "#ffffff"),
    ("#dedede", "#111111"),
    ("#cccccc", "#1f1f1f"),
    ("#f0f6fc", "#0d1117"),
    ("#ffffff", "#222222"),
]
# colours as people see them who lack one kind of cones (Viénot, Brettel & Mollon 1999), for linear RGB
PROTANOPIA = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def test_contrast_is_that_of_wcag():
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    # the lightest grey that passes AA on white
    assert contrast(rgb("#767676"), rgb("#ffffff")) == pytest.approx(4.54, abs=0.01)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("text,page", PAGES)
def test_the_text_of_a_page_is_readable_on_every_shade(text, page):
    for hue, alpha in itertools.product(HUES[:2], np.linspace(0, MAX_ALPHA, 12)):
        assert contrast(rgb(text), over(rgb(hue), alpha, rgb(page))) >= 4.5


@pytest.mark.parametrize("text,page", PAGES)
def test_lines_can_be_seen_and_coloured_text_can_be_read(text, page):
    for hue in HUES:
        assert contrast(rgb(hue), rgb(page)) >= 3
        assert contrast(readable(rgb(hue), rgb(page)), rgb(page)) >= 4.5
    assert readable(rgb("#000080"), rgb("#ffffff")) == rgb("#000080")


def test_a_shade_is_as_opaque_as_its_value_is_large():
    assert css_shade(0) == "rgba(213,94,0,0.00)"
    assert css_shade(1) == css_shade(7) == f"rgba(213,94,0,{MAX_ALPHA})"
    assert css_shade(-0.5) == "rgba(0,114,178,0.28)"


@pytest.mark.parametrize("lack", [PROTANOPIA, DEUTERANOPIA])
def test_the_hues_differ_for_people_who_lack_a_kind_of_cones(lack):
    def seen(hue):
        linear = [part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb(hue)]
        return np.clip(lack @ linear, 0, 1) ** (1 / 2.2)

    for a, b in itertools.combinations(HUES, 2):
        assert np.linalg.norm(seen(a) - seen(b)) > 0.14
    lightness = [luminance(over(rgb(HUES[1]), alpha, (1.0, 1.0, 1.0))) for alpha in np.linspace(0, MAX_ALPHA, 9)]
    assert (np.diff(lightness) < 0).all()
