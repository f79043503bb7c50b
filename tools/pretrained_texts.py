"""The texts of the pretrained models, and what their cards say about them."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from fastai_charrnn.all import nietzsche, python_reference, read_text

__all__ = ["TEXTS", "SourceText", "about"]

_about = """A small model of the package, to look at and to play with. It needs no training and no network:

```bash
charrnn generate {name} --prompt "The " --seed 1
charrnn page {name}
```

{source} Its sha256 is {sha256}.

The last tenth of the text was held out: the model was not trained on it, and it chose nothing. Training had a fixed
number of epochs. The choices come from experiments on the first nine tenths of Nietzsche (`results/EXPERIMENTS.md`).
The time is processor time: {seconds:,.0f} seconds of one thread of {processor}, with Python {python}. `make pretrained`
trains the model again. The weights are stored as float16 and computed with in float32. The figures below are those of
the stored weights, with the held-out text in 8 streams. This measures the model's loss again, with the text in one
stream, so it may be a thousandth lower:

```bash
{evaluate}
```

{licence} The file of the model has weights and checksums, not the text."""


class SourceText(NamedTuple):
    "A text, and words about it."

    read: Callable[[], str]
    title: str
    source: str  # where it comes from
    evaluate: str  # shell commands
    licence: str
    prompts: tuple[str, ...]  # texts of our own to begin with on a page


def _nietzsche():
    return read_text(nietzsche())


_reference_command = "from fastai_charrnn.data.corpus import *; print(python_reference(), end='')"

TEXTS = {
    "nietzsche": SourceText(
        read=_nietzsche,
        title="writings of Friedrich Nietzsche in English",
        source="The text is `nietzsche()`, that of lesson 6 of the fast.ai course, unchanged.",
        evaluate="charrnn evaluate nietzsche nietzsche.txt",
        licence="The translations are a century old and, as far as we know, in the public domain.",
        prompts=(
            "The man who wishes to be free must first ask himself whom he obeys. It is easy to despise the opinions of "
            "others; but to doubt one's own opinions--that requires a strength which few possess.",
            'We praise in our neighbour what is useful to ourselves, and call it "goodness." But who would praise the '
            "storm because it fills his sails?",
            "What is the value of a truth that nobody can bear? ",
        ),
    ),
    "python": SourceText(
        read=python_reference,
        title="the Python language reference",
        source=(
            "The text is `python_reference()`, the help texts that every CPython contains. It depends on the version "
            "of Python: this model was trained on that of Python {python}. The text of another version is not "
            "recognised. The model knows most of it, so its loss on it would be too low."
        ),
        evaluate=f'python -c "{_reference_command}" > reference.txt\ncharrnn evaluate python reference.txt',
        licence="Python's documentation has the PSF License Version 2, its examples the Zero-Clause BSD License.",
        prompts=(
            'The "for" statement repeats a block for each item of an iterable object:\n\n   for line in lines:\n'
            "       print(line)\n\nIf the block contains a",
            "A class may define a method that is called when an instance is created. It receives the arguments that "
            "were passed to the class, and returns",
            'If the value is not an integer, a "TypeError" is raised. ',
        ),
    ),
}


def about(
    name: str,  # one of `TEXTS`
    text: str,  # the text itself
    training: dict,  # seconds, processor and python
) -> str:  # Markdown
    "What a card says besides its figures."
    source = TEXTS[name]
    return _about.format(
        name=name,
        source=source.source.format(**training),
        evaluate=source.evaluate,
        licence=source.licence,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        **training,
    )
