"""The leaderboard: which runs are made, how their rows are saved and joined, the tables, the targets, the picture."""

import math

import matplotlib.pyplot as plt
import pytest
from compressors import COMPRESSORS, QUOTED
from leaderboard import chosen_runs, plan
from leaderboard_networks import archs_and_modes
from leaderboard_page import page
from leaderboard_picture import picture, spread
from leaderboard_rows import curve_points, entries, keep_row, load_rows, machine_letters, recipe_points, save_row
from leaderboard_runs import NoModes, all_runs, best_mode
from leaderboard_targets import Target, targets_table
from notebooks import root
from report_tables import rows_after

runs = all_runs()
names = [run.name for run in runs]
saved = load_rows()


def _row(nats, machine="one", **fields):
    return dict(nats=nats, seconds=20, weights=1000, speed=1.0, took=30.0, machine=machine) | fields


def _modes(arch="rnn", **losses):
    return {f"mode: {arch}, {mode}": _row(nats) for mode, nats in losses.items()}


# runs


def test_names_of_runs_are_unique_and_all_saved_rows_are_those_of_runs():
    assert len(set(names)) == len(names)
    assert set(saved) <= set(names)


def test_only_takes_the_beginning_of_names():
    chosen = [run.name for run in chosen_runs(runs, {}, ["lstm, 20 s", "n-grams"])]
    assert chosen == ["n-grams", "lstm, 20 s, seed 42", "lstm, 20 s, seed 43", "lstm, 20 s, seed 44"]


def test_missing_leaves_out_saved_rows_but_not_those_in_a_mode_that_is_no_longer_the_best():
    rows = _modes(windows=1.5, chunks=1.6, streams=1.4)
    rows |= {"rnn, 5 s, seed 42": _row(1.6, mode="streams"), "rnn, 5 s, seed 43": _row(1.6, mode="windows")}
    missing = [run.name for run in chosen_runs(runs, rows, ["rnn, 5 s"], missing=True)]
    assert missing == ["rnn, 5 s, seed 43", "rnn, 5 s, seed 44"]


def test_a_network_trains_in_the_mode_with_the_lowest_loss():
    rows = _modes(windows=1.5, chunks=1.6, streams=1.4)
    assert best_mode(rows, "rnn") == "streams"
    with pytest.raises(NoModes, match='--only "mode: rnn"'):
        best_mode({name: rows[name] for name in list(rows)[1:]}, "rnn")


def test_the_modes_come_before_the_networks_that_train_in_them():
    last_mode = max(k for k, run in enumerate(runs) if run.group == "modes")
    assert all(k > last_mode for k, run in enumerate(runs) if run.arch)
    assert len(archs_and_modes()) == sum(run.group == "modes" for run in runs)


def test_the_plan_adds_up_times_and_uses_those_of_saved_rows_where_they_are_longer():
    chosen = chosen_runs(runs, {}, ["rnn, 60 s", "n-grams"])
    lines = plan(chosen, {"rnn, 60 s, seed 42": dict(took=135.0)}).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["n-grams", "1", "0.1"],
        ["curves", "2", "3.5"],
        ["all", "3", "3.6"],
    ]


# rows


def test_rows_are_saved_one_by_one_and_those_of_a_missing_program_are_marked(tmp_path):
    path = tmp_path / "rows.json"
    keep_row("a", path)
    assert load_rows(path) == {}
    save_row("a", dict(nats=1.5), path)
    save_row("b", dict(nats=1.25), path)
    keep_row("a", path)
    assert load_rows(path) == dict(a=dict(nats=1.5, kept=True), b=dict(nats=1.25))
    save_row("a", dict(nats=1.0), path)
    assert load_rows(path)["a"] == dict(nats=1.0)


