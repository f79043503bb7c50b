"""A training that is watched: what the page is told, and that the training is the same with and without it."""

import copy
import json
import pickle
import re
import threading
from contextlib import closing

import pytest
from asking import ask
from fastai.basics import Callback
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, CharRnnWarning, char_learner, ngram_baseline
from fastai_charrnn.errors import ServeError, TrainingError
from fastai_charrnn.serve.board import Board
from fastai_charrnn.serve.curve import Curve
from fastai_charrnn.serve.serve import serve
from fastai_charrnn.serve.server import bound_socket
from fastai_charrnn.serve.watch import WatchCallback


@pytest.fixture
def watch():
    cb = WatchCallback(port=0, sample_seconds=0.01)
    yield cb
    cb.stop()


def _port(watch):
    return int(watch.url.rstrip("/").rpartition(":")[2])


def _told(watch, since=0, board_id=""):
    answer = ask(_port(watch), f"/api/training?since={since}&id={board_id}")
    assert answer.status == 200
    return answer.json()


@pytest.fixture
def learn(small):
    dls = CharDataLoaders.from_text(small[:8000], bs=256, valid="tail", seed=1, device="cpu")
    return char_learner(dls, n_hid=16, seed=0)


def test_the_page_is_told_losses_samples_progress_and_n_grams(learn, watch, capsys):
    assert _told(watch)["sections"]["status"]["state"] == "waiting"
    learn.add_cb(watch)
    quiet_fit(learn, 2)
    told = _told(watch)["sections"]
    assert told["status"]["state"] == "ended"
    assert told["progress"]["part"] == pytest.approx(1, abs=0.2)
    assert [row["epoch"] for row in told["epochs"]] == [1, 2]
    assert [row["valid_loss"] for row in told["epochs"]] == [row["valid_loss"] for row in learn.training_log.rows]
    best = ngram_baseline(learn.dls).best
    assert told["about"]["ngram_loss"] == best.nats
    assert told["about"]["ngram_context"] == best.context
    assert 0 < told["curve"][0][0] <= told["curve"][-1][0] <= 2
    assert len(told["samples"][-1]["new"]) == 200
    # a second fit continues the epochs
    quiet_fit(learn, 1)
    told = _told(watch)["sections"]
    assert [row["epoch"] for row in told["epochs"]] == [1, 2, 3]
    assert told["curve"][-1][0] > 2


def test_a_fit_that_it_is_passed_to_is_watched(learn, watch, capsys):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 3e-3, cbs=watch)
    told = _told(watch)["sections"]
    assert told["status"]["state"] == "ended"
    assert [row["epoch"] for row in told["epochs"]] == [1]
    assert told["about"]["ngram_loss"] == ngram_baseline(learn.dls).best.nats


def test_the_training_is_the_same_with_and_without_it(small, watch, capsys):
    fits = []
    for cbs in ([], [watch]):
        dls = CharDataLoaders.from_text(small[:8000], bs=64, seed=1, device="cpu")
        learn = char_learner(dls, n_hid=16, seed=0, cbs=cbs)
        fits.append((quiet_fit(learn, 2), weights(learn)))
    assert len(_told(watch)["sections"]["samples"]) > 2
    assert fits[0][0] == fits[1][0]
    assert fits[0][1].equal(fits[1][1])


def test_a_fit_by_the_clock_is_watched_to_its_validation(learn, watch, capsys):
    learn.add_cb(watch)
    with learn.no_bar(), learn.no_logging():
        row = learn.fit_minutes(0.01, 5e-3)
    told = _told(watch)["sections"]
    assert told["status"]["state"] == "ended"
    assert told["epochs"][-1]["valid_loss"] == pytest.approx(row["valid_loss"])
    assert told["epochs"][-1]["epoch"] == pytest.approx(row["epochs"], rel=0.5)
    assert told["progress"]["n_epochs"] is None


def test_samples_of_the_learner_are_shown(learn, watch, capsys):
    learn = char_learner(learn.dls, n_hid=16, seed=0, prompts=["the valu", "is "], cbs=watch)
    watch.samples.seconds = 1000
    quiet_fit(learn, 1)
    told = _told(watch)["sections"]
    assert [o["prompt"] for o in told["samples"][:2]] == ["the valu", "is "]
    own = learn.predict_next_cb.samples
    assert [o["prompt"] + o["new"] for o in told["samples"][:2]] == [o.text for o in own]


class Raising(Callback):
    "Ends a fit at its third batch."

    def __init__(self, error):
        self.error = error

    def after_batch(self):
        if self.train_iter == 3:
            raise self.error


ENDS = {
    "interrupted": (KeyboardInterrupt(), "The training was interrupted."),
    "ours": (TrainingError("the loss is NaN"), "The training has stopped: the loss is NaN"),
    "other": (OSError("no disk"), "The training has stopped: OSError: no disk"),
}


