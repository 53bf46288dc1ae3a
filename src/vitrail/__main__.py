"""``python -m vitrail`` does what ``vitrail`` does; torchrun uses it."""

import sys

from vitrail.cli import main

sys.exit(main())
