"""`show_doc` on reference pages: an entry has the signature, the docstring and the parameters of a public name."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from fastcore.meta import delegates
from reference import Entry


def other(
    rate: float = 0.5,  # how fast
    **kwargs,  # more
):
    "Another function."


@delegates(other, keep=True)
def example(
    text: str,  # what to read
    seed: int | None = None,  # None: random
    *,
    mode: str | Path = "a|b",  # which
    done: Callable = len,  # called at the end
    **kwargs,  # as `other`
) -> list[str]:  # the lines
    "Read a text."


def _markdown(value):
    "The entry of a function or class."
    return Entry(value, name=value.__name__)._repr_markdown_()


def test_an_entry_has_heading_signature_docstring_table_and_result():
    expected = """### `example`

```python
example(text, seed=None, *, mode='a|b', done=len, **kwargs)
```

Read a text.

| parameter | type | default | |
| --- | --- | --- | --- |
| `text` | `str` |  | what to read |
| `seed` | `int \\| None` | `None` | None: random |
| `mode` | `str \\| Path` | `'a\\|b'` | which |
| `done` | `Callable` | `len` | called at the end |
| `kwargs` |  |  | as `other` |

Further arguments are passed on: `rate`.

Returns `list[str]`: the lines"""
    assert _markdown(example) == expected


def test_the_comment_of_the_last_parameter_is_not_that_of_the_result():
    def f(
        **kwargs,  # as `other`
    ) -> str:
        "Nothing."

    assert _markdown(f).endswith("| `kwargs` |  |  | as `other` |\n\nReturns `str`")


def test_the_table_has_parameters_without_comment_except_variable_ones():
    def f(
        a: int,  # the first
        b: int,
        *args,
    ):
        "Nothing."

    assert "| `b` | `int` |  |  |" in _markdown(f)
    assert "`args`" not in _markdown(f)


def test_without_comments_the_signature_has_the_types():
    def plain(x: int, *names: str, y=3.0):
        "No parameter has a comment."

    assert "plain(x: int, *names: str, y: float=3.0)" in _markdown(plain)
    assert "| parameter |" not in _markdown(plain)


def test_long_signatures_are_wrapped():
    def long(first_of_the_parameters=1, second_of_the_parameters=2, third_of_the_parameters=3, fourth=4):
        "Many."

    signature = _markdown(long).split("```")[1].splitlines()
    assert len(signature) == 3
    assert max(map(len, signature)) <= 88
    assert signature[2].startswith("    ")


class Animal:
    "A living being."

    def __init__(
        self,
        name: str,  # what to call it
    ):
        self.name = name

    def speak(
        self,
        loud: bool = False,  # shout
    ) -> str:
        "What it says."
        return self.name

    def silent(self):
        return None

    @property
    def size(self):
        "In metres."
        return 1

    @classmethod
    def many(cls, n: int):
        "Several."
        return [cls("x")] * n

    other = other


def test_an_entry_of_a_class_has_its_documented_methods():
    shown = _markdown(Animal)
    assert "Animal(name)" in shown
    assert "| `name` | `str` |  | what to call it |" in shown
    headings = [line for line in shown.splitlines() if line.startswith("#")]
    assert headings == ["### `Animal`", *(f"#### `Animal.{name}`" for name in ("speak", "size", "many"))]
    for text in ("speak(loud=False)", "many(n: int)", "In metres."):
        assert text in shown


def test_functions_that_are_methods_too_are_only_listed():
    shown = _markdown(Animal)
    assert "Functions that are also methods: `other`." in shown
    assert "how fast" not in shown


def test_a_parameter_without_comment_has_that_of_the_base_class():
    class Dog(Animal):
        "An animal that barks."

        def __init__(self, name: str, age: int = 0):
            super().__init__(name)

    assert "| `name` | `str` |  | what to call it |" in _markdown(Dog)


def test_signatures_are_python():
    @dataclass
    class Named:
        names: list = field(default_factory=list)  # a new list each time
        call: Callable = lambda x: x  # an anonymous function

    signature = _markdown(Named).split("```")[1].removeprefix("python\n")
    assert signature == "Named(names=..., call=...)\n"
    assert ast.parse(signature)


def test_records_show_their_fields():
    @dataclass
    class Point:
        x: int  # to the right
        y: int = 0  # up

    class Pair(NamedTuple):
        "Two numbers."

        a: int  # the first
        b: float = 0.5  # the second

    assert "Point(x, y=0)" in _markdown(Point)
    assert "| `x` | `int` |  | to the right |" in _markdown(Point)
    assert "Pair(a, b=0.5)" in _markdown(Pair)
    assert "| `b` | `float` | `0.5` | the second |" in _markdown(Pair)


@pytest.mark.parametrize(
    "doc,shown",
    [
        ("One.\n\na    first\nbc   second", "One.\n\n```text\na    first\nbc   second\n```"),
        ("One  sentence\non.", "One  sentence\non."),
    ],
)
def test_columns_of_a_docstring_stay_columns(doc, shown):
    def f():
        return None

    f.__doc__ = doc
    assert shown in _markdown(f)


def test_nbdev_uses_entries():
    from nbdev.showdoc import show_doc

    assert type(show_doc(example)) is Entry
