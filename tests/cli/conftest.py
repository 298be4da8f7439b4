"""What these tests share with those of other folders."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tidy import *  # noqa: E402, F403
