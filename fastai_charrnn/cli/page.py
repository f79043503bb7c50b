"""The command `charrnn page`: write one HTML file in which a model runs."""

from ..io.model_file import load_model
from ..page.to_page import page_path
from .texts import read_texts

__all__ = ["page"]


def page(
    args,  # parsed arguments
):
    "Write the page of a model, and print its name and size."
    out = page_path(args.out or args.model.with_suffix(".html").name, args.overwrite)
    learn = load_model(args.model, device="cpu")
    text = None if args.text is None else read_texts([args.text], args.encoding)[0]
    title = args.title or args.model.stem
    path = learn.to_page(out, title=title, text=text, prompts=args.prompt, overwrite=args.overwrite)
    print(f"saved {path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
