"""Files are written whole or not at all, and what killed runs leave is removed."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from fastai_charrnn._files import atomic_path, atomic_write, remove_leftovers, write_errors
from fastai_charrnn.errors import CorpusError


def test_an_atomic_write_replaces_a_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    atomic_write(path, "new: é\n")
    assert path.read_bytes() == "new: é\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("existing", [True, False])
def test_a_block_that_raises_changes_nothing(tmp_path, existing):
    path = tmp_path / "a.txt"
    if existing:
        path.write_text("old")
    before = list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == before
    assert not existing or path.read_text() == "old"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_an_existing_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    atomic_write(path, "new")
    assert path.stat().st_mode & 0o777 == mode


def test_a_new_file_has_the_permissions_that_open_gives(tmp_path):
    (tmp_path / "plain").write_text("")
    atomic_write(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_does_not_exist_is_an_os_error(tmp_path):
    with pytest.raises(OSError), atomic_path(tmp_path / "none" / "a.txt"):
        pass


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    target = tmp_path / "store" / "a.txt"
    target.write_text("old")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "other").symlink_to("store/a.txt")
    atomic_write(tmp_path / "link", "new")
    assert target.read_text() == "new"
    assert os.readlink(tmp_path / "link") == "other"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.txt", "link", "other", "store"]


def test_links_in_a_circle_are_an_os_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError):
        atomic_write(tmp_path / "a", "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(path, "text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError):
        atomic_write(tmp_path, "text")


def test_the_longest_name_of_a_file_can_be_written(tmp_path):
    for name in ("a" * 255, "é" * 127):
        atomic_write(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"


# killed runs


def _killed_while_writing(path, when):
    "Kill a process before it renames, or while it writes."
    pid = os.fork()
    if not pid:
        with atomic_path(path) as part:
            part.write_text("half")
            if when == "write":
                os.kill(os.getpid(), signal.SIGKILL)
            os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            type(part).replace = os.replace
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("when", ["write", "rename"])
def test_what_a_killed_run_left_is_removed_by_the_next_write(tmp_path, when):
    path = tmp_path / "a.txt"
    path.write_text("old")
    _killed_while_writing(path, when)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    atomic_write(path, "new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "new"


def test_the_temporary_file_of_a_living_run_stays(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as part:
        # another process, and another write of this one
        code = f"from fastai_charrnn._files import remove_leftovers; remove_leftovers({str(path)!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        atomic_write(path, "second")
        part.write_text("first")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_only_temporary_files_of_the_same_file_are_removed(tmp_path):
    others = [".b.txt.0123abcd.part", ".a.txt.part", ".a.txt.0123abcd", "a.txt.0123abcd.part", ".a.txt.0123abcd.part2"]
    for name in [*others, ".a.txt.0123abcd.part"]:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path / "a.txt")
    assert {p.name for p in tmp_path.iterdir()} == set(others)


def test_a_file_is_whole_whenever_an_interrupt_comes(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "0" * 1000)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    for k in range(30):
        signal.setitimer(signal.ITIMER_REAL, 0.0003 * (k + 1))
        try:
            for n in range(1, 1000):
                atomic_write(path, str(n % 10) * 1000)
        except KeyboardInterrupt:
            pass
        content = path.read_text()
        assert content == content[0] * 1000
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    # an interrupt may have kept it from removing its temporary file
    atomic_write(path, "")
    assert list(tmp_path.iterdir()) == [path]


# what cannot be written


def test_a_full_disk_is_a_typed_error_that_names_the_file(full_disk):
    path = full_disk / "a.txt"
    path.write_text("old")
    with (
        pytest.raises(CorpusError, match=r"cannot write .*a\.txt: .+; free disk space"),
        write_errors(path, CorpusError),
    ):
        atomic_write(path, "x" * 10**6)
    assert path.read_text() == "old"
    assert list(full_disk.iterdir()) == [path]
