"""What `gpu_speed` times: trainings and texts, ours and by hand, on a GPU, or on a CPU to check that the code runs."""

from collections.abc import Callable

import torch
from byhand import PlainTraining
from graph_fits import GraphOnCpu, Repeated
from plain_training import Plain
from torch import Tensor

from fastai_charrnn.all import CharDataLoaders, CharLearner, CharVocab, CudaGraph, char_learner, nietzsche, read_text
from fastai_charrnn.generation.replayed import replayed_steps
from fastai_charrnn.models.device_graph import DeviceGraph


def device() -> str:
    "The GPU if there is one, else the CPU."
    return "cuda" if torch.cuda.is_available() else "cpu"


def waiting(run: Callable) -> Callable:
    "The same function, which waits at its end until the GPU has computed everything."

    def timed():
        run()
        if device() == "cuda":
            torch.cuda.synchronize()

    return timed


def graph_callback() -> CudaGraph:
    "The callback, on a CPU with a stand-in for graphs."
    return CudaGraph() if device() == "cuda" else GraphOnCpu()


def _all_windows(dl) -> tuple[Tensor, Tensor]:
    "The inputs and targets of all windows."
    dataset = dl.dataset
    return dataset.batch(torch.arange(len(dataset), device=dataset.index_device))


def _fit(learn: CharLearner, with_graph: bool) -> Callable:
    "A fit of one epoch."

    def run():
        cbs = [graph_callback()] if with_graph else []
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3, cbs=cbs)
        for cb in cbs:
            if not cb.n_replayed:
                raise RuntimeError(f"no step was replayed: {cb.reason}")

    return waiting(run)


class Training:
    "A training of a few batches and one of more. Their difference is the time of steps alone."

    names = ("graph", "ours", "plain")

    def __init__(
        self,
        arch: str,
        mode: str,  # windows or streams
        short: bool,  # whether to do little work
    ):
        self.mode = mode
        sizes = dict(windows=(8, 512, 256), streams=(32, 32, 512))[mode]
        self.seq_len, self.bs, self.n_hid = (3, 8, 16) if short else sizes
        self.n_batches = (6, 9) if short else (20, 120)
        text = read_text(nietzsche())
        vocab = CharVocab.from_text(text)
        self.dls = [self._dls(text, vocab, n) for n in self.n_batches]
        # emb_sz is that of the loop by hand
        emb_sz = 128 if arch == "mullstm" else 42
        self.learners = [char_learner(dls, arch, n_hid=self.n_hid, emb_sz=emb_sz, seed=0) for dls in self.dls]
        self.by_hand = PlainTraining(arch, self.n_hid, self.dls[0])

    def _dls(self, text, vocab, n_batches):
        if self.mode == "windows":
            n_chars = n_batches * self.bs + self.seq_len
            how = {}
        else:
            n_chars = self.bs * (n_batches * self.seq_len + 1)
            how = dict(target="every", stateful=True)
        options = dict(seq_len=self.seq_len, bs=self.bs, vocab=vocab, valid_text=text[:2_000], device=device())
        dls = CharDataLoaders.from_text(text[:n_chars], **options, **how)
        assert len(dls.train) == n_batches
        return dls

    def runs(self) -> dict[str, Callable]:
        "Functions to time, a short and a long one for each name."
        runs = {}
        for k, (learn, dls) in enumerate(zip(self.learners, self.dls)):
            runs[f"graph {k}"] = _fit(learn, True)
            runs[f"ours {k}"] = _fit(learn, False)
            runs[f"plain {k}"] = waiting(self._by_hand(dls))
        return runs

    def _by_hand(self, dls):
        "An epoch of the loop by hand, without validation."
        if self.mode == "windows":
            x, y = _all_windows(dls.train)
            return lambda: self.by_hand.train_windows(x, y, self.bs)
        x, y = (torch.cat(part, 1) for part in zip(*dls.train))
        return lambda: self.by_hand.train_streams(x, y, self.seq_len)

    def milliseconds(
        self,
        times: dict[str, list[float]],  # seconds of the runs, one a round
        name: str,  # one of `names`
    ) -> list[float]:  # one a round
        "The time of a step."
        n_short, n_long = self.n_batches
        differences = [b - a for a, b in zip(times[f"{name} 0"], times[f"{name} 1"])]
        # noise may exceed the time of the few steps of a short run
        return [1e3 * max(d / (n_long - n_short), 1e-6) for d in differences]


class Epoch:
    "An epoch of lesson 6's `rnn`, validation included."

    def __init__(self, short: bool):
        text = read_text(nietzsche())[: 6_000 if short else None]
        self.dls = CharDataLoaders.from_text(text, bs=512, valid="random", valid_pct=0.2, device=device())
        self.learn = char_learner(self.dls, "rnn", seed=0)
        self.by_hand = PlainTraining("rnn", 256, self.dls)

    def runs(self) -> dict[str, Callable]:
        "Functions to time, by name."
        train = _all_windows(self.dls.train)
        valid = _all_windows(self.dls.valid)

        def plain():
            self.by_hand.train_windows(*train, 512)
            self.by_hand.validate(*valid, self.dls.valid.bs)

        return dict(graph=_fit(self.learn, True), ours=_fit(self.learn, False), plain=waiting(plain))


class Texts:
    "Texts of a stateful `lstm`."

    def __init__(self, n_texts: int, short: bool):
        text = read_text(nietzsche())[:60_000]
        self.n = 20 if short else 1_000
        self.n_chars = self.n * n_texts
        n_hid = 16 if short else 512
        modes = dict(target="every", stateful=True, device=device())
        self.dls = CharDataLoaders.from_text(text, seq_len=32, bs=32, **modes)
        self.learn = char_learner(self.dls, "lstm", n_hid=n_hid, seed=0)
        self.prompts = [text[i : i + 8] for i in range(n_texts)]
        self.model = Plain("lstm", len(self.dls.vocab), n_hid, 1).to(device()).eval()

    def runs(self) -> dict[str, Callable]:
        "Functions to time, by name."

        def ours():
            self.learn.generate(self.prompts, self.n, temperature=1.0, seed=1)

        def replayed():
            with replayed_steps(DeviceGraph if device() == "cuda" else Repeated):
                ours()

        return dict(graph=waiting(replayed), ours=waiting(ours), plain=waiting(self._by_hand))

    @torch.inference_mode()
    def _by_hand(self):
        "Draw in a loop. The characters are read from the GPU at the end."
        encoded = [torch.as_tensor(self.dls.vocab.encode(p), dtype=torch.int64) for p in self.prompts]
        drawn = []
        logits, state = self.model(torch.stack(encoded).to(device()), every=False)
        for _ in range(self.n):
            c = torch.multinomial(logits.softmax(-1), 1)
            drawn.append(c)
            logits, state = self.model(c, state, every=False)
        return [self.dls.vocab.decode(row) for row in torch.cat(drawn, 1).cpu().numpy()]
