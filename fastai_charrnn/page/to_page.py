"""Write a page in which a model runs: `learn.to_page("model.html")`, and `write_page` for a packed model.

learn.to_page("model.html")         # open it in a browser, mail it, or put it on any web server
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fastcore.basics import patch

from .._checks import check_path
from .._files import atomic_write, write_errors
from .._printable import printable
from .._utils import unwrap_model
from ..errors import PageError
from ..learner import CharLearner
from .arguments import check_page_texts, check_units
from .examples import example_texts, named_units, page_text, stored_examples
from .facts import page_facts
from .html import page_html
from .pack import pack_model

__all__ = ["write_page"]


@patch
def to_page(
    self: CharLearner,  # trained or loaded, of a built-in architecture
    path: str | Path = "model.html",  # the file to write; ".html" is added if it has no suffix
    title: str | None = None,  # shown at the top; None: the name of the file
    text: str | None = None,  # a text to show and to find units in; None: the validation text, if there is one
    prompts: Iterable[str] | None = None,  # texts to offer; the first is shown; None: parts of `text`
    units: Iterable[Mapping] | None = None,  # {"unit": 17, "tracks": "quotes", "score": 0.8}, …; None: `find_units`
    overwrite: bool = False,  # whether an existing file may be replaced
) -> Path:  # the file written
    """Write one HTML file in which the model runs: no server, no network, no other file.

    A weight is stored in two or three bytes, see `page.pack`. If `text` is the one that a loaded model was trained on,
    its validation part is shown, and n-grams are counted in the rest.

    Raises `PageError` if the file exists or cannot be written, for other arguments, for models of more than 20 MB, and
    for architectures that the page cannot run: `charrnn serve` shows these."""
    path = page_path(path, overwrite)
    prompts = check_page_texts(title, text, prompts)
    packed = pack_page(self, title or path.stem, text, prompts, units)
    return write_page(packed, path, overwrite=overwrite)


def pack_page(
    learn: CharLearner,  # trained or loaded
    name: str,  # shown at the top
    text: str | None = None,  # as `to_page`
    prompts: Iterable[str] | None = None,
    units: Iterable[Mapping] | None = None,
) -> dict:  # as `pack_model`
    "Pack a model with what its page tells of it."
    shown = page_text(learn, text)
    stored_prompts, stored_units = stored_examples(learn)
    units = (named_units(learn, shown) or stored_units) if units is None else check_units(units, _n_hid(learn))
    prompts = (example_texts(shown) or stored_prompts) if prompts is None else list(prompts)
    return pack_model(
        learn.model,
        learn.dls.vocab,
        seq_len=learn.dls.seq_len,
        mode=learn.dls.mode,
        name=name,
        facts=page_facts(learn, text),
        units=units,
        prompts=prompts,
    )


def _n_hid(learn):
    "The number of hidden units that a page shows: those of the first member of an ensemble."
    return unwrap_model(learn.model).n_hid


def page_path(
    path: str | Path,  # as given
    overwrite: bool = False,  # whether an existing file may be replaced
) -> Path:  # with ".html" if it had no suffix
    "Complete the path of a page. Raises `PageError` for a folder and for a file that exists."
    path = check_path("path", path, PageError)
    if path.is_dir() or not path.name:
        raise PageError(f"{str(path)!r} is a folder; give a file name, such as model.html")
    path = path if path.suffix else path.with_suffix(".html")
    if path.exists() and not overwrite:
        raise PageError(f"{path} exists; pass overwrite=True to replace it, or another path")
    return path


def write_page(
    packed: dict,  # a model, as `pack_model` returns it
    path: str | Path,  # the file to write; ".html" is added if it has no suffix
    overwrite: bool = False,  # whether an existing file may be replaced
) -> Path:  # the file written
    "Write the page of a packed model. Raises `PageError` if the file exists or cannot be written."
    path = page_path(path, overwrite)
    page = page_html(printable(packed["name"] or "A character model", max_len=200), packed)
    with write_errors(path, PageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, page)
    return path
