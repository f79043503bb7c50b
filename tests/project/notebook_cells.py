"""Cells, outputs and notebooks as they are stored, for tests."""

from notebooks import digest, key


def cell(source, *outputs, count=None):
    "A code cell."
    code = dict(cell_type="code", source=source.splitlines(True), metadata={}, id="a1")
    return code | dict(outputs=list(outputs), execution_count=count)


def stream(text, name="stdout"):
    "What a cell prints."
    return dict(output_type="stream", name=name, text=text)


def result(**data):
    "What a cell shows."
    return dict(output_type="display_data", metadata={}, data={f"text/{k}": v for k, v in data.items()})


def stored(*cells, outputs_of=None):
    "A notebook whose outputs are current, unless `outputs_of` says otherwise."
    nb = dict(cells=list(cells), metadata={}, nbformat=4, nbformat_minor=5)
    nb["metadata"][key] = dict(outputs_of=outputs_of or digest(nb))
    return nb
