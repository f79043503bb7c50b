"""The page that describes a shared model: `model_card` writes it as Markdown with a header of YAML.

    print(model_card(learn, name="nietzsche", license="mit", data="Nietzsche, Beyond Good and Evil, and others"))

The Hugging Face Hub shows it as the model's page. Figures come from the learner or its file. What is not known is left
out. Texts of users and of files are escaped, except for `text`, which is Markdown.
"""

import json
import math
from pathlib import Path

from .._printable import printable
from ..analysis.ngrams import NgramScore
from ..learner import CharLearner
from .extras import check_texts
from .facts import ModelFacts, model_facts
from .markdown import code, code_block, plain, table, yaml_header

__all__ = ["model_card"]

_sample_chars = 300


def model_card(
    model: CharLearner | str | Path,  # a learner, or a model file
    *,
    name: str | None = None,  # the title; None: the architecture
    license: str | None = None,  # such as "mit" or "cc-by-4.0"; None: none, and the card says so
    text: str = "",  # your own words about the model, in Markdown
    data: str = "",  # what it was trained on, in a few words
    load: str | None = None,  # the Python call that loads it; None: `load_model("model.safetensors")`
    prompt: str | None = None,  # what the sample continues; None: "The " if the model knows its characters
    ngrams: NgramScore | None = None,  # such as `ngram_baseline(dls).best`; None: counted if the learner has its text
    seed: int | None = None,  # of the training; None: as recorded
    minutes: float | None = None,  # that the training took
) -> str:  # the text of a README.md
    """Describe a model: how to use it, how it was trained, its figures on held-out text, a sample, its limits.

    A learner that has its text is validated once, and n-grams are counted in at most 5 million characters. Otherwise
    the card has the numbers of the last epoch. Raises `ShareError` for arguments of wrong types, `UnknownCharError` for
    a prompt with characters that the model does not know, and `ModelFileError` for a model that no file can hold."""
    check_texts(name=name, license=license, text=text, data=data, load=load, prompt=prompt)
    facts = model_facts(model, ngrams, seed, minutes)
    name = name or f"{facts.description['arch']} for characters"
    load = load or 'load_model("model.safetensors")'
    parts = [
        f"# {plain(name)}",
        printable((text or "").strip(), lines=True),
        _introduction(facts, data),
        _usage(facts, load, _prompt(facts, prompt)),
        _architecture(facts),
        _training(facts, data),
        _figures(facts),
        _sample(facts, _prompt(facts, prompt)),
        _limits(facts, license),
    ]
    return yaml_header(_header(facts, name, license, data)) + "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _prompt(facts, prompt):
    "The prompt of the sample and of the example."
    if prompt is not None:
        return prompt
    return "The " if set("The ") <= set(facts.description["vocab"]) else ""


def _header(facts, name, license, data):
    fields: dict = dict(library_name="fastai", pipeline_tag="text-generation")
    fields["tags"] = ["fastai", "fastai_charrnn", "char-rnn", "text-generation", facts.description["arch"]]
    if license:
        fields["license"] = license
    # a result names its data and belongs to text that the model was not trained on
    if data and facts.nats is not None and facts.is_held_out:
        fields["model-index"] = [dict(name=name, results=[_result(facts, data)])]
    return fields


def _result(facts, data):
    metrics = [
        dict(type="loss", name="validation loss, nats per character", value=round(facts.nats, 4)),
        dict(type="bits_per_char", name="bits per character", value=round(facts.nats / math.log(2), 4)),
    ]
    if facts.accuracy is not None:
        metrics.append(dict(type="accuracy", name="accuracy of the next character", value=round(facts.accuracy, 4)))
    dataset = dict(name=data, type="text", split=facts.description["data"]["split"])
    return dict(task=dict(type="text-generation", name="Text generation"), dataset=dataset, metrics=metrics)


def _introduction(facts, data):
    about = f", trained on {plain(data)}" if data else ""
    return (
        f"A character-level network ({code(facts.description['arch'])}){about}. It reads a text character by character "
        "and predicts the next one. Made with `fastai_charrnn`, a plugin for fastai."
    )


def _usage(facts, load, prompt):
    extra = "[hub]" if "from_hub(" in load else ""
    example = (
        f"from fastai_charrnn.all import *\n\nlearn = {load}\nprint(learn.generate({_literal(prompt)}, 200, seed=1))"
    )
    parts = [
        "## How to use it",
        code_block(f'pip install "fastai_charrnn{extra}"', "bash"),
        code_block(example, "python"),
        f"`learn` is a fastai `Learner`: `learn.next_probs({_quoted(prompt)})` has the probabilities of the next "
        "character, `learn.score(text)` the surprise of every character of a text. Nothing in the file is executed. "
        "fastai's own `from_pretrained_fastai` loads pickles and does not load this model.",
    ]
    return "\n\n".join(parts)


