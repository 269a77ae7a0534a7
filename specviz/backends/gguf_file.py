"""What a GGUF file says of itself: its metadata, and where its tensors lie. Nothing is read beyond the header.

The numbers themselves are the gguf package's to read (`Tensor.numbers`). Its own reader makes an array of every token's
text, which takes seconds; and a damaged length is caught here before anything is looped over.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from specviz.types import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value = str | int | float | bool | list["Value"]
_SCALARS = dict(enumerate("<B <b <H <h <I <i <f <? - - <Q <q <d".split()))  # by the number of a type in the file
_TEXT, _LIST = 8, 9
_ROWS = 1 << 24  # numbers made float32 at a time


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: `shape` as NumPy and torch write it, `kind` the number of its quantisation, `start` in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int

    @property
    def kind_name(self) -> str:
        """Its quantisation as llama.cpp calls it, for example "Q4_1"."""
        from gguf import GGMLQuantizationType

        return GGMLQuantizationType(self.kind).name if self.kind in list(GGMLQuantizationType) else str(self.kind)

    def numbers(self, file: GGUFFile) -> NDArray[np.float32]:
        """The numbers as float32, of `shape`. ModelError if they are cut off, not finite, or of a kind nobody reads."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        if self.kind not in list(GGMLQuantizationType):
            file.refuse(f"{self.name} is stored in a way (number {self.kind}) that this version of gguf does not know")
        kind = GGMLQuantizationType(self.kind)
        block, size = GGML_QUANT_SIZES[kind]
        width, rows = self.shape[-1], prod(self.shape[:-1])
        if width % block:
            file.refuse(f"{self.name} has rows of {width} numbers, no multiple of {kind.name}'s {block}")
        line = width // block * size
        if self.start + rows * line > file.size:
            file.refuse(f"it ends within {self.name}; it is cut off")
        stored = np.frombuffer(file.data, np.uint8, rows * line, self.start).reshape(rows, line)
        made = np.empty((rows, width), np.float32)
        try:
            for first in range(0, rows, step := max(1, _ROWS // width)):
                made[first : first + step] = dequantize(stored[first : first + step], kind)
        except NotImplementedError:
            file.refuse(f"{self.name} is quantised as {kind.name}, which gguf cannot turn into float32")
        if not np.isfinite(made).all():
            file.refuse(f"{self.name} holds what is no finite number")
        return made.reshape(self.shape)


class GGUFFile:
    """An open file: `metadata` by key, `tensors` by name. ModelError, in a sentence, if it is none or is damaged."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with path.open("rb") as file:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise ModelError(f"There is no file {str(path)!r}.") from None
        except (OSError, ValueError) as error:  # a file of no bytes cannot be mapped
            raise ModelError(f"{str(path)!r} could not be read: {error}") from error
        self.size, self._at = len(self.data), 0
        self.metadata: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        try:
            self._read()
        except (struct.error, ValueError, OverflowError, KeyError):
            self.refuse("its head is damaged or cut off")

    @property
    def parameters(self) -> int:
        """How many numbers its tensors have."""
        return sum(prod(tensor.shape) for tensor in self.tensors.values())

    def refuse(self, why: str) -> NoReturn:
        """Raises ModelError with the file's name."""
        raise ModelError(f"{self.path.name!r} cannot be used: {why}.")

    def _read(self) -> None:
        if self.data[:4] != b"GGUF":
            self.refuse("it is no GGUF file")
        self._at = 4
        if (version := self._number("<I")) not in (2, 3):
            self.refuse(f"it has version {version} of the format; versions 2 and 3 are read")
        tensors, pairs = self._count(), self._count()
        for _ in range(pairs):
            key = self._text()
            self.metadata[key] = self._value(int(self._number("<I")))
        infos = [
            (self._text(), [int(self._number("<Q")) for _ in range(self._count("<I"))], self._number("<I"), self._number("<Q"))
            for _ in range(tensors)
        ]  # fmt: skip
        align = self.metadata.get("general.alignment", 32)
        if not isinstance(align, int) or align <= 0:
            self.refuse("its head is damaged: an alignment is a positive number")
        begin = -(-self._at // align) * align
        for name, sizes, kind, start in infos:
            shape = tuple(reversed(sizes)) or (1,)
            if name in self.tensors or 0 in shape or prod(shape) > self.size * 16:
                self.refuse(f"its head is damaged at the tensor {name!r}")
            self.tensors[name] = Tensor(name, shape, int(kind), begin + int(start))

    def _number(self, form: str) -> int | float | bool:
        (number,) = struct.unpack_from(form, self.data, self._at)
        self._at += struct.calcsize(form)
        return number  # type: ignore[no-any-return]

    def _count(self, form: str = "<Q") -> int:
        """A number of things to come, each of which takes at least a byte."""
        count = int(self._number(form))
        if count > self.size - self._at:
            self.refuse("its head is damaged or cut off")
        return count

    def _text(self) -> str:
        count = self._count()
        self._at += count
        return self.data[self._at - count : self._at].decode("utf-8")

    def _value(self, kind: int, depth: int = 0) -> Value:
        if kind == _TEXT:
            return self._text()
        if kind != _LIST:
            return self._number(_SCALARS[kind])
        if depth > 2:
            self.refuse("its head is damaged: lists within lists")
        inner, count = int(self._number("<I")), self._count()
        if inner in (_TEXT, _LIST):
            return [self._value(inner, depth + 1) for _ in range(count)]
        numbers = np.frombuffer(self.data, np.dtype(_SCALARS[inner]), count, self._at) if count else np.empty(0)
        self._at += numbers.nbytes
        return list(numbers.tolist())

    def texts(self, key: str) -> list[str]:
        """A list of texts in the metadata; none if it is not there. ModelError if it is something else."""
        values = self.metadata.get(key, [])
        texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
        if not isinstance(values, list) or len(texts) != len(values):
            self.refuse(f"{key} should be a list of texts")
        return texts

    def wholes(self, key: str) -> list[int]:
        """A list of whole numbers in the metadata, or the only one; none if it is not there. ModelError likewise."""
        values = self.metadata.get(key, [])
        listed = values if isinstance(values, list) else [values]
        wholes = [value for value in listed if isinstance(value, int) and not isinstance(value, bool)]
        if len(wholes) != len(listed):
            self.refuse(f"{key} should be a whole number")
        return wholes

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number of the metadata; a list of equal ones (one for each layer) is one. ModelError if it is not there."""
        values = set(self.wholes(key))
        if len(values) > 1:
            self.refuse(f"{key} differs from layer to layer")
        number = values.pop() if values else default
        if number is None:
            self.refuse(f"its metadata lacks {key}")
        return number

    def text(self, key: str, default: str = "") -> str:
        """A text of the metadata."""
        value = self.metadata.get(key, default)
        return value if isinstance(value, str) else default

    def real(self, key: str, default: float | None = None) -> float:
        """A number of the metadata, with the digits that float32 has. ModelError if it is not there and has no default."""
        value = self.metadata.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(f"its metadata lacks {key}")
        return float(str(np.float32(value)))

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors.values())
