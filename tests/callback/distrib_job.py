"""What a process does in `test_distrib.py`. torchrun starts this file with a job's name and a folder; what a rank found is left there as <job>-<rank>.pt.

JOB_DEVICE says where the data are ("cpu")."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from fastai.basics import Callback
from fastai.callback.all import CSVLogger, GradientAccumulation, SaveModelCallback
from fastai.callback.data import WeightedDL
from fastai.metrics import F1Score

from fastai_charrnn.all import (
    CharDataLoaders,
    DataLoader,
    PredictNextCallback,
    accuracy,
    char_learner,
    python_reference,
    save_model,
)
from fastai_charrnn.callback.distributed import ShardedTrainer
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.errors import DistribError

RANK = int(os.environ.get("RANK", 0))
WORLD = int(os.environ.get("WORLD_SIZE", 1))
DEVICE = os.environ.get("JOB_DEVICE", "cpu")


class WeightedWindows(WeightedDL, WindowDL):
    "Windows drawn by weight, with NumPy's global generator."


def data(path, size=6_000, n=8, **kw):
    "Alike in every process but for `bs`: all ranks together have the batches of one process."
    return CharDataLoaders.from_text(
        python_reference()[:size],
        seq_len=n,
        bs=256 // WORLD,
        val_bs=500 // WORLD,
        valid="tail",
        valid_pct=0.2,
        device=DEVICE,
        path=path,
        **kw,
    )


def learner(path, arch="rnn", seed=3, metrics=None, size=6_000, **kw):
    return char_learner(
        data(path, size, 3 if arch == "char3" else 8, **kw), arch, n_hid=32, emb_sz=16, seed=seed, metrics=metrics
    )


def weights(learn):
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])


def fitted(learn, epochs=2, **kw):
    "Losses batch by batch, the epochs' numbers, and the weights."
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx():
        learn.fit(epochs, 5e-3, **kw)
    return dict(
        losses=torch.stack(learn.recorder.losses),
        epochs=torch.tensor([[v for v in o if not isinstance(v, str)] for o in learn.recorder.values]),
        weights=weights(learn),
    )


def curves(path):
    "Fits whose numbers are those of one process."
    out = {arch: fitted(learner(path, arch), 1) for arch in ("char3", "concat", "gru", "lstm")}
    out["rnn"] = fitted(learner(path))
    out["streams"] = fitted(learner(path, "lstm", target="every", stateful=True, shift=True))
    out["chunks"] = fitted(learner(path, "gru", target="every"))
    one = learner(
        path, size=5_132, metrics=[accuracy, F1Score(average="micro")]
    )  # 4,097 windows train: the last batch of an epoch is one window, and rank 1 has none of it
    one.recorder.train_metrics = True
    out["a last batch of one"] = fitted(one)
    whole = learner(path)
    whole.dls.train.drop_last = True
    out["without the smaller batch"] = fitted(whole)
    out["accumulated"] = fitted(learner(path), cbs=GradientAccumulation(512 // WORLD))
    summed = learner(path)
    summed.loss_func.reduction = "sum"
    out["summed losses"] = fitted(summed, 1, wd=0.0)
    return out | dict(windows=len(one.dls.train_ds))


def predictions(path):
    "What is asked of a model without training it."
    learn = learner(path, metrics=[accuracy, F1Score(average="micro")])
    with learn.no_bar(), learn.distrib_ctx():
        probs, targs, losses = learn.get_preds(with_loss=True)
        out = dict(
            validate=torch.tensor(learn.validate()),
            probs=probs,
            targs=targs,
            losses=losses,
            evaluate=torch.tensor(list(learn.evaluate(python_reference()[:3_001]).values())),
        )
        found = learn.lr_find(show_plot=False, num_it=20)
    out |= dict(found=torch.tensor(found.descent), after=weights(learn), inside=len(learn.dls.train))
    out["alone"] = torch.tensor(learn.validate())  # each process for itself: no other is waited for
    return out


def manners(path):
    "Seeds, files, errors."
    torch.manual_seed(RANK)
    out, free = {}, learner(path, seed=None)
    free.dls.train.seed(100 + RANK)
    said = PredictNextCallback(["the"], n=5, fname="said.csv")
    free.remove_cb(free.predict_next_cb)
    row = fitted(free, 2, cbs=[CSVLogger(), SaveModelCallback(), said])
    out["unseeded"] = row | dict(own=torch.rand(1))
    free.save(f"saved-{RANK}")
    save_model(free, path / f"model-{RANK}")
    out["samples"] = len(said.samples)
    drawn = learner(path)
    np.random.seed(RANK)
    drawn.dls.loaders[0] = WeightedWindows(
        drawn.dls.train_ds, bs=256 // WORLD, shuffle=True, wgts=np.ones(len(drawn.dls.train_ds)), device=DEVICE
    )
    out["drawn by rank 0"] = fitted(drawn, 1)
    errors = {}
    for name, learn in dict(text=learner(path, size=6_000 + RANK), foreign=learner(path)).items():
        if name == "foreign":
            learn.dls.loaders[1] = DataLoader(list(range(50)), bs=2)
        try:
            with learn.distrib_ctx():
                pass
        except DistribError as e:
            errors[name] = str(e)
    return out | dict(errors=errors)


def lost(path):
    "Rank 1 is killed, or hangs, in the middle of an epoch."

    class End(Callback):
        order = 20

        def before_batch(self):
            if RANK == 1 and self.training and self.iter == 5:
                os.kill(os.getpid(), signal.SIGKILL if sys.argv[3] == "killed" else signal.SIGSTOP)

    learn = learner(path)
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx(timeout=float(sys.argv[4])):
        learn.fit(100, 5e-3, cbs=End())


def found(path):
    "All that ends well, in one start."
    out = {}
    for job in (curves, predictions, manners):
        (folder := path / job.__name__).mkdir(exist_ok=True)
        out[job.__name__] = job(folder)
    return out


def group_of_one(path):
    "A group of one, through which all goes that goes through larger ones, beside no group."
    plain, grouped = learner(path), learner(path)
    out = dict(plain=fitted(plain))
    dist.init_process_group("nccl" if DEVICE == "cuda" else "gloo")
    grouped.model.to(DEVICE)
    grouped.add_cb(ShardedTrainer())
    grouped.distributed_trainer.attach()
    return out | dict(grouped=fitted(grouped), backend=dist.get_backend(), valid=grouped.validate()[0])


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if DEVICE == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # which rounds otherwise for other sizes of batches
        if WORLD > torch.cuda.device_count():
            dist.init_process_group("gloo")  # nccl refuses two ranks on one GPU
    torch.save(globals()[sys.argv[1]](folder), folder / f"{sys.argv[1]}-{RANK}.pt")
