"""Imports MediaPipe 0.10.21, the last release that carries its models, beside a protobuf newer than it was made for."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def mediapipe() -> Any:
    """Import MediaPipe, quietly.

    Its binding looks up ``MessageFactory.GetPrototype``, which protobuf 5 replaced by ``GetMessageClass``, and prints
    an AttributeError when it is not there. Nothing used here needs it (results come as serialised bytes), but putting
    the old name back, as the new function, is truer than hiding what is printed.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from google.protobuf import message_factory  # type: ignore[import-untyped]

    if not hasattr(message_factory.MessageFactory, "GetPrototype"):

        def get_prototype(_factory: Any, descriptor: Any) -> Any:
            return message_factory.GetMessageClass(descriptor)

        message_factory.MessageFactory.GetPrototype = get_prototype
    import mediapipe as imported

    return imported


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what native code prints to standard error while a graph starts, and show it only if that fails.

    MediaPipe logs to file descriptor 2 before it can be told not to: which delegate runs, which feedback is off. The
    descriptor is the process's, so other threads are kept quiet as well: wrap the start alone.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        saved = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(saved, kept.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