@pytest.mark.parametrize(("error", "message"), ENDS.values(), ids=ENDS)
def test_a_training_that_stops_says_why(learn, watch, capsys, error, message):
    learn.add_cbs([watch, Raising(error)])
    with pytest.raises(type(error)):
        quiet_fit(learn, 1)
    assert _told(watch)["sections"]["status"] == dict(state="stopped", message=message)


def test_an_error_of_the_page_does_not_stop_the_training(learn, watch, capsys):
    def fail(*args):
        raise ZeroDivisionError("a bug")

    watch.curve.add = fail
    learn.add_cb(watch)
    with pytest.warns(CharRnnWarning, match="no longer watched"):
        quiet_fit(learn, 2)
    assert len(learn.training_log.rows) == 2
    assert _told(watch)["sections"]["status"]["state"] == "lost"


def test_a_server_that_has_ended_does_not_stop_the_training(learn, watch, capsys):
    learn.add_cb(watch)
    watch.server.stop()
    quiet_fit(learn, 1)
    assert len(learn.training_log.rows) == 1


def test_lr_find_and_validate_are_not_shown(learn, watch, capsys):
    learn.add_cb(watch)
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(show_plot=False, num_it=10)
        learn.validate()
    assert "curve" not in _told(watch)["sections"]
    assert _told(watch)["sections"]["status"]["state"] == "waiting"


@pytest.mark.parametrize("make", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deep", "pickle"])
def test_a_copy_of_a_learner_is_not_watched(learn, watch, capsys, make):
    learn.add_cb(watch)
    new = make(learn)
    quiet_fit(new, 1)
    assert "curve" not in _told(watch)["sections"]
    quiet_fit(learn, 1)
    assert "curve" in _told(watch)["sections"]


def test_a_page_asks_only_for_what_is_new(learn, watch, capsys):
    first = _told(watch)
    assert _told(watch, first["version"], first["id"])["sections"] == {}
    watch.board.show(note="new")
    assert _told(watch, first["version"], first["id"])["sections"] == {"note": "new"}
    # of another training it has nothing
    assert "status" in _told(watch, first["version"], "another")["sections"]
    for since in ("-1", "x", "9" * 100, "%00"):
        assert "status" in _told(watch, since, first["id"])["sections"]


def test_the_page_has_files_of_its_own_only(watch, capsys):
    page = ask(_port(watch), "/")
    assert page.status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    names = re.findall(r'(?:src|href)="([\w.]+)"', page.body.decode())
    assert len(names) == 5
    for name in names:
        assert ask(_port(watch), f"/{name}").status == 200
    for name in ("watch.html", "..%2Fpack.py", "ui.js"):
        assert ask(_port(watch), f"/{name}").status == 404
    assert ask(_port(watch), "/api/training", headers={"Host": "evil.example"}).status == 421


def test_a_port_that_is_taken_is_an_error_at_once(capsys):
    with closing(bound_socket("127.0.0.1", 0)) as taken, pytest.raises(ServeError, match="taken.*port=0"):
        WatchCallback(port=taken.getsockname()[1])


@pytest.mark.parametrize("given", [dict(port=-1), dict(port="8000"), dict(host=5), dict(host="no such host")], ids=str)
def test_wrong_addresses_are_errors_of_this_package(given):
    for start in (WatchCallback, lambda **kwargs: serve([], **kwargs)):
        with pytest.raises(ServeError, match="port|host"):
            start(**dict(port=0) | given)


@pytest.mark.parametrize("models", [[], 5, None, [5], [None] * 9], ids=str)
def test_what_is_no_model_is_an_error_of_this_package(models):
    with pytest.raises(ServeError, match="model"):
        serve(models, port=0)


def test_a_curve_of_many_points_keeps_few_of_them():
    curve = Curve()
    for i in range(2000):
        curve.add(i / 100, 3.0)
    curve.add(20, float("nan"))
    assert 300 <= len(curve.points) <= 601
    assert curve.interval > 0.5
    xs = [x for x, _ in curve.points]
    assert xs == sorted(xs)


def _waits(board, seconds):
    "The thread that still waits after some time until a page has read what the board shows, or None."
    thread = threading.Thread(target=board.wait_until_read, args=[1000], daemon=True)
    thread.start()
    thread.join(seconds)
    return thread if thread.is_alive() else None


def test_the_end_waits_for_an_open_page_only():
    board = Board()
    board.show(a=1)
    assert _waits(board, 30) is None
    board.since(0, "")
    board.show(a=2)
    waiting = _waits(board, 0.3)
    assert waiting is not None
    board.since(0, "")
    waiting.join()
    assert json.loads(board.since(0, ""))["sections"] == {"a": 2}
