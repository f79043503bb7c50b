"""The texts of the leaderboard's table "The recipe on other texts", of many sizes and kinds.

    python tools/recipe_texts.py                              # name, size and digest of each
    python tools/recipe_texts.py --write FOLDER               # as files FOLDER/NAME.txt, without the unseen ones
    python tools/recipe_texts.py --write FOLDER --unseen      # only the unseen ones

The recipe may be changed after a look at the first kind of texts. Nothing is chosen by the *unseen* texts.

No text is stored in the project. Some come from the installed Python and its packages, so their digests depend on the
versions. The others are generated from a seed.
"""

import argparse
import hashlib
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from generated_texts import scripts, server_log
from installed_texts import joined, manual_pages

from fastai_charrnn._files import atomic_write
from fastai_charrnn.data.corpus import human_numbers, nietzsche, python_reference
from fastai_charrnn.data.text_file import read_text


@dataclass(frozen=True)
class RecipeText:
    "A text that the recipe is tried on. Its last tenth is held out."

    name: str  # short, also that of its file
    about: str  # what it is, for the report
    make: Callable[[], str]  # returns the text; an empty one where this computer does not have it
    unseen: bool = False  # whether nothing was chosen by it


def _nietzsche_prefix(n_chars):
    return lambda: read_text(nietzsche())[:n_chars]


def _standard_library():
    "The modules of Python's standard library, without those in packages: tests, tables of character sets, tools."
    return joined([sysconfig.get_paths()["stdlib"]], (".py",), 4_000_000, recursive=False)


def _environment():
    "Programs and documentation of the standard library and of all packages."
    paths = sysconfig.get_paths()
    folders = [paths["stdlib"], paths["purelib"]]
    return joined(folders, (".py", ".md", ".rst", ".txt"), 50_000_000, skipped=("__pycache__",))


def _installed(kind, ending):
    "Makes a text of the files with this ending in a folder of Python's installation."
    return lambda: joined([sysconfig.get_paths()[kind]], (ending,), 5_000_000)


RECIPE_TEXTS = (
    RecipeText("python-reference", "Python's language reference, in English", python_reference),
    RecipeText("numbers", "the numbers from *one* to 9,999 in words", human_numbers),
    RecipeText("nietzsche-50k", "the first 50,000 characters of Nietzsche", _nietzsche_prefix(50_000)),
    RecipeText("nietzsche-200k", "the first 200,000 characters of Nietzsche", _nietzsche_prefix(200_000)),
    RecipeText(
        "standard-library",
        "the modules of Python's standard library as installed, 4 million characters",
        _standard_library,
    ),
    RecipeText("scripts", "characters of many scripts with Unicode's names, and invented words in them", scripts),
    RecipeText(
        "environment",
        "programs and documentation of the installed packages in the order of their paths, 50 million characters",
        _environment,
    ),
    RecipeText("csv-tables", "all CSV files of the installed packages", _installed("purelib", ".csv")),
    RecipeText("server-log", "a log of a web server, generated from a seed", server_log, unseen=True),
    RecipeText("c-headers", "Python's C headers as installed", _installed("include", ".h"), unseen=True),
    RecipeText("manual-de", "manual pages in German, of Debian", lambda: manual_pages("de"), unseen=True),
    RecipeText("json-files", "all JSON files of the installed packages", _installed("purelib", ".json"), unseen=True),
)


def recipe_text(
    name: str,  # of a text
) -> RecipeText:
    "The text of this name."
    return next(text for text in RECIPE_TEXTS if text.name == name)


def digest(
    text: str,  # any text
) -> str:  # 12 hexadecimal digits
    "The beginning of the SHA-256 of a text in UTF-8."
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def described(
    text: str,  # as made
) -> dict:  # for the row of a run
    "Size, distinct characters and digest of a text."
    return dict(chars=len(text), vocab=len(set(text)), digest=digest(text))


def write_texts(
    folder: str | Path,  # is made if it does not exist
    texts: Iterable[RecipeText],  # to write
) -> list[Path]:  # the files of the texts that this computer has
    "Write texts as files."
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for spec in texts:
        if text := spec.make():
            paths.append(folder / f"{spec.name}.txt")
            atomic_write(paths[-1], text)
    return paths


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--write", metavar="FOLDER", help="write the texts as files into this folder")
    p.add_argument("--unseen", action="store_true", help="write the texts by which nothing may be chosen")
    args = p.parse_args()
    if args.write:
        texts = [text for text in RECIPE_TEXTS if text.unseen == args.unseen]
        print(*write_texts(args.write, texts), sep="\n")
        return
    for spec in RECIPE_TEXTS:
        facts = described(spec.make())
        kind = "unseen" if spec.unseen else "      "
        size = f"{facts['chars']:>11,} characters, {facts['vocab']:>5,} distinct"
        print(f"{spec.name:<17} {kind} {size}, sha256 {facts['digest']}  {spec.about}", flush=True)


if __name__ == "__main__":
    main()
