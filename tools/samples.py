"""Train `rnn` and `lstm` on the reference's corpus, and write what they write at five temperatures to results/SAMPLES.md.

python tools/samples.py                   # both, a few minutes; models are kept in models/
python tools/samples.py rnn               # trains this one alone; the page is written once both are there
"""

import argparse
import os
from pathlib import Path

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
courses = {"rnn": dict(stride=1, epochs=4), "lstm": dict(stride=1, epochs=3)}
temperatures = (0, 0.5, 0.8, 1.0, 1.2)
prompt = "for thos"
n = 300
seed = 42


def train(
    arch: str,  # what to train
    path: Path,  # where the model goes
):
    "One cycle of the course, on the first nine tenths of the corpus."
    course = courses[arch]
    dls = CharDataLoaders.from_file(nietzsche(), stride=course["stride"], valid="tail", valid_pct=0.1)
    learn = char_learner(dls, arch, seed=seed)
    with learn.no_bar():
        learn.fit_one_cycle(course["epochs"], 5e-3)
    save_model(learn, path)


def page(
    paths: dict[str, Path],  # architecture to model file
) -> str:  # results/SAMPLES.md
    "The texts with their numbers."
    text = read_text(nietzsche())
    text = text[: len(text) * 9 // 10]
    parts = [
        "# Samples\n\nWritten by `python tools/samples.py`: what models of 256 hidden units write "
        f"after {prompt!r} with `learn.generate({prompt!r}, {n}, temperature=…, seed={seed})`. "
        "The tables are of `sample_report` over 20 such texts (`num=20`)."
    ]
    for arch, path in paths.items():
        learn, course = load_model(path, device="cpu"), courses[arch]
        last = learn.training_log.rows[-1]
        stride = course["stride"]
        windows = "every window" if stride == 1 else f"one window in {stride}"
        parts.append(
            f"## `{arch}`\n\n"
            f"One cycle of {course['epochs']} epochs, {windows}, some minutes; validated on the last tenth: "
            f"{last['valid_loss']:.4f} nats, {last['bits_per_char']:.4f} bits per char."
        )
        rows = [
            "| temperature | end in a loop | distinct 4-grams | words in the corpus | longest copy |",
            "| --- | --- | --- | --- | --- |",
        ]
        for t in temperatures:
            texts = learn.generate(
                [prompt], n, temperature=t or 1e-9, seed=seed, num=20
            )  # all but greedy, without its warning
            r = sample_report(texts, corpus=text)
            rows.append(
                f"| {t} | {r.loop_rate:.0%} | {r.distinct[3]:.0%} | {r.known_words:.0%} | {len(r.copied)} characters |"
            )
        parts.append("\n".join(rows))
        for t in temperatures:
            o = learn.predict_next(prompt, n=n) if t == 0 else learn.generate(prompt, n, temperature=t, seed=seed)
            parts.append(
                f"Temperature {t}{'' if t == 0 else f', {o.bits_per_char:.2f} bits per char'}:\n\n```text\n{o}\n```"
            )
    return "\n\n".join(parts) + "\n"


def main(
    archs: list[str],  # what to train if no model is there
):
    "Train what is missing; write the page when nothing is."
    paths = {a: root / f"models/samples-{a}.safetensors" for a in courses}
    for a in archs:
        if not paths[a].exists():
            train(a, paths[a])
    if all(p.exists() for p in paths.values()):
        part = root / "results/.SAMPLES.md.part"
        part.write_text(page(paths), encoding="utf-8")
        os.replace(part, root / "results/SAMPLES.md")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Train rnn and lstm, and write what they write at five temperatures to results/SAMPLES.md."
    )
    parser.add_argument(
        "archs",
        nargs="*",
        metavar="arch",
        help=f"what to train if no model of it is in models/: {', '.join(courses)}; all by default",
    )
    archs = parser.parse_args().archs
    if unknown := [a for a in archs if a not in courses]:
        parser.error(f"there is no course for {unknown[0]!r}; known: {', '.join(courses)}")
    main(archs or list(courses))
