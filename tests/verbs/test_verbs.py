"""Every verb of a learner works in all reading modes, or refuses, and docs/verbs.md says which."""

import handling  # noqa: F401 (each of these registers its checks)
import predicting  # noqa: F401
import pytest
import training  # noqa: F401
import verbs
from verb_list import COLUMNS, VERBS, Case, Refused

ROOT = verbs.root
CELLS = verbs.read_page(ROOT / "docs/verbs.md")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_does_what_the_page_says(verb, column):
    assert verbs.result(verb, column) == CELLS[verb.name][column]


def test_the_page_lists_all_verbs_with_what_is_compared():
    assert (ROOT / "docs/verbs.md").read_text(encoding="utf-8") == verbs.page(CELLS)


def test_a_check_that_fails_is_no_cell():
    def check(case):
        assert case.learn is None

    verb = VERBS[0]._replace(check=check)
    with pytest.raises(AssertionError):
        verbs.result(verb, "windows")
    refused = VERBS[0]._replace(check=_refuse)
    assert verbs.result(refused, "windows") == "no: as text"


def _refuse(case):
    assert isinstance(case, Case)
    raise Refused("no: as text")
