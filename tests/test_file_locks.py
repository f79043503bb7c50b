"""One training at a time writes a file. The lock of a run that was killed never blocks."""

import os
import signal

import pytest
from learner_helpers import quiet_fit

from fastai_charrnn._files import only_writer
from fastai_charrnn.callback.checkpoint import CheckpointCallback
from fastai_charrnn.errors import ModelFileError
from fastai_charrnn.io.checkpoint import SaveModelFile


class _Holder:
    "Another process that holds the lock of a file."

    def __init__(self, path):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            with only_writer(path, ModelFileError):
                os.write(tell, b"x")
                signal.pause()
        assert os.read(ready, 1) == b"x"
        os.close(ready)
        os.close(tell)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_a_second_process_gets_an_error_that_names_the_first(tmp_path):
    path = tmp_path / "run.safetensors"
    holder = _Holder(path)
    host = os.uname().nodename
    message = rf"run\.safetensors is written by another training \(process {holder.pid} on {host} since 20.*\); wait"
    try:
        with pytest.raises(ModelFileError, match=message), only_writer(path, ModelFileError):
            raise AssertionError
        # a link to the same file
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(ModelFileError, match=message), only_writer(tmp_path / "link", ModelFileError):
            raise AssertionError
        with only_writer(tmp_path / "other.safetensors", ModelFileError):
            pass
    finally:
        holder.kill()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path):
    path = tmp_path / "run.safetensors"
    _Holder(path).kill()
    assert len(list(tmp_path.iterdir())) == 1
    for _ in range(2):
        with only_writer(path, ModelFileError):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_releases_the_lock(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), only_writer(tmp_path / "a", ModelFileError):
            raise KeyboardInterrupt


def test_of_many_processes_one_at_a_time_is_inside(tmp_path):
    path = tmp_path / "a"
    inside = tmp_path / "inside"
    pids = [_enter_often(path, inside) for _ in range(4)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def _enter_often(path, inside):
    "A process that enters the block 50 times. Its exit code is not 0 if another was inside."
    pid = os.fork()
    if pid:
        return pid
    n = 0
    while n < 50:
        try:
            with only_writer(path, ModelFileError):
                # fails if another process has it
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                inside.unlink()
                n += 1
        except ModelFileError:
            pass
        except BaseException:
            os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("callback", [CheckpointCallback, SaveModelFile])
def test_a_training_does_not_begin_while_another_writes_its_file(learn, tmp_path, callback):
    path = tmp_path / "run.safetensors"
    holder = _Holder(path)
    saving = callback(path)
    try:
        with pytest.raises(ModelFileError, match="another training"):
            quiet_fit(learn, 1, cbs=saving)
    finally:
        holder.kill()
    assert learn.training_log.rows == []
    # no lock is left by the error, nor by the fit
    quiet_fit(learn, 1, cbs=saving)
    quiet_fit(learn, 1, cbs=saving)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
