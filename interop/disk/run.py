#!/usr/bin/env python3
"""What Thalweg keeps on the disk, judged by Apache Kafka 4.3.1.   interop/disk/run.py --help

It installs what it needs by itself. The last line is `N passed, N failed`; the exit code is 0 when nothing failed.
"""

import os
import sys
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(INTEROP))
sys.path.remove(str(Path(__file__).resolve().parent))

if __name__ == "__main__":
    from harness import install

    install.commands()
    install.kafka_jars()
    python = str(install.python_environment())
    os.environ["PYTHONPATH"] = str(INTEROP)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.execv(python, [python, "-m", "disk", *sys.argv[1:]])
