"""Several processes train as one: each window is used once, numbers are equal, only rank 0 writes. Real processes."""

import json
import subprocess
import sys
from pathlib import Path

import distrib_job
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import ENV, JOB, LAUNCHERS, launch, on_device, results, run_ranks, torchrun

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.data.sharding import shard_indices
from fastai_charrnn.data.window_dl import WindowDL
from fastai_charrnn.errors import DistribError

EXAMPLE = str(Path(__file__).parents[2] / "examples/train.py")


# which rank gets which rows


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_every_window_is_used_once_in_the_batches_of_one_process(n_windows, bs, world, drop_last):
    idxs = torch.randperm(n_windows) + 7
    batches = list(idxs.split(bs * world)) if n_windows else []
    if drop_last:
        batches = [b for b in batches if len(b) == bs * world]
    shards = [shard_indices(idxs, bs, rank, world, drop_last) for rank in range(world)]
    n_steps = {len(counts) for _, counts in shards}
    assert n_steps == {len(batches)}
    for k, batch in enumerate(batches):
        rows = [rows.split(bs)[k] for rows, _ in shards]
        counts = [counts[k] for _, counts in shards]
        counted_rows = [r for r, (n_own, _) in zip(rows, counts) if n_own]
        assert torch.equal(torch.cat(counted_rows), batch)
        assert sum(n_own for n_own, _ in counts) == len(batch)
        assert {n_all for _, n_all in counts} == {len(batch)}
        assert all(len(r) == max(n_own, 1) for r, (n_own, _) in zip(rows, counts))


@pytest.mark.parametrize("shuffle", [True, False])
def test_two_shards_are_the_loader_of_twice_the_batch_size(dls, shuffle):
    def loader(bs):
        return WindowDL(dls.train_ds, bs=bs, shuffle=shuffle, device="cpu").seed(3)

    whole = loader(500)
    shards = [loader(250), loader(250)]
    for rank, dl in enumerate(shards):
        assert dl.shard(rank, 2) is dl
        assert len(dl) == len(whole)
    for _ in range(2):  # epochs
        batches, left, right = ([(b, dl.counts) for b in dl] for dl in (whole, *shards))
        for (b, (n, _)), (b0, (n0, _)), (b1, (n1, _)) in zip(batches, left, right):
            assert torch.equal(b[0], torch.cat([b0[0], b1[0]]))
            assert torch.equal(b[1], torch.cat([b0[1], b1[1]]))
            assert n0 + n1 == n == len(b[1])
    assert len(batches) == len(whole)
    assert sum(len(y) for (_, y), _ in left + right) == len(dls.train_ds)
    unsharded = shards[0].shard(0, 1)
    assert len(list(unsharded)) == len(unsharded) == -(-len(dls.train_ds) // 250)


def test_in_a_single_process_distrib_ctx_changes_nothing(learn, dls):
    plain = char_learner(dls, n_hid=64, seed=0)
    dls.train.seed(1)
    with learn.no_bar(), learn.no_logging(), learn.distrib_ctx(sync_bn=False, in_notebook=False) as same:
        same.fit(1)
    dls.train.seed(1)
    with plain.no_bar(), plain.no_logging():
        plain.fit(1)
    assert torch.equal(torch.stack(learn.recorder.losses), torch.stack(plain.recorder.losses))
    assert not hasattr(learn, "distributed_trainer")
    assert learn.detach_distributed() is learn


# two processes against one


@pytest.mark.slow
def test_two_ranks_compute_what_one_process_with_twice_the_batch_size_does(tmp_path):
    "One start of the processes for all comparisons, because importing takes longer than training."
    (both := tmp_path / "both").mkdir()
    (alone := tmp_path / "alone").mkdir()
    printed = torchrun(JOB, "equal_jobs", both)
    ranks = results("equal_jobs", both, 2)
    one = distrib_job.equal_jobs(alone)
    for o in (*ranks, one):
        assert o["resumed"] == {"windows": [], "streams": []}
    _curves_are_equal(*(o["curves"] for o in (*ranks, one)))
    _predictions_are_equal(*(o["predictions"] for o in (*ranks, one)))
    _seeds_and_misfits(*(o["seeds_and_files"] for o in (*ranks, one)))
    _only_rank_0_writes(*(o["seeds_and_files"]["samples"] for o in ranks), printed, both / "seeds_and_files")


def _close(a, b, *where):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=lambda m: f"{where}: {m}")


def _curves_are_equal(first, second, alone):
    assert alone["windows"] % 256 == 1
    assert len(alone["rnn"]["losses"]) != len(alone["without the smaller batch"]["losses"])
    fits = {name: numbers for name, numbers in alone.items() if isinstance(numbers, dict)}
    for name, numbers in fits.items():
        for k, expected in numbers.items():
            found = first[name][k]
            assert torch.equal(found, second[name][k]), (name, k)  # weights too, bit for bit
            if (name, k) == ("summed losses", "epochs"):
                # fastai's mean of sums depends on the batch size
                found = found[:, 2:]
                expected = expected[:, 2:]
            _close(found, expected, name, k)


def _predictions_are_equal(first, second, alone):
    n_batches = "batches after the context"
    assert first.pop(n_batches) == second.pop(n_batches) == 2 * alone.pop(n_batches)
    for k, expected in alone.items():
        assert torch.equal(first[k], second[k]), k
        _close(first[k], expected, k)


