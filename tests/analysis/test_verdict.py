"""The sentence with which `charrnn train` ends."""

import pytest

from fastai_charrnn.analysis.verdict import verdict


@pytest.mark.parametrize(
    "losses,says",
    [
        (
            (1.5, 1.45, 1.9),
            "The network beats counting by 0.400 (1.500 against 1.900 nats per character); for more, try",
        ),
        ((1.5, 1.0, 1.9), "for more, try --recipe best --minutes 5, or more epochs"),
        (
            (2.1, 2.05, 1.9),
            "Counting beats the network by 0.200 (2.100 against 1.900 nats per character); for more, try",
        ),
        ((2.1, 1.2, 1.9), "it fits the training part far better, so try a smaller network (--n-hid)"),
        ((1.9, 1.85, 1.9), "The network predicts as well as counting (1.900 against 1.900 nats per character)"),
    ],
)
def test_the_verdict_says_who_wins_by_how_much_and_what_to_try(losses, says):
    sentence = verdict(*losses)
    assert says in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("losses", [(1.5, 1.45, 1.9), (2.1, 1.2, 1.9)])
def test_the_verdict_of_the_best_recipe_proposes_no_option_that_it_sets_itself(losses):
    sentence = verdict(*losses, best=True)
    for option in ("--recipe", "--n-hid", "--output-p"):
        assert option not in sentence
