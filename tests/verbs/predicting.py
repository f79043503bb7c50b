"""Checks of the verbs that validate, predict, generate, interpret and show."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from fastai.interpret import ClassificationInterpretation, Interpretation
from pytest import approx
from verb_list import printed, raises, verb

from fastai_charrnn.all import ngram_baseline, plot_next

GROUP = "Validate and predict"


@verb(GROUP, "learn.validate()", "the mean of the losses computed by hand; the numbers that the last epoch recorded")
def validate(case):
    loss, accuracy, _ = case.learn.validate()
    log_probs, targets = case.by_hand
    assert loss == approx(float(case.losses_by_hand.mean()), abs=1e-4)
    assert accuracy == approx(float((log_probs.argmax(-1) == targets).float().mean()), abs=1e-6)
    case.learn.fit(1, 1e-3)
    assert list(case.learn.validate()) == approx(list(case.learn.recorder.values[-1])[1:])


@verb(
    GROUP,
    "learn.get_preds(with_loss=True, with_decoded=True)",
    "probabilities and losses by hand; their mean is validate's",
)
def get_preds(case):
    probs, y, decoded = case.learn.get_preds(with_decoded=True)
    losses = case.learn.get_preds(with_loss=True)[2]
    log_probs, targets = case.by_hand
    assert torch.allclose(probs, log_probs.exp(), atol=1e-5)
    assert torch.equal(y, targets)
    assert torch.equal(decoded, log_probs.argmax(-1))
    assert torch.allclose(losses, case.losses_by_hand, atol=1e-4)
    assert float(losses.mean()) == approx(case.learn.validate()[0], abs=1e-4)


@verb(
    GROUP,
    "learn.get_preds(dl=learn.dls.test_dl(texts))",
    "the probabilities of `next_probs`, for texts of several lengths",
)
def test_dl(case):
    texts = ["the", "", "an expression of several words", "a"]
    probs, _ = case.learn.get_preds(dl=case.learn.dls.test_dl(texts))
    for text, row in zip(texts, probs):
        found = {case.learn.dls.vocab[i]: p for i, p in enumerate(row.tolist())}
        assert found == approx(case.learn.next_probs(text), abs=1e-6)


@verb(
    GROUP,
    "learn.evaluate(text)",
    "the mean of the model's losses of the same characters, read window by window, in chunks or at once",
)
def evaluate(case):
    text = case.text[-100:]
    ids = torch.from_numpy(case.learn.dls.vocab.encode(text).astype("int64"))
    n = case.learn.dls.seq_len
    pieces = dict(windows=ids.unfold(0, n + 1, 1), chunks=ids[:-1].split(n), streams=[ids[:-1]])[case.mode]
    model = case.learn.model.eval()
    total = 0.0
    count = 0
    for start, piece in enumerate(pieces):
        x = piece[:-1] if case.mode == "windows" else piece
        y = piece[-1:] if case.mode == "windows" else ids[start * n + 1 :][: len(piece)]
        with torch.no_grad():
            model.reset()
            log_probs = model(x[None]).reshape(-1, case.learn.dls.c)
        total -= float(log_probs.gather(1, y[:, None]).sum())
        count += len(y)
    model.reset()
    assert case.learn.evaluate(text, bs=1)["loss"] == approx(total / count, abs=1e-4)
    if case.mode != "streams":
        assert case.learn.evaluate(text)["loss"] == approx(total / count, abs=1e-4)


@verb(GROUP, "learn.tta()", "that it raises an error")
def tta(case):
    with raises(AttributeError, "no: it repeats random transforms of items, and text has none"):
        case.learn.tta()


TEXT = "Continue text"


@verb(
    TEXT, "learn.predict(text, n=9)", "at temperature 0 the text of `predict_next`; the same seed gives the same text"
)
def predict(case):
    assert case.learn.predict("the ", n=9, temperature=0) == case.learn.predict_next("the ", n=9)
    first, second = (case.learn.predict("the ", n=9, seed=4) for _ in range(2))
    assert first == second
    assert len(first) == 13


@verb(TEXT, "learn.predict_next(text, n=5)", "the character of highest probability after each text")
def predict_next(case):
    text = "the va"
    for _ in range(5):
        text += next(iter(case.learn.next_probs(text)))
    assert case.learn.predict_next("the va", n=5) == text


@verb(TEXT, "learn.next_probs(text)", "the model's probabilities after the last character; they sum to 1")
def next_probs(case):
    text = case.text[40:48]
    probs = case.learn.next_probs(text)
    assert sum(probs.values()) == approx(1, abs=1e-5)
    x = torch.from_numpy(case.learn.dls.vocab.encode(text).astype("int64"))[None]
    with torch.no_grad():
        case.learn.model.eval().reset()
        row = case.learn.model(x).reshape(-1, case.learn.dls.c)[-1].exp()
    case.learn.model.reset()
    assert [probs[c] for c in case.learn.dls.vocab] == approx(row.tolist(), abs=1e-6)


@verb(TEXT, "learn.score(text)", "the logarithm of what `next_probs` gives for each character")
def score(case):
    text = "a statement"
    expected = [np.log(case.learn.next_probs(text[:i])[c]) for i, c in enumerate(text)]
    assert list(case.learn.score(text).log_probs) == approx(expected, abs=1e-4)


@verb(TEXT, "learn.generate(text, 20)", "the same seed gives the same text; its log-probabilities are those of `score`")
def generate(case):
    found = case.learn.generate("the ", 20, temperature=1, seed=3)
    assert str(found) == str(case.learn.generate(["of", "the "], 20, temperature=1, seed=3)[1])
    assert list(found.log_probs) == approx(list(case.learn.score(found.text).log_probs[4:]), abs=1e-3)


@verb(TEXT, "plot_next(learn, text)", "the bars are the probabilities of `next_probs`")
def plot(case):
    ax = plot_next(case.learn, "the v", top=4)
    assert [bar.get_width() for bar in ax.patches] == list(case.learn.next_probs("the v", top=4).values())
    plt.close("all")


SHOW = "Interpret and show"


@verb(SHOW, "Interpretation.from_learner(learn).top_losses(3)", "the largest losses computed by hand, and their items")
def top_losses(case):
    losses, idxs = Interpretation.from_learner(case.learn).top_losses(3)
    assert torch.allclose(losses, case.losses_by_hand.topk(3).values, atol=1e-4)
    assert torch.allclose(case.losses_by_hand[idxs], losses, atol=1e-4)


@verb(
    SHOW, "interp.plot_top_losses(3), show_results(idxs)", "the rows that are printed have targets and losses by hand"
)
def plot_top_losses(case):
    interp = Interpretation.from_learner(case.learn)
    losses, idxs = interp.top_losses(3)
    lines = printed(interp.plot_top_losses, 3)[-3:]
    decode = case.learn.dls.vocab.decode
    for line, loss, i in zip(lines, losses, idxs):
        assert line.split()[-1] == f"{loss:.2f}"
        assert repr(decode(case.by_hand[1][i])) in line
    lines = printed(interp.show_results, [0, 4])[-2:]
    assert all(repr(decode(case.by_hand[1][i])) in line for i, line in zip((0, 4), lines))


@verb(
    SHOW,
    "ClassificationInterpretation: confusion_matrix(), most_confused()",
    "the counts of targets and predictions by hand",
)
def confusion_matrix(case):
    interp = ClassificationInterpretation.from_learner(case.learn)
    log_probs, targets = case.by_hand
    expected = np.zeros((case.learn.dls.c, case.learn.dls.c), int)
    np.add.at(expected, (targets.flatten().numpy(), log_probs.argmax(-1).flatten().numpy()), 1)
    assert np.array_equal(interp.confusion_matrix(), expected)
    np.fill_diagonal(expected, 0)
    assert interp.most_confused()[0][2] == expected.max()


@verb(SHOW, "dls.show_batch()", "the rows that are printed are those of a batch, decoded")
def show_batch(case):
    dls = case.learn.dls
    b = dls.one_batch()
    lines = printed(dls.train.show_batch, b, max_n=3)[-3:]
    for line, x, y in zip(lines, *b):
        assert repr(dls.vocab.decode(x)) in line
        assert repr(dls.vocab.decode(y)) in line


@verb(SHOW, "learn.show_results()", "the rows that are printed have the targets and predictions of the first batch")
def show_results(case):
    lines = printed(case.learn.show_results, max_n=2, shuffle=False)[-2:]
    x, y = case.learn.dls.valid.one_batch()
    with torch.no_grad():
        case.learn.model.eval().reset()
        decoded = case.learn.model(x).argmax(-1)
    case.learn.model.reset()
    decode = case.learn.dls.vocab.decode
    for line, target, char in zip(lines, y, decoded):
        assert repr(decode(target)) in line
        assert repr(decode(char)) in line


@verb(SHOW, "learn.summary()", "the number of parameters")
def summary(case):
    n = sum(p.numel() for p in case.learn.model.parameters())
    assert f"Total params: {n:,}" in str(case.learn.summary())


@verb(SHOW, "learn.show_training_loop()", "the callbacks at their events")
def show_training_loop(case):
    lines = printed(case.learn.show_training_loop)
    (line,) = [line for line in lines if "before_train" in line]
    assert "StateResetter" in line
    assert "TrainEvalCallback" in line


@verb(
    SHOW,
    "ngram_baseline(dls)",
    "it scores all characters of the validation part; its loss is below that of an even guess",
)
def baseline(case):
    found = ngram_baseline(case.learn.dls, max_context=2)
    _, ((begin, end),) = case.learn.dls.train_ds.info["spans"]
    assert found.n_valid == end - begin
    assert found.scores[-1].nats < np.log(case.learn.dls.c)
