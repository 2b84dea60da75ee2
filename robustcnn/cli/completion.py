"""Shell completion: a script that knows every verb and every option, and asks Python for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from robustcnn.cli.option_list import CONFIGS, options_of

BASH = """# bash completion of robustcnn; `robustcnn completion bash` made it.
_robustcnn() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{verbs}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
        *) [ "$COMP_CWORD" -eq 1 ] || words="$(compgen -f -- "$word")"
           COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    esac
}}
complete -o filenames -F _robustcnn robustcnn
"""
ZSH = """#compdef robustcnn
# zsh completion of robustcnn; `robustcnn completion zsh` made it.
autoload -U +X bashcompinit && bashcompinit
"""
SHELLS = ("bash", "zsh", "fish")


def script(shell: str, verbs: Sequence[str]) -> str:
    """What the shell is to read."""
    if shell not in SHELLS:
        raise ValueError(f"unknown shell {shell!r}; known: {', '.join(SHELLS)}")
    flags = {verb: list(dict.fromkeys(option.flag for option in options_of(verb))) for verb in CONFIGS}
    if shell == "fish":
        return _fish(verbs, flags)
    cases = "\n".join(f'            {verb}) words="{" ".join(known)} --help" ;;' for verb, known in flags.items())
    text = BASH.format(verbs=" ".join(verbs), cases=cases)
    return ZSH + text if shell == "zsh" else text


def _fish(verbs: Sequence[str], flags: dict[str, list[str]]) -> str:
    lines = ["# fish completion of robustcnn; `robustcnn completion fish` made it."]
    lines += [f"complete -c robustcnn -n __fish_use_subcommand -f -a {verb}" for verb in verbs]
    for verb, known in flags.items():
        seen = f"'__fish_seen_subcommand_from {verb}'"
        lines += [f"complete -c robustcnn -n {seen} -l {flag.removeprefix('--')}" for flag in known]
    return "\n".join(lines) + "\n"
