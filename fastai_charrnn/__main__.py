"""`python -m fastai_charrnn` is `charrnn`, also where the environment's scripts are not on the path."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
