"""Colours that people with colour blindness can tell apart, readable on light and dark pages.

- Hues: those of Okabe & Ito, *Color Universal Design* (2008), that have a contrast of 3 with white and with #111: blue,
  vermillion, green, purple. WCAG asks 3 of lines and symbols.
- Text in a hue: `readable` mixes it with black or white until its contrast with the background is 4.5 (WCAG AA).
- Shades behind text: a hue over the page, up to `MAX_ALPHA` opaque. So the page's own text stays readable on it.
  Blue and vermillion are the two ends of a scale with negative values.
- Pictures of numbers without text on them: the colour map `cividis`, whose lightness grows evenly for everybody
  (Nuñez, Anderton & Renslow 2018).

Imports neither torch nor matplotlib.
"""

__all__ = ["BLUE", "VERMILLION", "GREEN", "PURPLE", "HUES", "MAX_ALPHA", "contrast", "readable", "over", "css_shade"]

Rgb = tuple[float, float, float]  # from 0 to 1

BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
HUES = (BLUE, VERMILLION, GREEN, PURPLE)
MAX_ALPHA = 0.55  # of a shade behind text
_min_contrast = 4.5  # AA of WCAG 2 for text
_steps = 20  # mixtures that `readable` tries


def rgb(
    colour: str,  # "#rrggbb"
) -> Rgb:
    "Return the three parts of a colour."
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def luminance(colour: Rgb) -> float:  # 0 for black, 1 for white
    "Return the relative luminance of a colour, as WCAG 2 defines it."
    red, green, blue = (_linear(part) for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part):
    return part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4


def contrast(
    a: Rgb,  # a colour
    b: Rgb,  # another
) -> float:  # from 1 to 21
    "Return the contrast of two colours, as WCAG 2 defines it. Text needs 4.5, a line 3."
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def over(
    colour: Rgb,  # on top
    alpha: float,  # its opacity, 0 to 1
    background: Rgb,  # below
) -> Rgb:
    "Return what a translucent colour over a background looks like."
    return tuple(alpha * a + (1 - alpha) * b for a, b in zip(colour, background))  # type: ignore[return-value]


def readable(
    colour: Rgb,  # a hue
    background: Rgb,  # what is behind the text
) -> Rgb:
    "Return the hue, mixed with as little black or white as makes text in it readable on the background."
    black, white = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    ink = max(black, white, key=lambda end: contrast(end, background))
    mixtures = (over(ink, step / _steps, colour) for step in range(_steps + 1))
    return next((mixed for mixed in mixtures if contrast(mixed, background) >= _min_contrast), ink)


def css_shade(
    strength: float,  # from -1 to 1; others are cut
    hue: str = VERMILLION,  # of positive values
    negative: str = BLUE,  # of negative ones
) -> str:  # "rgba(…)"
    "Return a translucent colour for CSS. Text in the page's own colour is readable on it."
    colour = hue if strength >= 0 else negative
    red, green, blue = (round(255 * part) for part in rgb(colour))
    return f"rgba({red},{green},{blue},{MAX_ALPHA * min(abs(strength), 1):.2f})"
