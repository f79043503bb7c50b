"""A folder with a text and a model that was trained on it with `charrnn train`."""

import pytest
from charrnn_process import WINDOWS, run


@pytest.fixture(scope="session")
def model_folder(small, tmp_path_factory):
    "Has the text `my.txt`, the model `my.safetensors`, and what the training printed in `printed`."
    folder = tmp_path_factory.mktemp("cli")
    (folder / "my.txt").write_text(small, encoding="utf-8")
    options = ["--epochs", 2, "--n-hid", 64, "--prompt", "the valu", "--out", "my"]
    done = run("train", "my.txt", *WINDOWS, *options, cwd=folder)
    (folder / "printed").write_text(done.stdout)
    return folder
