"""Any input of the public functions gives a right result or an error of this package, as docs/bad-input.md says."""

import bad_input
import pytest
from bad_calls import FILES, Call, Place, read_calls


@pytest.fixture(scope="module")
def place():
    return Place()


def test_calls_give_what_the_page_says(place):
    outcomes = {call: place.outcome(call) for fname in FILES for call in read_calls(fname)}
    assert (bad_input.root / "docs/bad-input.md").read_text(encoding="utf-8") == bad_input.page(outcomes)


@pytest.mark.parametrize(
    "call,error",
    [
        (Call("", "len(text)"), AssertionError),
        (Call("", "len(text)", check="result == 3"), AssertionError),
        (Call("", "dls.vocab.encode('É')", check="True"), AssertionError),
        (Call("", "len(3)"), TypeError),
    ],
)
def test_a_call_with_another_outcome_is_no_cell(place, call, error):
    with pytest.raises(error):
        place.outcome(call)
