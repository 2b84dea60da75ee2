"""Pages of the site that are written by the code itself: the options of every verb, and every public name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from robustcnn.cli.main import VERBS
from robustcnn.cli.option_list import CONFIGS, Option, options_of

ROOMS = {
    "robustcnn": "The everyday names",
    "robustcnn.data": "Data sets",
    "robustcnn.models": "Networks",
    "robustcnn.train": "Training",
    "robustcnn.attacks": "Attacks",
    "robustcnn.certify": "Lower bounds",
    "robustcnn.channel": "The physical world",
    "robustcnn.evaluate": "Judging",
    "robustcnn.defences": "Defences",
    "robustcnn.report": "Tables and pictures",
    "robustcnn.runs": "Whole runs",
    "robustcnn.tracking": "MLflow",
}
"""The public rooms; a room that is not there yet is left out."""
OPTIONAL = {
    "trust.md": ("Trust", "What each check means"),
    "certify.md": ("Tutorials", "Two sides: lower bounds"),
    "swift.md": ("Trust", "Cheap first, then audited"),
    "reliability.md": ("Trust", "Under load and faults"),
    "scaling.md": ("How to", "More than one machine"),
    "zoo.md": ("How to", "Models of others"),
    "your-model.md": ("How to", "Your model, your data"),
    "lectures.md": ("Tutorials", "The lectures"),
    "tutorials/notebooks.md": ("Tutorials", "The notebooks"),
}
"""Pages with their place, shown once they are there."""
RESULTS = Path("experiments/results")
"""Tables that the site holds too, under `results/`."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated and the optional pages into the navigation."""
    sections = {name: pages for part in config.nav or [] for name, pages in part.items()}
    for page, (section, title) in OPTIONAL.items():
        if (Path(config.docs_dir) / page).is_file():
            sections[section].append({title: page})
    rooms = [{says: f"reference/{room}.md"} for room, says in ROOMS.items() if _there(room)]
    sections["Reference"].extend(rooms)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"options.md": options_page(), "changelog.md": Path("CHANGELOG.md").read_text()}
    pages |= {f"reference/{room}.md": reference_page(room, says) for room, says in ROOMS.items() if _there(room)}
    pages |= {f"results/{path.name}": path.read_text() for path in RESULTS.glob("*.md")}
    if not (Path(config.docs_dir) / "trust.md").is_file():
        pages["trust.md"] = (
            "# What each check means\n\nEach finding states its figure and, where it is no pass, the cure."
        )
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    for path in RESULTS.glob("*.png"):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path.resolve())))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Results lie under `results/` here; scripts and notebooks are named, not linked, for they are no pages."""
    markdown = re.sub(r"\]\(((?:\.\./)*)\.\./experiments/results/([\w.-]+)\)", r"](\1results/\2)", markdown)
    return re.sub(r"\[([^\]]*)\]\((?:\.\./)*(?:experiments|notebooks|robustcnn|tests)/?[\w./-]*\)", r"\1", markdown)


def options_page() -> str:
    """A table a verb."""
    parts = [
        "# Every option",
        "Generated from the configs that make the command line. The last part of a name is enough where it is the "
        "only one of that name: `--epochs` for `--fit.epochs`. An option that only one choice has names it.",
    ]
    for verb in CONFIGS:
        says = VERBS[verb].says
        rows = "\n".join(map(_row, options_of(verb)))
        parts += [f"## {verb}", f"{says[0].upper()}{says[1:]}.", f"| option | default | what |\n|---|---|---|\n{rows}"]
    return "\n\n".join(parts)


def reference_page(room: str, says: str) -> str:
    """A public room's names, each with its docstring."""
    parts = [f"# {says}", f"`from {room} import ...`"]
    module = import_module(room)
    for name in public_names(room):
        home = getattr(getattr(module, name), "__module__", room)
        real = getattr(getattr(module, name), "__qualname__", name)
        path = f"{home}.{real}" if home.startswith("robustcnn") else f"{room}.{name}"
        parts.append(f"## {name} {{ #{room}.{name} }}\n\n::: {path}")
    return "\n\n".join(parts)


def public_names(room: str) -> list[str]:
    """What the room re-exports."""
    module = import_module(room)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed, key=str.lower)
    own = [name for name in vars(module) if not name.startswith("_")]
    exported = [name for name in own if f" as {name}" in Path(module.__file__ or "").read_text()]
    return sorted(exported, key=str.lower)


def _there(room: str) -> bool:
    try:
        import_module(room)
    except ImportError:
        return False
    return True


def _row(option: Option) -> str:
    default = f"`{option.default}`" if option.default else ""
    says = f"{option.says} ({option.kind})" if option.kind else option.says
    return f"| `{option.flag}` | {_cell(default)} | {_cell(says)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
