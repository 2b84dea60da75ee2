"""`python -m robustcnn` is the command `robustcnn`."""

import sys

from robustcnn.cli import main

sys.exit(main())
