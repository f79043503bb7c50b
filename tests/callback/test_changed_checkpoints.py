"""Checkpoints with a wrong content are refused with a typed error, or their training ends. `make soak` tries more."""

import random

from changed_checkpoints import try_one


def test_changed_checkpoints_are_refused_or_resumed(tmp_path):
    folders = [tmp_path / str(number) for number in range(30)]
    for folder in folders:
        folder.mkdir()
    outcomes = {try_one(random.Random(f"checkpoints {folder.name}"), folder).split(", ")[1] for folder in folders}
    assert outcomes == {"refused", "refused by the fit", "resumed"}
