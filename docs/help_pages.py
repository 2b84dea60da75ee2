"""Write the help of each verb anew, as its config says it today (robustcnn/cli/help); `make format` does so."""

from __future__ import annotations

from robustcnn.cli.help_pages import FOLDER, made
from robustcnn.cli.main import VERBS
from robustcnn.cli.option_list import CONFIGS

for verb in CONFIGS:
    (FOLDER / f"{verb}.txt").write_text(made(VERBS[verb].run), encoding="utf-8")
