"""COLMAP's incremental structure from motion (Schoenberger and Frahm 2016), through pycolmap, on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.protocol import Reconstructed

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Frame, Mask

logger = logging.getLogger(__name__)
# One focal length and one distortion for the whole clip: wearable cameras are wide, and a clip has one lens.
CAMERA_MODEL = "SIMPLE_RADIAL"
# Each picture is matched with so many after it, and with those 2, 4, 8, ... after it.
OVERLAP = 6
# The strongest so many of a picture, none smaller than its pixels: enough for a path, and a fraction of the time of
# COLMAP's own settings, which are for photos.
MAX_FEATURES, FIRST_OCTAVE = 1024, 0
# Fewer pictures in one model are no path.
MIN_PICTURES = 5
SEED = 0


class PycolmapCamera:
    """Finds the path of a camera. The seed is fixed; paths of two runs still differ in their fourth digit."""

    def __init__(self, release: str, *, threads: int) -> None:
        self.release, self.threads = release, threads

    def reconstruct(self, pictures: Sequence[Frame], ignored: Sequence[Mask], folder: Path) -> Reconstructed | None:
        """Place as many pictures as can be placed together: the largest of COLMAP's models."""
        import pycolmap

        pycolmap.logging.minloglevel = 3  # its progress is nobody's here
        images, masks, database = folder / "images", folder / "masks", folder / "database.db"
        _write(pictures, ignored, images, masks)
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model, reader.mask_path = CAMERA_MODEL, masks
        extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
        extraction.num_threads = matching.num_threads = self.threads
        extraction.sift.max_num_features, extraction.sift.first_octave = MAX_FEATURES, FIRST_OCTAVE
        pairing = pycolmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap = OVERLAP, True
        mapping = pycolmap.IncrementalPipelineOptions()
        mapping.num_threads, mapping.random_seed = self.threads, SEED
        mapping.min_model_size, mapping.extract_colors = MIN_PICTURES, False
        pycolmap.set_random_seed(SEED)
        cpu = pycolmap.Device.cpu
        pycolmap.extract_features(
            database, images, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader,
            extraction_options=extraction, device=cpu,
        )  # fmt: skip
        pycolmap.match_sequential(database, matching_options=matching, pairing_options=pairing, device=cpu)
        (folder / "models").mkdir()
        models = pycolmap.incremental_mapping(database, images, folder / "models", options=mapping)
        if not models:
            return None
        return _largest(models)


def _write(pictures: Sequence[Frame], ignored: Sequence[Mask], images: Path, masks: Path) -> None:
    """Write the pictures, and for each a mask that is black where COLMAP must not look."""
    import cv2

    images.mkdir()
    masks.mkdir()
    for number, (picture, mask) in enumerate(zip(pictures, ignored, strict=True)):
        name = f"{number:06d}.jpg"
        cv2.imwrite(str(images / name), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(masks / f"{name}.png"), np.where(mask, 0, 255).astype(np.uint8))


def _largest(models: dict[int, Any]) -> Reconstructed:
    best = max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()))
    placed = sorted((int(Path(image.name).stem), image) for image in best.images.values() if image.has_pose)
    positions, quaternions = [], []
    for _, image in placed:
        world_from_camera = image.cam_from_world().inverse()
        positions.append(world_from_camera.translation)
        x, y, z, w = world_from_camera.rotation.quat
        quaternions.append((w, x, y, z))
    (camera,) = best.cameras.values()
    return Reconstructed(
        registered=np.array([number for number, _ in placed], np.int32),
        position=np.array(positions, np.float64),
        quaternion=np.array(quaternions, np.float64),
        focal_px=float(camera.mean_focal_length()),
        reprojection_px=float(best.compute_mean_reprojection_error()),
        points=int(best.num_points3D()),
        angle_deg=_median_angle(best, dict(placed), np.array(positions)),
    )


def _median_angle(model: Any, placed: dict[int, Any], positions: Any) -> float:
    """Return the median over the points of the angle between the first and the last ray to it, degrees."""
    centre = {image.image_id: position for image, position in zip(placed.values(), positions, strict=True)}
    angles = []
    for point in model.points3D.values():
        seen = sorted(element.image_id for element in point.track.elements if element.image_id in centre)
        if len(seen) > 1:
            a, b = (centre[image] - point.xyz for image in (seen[0], seen[-1]))
            cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return float(np.median(angles)) if angles else 0.0