def test_rows_of_several_seeds_are_joined():
    rows = {f"rnn, 20 s, seed {seed}": _row(nats) for seed, nats in {44: 1.3, 42: 1.1, 43: 1.2}.items()}
    rows |= {"n-grams": _row(1.4), "best, 5 min, seed 42": _row(1.2), "rnn, 5 s, seed 42": _row(1.6)}
    found = entries(rows)
    entry = found["rnn, 20 s"]
    assert entry.seeds == (42, 43, 44) and entry.first["nats"] == 1.1
    assert math.isclose(entry.nats, 1.2) and entry.limits == (1.1, 1.3)
    assert found["n-grams"].seeds == ()
    assert {name: list(points) for name, points in curve_points(found).items()} == {"rnn": [5.0, 20.0]}
    assert list(recipe_points(found)) == [300.0]


def test_the_machine_of_most_rows_is_a():
    rows = {"a": _row(1, "slow"), "b": _row(1, "fast"), "c": _row(1, "fast")}
    assert machine_letters(rows) == {"fast": "A", "slow": "B"}


# the report


def _made_up_rows():
    "A row for every run, with losses that fall with the time."
    rows = {}
    for k, name in enumerate(names):
        row = _row(1.2 + (k * 37 % 50) / 100, chars=10, vocab=5, digest="d", decided="8 hidden units", streams_nats=1.5)
        if name.startswith("lesson6"):
            row |= dict(printed=1.5, epochs=3, bf16=False)
        if name == "n-grams":
            row |= dict(context=4)
        if name == "best, 15 min, seed 42":
            row |= dict(dynamic=1.12)
        rows[name] = row
    return rows


made_up = _made_up_rows()


def test_the_report_has_every_run_once_by_loss_with_the_command_that_repeats_it():
    md = page(made_up, names)
    rows = rows_after(md, "## Every run")
    losses = [float(row["nats"]) for row in rows]
    assert losses == sorted(losses)
    own = {run.name.split(", seed")[0] for run in runs if run.group in ("n-grams", "curves", "recipe", "same work")}
    assert {row["--only"].strip('`"') for row in rows} == own
    for row in rows:
        assert chosen_runs(runs, {}, [row["--only"].strip('`"')])
    assert "have not been measured" not in md


def test_the_report_shows_the_mean_and_the_range_of_the_seeds():
    rows = {f"rnn, 20 s, seed {seed}": _row(nats) for seed, nats in {42: 1.1, 43: 1.2, 44: 1.4}.items()}
    md = page(rows, names)
    [row] = rows_after(md, "## Every run")
    assert (row["nats"], row["range"], row["seeds"]) == ("1.2333", "1.1000–1.4000", "42, 43, 44")
    assert rows_after(md, "## Losses by training time")[1]["20 s"] == "1.2333 ± 0.1500"
    assert f"{len(names) - 3} of {len(names)} runs have not been measured yet" in md


def test_rows_of_another_machine_have_its_letter():
    rows = {"rnn, 20 s, seed 42": _row(1.1), "rnn, 20 s, seed 43": _row(1.2, "two"), "n-grams": _row(1.4, context=3)}
    md = page(rows, names)
    assert "Machine: **A** one; **B** two." in md
    assert [row["what"] for row in rows_after(md, "## Every run")] == ["rnn, 20 s **A, B**", "n-grams (contexts to 3)"]


def test_compressors_are_listed_with_networks_that_learn_while_they_read():
    table = rows_after(page(made_up, names), "## Learning while reading")
    listed = {row["what"]: row for row in table}
    assert listed["`best, 15 min`, dynamic evaluation"]["nats"] == "1.1200"
    assert {row["what"] for row in table if row["program"] == "quoted"} == set(QUOTED)
    assert {compressor.name for compressor in COMPRESSORS} <= set(listed)
    rows = {"compressor: zpaq -m5": _row(1.25, kept=True)}
    listed = {row["what"]: row["program"] for row in rows_after(page(rows, names), "## Learning while reading")}
    assert listed["zpaq -m5"] == "Debian's `zpaq` (not installed at the last run; an earlier row)"
    assert listed["PPMd, order 6"] == "Debian's `7zip`, not measured: not installed"


