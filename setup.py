"""Packaging: the metadata of settings.ini handed to setuptools; name, description and version are in pyproject.toml."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages,setup

cfg = ConfigParser(delimiters=["="])
cfg.read(Path(__file__).parent/"settings.ini", encoding="utf-8")
cfg = cfg["DEFAULT"]
lib = cfg["lib_name"]

setup(
    author=cfg["author"], keywords=cfg["keywords"].split(), license=cfg["license"],
    classifiers=["Development Status :: 4 - Beta", "Intended Audience :: Education", "Intended Audience :: Science/Research",
                 "Programming Language :: Python :: 3", "Topic :: Scientific/Engineering :: Artificial Intelligence", "Typing :: Typed"],
    packages=find_packages(include=[lib, f"{lib}.*"]), package_data={lib: ["py.typed"]},
    install_requires=cfg["requirements"].split(), extras_require={k: cfg[f"{k}_requirements"].split() for k in ("dev", "docs")},
    entry_points={"console_scripts": [f"charrnn={lib}.cli:main"]},
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"), long_description_content_type="text/markdown",
)
