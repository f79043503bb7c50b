"""Several processes train as one: the same curve, every window once, rank 0 alone writes, and a lost rank is an error in time. Real processes over gloo."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import distrib_job
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.data.sharding import shard_indices
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.errors import DistribError

JOB = str(Path(__file__).with_name("distrib_job.py"))
EXAMPLE = str(Path(__file__).parents[2] / "examples/train.py")
TORCHRUN = [
    str(Path(sys.executable).with_name("torchrun")),
    "--nproc-per-node",
    "2",
    "--master-port",
]  # then a port, and what is run
ACCELERATE = [
    str(Path(sys.executable).with_name("accelerate")),
    "launch",
    "--multi_gpu",
    *"--num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port".split(),
]
ENV = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} | dict(
    OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES=""
)  # on CPUs, also where there are GPUs


def torchrun(*args, **kw):
    p = subprocess.run(
        [*TORCHRUN, str(free_port()), *map(str, args)], capture_output=True, text=True, env=ENV, timeout=200, **kw
    )
    assert p.returncode == 0, p.stderr
    return p


def on(device):
    "What a process's environment says, so that a job's data are there."
    if device == "cpu":
        return dict(JOB_DEVICE=device)
    every_gpu = ",".join(map(str, range(torch.cuda.device_count())))
    return dict(JOB_DEVICE=device, CUDA_VISIBLE_DEVICES=os.environ.get("CUDA_VISIBLE_DEVICES", every_gpu))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ranks(*args, world=2, **env):
    "Processes without a launcher, which would end one when the other does."
    env = ENV | dict(WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port())) | env
    cmd = [sys.executable, JOB, *map(str, args)]

    def start(rank):
        own = env | dict(RANK=str(rank), LOCAL_RANK=str(rank))
        return subprocess.Popen(cmd, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return [start(r) for r in range(world)]


def found(job, folder, world=1, **env):
    "What the ranks of a job found."
    for p in ranks(job, folder, world=world, **env):
        err = p.communicate(timeout=200)[1]
        assert p.returncode == 0, err
    return [torch.load(folder / f"{job}-{r}.pt", weights_only=False) for r in range(world)]


# who takes what


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_every_window_is_taken_once_in_the_batches_of_one_process(m, bs, world, drop_last):
    idxs = torch.randperm(m) + 7
    whole = [b for b in idxs.split(bs * world) if len(b) == bs * world or not drop_last] if m else []
    parts = [shard_indices(idxs, bs, r, world, drop_last) for r in range(world)]
    assert {len(counts) for _, counts in parts} == {len(whole)}  # all take as many steps
    for k, batch in enumerate(whole):
        mine = [rows.split(bs)[k] for rows, _ in parts]
        counts = [c[k] for _, c in parts]
        assert (
            torch.equal(torch.cat([o for o, (c, _) in zip(mine, counts) if c]), batch)
            and sum(c for c, _ in counts) == len(batch)
            and {w for _, w in counts} == {len(batch)}
        )
        assert all(len(o) == max(c, 1) for o, (c, _) in zip(mine, counts))


@pytest.mark.parametrize("shuffle", [True, False])
def test_two_shards_are_the_loader_of_twice_the_batch_size(dls, shuffle):
    whole, *parts = (WindowDL(dls.train_ds, bs=bs, shuffle=shuffle, device="cpu").seed(3) for bs in (500, 250, 250))
    for r, dl in enumerate(parts):
        assert dl.shard(r, 2) is dl and len(dl) == len(whole)
    for _ in range(2):  # epochs
        seen = [[(b, dl.counts) for b in dl] for dl in (whole, *parts)]
        for (b, (n, _)), (b0, (n0, _)), (b1, (n1, _)) in zip(*seen):
            assert torch.equal(b[0], torch.cat([b0[0], b1[0]]))
            assert torch.equal(b[1], torch.cat([b0[1], b1[1]]))
            assert n0 + n1 == n == len(b[1])
    assert len(seen[0]) == len(whole) and sum(len(y) for (_, y), _ in seen[1] + seen[2]) == len(dls.train_ds)
    assert len(list(parts[0].shard(0, 1))) == len(parts[0]) == -(-len(dls.train_ds) // 250)


def test_in_a_plain_process_distrib_ctx_changes_nothing(learn, dls):
    other = char_learner(dls, n_hid=64, seed=0)
    for o, ctx in ((learn, True), (other, False)):
        dls.train.seed(1)
        with o.no_bar(), o.no_logging():
            if ctx:
                with o.distrib_ctx(sync_bn=False, in_notebook=False) as it:
                    it.fit(1)
            else:
                o.fit(1)
    assert (
        torch.equal(torch.stack(learn.recorder.losses), torch.stack(other.recorder.losses))
        and not hasattr(learn, "distributed_trainer")
        and learn.detach_distributed() is learn
    )


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan")])
def test_a_timeout_is_a_number_of_seconds(learn, timeout, monkeypatch):
    with (
        pytest.raises(DistribError, match=f"timeout={timeout!r} is not a number of seconds"),
        learn.distrib_ctx(timeout=timeout),
    ):
        pass
    monkeypatch.setenv("CHARRNN_TIMEOUT", str(timeout))
    with pytest.raises(DistribError, match="CHARRNN_TIMEOUT=60"), learn.distrib_ctx():
        pass


# two processes against one


@pytest.mark.slow
def test_two_ranks_do_what_one_process_with_twice_the_batch_does(tmp_path):
    "One start for all: fits, predictions, seeds, files and misfits."
    (both := tmp_path / "both").mkdir()
    (alone := tmp_path / "alone").mkdir()
    said = torchrun(JOB, "found", both).stdout
    first, second = (torch.load(both / f"found-{r}.pt", weights_only=False) for r in (0, 1))
    one = distrib_job.found(alone)
    _curves_are_equal(*(o["curves"] for o in (first, second, one)))
    _predictions_are_equal(*(o["predictions"] for o in (first, second, one)))
    _seeds_and_misfits(*(o["manners"] for o in (first, second, one)))
    (a, b) = (o["manners"]["samples"] for o in (first, second))
    folder = both / "manners"
    assert (a, b) == (2, 0) and said.count("'the") == 2  # rank 0 alone says and writes
    assert (
        sorted(o.name for o in folder.iterdir()) == ["history.csv", "model-0.safetensors", "models", "said.csv"]
        and len((folder / "history.csv").read_text().splitlines()) == 3
    )
    assert sorted(o.name for o in (folder / "models").iterdir()) == ["model.pth", "saved-0.pth"]


@pytest.mark.slow
@pytest.mark.parametrize("device,backend", [("cpu", "gloo"), pytest.param("cuda", "nccl", marks=pytest.mark.gpu)])
def test_a_group_of_one_trains_as_no_group_does(tmp_path, device, backend):
    (out,) = found("group_of_one", tmp_path, **on(device))
    assert out["backend"] == backend and out["valid"] == pytest.approx(float(out["plain"]["epochs"][-1][1]), abs=1e-5)
    for k, v in out["plain"].items():
        torch.testing.assert_close(out["grouped"][k], v, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.gpu
def test_two_ranks_on_gpus_do_what_one_process_with_twice_the_batch_does(tmp_path):
    "On one GPU over gloo, for nccl refuses; on two over nccl."
    (both := tmp_path / "both").mkdir()
    (alone := tmp_path / "alone").mkdir()
    first, second = found("curves", both, 2, **on("cuda"))
    _curves_are_equal(first, second, *found("curves", alone, **on("cuda")))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="needs more ranks than GPUs")
def test_more_ranks_than_gpus_is_a_typed_error(monkeypatch, small):
    for k in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(k, "2")
    learn = char_learner(CharDataLoaders.from_text(small, bs=256, valid="tail", device="cuda"), n_hid=8)
    with (
        pytest.raises(
            DistribError,
            match="2 processes were started here, where there is a GPU for 1: start so many .--nproc-per-node 1",
        ),
        learn.distrib_ctx(),
    ):
        pass


def _close(a, b, *where):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=lambda m: f"{where}: {m}")


def _curves_are_equal(first, second, alone):
    assert alone["windows"] % 256 == 1 and len(alone["rnn"]["losses"]) != len(
        alone["without the smaller batch"]["losses"]
    )
    for name, one in alone.items():
        for k in one if isinstance(one, dict) else ():
            a = first[name][k]
            b = one[k]
            assert torch.equal(a, second[name][k]), (name, k)  # weights too, bit for bit
            if (name, k) == ("summed losses", "epochs"):
                # fastai's mean of sums depends on the batches they are of
                a = a[:, 2:]
                b = b[:, 2:]
            _close(a, b, name, k)


def _predictions_are_equal(first, second, alone):
    assert (
        first.pop("inside") == second.pop("inside") == 2 * alone.pop("inside")
    )  # afterwards the loaders are whole again
    for k, v in alone.items():
        assert torch.equal(first[k], second[k]), k
        _close(first[k], v, k)


def _seeds_and_misfits(first, second, alone):
    for name in ("unseeded", "drawn by rank 0"):  # rank 0 was seeded as the one process
        for k in ("losses", "weights", "epochs"):
            assert torch.equal(first[name][k], second[name][k]), (name, k)
            _close(first[name][k], alone[name][k], name, k)
    assert not torch.equal(
        first["unseeded"]["own"], second["unseeded"]["own"]
    )  # the global generators are each rank's own
    assert first["errors"] == second["errors"] and alone["errors"] == {}
    errors = first["errors"]
    assert "rank 1 has other windows and batch sizes than rank 0: [(4792, 128), (1193, 250)]" in errors["text"]
    assert "cannot be divided among 2 processes" in errors["foreign"]


# a rank that is lost


@pytest.mark.slow
@pytest.mark.parametrize("how,timeout", [("killed", 60), ("hung", 3)])
def test_a_lost_rank_is_a_typed_error_within_the_timeout(tmp_path, how, timeout):
    start = time.time()
    a, b = ranks("lost", tmp_path, how, timeout)
    try:
        _, err = a.communicate(timeout=100)
        assert a.returncode == 1 and (how == "hung" or time.time() - start < 55), err
        assert (
            "DistribError: rank 0 of 2 lost contact with another (" in err
            and f"longer than timeout={timeout} seconds" in err
            and "CHARRNN_TIMEOUT" in err
        )
    finally:
        b.kill()
    b.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_a_killed_rank_ends_the_run_under_a_launcher(tmp_path, launcher):
    p = subprocess.run(
        [*launcher, str(free_port()), JOB, "lost", str(tmp_path), "killed", "300"],
        capture_output=True,
        text=True,
        env=ENV,
        timeout=100,
    )
    assert p.returncode == 1 and "SIGKILL" in p.stderr and not list(tmp_path.glob("*.pt")), p.stderr


@pytest.mark.slow
def test_the_example_says_the_same_under_torchrun_and_accelerate_launch(tmp_path):
    def run(launcher):
        cmd = [*launcher, str(free_port()), EXAMPLE, "--chars", "20000"]
        return subprocess.run(cmd, cwd=tmp_path, capture_output=True, text=True, env=ENV, timeout=200)

    runs = [run(launcher) for launcher in (TORCHRUN, ACCELERATE)]
    assert [o.returncode for o in runs] == [0, 0], runs
    said = [o.stdout.replace("\n", " ").split(", '00")[0] for o in runs]  # up to the time that an epoch took
    assert said[0] == said[1] and said[0].startswith("[0, ")
    assert [o.name for o in tmp_path.iterdir()] == ["model.safetensors"]


# the command line


@pytest.mark.slow
def test_charrnn_train_works_under_torchrun(tmp_path, small):
    (tmp_path / "my.txt").write_text(small, encoding="utf-8")
    args = ["train", "my.txt", "--arch", "rnn", "--target", "next", "--epochs", "1", "--n-hid", "32", "--prompt", "the"]
    out = torchrun(
        "--no-python", Path(sys.executable).with_name("charrnn"), *args, "--bs", 128, "--out", "two", cwd=tmp_path
    ).stdout

    def alone(*args):
        cmd = [sys.executable, "-m", "fastai_charrnn", *args]
        return subprocess.run(cmd, cwd=tmp_path, env=ENV, capture_output=True, text=True, check=True).stdout

    one = alone(*args, "--bs", "256", "--out", "one")
    assert (
        "2 processes, batches of 128 windows on each" in out
        and out.count("train_loss") == out.count("saved two.safetensors") == 1
    )

    def row(s):
        return next(line.split()[:5] for line in s.splitlines() if line.split()[:1] == ["0"])

    assert [float(v) for v in row(out)] == pytest.approx([float(v) for v in row(one)], abs=2e-4)
    assert sorted(o.name for o in tmp_path.iterdir()) == ["my.txt", "one.safetensors", "two.safetensors"]
    logs = [json.loads(alone("info", f, "--json")) for f in ("one", "two")]
    assert logs[0]["training"]["log"][0]["valid_loss"] == pytest.approx(
        logs[1]["training"]["log"][0]["valid_loss"], abs=1e-5
    )
