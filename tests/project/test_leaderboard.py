"""The leaderboard's report has every saved row, and its picture can be drawn."""

from leaderboard import saved_rows
from leaderboard_page import page
from leaderboard_picture import picture
from leaderboard_runs import all_runs
from notebooks import root
from report_tables import rows_after

saved = saved_rows()
rows = {name: row for name, row in saved.items() if name != "machine"}


def test_every_run_has_a_saved_row():
    assert {name for name, _ in all_runs(20)} <= set(rows)


def test_the_report_has_the_saved_rows_by_loss():
    md = page(rows, saved["machine"])
    assert f"Machine: {saved['machine']}." in md
    losses = [float(row["nats, own mode"]) for row in rows_after(md)]
    assert losses == sorted(losses)
    tables = [rows_after(md), rows_after(md, "## The recipe on other texts"), rows_after(md, "## The lesson's other")]
    assert sum(map(len, tables)) == len(rows)
    best = next(row for row in rows_after(md) if row["what"].startswith("best, 5 min"))
    assert best["nats, as streams"] == f"{rows['best, 5 min']['streams_nats']:.4f}"


def test_the_committed_report_is_that_of_the_saved_rows():
    md = (root / "results/LEADERBOARD.md").read_text(encoding="utf-8")
    assert sorted(md.splitlines()) == sorted(page(rows, saved["machine"]).splitlines())


def test_the_picture_is_drawn(tmp_path):
    picture(rows, tmp_path / "leaderboard.png")
    assert (tmp_path / "leaderboard.png").stat().st_size > 20_000
