"""Curate clips: detect people, decide by policy, cut what is kept.

Follows `humannet://analysed`.

1. `detect` looks for people, hands and faces on the sampled frames, in batches. Runs where the GPU is, if there is one.
2. `decide` applies the versioned policy to the scores: content, quality, viewpoint. Each decision keeps its reason.
3. `cut` encodes only what was kept, normalised in frame rate, size and container.

Announces `humannet://clips`, which `annotate_clips` follows.
"""

from humannet_ops.orchestration.factories import leg_dag

# Airflow looks for a DAG object at module level.
dag = leg_dag("curate_clips", doc=__doc__)
