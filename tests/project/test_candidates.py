"""The recurrences that the recipe was compared with: read in pieces, each says what it says of the whole."""

import pytest
import torch
from candidates import candidates

from fastai_charrnn.models.registry import get_arch


@pytest.mark.parametrize("name", candidates)
def test_a_candidate_reads_in_pieces_what_it_reads_at_once(name):
    "Pieces of one character are the equations, step by step."
    torch.manual_seed(0)
    arch, kw = candidates[name]
    m = get_arch(arch).cls(50, emb_sz=32, n_hid=32, window=None, **kw.get("config", {})).eval()
    x = torch.randint(0, 50, (3, 20))
    h = m.init_hidden(3)
    outs = []
    with torch.no_grad():
        whole, _ = m.read_all(x, h)
        for part in x.split([1, 7, 1, 1, 10], 1):
            o, h = m.read_all(part, h)
            outs.append(o)
    torch.testing.assert_close(torch.cat(outs), whole, atol=1e-5, rtol=1e-4)
    assert whole.std() > 0.01
