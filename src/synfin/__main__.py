"""``python -m synfin`` is the command ``synfin``."""

import sys

from synfin.cli.main import main

sys.exit(main())
