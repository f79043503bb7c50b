"""The command `charrnn push`: upload a model and its card to the Hugging Face Hub."""

from ..io.format import with_suffix
from ..io.model_file import load_model
from ..share import hub  # noqa: F401 (adds push_to_hub to CharLearner)

__all__ = ["push"]


def push(
    args,  # parsed arguments
):
    "Upload a model, and print the address of the commit."
    learn = load_model(args.model, device="cpu")
    texts = dict(license=args.license, data=args.data or "", name=args.name)
    url = learn.push_to_hub(args.repo, private=args.private or None, **texts)
    print(f"pushed {with_suffix(args.model).name} and its card to {args.repo}: {url}")
