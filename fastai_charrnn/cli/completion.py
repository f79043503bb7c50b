"""Shell completion: `charrnn --print-completion bash` prints a script, made by the library shtab.

shtab is imported only to print it. In the script, MODEL completes to model files and folders, in bash also to the names
of pretrained models, and FILE to all files.
"""

import argparse

from ..share.pretrained import list_pretrained

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "tcsh")
_archs = ("char3", "concat", "ensemble", "gru", "loop", "lstm", "mullstm", "rnn")


class PrintCompletion(argparse.Action):
    "Print the script for a shell and exit."

    def __call__(self, parser, namespace, shell, option_string=None):
        import shtab

        for action in _all_actions(parser):
            _complete(action, shtab)
        print(shtab.complete(parser, shell))
        parser.exit()


def _all_actions(parser):
    "The options and arguments of a parser and of its commands."
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)


def _complete(action, shtab):
    "Say how an option or an argument is completed. Those with choices complete to them."
    if action.metavar == "MODEL":
        action.complete = shtab.glob("*.safetensors") if action.dest == "out" else _models(shtab)
    elif action.metavar == "FILE":
        action.complete = shtab.FILE
    elif action.dest == "arch" and not action.choices:
        action.choices = _archs


def _models(shtab):
    "How a model to read is completed: as files, in bash also as names of pretrained models."
    files = shtab.glob("*.safetensors")
    names = " ".join(list_pretrained())
    function = f"""
_charrnn_models() {{
  compgen -W '{names}' -- $1
  {files["bash"]} $1
}}
"""
    preamble = files["preamble"] | dict(bash=files["preamble"]["bash"] + function)
    return files | dict(bash="_charrnn_models", preamble=preamble)
