"""Reads the weights that torch saved, without torch and without running what a pickle may ask for.

This is the format of ``torch.save`` before torch 1.6 (torch/serialization.py, ``_legacy_load``): four pickles (a magic
number, the format's version, what the machine was like, the tensors), the names of the storages, then each storage's
length and values.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.lock import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a state dict by their names.

    Args:
        content: The bytes of the .pth file.

    Raises:
        ModelError: it is no such file, or asks for anything beside tensors of float32 and int64.
    """
    stream = io.BytesIO(content)
    try:
        magic, protocol, machine = (_Unpickler(stream).load() for _ in range(3))
        if (magic, protocol, machine["little_endian"]) != (_MAGIC, _PROTOCOL, True):
            raise ModelError("the weights are not of the format that torch wrote before 1.6")
        state = _Unpickler(stream).load()
        storages = {}
        names = _Unpickler(stream).load()
        types = {tensor.storage: tensor.type for tensor in state.values()}
        for name in names:
            (length,) = np.frombuffer(stream.read(8), "<i8")
            dtype = np.dtype(types[name])
            storages[name] = np.frombuffer(stream.read(int(length) * dtype.itemsize), dtype)
        return {name: tensor.values(storages) for name, tensor in state.items()}
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise ModelError(f"the weights cannot be read ({type(error).__name__}: {error})") from error


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where a tensor's values are."""

    storage: str
    type: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def values(self, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return them; strides count values, as weights that came from TensorFlow are stored in its order of axes."""
        stored = storages[self.storage]
        last = self.start + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if not prod(self.shape) or min(self.strides, default=0) < 0 or not 0 <= self.start <= last < len(stored):
            raise ModelError(f"a tensor of {self.shape} does not lie in its storage of {len(stored)} values")
        steps = [step * stored.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(stored[self.start :], self.shape, steps, writeable=False).copy()


def _tensor(
    storage: tuple[str, str], start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_gradients: Any
) -> _Tensor:
    name, kind = storage
    return _Tensor(name, kind, start, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows the names that a state dict of tensors needs, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise ModelError(f"the weights ask for {module}.{name}, which no tensor needs: they are not loaded")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        what, kind, name, _device, _length, view = pid
        if what != "storage" or view is not None:
            raise ModelError("the weights share their storages in a way that is not known here")
        return name, kind
