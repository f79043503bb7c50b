"""The command `charrnn serve`, called by `cli.main` with the parsed arguments: models in a browser."""

import runpy

from ..errors import CharRnnError
from ..serve.serve import serve as serve_models
from .models import model_file

__all__ = ["serve"]


def serve(
    args,  # parsed arguments
):
    "Serve the page of the models until Ctrl-C. First run the files of `--import`, which register architectures."
    for path in args.imports:
        _run_file(path)
    serve_models([model_file(name) for name in args.models], args.port, args.host, args.open)


def _run_file(path):
    "Run a Python file of the user, as `import` would."
    try:
        runpy.run_path(str(path), run_name=path.stem)
    except OSError as error:
        raise CharRnnError(f"cannot read --import {path}: {error.strerror}; pass a Python file") from None
    except SyntaxError as error:
        raise CharRnnError(f"--import {path} is not Python: {error}; pass a Python file") from None
