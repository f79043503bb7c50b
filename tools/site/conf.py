"""Settings of Sphinx for the site. `tools/docs.py` copies this file to the folder that Sphinx reads."""

project = "fastai_charrnn"
author = copyright = "The fastai_charrnn developers"
extensions = ["myst_nb"]
# `tools/docs.py` executes the notebooks
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
html_theme = "furo"
html_title = "fastai_charrnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
