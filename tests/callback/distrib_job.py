"""The jobs that the distributed tests run in each process: python distrib_job.py JOB FOLDER [arguments of the job]

Each rank saves its results as FOLDER/JOB-RANK.pt. JOB_DEVICE is the device of the data ("cpu" by default).
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from fastai.callback.all import CSVLogger, GradientAccumulation, SaveModelCallback
from fastai.callback.data import WeightedDL
from fastai.metrics import F1Score
from rank_callbacks import RANK, Late, LoseRank1
from resume_cases import KeepAll, differences, outcome

from fastai_charrnn.all import (
    CharDataLoaders,
    DataLoader,
    PredictNextCallback,
    accuracy,
    char_learner,
    python_reference,
    save_model,
)
from fastai_charrnn.callback.sharded_trainer import ShardedTrainer
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.errors import DistribError

WORLD = int(os.environ.get("WORLD_SIZE", 1))
DEVICE = os.environ.get("JOB_DEVICE", "cpu")


class WeightedWindows(WeightedDL, WindowDL):
    "Windows drawn by weight, with NumPy's global generator."


def make_dls(path, size=6_000, seq_len=8, **kwargs):
    "Loaders whose batch sizes, added over all ranks, are those of one process."
    return CharDataLoaders.from_text(
        python_reference()[:size],
        seq_len=seq_len,
        bs=256 // WORLD,
        val_bs=500 // WORLD,
        valid="tail",
        valid_pct=0.2,
        device=DEVICE,
        path=path,
        **kwargs,
    )


def make_learner(path, arch="rnn", seed=3, metrics=None, size=6_000, **kwargs):
    dls = make_dls(path, size, 3 if arch == "char3" else 8, **kwargs)
    return char_learner(dls, arch, n_hid=32, emb_sz=16, seed=seed, metrics=metrics)


def weights(learn):
    return torch.cat([p.detach().flatten().clone() for p in learn.model.parameters()])


def train(learn, epochs=2, **kwargs):
    "Losses of the batches, numbers of the epochs, and the trained weights."
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx():
        learn.fit(epochs, 5e-3, **kwargs)
    epoch_numbers = [[v for v in row if not isinstance(v, str)] for row in learn.recorder.values]
    return {
        "losses": torch.stack(learn.recorder.losses),
        "epochs": torch.tensor(epoch_numbers),
        "weights": weights(learn),
    }


def curves(path):
    "Fits that must give the numbers of one process."
    out = {arch: train(make_learner(path, arch), 1) for arch in ("char3", "concat", "gru", "lstm")}
    out["rnn"] = train(make_learner(path))
    out["streams"] = train(make_learner(path, "lstm", target="every", stateful=True, shift=True))
    out["chunks"] = train(make_learner(path, "gru", target="every"))
    # 4,097 training windows: the last batch of an epoch is one window, and rank 1 has no row of it
    one_left = make_learner(path, size=5_132, metrics=[accuracy, F1Score(average="micro")])
    one_left.recorder.train_metrics = True
    out["a last batch of one"] = train(one_left)
    out["windows"] = len(one_left.dls.train_ds)
    drop_last = make_learner(path)
    drop_last.dls.train.drop_last = True
    out["without the smaller batch"] = train(drop_last)
    out["accumulated"] = train(make_learner(path), cbs=GradientAccumulation(512 // WORLD))
    summed = make_learner(path)
    summed.loss_func.reduction = "sum"
    out["summed losses"] = train(summed, 1, wd=0.0)
    return out


def predictions(path):
    "Everything that uses a model without training it."
    learn = make_learner(path, metrics=[accuracy, F1Score(average="micro")])
    with learn.no_bar(), learn.distrib_ctx():
        probs, targs, losses = learn.get_preds(with_loss=True)
        out = {"probs": probs, "targs": targs, "losses": losses}
        out["validate"] = torch.tensor(learn.validate())
        out["evaluate"] = torch.tensor(list(learn.evaluate(python_reference()[:3_001]).values()))
        found = learn.lr_find(show_plot=False, num_it=20)
    out["lr_find"] = torch.tensor(found.descent)
    out["weights after lr_find"] = weights(learn)
    out["batches after the context"] = len(learn.dls.train)
    # outside the context no process waits for another
    out["validate after the context"] = torch.tensor(learn.validate())
    return out


def seeds_and_files(path):
    "An unseeded fit with callbacks that write, an order that only rank 0 draws, and ranks that do not fit each other."
    torch.manual_seed(RANK)
    return {**_unseeded(path), "drawn by rank 0": _drawn(path), "errors": _misfits(path)}


def _unseeded(path):
    learn = make_learner(path, seed=None)
    learn.dls.train.seed(100 + RANK)
    learn.remove_cb(learn.predict_next_cb)
    samples = PredictNextCallback(["the"], n=5, fname="samples.csv")
    numbers = train(learn, 2, cbs=[CSVLogger(), SaveModelCallback(), samples])
    numbers["random"] = torch.rand(1)
    learn.save(f"saved-{RANK}")
    save_model(learn, path / f"model-{RANK}")
    return {"unseeded": numbers, "samples": len(samples.samples)}


def _drawn(path):
    learn = make_learner(path)
    np.random.seed(RANK)
    ds = learn.dls.train_ds
    learn.dls.loaders[0] = WeightedWindows(ds, bs=256 // WORLD, shuffle=True, wgts=np.ones(len(ds)), device=DEVICE)
    return train(learn, 1)


def _misfits(path):
    "The error messages by case."
    foreign = make_learner(path)
    foreign.dls.loaders[1] = DataLoader(list(range(50)), bs=2)
    errors = {}
    for name, learn in {"text": make_learner(path, size=6_000 + RANK), "foreign": foreign}.items():
        try:
            with learn.distrib_ctx():
                pass
        except DistribError as e:
            errors[name] = str(e)
    return errors


def lost(path, event, signal_name, timeout):
    "Rank 1 gets a signal."
    learn = make_learner(path)
    learn.save("initial")
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx(timeout=float(timeout)):
        learn.fit(100 if event == "batch" else 1, 5e-3, cbs=LoseRank1(event, getattr(signal, signal_name)))


def resumed(path):
    "The places at which a training that was resumed within an epoch differs from a whole one."
    # `mullstm` has dropout
    streams = dict(arch="mullstm", target="every", stateful=True, shift=True)
    return {name: _resumed(path, **options) for name, options in {"windows": {}, "streams": streams}.items()}


def _resumed(path, **options):
    keeper = KeepAll(path, every=3)
    whole = make_learner(path, **options)
    whole.add_cb(keeper)
    again = make_learner(path, **options)
    train(whole, cbs=GradientAccumulation(512 // WORLD))
    expected = outcome(whole)
    again.resume(keeper.written[-3])
    train(again, cbs=GradientAccumulation(512 // WORLD))
    return differences(outcome(again), expected)


def timed(path):
    "A fit by the clock. Its rates and its end are those of the first process."
    learn = make_learner(path)
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx(timeout=60):
        row = learn.fit_minutes(0.05, 5e-3, cbs=Late())
    return {"losses": torch.stack(learn.recorder.losses), "weights": weights(learn), "valid_loss": row["valid_loss"]}


def equal_jobs(path):
    "All jobs whose results one process and two must agree on, so that the processes start only once."
    out = {}
    for job in (curves, predictions, seeds_and_files, resumed):
        folder = path / job.__name__
        folder.mkdir(exist_ok=True)
        out[job.__name__] = job(folder)
    return out


def group_of_one(path):
    "A fit in a group of one process, and one without a group."
    plain = make_learner(path)
    grouped = make_learner(path)
    out = {"plain": train(plain)}
    dist.init_process_group("nccl" if DEVICE == "cuda" else "gloo")
    grouped.model.to(DEVICE)
    grouped.add_cb(ShardedTrainer())
    grouped.distributed_trainer.attach()
    out["grouped"] = train(grouped)
    out["backend"] = dist.get_backend()
    out["valid"] = grouped.validate()[0]
    return out


def main(job, folder, *args):
    folder = Path(folder)
    if DEVICE == "cuda":
        # TF32 rounds differently for batches of other sizes
        torch.backends.cudnn.allow_tf32 = False
        if WORLD > torch.cuda.device_count():
            # nccl refuses two ranks on one GPU
            dist.init_process_group("gloo")
    torch.save(globals()[job](folder, *args), folder / f"{job}-{RANK}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
