"""The texts on which the recipe is tried can be made again, and are of the announced kinds."""

import gzip

from generated_texts import scripts, server_log
from installed_texts import joined, manual_pages
from recipe_texts import RECIPE_TEXTS, RecipeText, described, recipe_text, write_texts


def test_a_generated_text_is_equal_every_time_and_has_the_length_asked():
    for make in (scripts, server_log):
        text = make(20_000)
        assert text == make(20_000)
        assert len(text) == 20_000
        assert text != make(20_000, seed=3)


def test_the_text_of_many_scripts_has_more_than_1000_distinct_characters_and_their_names():
    text = scripts(200_000)
    assert len(set(text)) > 1000
    assert " U+0" in text and "GREEK" in text


def test_files_are_joined_by_path_each_content_once(tmp_path):
    folder = tmp_path / "a"
    (folder / "tests").mkdir(parents=True)
    contents = {
        "b.py": b"bb\r\n",
        "a.py": b"aa\n",
        "c.py": b"bb\n",
        "latin.py": b"\xe4",
        "d.txt": b"d",
        "tests/t.py": b"t",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    assert joined([folder], (".py",), 100, skipped=("tests",)) == "aa\nbb\n"
    assert joined([folder], (".py", ".txt"), 5) == "aa\nbb"
    assert joined([folder], (".py",), 100, recursive=False) == "aa\nbb\n"


def test_manual_pages_of_a_language_that_is_missing_are_an_empty_text(tmp_path):
    assert manual_pages("de", folder=tmp_path) == ""
    (tmp_path / "de/man1").mkdir(parents=True)
    (tmp_path / "de/man1/ls.1.gz").write_bytes(gzip.compress("größer".encode()))
    assert manual_pages("de", folder=tmp_path) == "größer"


def test_the_texts_are_written_as_files_that_read_back_equal(tmp_path):
    texts = [*map(recipe_text, ("nietzsche-50k", "c-headers")), RecipeText("none", "not here", lambda: "")]
    paths = write_texts(tmp_path / "new", texts)
    assert [path.name for path in paths] == ["nietzsche-50k.txt", "c-headers.txt"]
    assert paths[1].read_text(encoding="utf-8") == texts[1].make()
    assert described(texts[0].make()) == dict(chars=50_000, vocab=75, digest="218c851c2554")


def test_names_of_texts_are_unique_and_some_texts_are_unseen():
    assert len({text.name for text in RECIPE_TEXTS}) == len(RECIPE_TEXTS)
    assert {text.unseen for text in RECIPE_TEXTS} == {True, False}
