"""Train `rnn` and `lstm` on lesson 6's corpus and write samples at five temperatures to results/SAMPLES.md.

python tools/samples.py       # both, some minutes; the models are saved in models/
python tools/samples.py rnn   # train only this one; the report is written when both models exist
"""

import argparse
from pathlib import Path

from fastai_charrnn._files import atomic_write
from fastai_charrnn.all import (
    CharDataLoaders,
    char_learner,
    load_model,
    nietzsche,
    read_text,
    sample_report,
    save_model,
)

root = Path(__file__).parent.parent
epochs = {"rnn": 4, "lstm": 3}
temperatures = (0, 0.5, 0.8, 1.0, 1.2)
prompt = "for thos"
n = 300
seed = 42


def train(
    arch: str,  # what to train
    path: Path,  # the model file to write
):
    "Train for one cycle on the first nine tenths of the corpus."
    dls = CharDataLoaders.from_file(nietzsche(), stride=1, valid="tail", valid_pct=0.1)
    learn = char_learner(dls, arch, seed=seed)
    with learn.no_bar():
        learn.fit_one_cycle(epochs[arch], 5e-3)
    save_model(learn, path)


def page(
    paths: dict[str, Path],  # model files by architecture
) -> str:  # Markdown
    "The samples with their measures."
    text = read_text(nietzsche())
    corpus = text[: len(text) * 9 // 10]
    head = (
        "# Samples\n\nWritten by `python tools/samples.py`: what models of 256 hidden units write "
        f"after {prompt!r} with `learn.generate({prompt!r}, {n}, temperature=…, seed={seed})`. "
        "The tables are of `sample_report` over 20 such texts (`num=20`)."
    )
    sections = [_section(arch, load_model(path, device="cpu"), corpus) for arch, path in paths.items()]
    return "\n\n".join([head, *sections]) + "\n"


def _section(arch, learn, corpus):
    last = learn.training_log.rows[-1]
    head = (
        f"## `{arch}`\n\n"
        f"One cycle of {epochs[arch]} epochs, every window, some minutes; validated on the last tenth: "
        f"{last['valid_loss']:.4f} nats, {last['bits_per_char']:.4f} bits per char."
    )
    samples = [_sample(learn, temperature) for temperature in temperatures]
    return "\n\n".join([head, _table(learn, corpus), *samples])


def _table(learn, corpus):
    "Measures of 20 texts at each temperature."
    columns = ["temperature", "end in a loop", "distinct 4-grams", "words in the corpus", "longest copy"]
    lines = [columns, ["---"] * len(columns)]
    for temperature in temperatures:
        # at 0, `generate` warns that all texts of a prompt are equal; this is as good as 0
        texts = learn.generate([prompt], n, temperature=temperature or 1e-9, seed=seed, num=20)
        report = sample_report(texts, corpus=corpus)
        percentages = [f"{value:.0%}" for value in (report.loop_rate, report.distinct[3], report.known_words)]
        lines.append([str(temperature), *percentages, f"{len(report.copied)} characters"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _sample(learn, temperature):
    if temperature == 0:
        return f"Temperature 0:\n\n```text\n{learn.predict_next(prompt, n=n)}\n```"
    text = learn.generate(prompt, n, temperature=temperature, seed=seed)
    return f"Temperature {temperature}, {text.bits_per_char:.2f} bits per char:\n\n```text\n{text}\n```"


def main(
    archs: list[str],  # what to train if there is no model of it
):
    "Train the missing models. Write the report when there are models of all architectures."
    paths = {arch: root / f"models/samples-{arch}.safetensors" for arch in epochs}
    for arch in archs:
        if not paths[arch].exists():
            train(arch, paths[arch])
    if all(path.exists() for path in paths.values()):
        atomic_write(root / "results/SAMPLES.md", page(paths))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = f"what to train if models/ has no model of it: {', '.join(epochs)} (default: all)"
    parser.add_argument("archs", nargs="*", metavar="arch", help=what)
    archs = parser.parse_args().archs
    for arch in archs:
        if arch not in epochs:
            parser.error(f"there is no training for {arch!r}; known: {', '.join(epochs)}")
    main(archs or list(epochs))