def test_a_text_whose_rows_have_different_digests_is_marked():
    rows = {f"text: numbers, {what}": made_up[f"text: numbers, {what}"] for what in ("n-grams", "lstm", "best")}
    [row] = rows_after(page(rows, names), "| text | n-grams")
    assert row["text"] == "numbers"
    rows["text: numbers, lstm"] = rows["text: numbers, lstm"] | dict(digest="other")
    [row] = rows_after(page(rows, names), "| text | n-grams")
    assert row["text"] == "numbers (rows of different texts)"


def test_targets_are_met_or_missed_by_the_measured_loss():
    targets = (
        Target("a", "best, 5 min", must=1.2, aim=1.1, cause="too slow"),
        Target("b", "best, 1 min", must=1.3, aim=1.2),
        Target("c", "best, 1 min", must=1.2, aim=1.1, field="dynamic", strict=True),
        Target("d", "best, 1 min", must=1.3, aim=1.2, max_weights=999),
        Target("e", "best, 15 min", must=1.3, aim=1.2),
        Target("f", "best as one network, 15 min", must=1.2, aim=1.1),
    )
    rows = {"best, 5 min, seed 42": _row(1.21), "best, 1 min, seed 42": _row(1.2, dynamic=1.2)}
    rows |= {"same work: best, 5 min, seed 42": _row(1.2, speed=0.4)}
    rows |= {"best as one network, 15 min, seed 42": _row(1.3, speed=0.4)}
    table = rows_after(targets_table(entries(rows), targets))
    assert [row["in the time"] for row in table] == [
        "1.2100, speed 1: **missed**",
        "1.2000, speed 1: met, and the aim",
        "1.2000, speed 1: **missed**",
        "1.2000, speed 1: **missed** (1,000 weights)",
        "",
        "1.3000, speed 0.4: **missed**",
    ]
    assert [row["with the same work"] for row in table] == ["1.2000, speed 0.4: met", "", "", "", "", ""]
    slow = "in the time, this machine does 40% of the reference machine's work"
    assert [row["cause of a miss"] for row in table] == ["too slow", "", "", "", "", slow]


def test_runs_with_the_work_of_the_reference_machine_are_made_only_if_they_are_named():
    named = [run.name for run in chosen_runs(runs, {}, ["same work: best, 5"])]
    assert named == ["same work: best, 5 min, seed 42"]
    assert not any(run.name.startswith("same work") for run in chosen_runs(runs, {}, []))


def test_the_committed_report_is_that_of_the_saved_rows():
    md = (root / "results/LEADERBOARD.md").read_text(encoding="utf-8")
    expected = page(saved, [run.name for run in runs if not run.only_if_named])
    assert sorted(md.splitlines()) == sorted(expected.splitlines())


# the picture


def test_the_picture_is_drawn_with_all_rows_and_with_few(tmp_path):
    picture(made_up, tmp_path / "all.png")
    picture({"n-grams": made_up["n-grams"]}, tmp_path / "few.png")
    heights = [len(plt.imread(tmp_path / name)) for name in ("all.png", "few.png")]
    assert heights[0] == heights[1] > 600
    assert (tmp_path / "all.png").stat().st_size > (tmp_path / "few.png").stat().st_size > 10_000


@pytest.mark.parametrize("wanted", [[1.0, 1.0, 1.0], [3.0, 1.0, 1.1, 2.9, 9.0], [0.0, 0.9, 1.8, 2.7], [5.0], []])
def test_names_keep_their_order_and_do_not_overlap(wanted):
    placed = spread(wanted, 1.0)
    by_wish = sorted(zip(wanted, placed))
    gaps = [b - a for (_, a), (_, b) in zip(by_wish, by_wish[1:])]
    assert all(gap >= 1 - 1e-9 for gap in gaps)
    assert math.isclose(sum(placed), sum(wanted), abs_tol=1e-9)


def test_names_that_do_not_touch_stay_where_they_are():
    assert spread([3.0, 1.0, 7.0], 1.0) == [3.0, 1.0, 7.0]
