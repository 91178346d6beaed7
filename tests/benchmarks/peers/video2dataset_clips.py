"""video2dataset's cut detection and exact clipping of local files, with our encoder settings. Runs in its own venv.

python video2dataset_clips.py OUTPUT FILE...
"""

import sys
from pathlib import Path

from video2dataset import video2dataset
from video2dataset.subsamplers import clipping_subsampler

# It has no option for the encoder, and ffmpeg's default preset would be slower. Its worker processes import this file.
_process_stream = clipping_subsampler._process_stream
ENCODER = {"c:v": "libx264", "preset": "veryfast", "crf": 22}


def with_encoder(ffmpeg_kwargs, **given):
    return _process_stream(**given, ffmpeg_kwargs={**ffmpeg_kwargs, **ENCODER})


clipping_subsampler._process_stream = with_encoder

if __name__ == "__main__":
    output, files = Path(sys.argv[1]), sys.argv[2:]
    (output / "in.csv").write_text("\n".join(["videoLoc", *files]))
    detection = {"cut_detection_mode": "all", "framerates": None, "threshold": 27, "min_scene_len": 15}
    clipping = {"min_length": 0.0, "max_length": 99999.0, "max_length_strategy": "all", "precision": "exact"}
    metadata = {"writesubtitles": None, "get_info": False}
    config = {
        "subsampling": {
            "CutDetectionSubsampler": {"cuts_are_clips": True, "args": detection},
            "ClippingSubsampler": {"args": clipping},
        },
        "reading": {
            "yt_args": {"download_size": 720, "download_audio_rate": 44100, "yt_metadata_args": metadata},
            "timeout": 60,
            "sampler": None,
        },
        # two shards for two processes: both cores work
        "storage": {
            "number_sample_per_shard": (len(files) + 1) // 2,
            "oom_shard_count": 5,
            "captions_are_subtitles": False,
        },
        "distribution": {
            "processes_count": 2,
            "thread_count": 2,
            "subjob_size": 1000,
            "distributor": "multiprocessing",
        },
    }
    video2dataset(
        url_list=str(output / "in.csv"),
        output_folder=str(output / "out"),
        input_format="csv",
        output_format="files",
        url_col="videoLoc",
        encode_formats={"video": "mp4"},
        tmp_dir=str(output),
        config=config,
    )
