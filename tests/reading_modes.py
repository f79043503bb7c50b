"""Learners that read in each mode, and their predictions computed by hand, one step after another."""

import torch
from oracles import step_by_step

from fastai_charrnn.all import CharDataLoaders, char_learner

# `windows of all` has windows as validation set, though every character is a target
MODES = {
    "windows": dict(stride=3),
    "chunks": dict(target="every"),
    "windows of all": dict(target="every", valid="random"),
    "streams": dict(target="every", stateful=True),
}


def learner(text, mode, path=".", arch="gru", shift=False, **kwargs):
    "A small learner with weights that make some characters likely."
    options = MODES[mode] | dict(shift=shift)
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=16, val_bs=16, device="cpu", path=path, **options)
    learn = char_learner(dls, arch, n_hid=16, emb_sz=8, seed=1, **kwargs)
    for p in learn.model.parameters():
        p.data *= 3
    # as after training: padding does not follow any character
    learn.model.out.bias.data[0] -= 20
    if hasattr(learn, "progress"):
        learn.remove_cb(learn.progress)
    learn.logger = lambda *_: None
    return learn


@torch.no_grad()
def preds_by_hand(learn):
    "Log-probabilities (n, V) and targets (n,) of the validation set, in the order of the text or of the windows."
    ds = learn.dls.valid_ds
    model = learn.model.eval()
    ids = ds.ids.data.long()
    if hasattr(ds, "spans"):
        return _of_streams(model, ids, ds)
    windows = ids.unfold(0, ds.seq_len + 1, 1)[torch.as_tensor(ds.starts)]
    log_probs = step_by_step(model, windows[:, :-1])
    if ds.target == "next":
        return log_probs[:, -1], windows[:, -1]
    return log_probs, windows[:, 1:]


def _of_streams(model, ids, ds):
    ((begin, end),) = ds.spans
    if not ds.stateful:
        chunks = ids[begin - 1 : end - 1].split(ds.seq_len)
        return torch.cat([step_by_step(model, chunk[None])[0] for chunk in chunks]), ids[begin:end]
    row_len, n_longer = divmod(end - begin, ds.bs)
    found = []
    at = begin
    for row in range(ds.bs):
        n = row_len + (row < n_longer)
        chars = ids[at - 1 : at - 1 + n]
        found.append(step_by_step(model, chars[None])[0])
        at += n
    return torch.cat(found), ids[begin:end]
