"""Prepare notebooks for the site: hide, fold and unwrap cells as their directives say.

A directive is a line `#| name: value` at the start of a code cell:

    #| hide                      the cell is not shown
    #| echo: false               only the output is shown
    #| code-fold: true           the cell is folded
    #| code-summary: "Answer 1"  the label of a folded cell
"""

import re

_directive = re.compile(r"#\|\s*([\w-]+)\s*:?\s*(.*)")
_hidden = re.compile(r"#\|\s*hide\s*$", re.M)


def shown(
    notebook,  # of nbformat
):
    "The notebook, changed: without hidden cells and directives, with folded cells marked for MyST-NB."
    # nbdev-clean removes the language; this lexer also knows `!command`
    notebook.metadata["language_info"] = dict(name="python", pygments_lexer="ipython3")
    notebook.cells = [_shown_cell(cell) for cell in notebook.cells if not _hidden.match(cell.source)]
    return notebook


def _shown_cell(cell):
    if cell.cell_type != "code":
        return cell
    options, code = directives(cell.source)
    if code.startswith("show_doc("):
        return _documentation(cell)
    cell.source = code
    tags = cell.metadata.setdefault("tags", [])
    if options.get("echo") == "false":
        tags.append("remove-input")
    if options.get("code-fold") == "true":
        tags.append("hide-cell")
        label = options.get("code-summary", "Show code").strip("\"'")
        cell.metadata["mystnb"] = dict(code_prompt_show=label, code_prompt_hide=label)
    return cell


def _documentation(cell):
    "The output of `show_doc` as a Markdown cell, so that its headings can be linked."
    import nbformat

    markdown = next(output for output in cell.outputs if "text/markdown" in output.get("data", {}))
    return nbformat.v4.new_markdown_cell(markdown.data["text/markdown"])


def directives(
    source: str,  # of a cell
) -> tuple[dict[str, str], str]:  # values by name, and the code after them
    "Split a cell into its directives and its code."
    lines = source.splitlines()
    options = {}
    while lines and (match := _directive.match(lines[0])):
        options[match[1]] = match[2].strip()
        lines.pop(0)
    return options, "\n".join(lines)
