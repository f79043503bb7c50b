"""Pass the metadata of settings.ini to setuptools. Name, description, version and URLs are in pyproject.toml."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
cfg = ConfigParser(delimiters=["="])
cfg.read(root / "settings.ini", encoding="utf-8")
cfg = cfg["DEFAULT"]
lib = cfg["lib_name"]


def without_relative_links(text):
    "The text without links to files of the repository and without its pictures, which a package index cannot show."
    text = re.sub(r'<img\b[^>]*\bsrc="(?!https://)[^>]*>', "", text)
    text = re.sub(r"!\[[^\]]*\]\((?!https://)[^)]*\)", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https://|#)[^)]*\)", r"\1", text)


def description():
    "README.md for a package index. Code blocks are not changed."
    parts = (root / "README.md").read_text(encoding="utf-8").split("```")
    # every second part is code
    parts[::2] = [without_relative_links(part) for part in parts[::2]]
    return "```".join(parts)


setup(
    author=cfg["author"],
    keywords=cfg["keywords"].split(),
    license=cfg["license"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: {v}" for v in cfg["python_versions"].split()),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    packages=find_packages(include=[lib, f"{lib}.*"]),
    package_data={lib: ["py.typed", "page/assets/*", "share/pretrained/*"]},
    install_requires=cfg["requirements"].split(),
    extras_require={k: cfg[f"{k}_requirements"].split() for k in ("dev", "docs", "hub", "onnx")},
    entry_points={"console_scripts": [f"charrnn={lib}.cli:main"]},
    long_description=description(),
    long_description_content_type="text/markdown",
)
