"""`python -m tests.simulate.lives SEED DIRECTORY`: a life as files for `podward simulate`; and its complaints.

With `--digest COUNT` instead, one line for each life of the first seeds that changes with anything in it.
"""

import hashlib
import logging
import sys
from pathlib import Path

from tests.simulate.lives.life import lived, of_seed


def main(first: str, second: str) -> None:
    logging.disable(logging.CRITICAL)
    if first == "--digest":
        for seed in range(int(second)):
            documents = sorted(lived(of_seed(seed)).seen.documents.items())
            print(hashlib.sha256(repr(documents).encode()).hexdigest())
        return
    scenario = of_seed(int(first))
    folder = Path(second)
    for name, text in zip(("pod", "faults"), scenario.as_yaml(), strict=True):
        (folder / f"{first}.{name}.yaml").write_text(text)
    print(*lived(scenario).problems, sep="\n")


main(*sys.argv[1:])
