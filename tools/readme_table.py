"""Copy the table of final losses from REPRODUCTION.md into README.md, between its markers."""
import os,re
from pathlib import Path

root = Path(__file__).parent.parent


def final_table(
    report:str # REPRODUCTION.md
) -> str: # its first table
    "The table of final losses."
    return re.search(r"^\|.*?(?=\n\n)", report, re.M | re.S)[0]


def with_table(
    readme:str, # README.md
    table:str # what to put between the markers
) -> str: # README.md with it
    "The README with another table between its markers."
    return re.sub(r"(?<=<!-- reproduction -->\n).*?(?=<!-- /reproduction -->)", lambda _: table+"\n", readme, flags=re.S)


if __name__ == "__main__":
    readme,part = root/"README.md",root/".README.md.part"
    part.write_text(with_table(readme.read_text(encoding="utf-8"), final_table((root/"REPRODUCTION.md").read_text(encoding="utf-8"))), encoding="utf-8")
    os.replace(part, readme)
