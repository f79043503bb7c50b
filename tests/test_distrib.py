"""Several processes train as one: the same curve, every window once, rank 0 alone writes, and a lost rank is an error in time. Real processes over gloo."""
import json,os,socket,subprocess,sys,time
from pathlib import Path

import pytest
import torch
from fastai_charrnn.all import char_learner
from fastai_charrnn.data import WindowDL
from fastai_charrnn.distrib import my_rows
from fastai_charrnn.errors import DistribError
from hypothesis import given,settings
from hypothesis import strategies as st

JOB = str(Path(__file__).with_name("distrib_job.py"))
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))
ENV = {k:v for k,v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} | dict(OMP_NUM_THREADS="1")


def torchrun(*args, **kw):
    p = subprocess.run([TORCHRUN, "--nproc-per-node", "2", "--master-port", str(free_port()), *map(str, args)], capture_output=True, text=True, env=ENV, timeout=120, **kw)
    assert p.returncode == 0, p.stderr[-5_000:]
    return p


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ranks(*args):
    "Two processes without a launcher, which would end one when the other does."
    env = ENV | dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    return [subprocess.Popen([sys.executable, JOB, *map(str, args)], env=env | dict(RANK=str(r), LOCAL_RANK=str(r)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for r in (0, 1)]


def jobs(name, folder):
    "What two ranks found, and what one process did."
    (alone := folder/"alone").mkdir()
    (both := folder/"both").mkdir()
    p = torchrun(JOB, name, both)
    subprocess.run([sys.executable, JOB, name, alone], check=True, env=ENV, capture_output=True)
    return *(torch.load(f, weights_only=False) for f in (both/f"{name}-0.pt", both/f"{name}-1.pt", alone/f"{name}-0.pt")),both,p


# who takes what

@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_every_window_is_taken_once_in_the_batches_of_one_process(m, bs, world, drop_last):
    idxs = torch.randperm(m)+7
    whole = [b for b in idxs.split(bs*world) if len(b) == bs*world or not drop_last] if m else []
    parts = [my_rows(idxs, bs, r, world, drop_last) for r in range(world)]
    assert {len(shares) for _,shares in parts} == {len(whole)} # all take as many steps
    for k,batch in enumerate(whole):
        mine = [rows.split(bs)[k] for rows,_ in parts]
        shares = [s[k] for _,s in parts]
        assert torch.equal(torch.cat([o for o,s in zip(mine, shares) if s]), batch) and sum(shares) == pytest.approx(world)
        assert all(s == pytest.approx(len(o)*world/len(batch)) for o,s in zip(mine, shares) if s) and all(len(o) == 1 for o,s in zip(mine, shares) if not s)


@pytest.mark.parametrize("shuffle", [True, False])
def test_two_shards_are_the_loader_of_twice_the_batch_size(dls, shuffle):
    whole,*parts = (WindowDL(dls.train_ds, bs=bs, shuffle=shuffle, device="cpu").seed(3) for bs in (500, 250, 250))
    for r,dl in enumerate(parts): assert dl.shard(r, 2) is dl and len(dl) == len(whole)
    for _ in range(2): # epochs
        seen = [[(b, dl.share) for b in dl] for dl in (whole, *parts)]
        for (b,_),(b0,s0),(b1,s1) in zip(*seen): assert torch.equal(b[0], torch.cat([b0[0], b1[0]])) and torch.equal(b[1], torch.cat([b0[1], b1[1]])) and s0+s1 == pytest.approx(2)
    assert len(seen[0]) == len(whole) and sum(len(y) for (_,y),_ in seen[1]+seen[2]) == len(dls.train_ds)
    assert len(list(parts[0].shard(0, 1))) == len(parts[0]) == -(-len(dls.train_ds)//250)


def test_in_a_plain_process_distrib_ctx_changes_nothing(learn, dls):
    other = char_learner(dls, n_hid=64, seed=0)
    for o,ctx in ((learn, True), (other, False)):
        dls.train.seed(1)
        with o.no_bar(), o.no_logging():
            if ctx:
                with o.distrib_ctx(sync_bn=False, in_notebook=False) as it: it.fit(1)
            else: o.fit(1)
    assert torch.equal(torch.stack(learn.recorder.losses), torch.stack(other.recorder.losses)) and not hasattr(learn, "distributed_trainer") and learn.detach_distributed() is learn


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan")])
def test_a_timeout_is_a_number_of_seconds(learn, timeout, monkeypatch):
    with pytest.raises(DistribError, match=f"timeout={timeout!r} is not a number of seconds"), learn.distrib_ctx(timeout=timeout): pass
    monkeypatch.setenv("CHARRNN_TIMEOUT", str(timeout))
    with pytest.raises(DistribError, match="CHARRNN_TIMEOUT=60"), learn.distrib_ctx(): pass


# two processes against one

@pytest.mark.slow
def test_two_ranks_have_the_curve_of_one_process_with_twice_the_batch(tmp_path):
    first,second,alone,*_ = jobs("curves", tmp_path)
    assert alone["windows"] % 256 == 1
    for name,one in alone.items():
        if name in ("windows", "left"): continue
        for k,v in one.items():
            assert torch.equal(first[name][k], second[name][k]), (name, k) # weights, bit for bit
            if name == "summed losses" and k == "epochs": v,first[name][k] = v[:, 2:],first[name][k][:, 2:] # fastai's mean of sums depends on the batches they are of
            torch.testing.assert_close(first[name][k], v, atol=1e-5, rtol=1e-5, msg=lambda m, name=name, k=k: f"{name}, {k}: {m}")
    assert len({len(alone[o]["losses"]) for o in ("rnn", "without the smaller batch")}) == 2


@pytest.mark.slow
def test_predictions_and_validation_are_those_of_one_process(tmp_path):
    first,second,alone,*_ = jobs("predictions", tmp_path)
    for k,v in alone.items():
        if k == "inside": continue
        torch.testing.assert_close(first[k], v, atol=1e-5, rtol=1e-5, msg=lambda m, k=k: f"{k}: {m}")
        assert torch.equal(first[k], second[k]), k
    assert first["inside"] == 2*alone["inside"] # the loaders are whole again


@pytest.mark.slow
def test_ranks_agree_rank_0_alone_writes_and_misfits_are_errors_on_all(tmp_path):
    first,second,alone,folder,p = jobs("manners", tmp_path)
    for k in ("losses", "weights", "epochs"):
        for name in ("unseeded", "drawn by rank 0"):
            assert torch.equal(first[name][k], second[name][k])
            torch.testing.assert_close(first[name][k], alone[name][k], atol=1e-5, rtol=1e-5) # rank 0 was seeded as the one process
    assert not torch.equal(first["unseeded"]["own"], second["unseeded"]["own"]) # and the global generators are left alone
    assert sorted(o.name for o in folder.glob("*.*") if o.suffix != ".pt") == ["history.csv", "model-0.safetensors", "said.csv"]
    assert sorted(o.name for o in (folder/"models").iterdir()) == ["model.pth", "saved-0.pth"] and len((folder/"history.csv").read_text().splitlines()) == 3
    assert (first["samples"], second["samples"]) == (2, 0) and p.stdout.count("'the") == 2
    assert first["errors"] == second["errors"] and "rank 1 has other windows and batch sizes than rank 0: [(4793" in first["errors"]["text"] and "cannot be divided among 2 processes" in first["errors"]["foreign"]
    assert alone["errors"] == {}


# a rank that is lost

@pytest.mark.slow
@pytest.mark.parametrize("how,timeout", [("killed", 60), ("hung", 3)])
def test_a_lost_rank_is_a_typed_error_within_the_timeout(tmp_path, how, timeout):
    start = time.time()
    a,b = ranks("lost", tmp_path, how, timeout)
    try:
        _,err = a.communicate(timeout=50)
        assert a.returncode == 1 and time.time()-start < 45, err
        assert "DistribError: rank 0 of 2 lost contact with another (" in err and f"longer than timeout={timeout} seconds" in err and "CHARRNN_TIMEOUT" in err
    finally: b.kill()
    b.communicate()


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_under_torchrun(tmp_path):
    p = subprocess.run([TORCHRUN, "--nproc-per-node", "2", "--master-port", str(free_port()), JOB, "lost", str(tmp_path), "killed", "60"], capture_output=True, text=True, env=ENV, timeout=55)
    assert p.returncode == 1 and "SIGKILL" in p.stderr and not list(tmp_path.glob("*.pt"))


# the command line

@pytest.mark.slow
def test_charrnn_train_works_under_torchrun(tmp_path, small):
    (tmp_path/"my.txt").write_text(small, encoding="utf-8")
    args = ["train", "my.txt", "--epochs", "1", "--n-hid", "32", "--prompt", "the"]
    out = torchrun("--no-python", Path(sys.executable).with_name("charrnn"), *args, "--bs", 128, "--out", "two", cwd=tmp_path).stdout
    one = subprocess.run([sys.executable, "-m", "fastai_charrnn.cli", *args, "--bs", "256", "--out", "one"], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=True).stdout
    assert "2 processes, batches of 128 windows on each" in out and out.count("train_loss") == out.count("saved two.safetensors") == 1
    def row(s): return next(line.split()[:5] for line in s.splitlines() if line.split()[:1] == ["0"])
    assert [float(v) for v in row(out)] == pytest.approx([float(v) for v in row(one)], abs=2e-4)
    assert sorted(o.name for o in tmp_path.iterdir()) == ["my.txt", "one.safetensors", "two.safetensors"]
    logs = [json.loads(subprocess.run([sys.executable, "-m", "fastai_charrnn.cli", "info", f, "--json"], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=True).stdout) for f in ("one", "two")]
    assert logs[0]["training"]["log"][0]["valid_loss"] == pytest.approx(logs[1]["training"]["log"][0]["valid_loss"], abs=1e-5)
