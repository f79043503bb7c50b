"""What tests of `CudaGraph` share: a stand-in for the graph on a CPU, and fits to compare with and without it."""

import random

import torch
from fastai.basics import noop
from fastai.callback.progress import ProgressCallback
from fastai.optimizer import Adam

from fastai_charrnn.all import CharDataLoaders, CudaGraph, char_learner, list_archs, python_reference
from fastai_charrnn.callback.adam_state import adam_of
from fastai_charrnn.callback.graph_adam import AdamStep

MODES = {"windows": {}, "chunks": dict(target="every"), "streams": dict(target="every", stateful=True)}
# char3 reads windows only
CASES = [(arch, mode) for arch in list_archs() for mode in MODES if arch != "char3" or mode == "windows"]


class Repeated:
    "A stand-in for `DeviceGraph`: to replay a step is to call it again."

    def run_eager(self, step):
        step()

    def capture(self, step):
        self.step = step

    def replay(self):
        self.step()


class GraphOnCpu(CudaGraph):
    "`CudaGraph` on a CPU."

    name = "cuda_graph"
    device = "cpu"
    graph_class = Repeated


def graph_adam(params, lr, **kwargs):
    "fastai's `Adam`, whose steps are those of a graph, so that fits with and without one are equal bit by bit."
    opt = Adam(params, lr, **kwargs)

    def step():
        weights = [p for p, *_ in opt.all_params(with_grad=True)]
        for p in weights:
            if "step" not in opt.state[p]:
                opt.state[p].update(grad_avg=torch.zeros_like(p), sqr_avg=torch.zeros_like(p), step=0)
        adam = adam_of(opt)
        adam_step = AdamStep(adam, weights)
        assert adam_step.load()
        adam_step.run([p.grad for p in weights])
        adam.advance(weights)

    opt.step = step
    return opt


def learner(arch="rnn", mode="windows", device="cpu", size=800, opt_func=graph_adam, **kwargs):
    "A tiny learner with the dropout of its architecture. Its last batch is smaller than the others."
    # the loader of the validation takes its seed from here
    random.seed(3)
    options = dict(seq_len=3 if arch == "char3" else 6, bs=32 if mode == "windows" else 8) | MODES[mode]
    if mode == "windows":
        options["stride"] = 2
    dls = CharDataLoaders.from_text(python_reference()[:size], valid="tail", seed=1, device=device, **options)
    learn = char_learner(dls, arch, n_hid=8, emb_sz=8, seed=1, opt_func=opt_func, **kwargs)
    learn.remove_cb(ProgressCallback)
    learn.logger = noop
    return learn
