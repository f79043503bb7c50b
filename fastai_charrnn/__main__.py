"""Run the command line as `python -m fastai_charrnn`, for environments whose scripts are not on the path."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
