"""Numbers of layers and networks that no model can have are refused before anything is built."""

import numpy as np
import pytest
from model_checks import make_model

from fastai_charrnn.all import list_archs
from fastai_charrnn.errors import ArchError
from fastai_charrnn.models.build import count_parameters

SEVERAL = [("n_layers", arch) for arch in list_archs() if arch != "char3"] + [("n_models", "ensemble")]


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**9, 10**30, True, "2", None])
@pytest.mark.parametrize("name,arch", SEVERAL)
def test_wrong_numbers_of_layers_and_networks_are_refused(name, arch, value):
    with pytest.raises(ArchError, match=rf"^{name}=.* is (not a whole number|more than 100)"):
        make_model(arch, seq_len=8, **{name: value})


@pytest.mark.parametrize("name,arch", SEVERAL)
def test_numbers_of_numpy_are_taken(name, arch):
    sizes = dict(emb_sz=4, n_hid=4)
    assert count_parameters(arch, 9, sizes | {name: np.int64(3)}) == count_parameters(arch, 9, sizes | {name: 3})
