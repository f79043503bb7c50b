"""Small loaders for each mode of reading, and a check that an architecture learns with them."""

from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers, load_model, save_model

MODES = {
    "next": dict(seq_len=8),
    "every": dict(seq_len=16, target="every"),
    "streams": dict(seq_len=16, target="every", stateful=True),
}


def make_dls(mode, text=None, bs=32, **kw):
    text = text or human_numbers()[:12000]
    return CharDataLoaders.from_text(text, bs=bs, valid="tail", valid_pct=0.1, device="cpu", **MODES[mode], **kw)


def quiet_fit(learn, epochs=1, lr=1e-2, **kw):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, **kw)
    return learn


def assert_learns_and_writes(arch, mode, folder, **kw):
    "The architecture learns, and generates equal texts after a model file."
    # windows have one target each, so an epoch has more of them
    dls = make_dls(mode, bs=128 if mode == "next" else 32)
    learn = char_learner(dls, arch, n_hid=32, emb_sz=24, seed=0, **kw)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 1e-2)
    # even odds: 3.0
    assert learn.training_log.rows[-1]["valid_loss"] < 2.3
    loaded = load_model(save_model(learn, folder / "m"), device="cpu")
    assert str(loaded.generate("one", 40, seed=1)) == str(learn.generate("one", 40, seed=1))
    assert learn.predict_next("one", n=9) == loaded.predict_next("one", n=9)
