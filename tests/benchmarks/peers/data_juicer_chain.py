"""Data-Juicer's chain for the same purpose: filters, motion at 2 fps, duplicates, split by scene. Runs in its own venv.

python data_juicer_chain.py default|small OUTPUT FILE...

``default`` measures motion on whole pictures, as its recipes do; ``small`` on pictures of the size that ours has.
"""

import json
import sys
from pathlib import Path

from data_juicer.ops import base_op
from data_juicer.tools.process_data import main

MOTION = {"default": {}, "small": {"size": 144, "max_size": 256}}

# There are no models to free here; to ask torch for that would first download it, in the time that is measured.
base_op.free_models = lambda: None

if __name__ == "__main__":
    motion, output, files = MOTION[sys.argv[1]], Path(sys.argv[2]), sys.argv[3:]
    rows = [{"text": "<__dj__video> <|__dj__eoc|>", "videos": [file]} for file in files]
    (output / "in.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    encoder = "-c:v libx264 -preset veryfast -crf 22 -c:a aac -movflags frag_keyframe+empty_moov"
    recipe = {
        "project_name": "curate",
        "dataset_path": str(output / "in.jsonl"),
        "export_path": str(output / "out.jsonl"),
        "np": 2,
        "open_tracer": False,
        "use_cache": False,
        "process": [
            {"video_resolution_filter": {"min_width": 64, "min_height": 64}},
            {"video_duration_filter": {"min_duration": 0.5, "max_duration": 100000}},
            {"video_motion_score_filter": {"min_score": 0.0, "sampling_fps": 2, **motion}},
            {"video_deduplicator": {}},
            {"video_split_by_scene_mapper": {"save_dir": str(output / "clips"), "ffmpeg_extra_args": encoder}},
        ],
    }
    # JSON is YAML
    (output / "recipe.yaml").write_text(json.dumps(recipe))
    sys.argv = ["dj-process", "--config", str(output / "recipe.yaml")]
    main()
