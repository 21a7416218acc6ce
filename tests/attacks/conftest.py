"""Attacks on a host: what is known from the RFCs, from CVEs and from practice."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