def _seeds_and_misfits(first, second, alone):
    for name in ("unseeded", "drawn by rank 0"):  # the seeds of rank 0 are those of the one process
        for k in ("losses", "weights", "epochs"):
            assert torch.equal(first[name][k], second[name][k]), (name, k)
            _close(first[name][k], alone[name][k], name, k)
    # each rank keeps its own global generator
    assert not torch.equal(first["unseeded"]["random"], second["unseeded"]["random"])
    errors = first["errors"]
    assert errors == second["errors"]
    assert alone["errors"] == {}
    assert "rank 1 has other windows and batch sizes than rank 0: [(4792, 128), (1193, 250)]" in errors["text"]
    assert "cannot be divided among 2 processes" in errors["foreign"]


def _only_rank_0_writes(n_first, n_second, printed, folder):
    assert n_first == 2
    assert n_second == 0
    assert printed.count("'the") == 2
    # `SaveModelCallback` prints once an epoch, which improves
    assert printed.count("Better model found at epoch 0") == printed.count("Better model found at epoch 1") == 1
    names = sorted(o.name for o in folder.iterdir())
    assert names == ["history.csv", "model-0.safetensors", "models", "samples.csv"]
    assert len((folder / "history.csv").read_text().splitlines()) == 3
    assert sorted(o.name for o in (folder / "models").iterdir()) == ["model.pth", "saved-0.pth"]


@pytest.mark.slow
@pytest.mark.parametrize("device,backend", [("cpu", "gloo"), pytest.param("cuda", "nccl", marks=pytest.mark.gpu)])
def test_a_group_of_one_process_trains_as_no_group_does(tmp_path, device, backend):
    (out,) = run_ranks("group_of_one", tmp_path, **on_device(device))
    assert out["backend"] == backend
    assert out["valid"] == pytest.approx(float(out["plain"]["epochs"][-1][1]), abs=1e-5)
    for k, expected in out["plain"].items():
        torch.testing.assert_close(out["grouped"][k], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_a_fit_by_the_clock_ends_at_the_same_batch_in_all_processes(tmp_path):
    "Their clocks begin at different times."
    first, second = run_ranks("timed", tmp_path, 2)
    assert len(first["losses"]) > 10
    for name in ("losses", "weights"):
        assert torch.equal(first[name], second[name]), name
    assert first["valid_loss"] == second["valid_loss"]


@pytest.mark.slow
@pytest.mark.gpu
def test_two_ranks_on_gpus_compute_what_one_process_with_twice_the_batch_size_does(tmp_path):
    "On one GPU over gloo, because nccl needs a GPU per rank; on two over nccl."
    (both := tmp_path / "both").mkdir()
    (alone := tmp_path / "alone").mkdir()
    first, second = run_ranks("curves", both, 2, **on_device("cuda"))
    _curves_are_equal(first, second, *run_ranks("curves", alone, **on_device("cuda")))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="needs more ranks than GPUs")
def test_more_ranks_than_gpus_is_a_typed_error(monkeypatch, small):
    for k in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(k, "2")
    learn = char_learner(CharDataLoaders.from_text(small, bs=256, valid="tail", device="cuda"), n_hid=8)
    message = r"this host has 2 processes and 1 GPUs; start fewer processes \(--nproc-per-node 1"
    with pytest.raises(DistribError, match=message), learn.distrib_ctx():
        pass


# scripts and the command line


@pytest.mark.slow
def test_the_example_prints_equal_numbers_under_torchrun_and_accelerate(tmp_path):
    runs = [launch(launcher, EXAMPLE, "--chars", "20000", cwd=tmp_path) for launcher in LAUNCHERS.values()]
    assert [o.returncode for o in runs] == [0, 0], runs
    # up to the time of the epoch
    first, second = (o.stdout.replace("\n", " ").split(", '00")[0] for o in runs)
    assert first == second
    assert first.startswith("[0, ")
    assert [o.name for o in tmp_path.iterdir()] == ["model.safetensors"]


def _charrnn(folder, *args):
    cmd = [sys.executable, "-m", "fastai_charrnn", *args]
    return subprocess.run(cmd, cwd=folder, env=ENV, capture_output=True, text=True, check=True).stdout


def _numbers_of_epoch_0(printed):
    row = next(line.split() for line in printed.splitlines() if line.split()[:1] == ["0"])
    return [float(v) for v in row[:5]]


@pytest.mark.slow
def test_charrnn_train_works_under_torchrun(tmp_path, small):
    (tmp_path / "my.txt").write_text(small, encoding="utf-8")
    args = "train my.txt --arch rnn --target next --epochs 1 --n-hid 32 --prompt the".split()
    charrnn = Path(sys.executable).with_name("charrnn")
    two = torchrun("--no-python", charrnn, *args, "--bs", 128, "--out", "two", cwd=tmp_path)
    one = _charrnn(tmp_path, *args, "--bs", "256", "--out", "one")
    assert "2 processes, batches of 128 windows on each" in two
    assert two.count("train_loss") == two.count("saved two.safetensors") == 1
    assert _numbers_of_epoch_0(two) == pytest.approx(_numbers_of_epoch_0(one), abs=2e-4)
    assert sorted(o.name for o in tmp_path.iterdir()) == ["my.txt", "one.safetensors", "two.safetensors"]
    logs = [json.loads(_charrnn(tmp_path, "info", name, "--json"))["training"]["log"] for name in ("one", "two")]
    assert logs[0][0]["valid_loss"] == pytest.approx(logs[1][0]["valid_loss"], abs=1e-5)
