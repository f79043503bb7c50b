"""Build sdist and wheel, then install the wheel into an empty environment and use it there.

The environment is new and the clone is not on its path: what the wheel forgot cannot be found.
"""
import os,subprocess,sys,tempfile,zipfile
from pathlib import Path

root = Path(__file__).parent.parent
trial = """
import fastai_charrnn, sys
from fastai_charrnn.all import *
assert not fastai_charrnn.__file__.startswith(sys.argv[1]), fastai_charrnn.__file__
text = human_numbers()[:5000]
learn = char_learner(CharDataLoaders.from_text(text, bs=64, valid="tail"), seed=0)
with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-2)
path = save_model(learn, "trial")
assert load_model(path).predict_next("one ", n=20) == learn.predict_next("one ", n=20)
"""


def run(*cmd, **kw): return subprocess.run([str(c) for c in cmd], check=True, **kw)


def main():
    "Build, look inside, install, use."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        run(sys.executable, "-m", "build", "--outdir", tmp/"dist", root, stdout=subprocess.DEVNULL)
        sdist,wheel = next(tmp.glob("dist/*.tar.gz")),next(tmp.glob("dist/*.whl"))
        names = zipfile.ZipFile(wheel).namelist()
        assert "fastai_charrnn/py.typed" in names and not any(n.startswith(("tests/", "nbs/", "tools/")) for n in names), names
        run(sys.executable, "-m", "venv", tmp/"env")
        python = tmp/"env/bin/python"
        env = {k:v for k,v in os.environ.items() if k != "PYTHONPATH"}
        run(python, "-m", "pip", "install", "--quiet", "--constraint", root/"constraints.txt", wheel, env=env)
        run(python, "-c", trial, root, cwd=tmp, env=env)
        run(tmp/"env/bin/charrnn", "info", "trial", cwd=tmp, env=env, stdout=subprocess.DEVNULL)
        print(f"{sdist.name} and {wheel.name} build; the wheel trains, saves and loads in an empty environment")


if __name__ == "__main__": main()
