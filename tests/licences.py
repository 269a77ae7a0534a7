"""The licences of everything that requirements.txt installs, from the metadata of what is installed here:
`python -m tests.licences` writes them as THIRD_PARTY.md has them; `--check` compares, and fails on a licence that is not known
to allow what is done here."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ALLOWED = {  # as written in metadata, and what it is called here; all allow use and passing on with notice
    "MIT": "MIT", "MIT License": "MIT", "MIT-CMU": "MIT-CMU", "HPND": "HPND", "Apache-2.0": "Apache-2.0", "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache 2.0 License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0", "BSD-3-Clause": "BSD-3-Clause", "BSD-2-Clause": "BSD-2-Clause",
    "BSD License": "BSD", "BSD": "BSD", "BSD 3-Clause License": "BSD-3-Clause", "0BSD": "0BSD", "Zlib": "Zlib", "CC0-1.0": "CC0-1.0", "Unlicense": "Unlicense",
    "ISC": "ISC", "ISC License": "ISC", "Python Software Foundation License": "PSF-2.0", "PSF-2.0": "PSF-2.0", "Python-2.0": "Python-2.0",
    "MPL-2.0": "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Apache-2.0 WITH LLVM-exception": "Apache-2.0 WITH LLVM-exception",
    "Unlicense License": "Unlicense", "CNRI-Python": "CNRI-Python", "BSL-1.0": "BSL-1.0",
    "GPL-3.0-or-later WITH GCC-exception-3.1": "GPL-3.0-or-later WITH GCC-exception-3.1",
}  # fmt: skip


def installed() -> dict[str, Distribution]:
    """What requirements.txt installs on this machine, with all that comes along, by name."""
    known: dict[str, Distribution] = {}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    waiting = [(Requirement(line), "") for line in lines if line]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        extras = requirement.extras if name in known else {"", *requirement.extras}
        known[name] = distribution(name)
        waiting += [(Requirement(text), one) for one in extras for text in known[name].requires or []]
    return dict(sorted(known.items()))


def licence(of: Distribution) -> str:
    """The licence that a distribution says it has, under the name that is used here. ValueError if that is none of ALLOWED."""
    data = of.metadata
    classified = [
        line.rpartition(" :: ")[2] for line in data.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    for said in (data.get("License-Expression"), data.get("License"), *classified):
        if said and (parts := [ALLOWED.get(part.strip("() ")) for part in _parts(said)]) and all(parts):
            return " and ".join(dict.fromkeys(part for part in parts if part))
    raise ValueError(
        f"{data['Name']}: {data.get('License-Expression') or str(data.get('License'))[:60]!r}, {classified}"
    )


def _parts(expression: str) -> Iterator[str]:
    """The licences of an expression; of "A OR B" the one that is known."""
    for part in re.split(r"\s+AND\s+|\s+and\s+", expression.strip()):
        choices = [choice.strip("() ") for choice in re.split(r"\s+OR\s+", part)]
        yield next((choice for choice in choices if choice in ALLOWED), part)


def table() -> str:
    """The list, as THIRD_PARTY.md has it. ValueError names those whose licence is not known."""
    rows, unknown = [], []
    for name, one in installed().items():
        try:
            rows.append(f"| {name} | {licence(one)} |")
        except ValueError as error:
            unknown.append(str(error))
    if unknown:
        raise ValueError("Licences that are not known: " + "; ".join(unknown))
    return "\n".join(["| package | licence |", "|---|---|", *rows]) + "\n"


HEAD = """# What specviz is made with

Shipped inside this repository: [plotly.js](https://github.com/plotly/plotly.js) (`assets/plotly-basic.min.js`, MIT, its notice
in the file) and the weights, whose licences their cards name ([small](assets/pairs/small/README.md),
[smollm2](assets/pairs/smollm2/README.md)).

Installed by `requirements.txt`, and not shipped (written by `python -m tests.licences`). On Linux, PyPI's `torch` also brings
NVIDIA's CUDA libraries, under NVIDIA's own licence, and `triton` (MIT); the CPU build of torch brings neither.

"""


def main() -> int:
    text = HEAD + table()
    if "--check" not in sys.argv:
        print(text, end="")
        return 0
    same = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8") == text
    print("THIRD_PARTY.md is as it should be." if same else "THIRD_PARTY.md is out of date.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