def _literal(text):
    "A text as Python code, in double quotes if it has none, as in all examples."
    code = ascii(text)
    return code if '"' in text else f'"{code[1:-1]}"'


def _quoted(prompt):
    "A text as Python code within inline code of Markdown."
    return _literal(prompt).replace("`", "\\x60")


def _architecture(facts):
    d = facts.description
    rows = [("", ""), ("architecture", code(d["arch"]))]
    rows += [(code(name), code(_shown(value))) for name, value in d["config"].items()]
    rows += [
        ("weights", f"{facts.n_weights:,}"),
        ("vocabulary", f"{len(d['vocab']):,} characters, padding included"),
        ("reads", _reading(d)),
    ]
    return f"## The model\n\n{table(rows)}"


def _shown(value):
    return value if isinstance(value, str) else json.dumps(value)


def _reading(description):
    n = f"{description['seq_len']:,}"
    if description["stateful"]:
        return f"all characters before; it carries its state, and was trained in pieces of {n}"
    if description["target"] == "every":
        return f"up to {n} characters before the one it predicts"
    return f"the {n} characters before the one it predicts"


def _training(facts, data):
    d = facts.description
    training = d["training"]
    versions = ", ".join(f"{plain(package)} {plain(version)}" for package, version in d["versions"].items())
    n_chars = d["data"].get("n_chars")
    rows = [
        ("text", plain(data)),
        ("characters", f"{n_chars:,}" if n_chars else ""),
        ("validation part", plain(d["data"].get("split", ""))),
        ("epochs", f"{training.get('epochs', 0):,}"),
        ("batch size", f"{training['bs']:,}" if training.get("bs") else ""),
        ("optimizer", code(training["opt"]) if training.get("opt") else ""),
        ("loss", code(training["loss"]) if training.get("loss") else ""),
        ("seed", "" if facts.seed is None else str(facts.seed)),
        ("time", "" if facts.minutes is None else f"{facts.minutes:.3g} minutes"),
        ("versions", versions),
    ]
    return f"## How it was trained\n\n{table([('', ''), *(row for row in rows if row[1])])}"


def _figures(facts):
    if facts.nats is None:
        return "## Figures\n\nThere are no figures: the file has no loss in nats per character."
    rows = [("", "nats per character", "bits per character", "accuracy"), _figure("this model", facts.nats)]
    rows[1] = (*rows[1][:3], "" if facts.accuracy is None else f"{facts.accuracy:.1%}")
    if facts.ngrams is not None:
        rows.append(_figure(f"counting n-grams, contexts up to {facts.ngrams.context} characters", facts.ngrams.nats))
    parts = ["## Figures", _measured(facts), table(rows)]
    if facts.ngrams is not None and facts.ngrams.nats < facts.nats:
        parts.append("Counting n-grams predicts this text better than the model does.")
    return "\n\n".join(parts)


def _figure(name, nats):
    return name, f"{nats:.4f}", f"{nats / math.log(2):.4f}", ""


def _measured(facts):
    "What the figures were measured on."
    split = facts.description["data"].get("split", "")
    when = "Measured" if facts.is_measured else "Measured after the last epoch"
    part = (
        f"{when} on the validation part{f' ({plain(split)})' if split else ''}. Lower is better, except for accuracy."
    )
    if facts.is_held_out or not split:
        return part
    if split.startswith("random"):
        return f"{part} This part shares characters with the training part, so the figures are better than on new text."
    return f"{part} This part is so short that the figures are not reliable."


def _sample(facts, prompt):
    sample = facts.writer.generate(prompt, _sample_chars, seed=1)
    how = f"`generate({_quoted(prompt)}, {_sample_chars}, seed=1)` writes:"
    return f"## A sample\n\n{how}\n\n{code_block(str(sample))}"


def _limits(facts: ModelFacts, license):
    lines = [
        "It writes text that looks like its training text. It knows no facts: do not rely on what it writes.",
        "It may repeat passages of its training text word for word, and whatever offends in it.",
        'It knows only the characters of its vocabulary. Others raise an error; `unk="skip"` leaves them out.',
    ]
    if not facts.description["stateful"]:
        lines.append(f"It sees at most {facts.description['seq_len']:,} characters at a time.")
    lines.append(
        f"License of the model: {plain(license)}."
        if license
        else "No license is given, so no rights to use the model are granted. Ask its author."
    )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
