"""Start jobs in several processes, with torchrun, accelerate launch or no launcher. Used by the distributed tests."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

JOB = str(Path(__file__).with_name("distrib_job.py"))


def _command(name):
    return str(Path(sys.executable).with_name(name))


# both end with the option for the port
TORCHRUN = [_command("torchrun"), *"--nproc-per-node 2 --master-port".split()]
ACCELERATE = [
    _command("accelerate"),
    *"launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no".split(),
    "--main_process_port",
]
LAUNCHERS = {"torchrun": TORCHRUN, "accelerate": ACCELERATE}

# jobs run on the CPU unless `on_device` says otherwise
ENV = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
ENV |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def free_port() -> str:
    "A port that no process listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def launch(launcher: list[str], *args, **kwargs) -> subprocess.CompletedProcess:
    "Run a command in two processes."
    cmd = [*launcher, free_port(), *map(str, args)]
    return subprocess.run(cmd, capture_output=True, text=True, env=ENV, timeout=200, **kwargs)


def torchrun(*args, **kwargs) -> str:
    "Run a command in two processes and return what it prints."
    p = launch(TORCHRUN, *args, **kwargs)
    assert p.returncode == 0, p.stderr
    return p.stdout


def on_device(device: str) -> dict[str, str]:
    "Environment variables that put the data of a job on a device."
    if device == "cpu":
        return {"JOB_DEVICE": device}
    all_gpus = ",".join(map(str, range(torch.cuda.device_count())))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", all_gpus)
    return {"JOB_DEVICE": device, "CUDA_VISIBLE_DEVICES": visible}


def start_ranks(*args, world: int = 2, **env) -> list[subprocess.Popen]:
    "Start the ranks of a job without a launcher, which would end one rank when the other ends."
    group = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    cmd = [sys.executable, JOB, *map(str, args)]

    def start(rank):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        return subprocess.Popen(
            cmd, env=ENV | group | env | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return [start(rank) for rank in range(world)]


def results(job: str, folder: Path, world: int) -> list[dict]:
    "What the ranks of a finished job have saved, by rank."
    return [torch.load(folder / f"{job}-{rank}.pt", weights_only=False) for rank in range(world)]


def run_ranks(job: str, folder: Path, world: int = 1, **env) -> list[dict]:
    "Run a job without a launcher and return what its ranks have saved."
    for p in start_ranks(job, folder, world=world, **env):
        _, err = p.communicate(timeout=200)
        assert p.returncode == 0, err
    return results(job, folder, world)
