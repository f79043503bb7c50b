"""README.md, made from nbs/index.ipynb: its texts, with links as seen from the root, and its code, the cells between two texts as one block.

    python tools/readme.py   also puts REPRODUCTION.md's table of final losses into the notebook, between its markers

Cells that begin with `#| hide` are for whoever runs the notebook: what stands in for a text that cannot be had, and the assertions.
"""
import json,os,re
from itertools import groupby
from pathlib import Path

root = Path(__file__).parent.parent
hidden = "#| hide"


def final_table(
    report:str # REPRODUCTION.md
) -> str: # its first table
    "The table of final losses."
    return re.search(r"^\|.*?(?=\n\n)", report, re.M | re.S)[0]


def with_table(
    text:str, # with or without markers
    table:str # what to put between them
) -> str:
    "The text with another table between its markers."
    return re.sub(r"(?<=<!-- reproduction -->\n).*?(?=<!-- /reproduction -->)", lambda _: table+"\n", text, flags=re.S)


def from_root(
    text:str, # Markdown whose relative links start from nbs/
    nbs:str="nbs/" # where that folder lies
) -> str:
    "The same with links that start one folder up."
    return re.sub(r"(?<=\]\()(?!\w+:|#)(\.\./)?", lambda m: "" if m[1] else nbs, text)


def readme(
    nb:dict # nbs/index.ipynb
) -> str: # README.md
    "What a forge shows of the notebook."
    cells = [(c["cell_type"], "".join(c["source"])) for c in nb["cells"]]
    shown = groupby([o for o in cells if not o[1].startswith(hidden)], lambda o: o[0])
    return "\n\n".join("```python\n" + "\n".join(o for _,o in group) + "\n```" if kind == "code" else from_root("\n\n".join(o for _,o in group)) for kind,group in shown) + "\n"


def _write(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def main():
    index,table = root/"nbs/index.ipynb",final_table((root/"REPRODUCTION.md").read_text(encoding="utf-8"))
    nb = json.loads(index.read_text(encoding="utf-8"))
    for c in nb["cells"]: c["source"] = with_table("".join(c["source"]), table).splitlines(True)
    _write(index, json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False)+"\n") # as nbdev-clean stores it
    _write(root/"README.md", readme(nb))


if __name__ == "__main__": main()
