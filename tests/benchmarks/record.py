"""Make the ratios of the last runs the recorded ones, against which later runs are compared.

.venv/bin/python tests/benchmarks/record.py peers catalog_scale
"""

from __future__ import annotations

import json
import sys

import report

from humannet_ops.settings import settings

for name in sys.argv[1:]:
    report.record(json.loads((settings().home / "benchmarks" / f"{name}.json").read_text()))
    print(f"{name}: recorded in {report.RECORDED.name}")
