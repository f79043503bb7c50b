"""Random calls of the public functions give right results or errors of this package."""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_calls import try_one


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calls")


# the same calls in every run: `make soak` tries others, and one that fails by chance would stop unrelated work
@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**64))
def test_a_random_call_gives_a_right_result_or_a_typed_error(folder, seed):
    try_one(random.Random(seed), folder)


def test_random_calls_have_results_of_all_kinds(folder):
    kinds = Counter(try_one(random.Random(f"calls {k}"), folder) for k in range(40))
    assert min(kinds.values()) > 2
    assert set(kinds) == {"a typed error", "a right result", "a result"}
