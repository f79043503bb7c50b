"""The tool that takes pictures of pages: it uses every part of a page and writes a picture of all of it."""

import matplotlib.image
from page_driver import small_learner
from screenshots import address, take


def test_a_picture_of_a_phone_shows_the_whole_page(browser, tmp_path):
    path = small_learner().to_page(tmp_path / "sea.html", prompts=["She said that the sea "])
    take(browser, address(str(path)), "390", "dark", tmp_path / "sea.png", text="", length=20)
    height, width, _ = matplotlib.image.imread(tmp_path / "sea.png").shape
    assert width == 2 * 390
    assert height > 3 * width
