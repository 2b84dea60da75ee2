"""`python -m robustcnn` is the command `robustcnn`."""

import sys

from robustcnn.cli.main import main

sys.exit(main())
