"""An entry of a reference page says how a name is called, what it does, and what each parameter means."""

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
    way: str | Path = "a|b",  # which
    done: Callable = len,  # told at the end
    **kwargs,  # as `other`
) -> list[str]:  # the lines
    "Read a text."


def _markdown(o):
    return Entry(o, name=o.__name__)._repr_markdown_()


def test_an_entry_has_heading_signature_docstring_table_and_result():
    assert (
        _markdown(example)
        == """### `example`

```python
example(text, seed=None, *, way='a|b', done=len, **kwargs)
```

Read a text.

| parameter | type | default | |
| --- | --- | --- | --- |
| `text` | `str` |  | what to read |
| `seed` | `int \\| None` | `None` | None: random |
| `way` | `str \\| Path` | `'a\\|b'` | which |
| `done` | `Callable` | `len` | told at the end |
| `kwargs` |  |  | as `other` |

Further arguments are passed on: `rate`.

Returns `list[str]`: the lines"""
    )


def test_a_result_does_not_take_the_comment_of_the_line_above():
    def f(
        **kwargs,  # as `other`
    ) -> str:
        "Nothing."

    assert _markdown(f).endswith("| `kwargs` |  |  | as `other` |\n\nReturns `str`")


def test_parameters_about_which_nothing_is_said_are_in_the_table_unless_they_are_any_number():
    def f(
        a: int,  # the first
        b: int,
        *args,
    ):
        "Nothing."

    assert "| `b` | `int` |  |  |" in _markdown(f) and "`args`" not in _markdown(f)


def test_without_comments_types_are_in_the_signature():
    def plain(x: int, *names: str, y=3.0):
        "Nothing is said about them."

    assert "plain(x: int, *names: str, y: float=3.0)" in _markdown(plain) and "| parameter |" not in _markdown(plain)


def test_long_signatures_are_wrapped():
    def long(first_of_the_parameters=1, second_of_the_parameters=2, third_of_the_parameters=3, fourth=4):
        "Many."

    signature = _markdown(long).split("```")[1].splitlines()
    assert len(signature) == 3 and max(map(len, signature)) <= 88 and signature[2].startswith("    ")


class Animal:
    "A living being."

    def __init__(
        self,
        name: str,  # what it is called
    ):
        self.name = name

    def speak(
        self,
        loud: bool = False,  # so that all can hear it
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
    assert "Animal(name)" in shown and "| `name` | `str` |  | what it is called |" in shown
    headings = [line for line in shown.splitlines() if line.startswith("#")]
    assert headings == ["### `Animal`", *(f"#### `Animal.{o}`" for o in ("speak", "size", "many"))]
    assert "speak(loud=False)" in shown and "many(n: int)" in shown and "In metres." in shown
    assert "Functions that are methods, too: `other`." in shown and "how fast" not in shown


def test_a_parameter_is_described_as_in_the_base_class():
    class Dog(Animal):
        "An animal that barks."

        def __init__(self, name: str, age: int = 0):
            super().__init__(name)

    assert "| `name` | `str` |  | what it is called |" in _markdown(Dog)


def test_signatures_are_python():
    @dataclass
    class Named:
        names: list = field(default_factory=list)  # made anew each time
        call: Callable = lambda x: x  # a function without a name

    signature = _markdown(Named).split("```")[1].removeprefix("python\n")
    assert signature == "Named(names=..., call=...)\n" and ast.parse(signature)


def test_records_show_their_fields():
    @dataclass
    class Point:
        x: int  # to the right
        y: int = 0  # up

    class Pair(NamedTuple):
        "Two numbers."

        a: int  # the first
        b: float = 0.5  # the second

    assert "Point(x, y=0)" in _markdown(Point) and "| `x` | `int` |  | to the right |" in _markdown(Point)
    assert "Pair(a, b=0.5)" in _markdown(Pair) and "| `b` | `float` | `0.5` | the second |" in _markdown(Pair)


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
