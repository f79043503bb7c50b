"""Train the two models of the package and write their files: `make pretrained`.

    python tools/pretrained.py                    both, about 20 minutes of one core
    python tools/pretrained.py nietzsche          one of them
    python tools/pretrained.py --no-train         only write the package's files again from build/pretrained

A training has one thread and a fixed number of epochs, so the result does not depend on the load of the computer. The
last tenth of a text is held out and chooses nothing: the weights after the last epoch are kept. The choices come from
experiments on the part before it (results/EXPERIMENTS.md). The package's files have the weights in float16.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import NamedTuple

import torch
from machine import processor
from pretrained_texts import TEXTS, about
from safetensors.torch import save

from fastai_charrnn._files import atomic_path, atomic_write
from fastai_charrnn.all import (
    CharLearner,
    CheckpointCallback,
    NgramScore,
    load_model,
    load_pretrained,
    model_card,
    ngram_baseline,
    save_model,
)
from fastai_charrnn.io.format import describe_model
from fastai_charrnn.page.examples import named_units, page_text
from fastai_charrnn.recipes.default import DefaultRecipe
from fastai_charrnn.recipes.optimizer import adamw, decay_groups

root = Path(__file__).parent.parent
build = root / "build/pretrained"
package = root / "fastai_charrnn/share/pretrained"
SEED = 42
N_EPOCHS = 24


class Training(NamedTuple):
    "What is known about a training besides its model."

    seconds: float  # of processor time
    processor: str
    python: str  # version


def recipe_for(
    text: str,  # the whole text, with the part that is held out
) -> DefaultRecipe:
    "The training choices: about 700,000 weights, with dropouts and weight decay for a text that is read 24 times."
    config = dict(output_p=0.25, hidden_p=0.1, embed_p=0.05)
    return DefaultRecipe(len(text), n_hid=352, emb_sz=96, config=config, bs=32, epochs=N_EPOCHS)


def train(
    name: str,  # one of `TEXTS`
):
    "Train a model and save it in build/pretrained, with a checkpoint after each epoch."
    torch.set_num_threads(1)
    text = TEXTS[name].read()
    recipe = recipe_for(text)
    learn = recipe.learner(recipe.dls(text, device="cpu"), SEED)
    began = time.process_time()
    recipe.fit(learn, SEED, cbs=[CheckpointCallback(build / f"{name}.checkpoint")])
    training = Training(time.process_time() - began, processor(), platform.python_version())
    save_model(learn, build / f"{name}.safetensors")
    atomic_write(build / f"{name}.json", json.dumps(training._asdict(), indent=1) + "\n")


def write_files(
    name: str,  # one of `TEXTS`
):
    "Write the model file of the package and its card."
    text = TEXTS[name].read()
    training = Training(**json.loads((build / f"{name}.json").read_text(encoding="utf-8")))
    dls = recipe_for(text).dls(text, device="cpu")
    ngrams = ngram_baseline(dls).best
    write_model(name, text, training, ngrams)
    # with its text, so that the card has the loss of the weights in float16
    learn = load_pretrained(name, dls, opt_func=adamw, splitter=decay_groups)
    atomic_write(
        package / f"{name}.md", card(name, learn, ngrams, about(name, text, training._asdict()), training.seconds)
    )


def write_model(
    name: str,  # one of `TEXTS`
    text: str,  # the whole text
    training: Training,
    ngrams: NgramScore,  # on the part that is held out
):
    "Write a trained model with weights in float16, and with the time, the loss of n-grams, and examples for its page."
    trained = build / f"{name}.safetensors"
    learn = load_model(trained, device="cpu")
    description = describe_model(trained)
    # these two are of the tensors, not of the description
    del description["tensors"], description["dtypes"]
    description["data"] |= dict(ngram_loss=round(ngrams.nats, 4), ngram_context=ngrams.context)
    units = named_units(learn, page_text(learn, text))
    examples = dict(prompts=list(TEXTS[name].prompts), units=units)
    description["training"] |= dict(seed=SEED, seconds=round(training.seconds)) | examples
    halves = {key: tensor.half() for key, tensor in learn.model.state_dict().items()}
    with atomic_path(package / f"{name}.safetensors") as part:
        part.write_bytes(save(halves, dict(charrnn=json.dumps(description))))


def card(
    name: str,  # one of `TEXTS`
    learn: CharLearner,  # the learner of the package's model, with its text
    ngrams: NgramScore,  # on the part that is held out
    words: str,  # about the text and the training, in Markdown
    seconds: float,  # that the training took
) -> str:  # Markdown
    "The model card."
    title = TEXTS[name].title
    load = f'load_pretrained("{name}")'
    facts = dict(data=title, prompt="The ", ngrams=ngrams, seed=SEED, minutes=seconds / 60)
    return model_card(learn, name=f"{name}: {title}", license="apache-2.0", text=words, load=load, **facts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(TEXTS)} (both)")
    parser.add_argument("--no-train", action="store_true", help="use the trainings in build/pretrained")
    args = parser.parse_args()
    for name in args.names or TEXTS:
        if not args.no_train:
            train(name)
        write_files(name)


if __name__ == "__main__":
    main()
