"""Opens files one after the other and says of each what came out, and what it took: run as a program, in a process."""

import json
import resource
import sys
import time
import warnings
from pathlib import Path

from vitrail.data.images import open_image
from vitrail.errors import ImageError

MOST_MEGABYTES, MOST_SECONDS = 500.0, 2.0


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tried(data: bytes | Path, channels: int) -> tuple[str, float]:
    """Open a file; return "good", the reason it is refused or the name of an untyped error, and the seconds."""
    start = time.process_time()
    try:
        open_image(data, channels)
        outcome = "good"
    except ImageError as error:
        outcome = str(error.reason)
    except BaseException as error:
        outcome = f"UNTYPED {type(error).__name__}: {error}"
    return outcome, time.process_time() - start


def main() -> None:
    """Measure the files that are named, the memory as the highest so far."""
    warnings.simplefilter("ignore")
    before = megabytes()
    for name in sys.argv[1:]:
        outcome, seconds = tried(Path(name), 3)
        print(json.dumps([Path(name).name, outcome, seconds, megabytes() - before]), flush=True)


if __name__ == "__main__":
    main()
