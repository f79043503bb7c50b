"""The sections of results/RELIABILITY.md: what a try is, which function makes it, how many are made, and the limits."""

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

from soak_workers import Task

root = Path(__file__).parents[1]


class Section(NamedTuple):
    "A kind of try."

    title: str
    what: str  # what one try does and what it checks
    module: str  # path of the module with the function
    tries: int  # of the full run
    n_short: int  # of the short run
    function: str = "try_one"
    prepare: str = ""  # name of a function of the module that makes what all tries share
    timeout: float = 60  # seconds after which a try hangs
    max_seconds: float | None = None  # limit of processor time for a try
    max_mb: float | None = None  # limit of memory for a try
    crossed: bool = False  # whether kinds are "row, column, …" of a table

    def task(self, name: str) -> Task:
        "The task for workers. Imports the module."
        path = root / self.module
        sys.path[:0] = [folder for folder in (str(path.parent), str(root / "tests")) if folder not in sys.path]
        module = importlib.import_module(path.stem)
        prepare = getattr(module, self.prepare) if self.prepare else None
        try_one = getattr(module, self.function)
        return Task(name, try_one, prepare, self.timeout, self.max_seconds, self.max_mb)


_sharing = dict(module="tools/soak_sharing.py", tries=100, n_short=3)

SECTIONS = dict(
    kills=Section(
        "Killed trainings",
        "A training that writes checkpoints is killed with SIGKILL at a random moment, up to three times, and resumed "
        "after each kill. Weights, optimizer, recorder, training log and random states at the end must be bit by bit "
        "those of an uninterrupted training. The architecture, the way to read the text, the schedule, dropout, "
        "gradient accumulation and the moments of checkpoints are random.",
        module="tests/callback/kill_and_resume.py",
        tries=150,
        n_short=3,
        crossed=True,
    ),
    files=Section(
        "Changed model files",
        "A model file of any architecture and format is changed at random: fields of its description, its JSON, what "
        "its header says about tensors, or its bytes. `describe_model`, `charrnn info`, `load_generator` and "
        "`load_model` read it, and what loads generates, predicts and scores. It must be refused with a short "
        "`ModelFileError`, or load and work; no message and nothing printed may hold a control character.",
        module="tests/io/mutations.py",
        prepare="good_files",
        tries=10_000,
        n_short=100,
        # four loads and two generated texts
        max_seconds=2,
        max_mb=300,
    ),
    checkpoints=Section(
        "Changed checkpoints",
        "A checkpoint is changed at random and a training resumes from it. Changed bytes must be found: the checkpoint "
        "is refused with `ModelFileError`, or the one before it is used. The state and the tensors are changed too, "
        "with a right checksum. Then `learn.resume` or the fit raises a typed error, or the fit ends as fits do.",
        module="tests/callback/changed_checkpoints.py",
        prepare="good_files",
        tries=10_000,
        n_short=40,
        max_seconds=1,
        max_mb=300,
        crossed=True,
    ),
    calls=Section(
        "Random calls",
        "A public function is called with random arguments, sensible and odd ones, chosen from its signature. The call "
        "must raise a typed error or return a result. Where there is a slow version, the result must equal its result.",
        module="tests/bad_input/random_calls.py",
        tries=10_000,
        n_short=60,
    ),
    memory=Section(
        "Long runs",
        "Each run has a process of its own. Memory is what the process has in RAM. Growth is the median of the last "
        "fifth of a run minus that of its second fifth. More than 10 MB are wrong, and so are more threads or file "
        "handles than after the first fifth. The slope is that of a line through the points after the first fifth. "
        "fastai's recorder keeps the loss and the learning rate of every batch of a fit, which takes 0.6 KB a batch.",
        module="tools/soak_memory.py",
        tries=4,
        n_short=4,
    ),
    download=Section(
        "Two processes download a file",
        "Two processes start at the same time and download the same file to the same path with `fetch_url`. Both must "
        "get the file, and nothing else may be left in the folder.",
        function="try_download",
        **_sharing,
    ),
    encode=Section(
        "Two processes encode a text",
        "Two processes call `encode_file` at the same time for the same text and the same cache folder. Both must read "
        "back the text from what they got. What is left must be complete, so that a third call uses it.",
        function="try_encode",
        **_sharing,
    ),
    mapped=Section(
        "The encoded text of a training changes",
        "A process encodes a text of 15,000 characters and trains on it for two epochs, with windows, chunks or "
        "streams. At a random moment another process cuts the encoded text or its description short, empties, "
        "overwrites, replaces or removes it. The training must end with the weights of an undisturbed one, or with "
        "`CorpusError`.",
        module="tools/soak_mapped.py",
        tries=300,
        n_short=3,
        prepare="undisturbed",
    ),
    save=Section(
        "Two processes save models to one file",
        "Two processes call `save_model` for different models and the same path, ten times each. The file that is left "
        "must be one of the two models, and nothing else may be left in the folder.",
        function="try_save",
        prepare="two_models",
        **_sharing,
    ),
    replace=Section(
        "A model file is loaded while it is replaced",
        "A process calls `load_model` 25 times while another process replaces the file as fast as it can, by turns "
        "with two models. Each load must return one of the two models: its vocabulary and its weights.",
        function="try_replace",
        prepare="two_models",
        **_sharing | dict(tries=200),
    ),
    threads=Section(
        "Threads generate while another trains",
        "Two threads generate, score and ask for probabilities again and again while the main thread trains for two "
        "epochs. The weights must be bit by bit those of a training alone. If the learning rate is 0, all texts must "
        "be those of a learner that nobody trains. All models have dropout.",
        module="tests/threads.py",
        tries=200,
        n_short=3,
        crossed=True,
    ),
    disks=Section(
        "Full disks",
        "A small file and then a larger one are written to a disk of 4 to 160 KB, which has room for them or not. A "
        "full disk must raise the typed error of the function and be as it was before.",
        module="tools/soak_disks.py",
        tries=500,
        n_short=8,
        crossed=True,
        prepare="learners",
    ),
    filling=Section(
        "Disks that fill during a training",
        "A training writes checkpoints, its model and samples to a disk of 60 to 400 KB. Between two random batches "
        "the disk is full or nearly full. Training continues with a warning or stops with a typed error: the try "
        "chooses which. Every file on the disk must be whole, and no temporary file or lock may be left.",
        module="tools/soak_filling.py",
        tries=200,
        n_short=3,
        crossed=True,
    ),
)
