"""Completion scripts, one function a shell; all from the same description of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from ghn.cli.shell.words import Command, Word

CATALOGUE = '"${XDG_CACHE_HOME:-$HOME/.cache}/ghn/models.txt"'
"""Where `ghn models` keeps names, as `ghn.zoo.catalogue` says, in the words of bash and zsh."""


def bash(commands: Sequence[Command]) -> str:
    """For bash 4 or later."""
    return f"""# Completion of ghn for bash
_ghn() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" words cur prev command replies=() models=0
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur="${{words[-1]}}" prev="${{words[-2]:-}}" command="${{words[1]:-}}"
  COMPREPLY=()
  if (( ${{#words[@]}} <= 2 )); then
    replies=({_words([*(command.name for command in _first(commands)), "--help", "--version"])})
  else
    if (( ${{#words[@]}} > 3 )); then
      case "$command ${{words[2]}}" in
        {_tasks(commands)}) command="$command ${{words[2]}}" ;;
      esac
    fi
    case "$command $prev" in
{_indented(_bash_values(commands), 6)}
      *)
        if [[ $cur == -* ]]; then
          case "$command" in
{_indented((f"{_word(each.name)}) replies=({_words(_flags(each))}) ;;" for each in commands), 12)}
          esac
        else
          case "$command" in
{_indented((f"{_word(each.name)}) {_bash_reply(each.positional)} ;;" for each in commands), 12)}
          esac
        fi ;;
    esac
  fi
  local reply
  if (( models )); then
    # Of several names, separated by commas, the last is completed.
    local list="" last="$cur"
    [[ $cur == *,* ]] && list="${{cur%,*}}," last="${{cur##*,}}"
    while read -r reply; do
      [[ $reply == "$last"* ]] && COMPREPLY+=("$list$reply")
    done < <(grep -v '^#' {CATALOGUE} 2>/dev/null)
  else
    for reply in "${{replies[@]}}"; do
      [[ $reply == "$cur"* ]] && COMPREPLY+=("$reply")
    done
  fi
  # Readline takes what follows a colon as a word of its own.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${{COMPREPLY[@]#"${{cur%"${{cur##*:}}"}}"}}")
  fi
}}
complete -o default -F _ghn ghn
"""


def zsh(commands: Sequence[Command]) -> str:
    """For zsh, after compinit."""
    names = [f"{each.name}:{each.summary}" for each in _first(commands)]
    return f"""#compdef ghn
# Completion of ghn for zsh
_ghn_models() {{
  local models=(${{(f)"$(grep -v '^#' {CATALOGUE} 2>/dev/null)"}})
  compadd -a models
  _files
}}
_ghn() {{
  local command=$words[2] previous=$words[CURRENT-1]
  if (( CURRENT == 2 )); then
    local names=({_words(names)})
    _describe command names
    return
  fi
  if (( CURRENT > 3 )); then
    case "$command $words[3]" in
      {_tasks(commands)}) command="$command $words[3]" ;;
    esac
  fi
  case "$command $previous" in
{_indented(_zsh_values(commands), 4)}
    *)
      if [[ $PREFIX == -* ]]; then
        case "$command" in
{_indented((f"{_word(each.name)}) compadd -- {_words(_flags(each))} ;;" for each in commands), 10)}
        esac
      else
        case "$command" in
{_indented((f"{_word(each.name)}) {_zsh_reply(each.positional)} ;;" for each in commands), 10)}
        esac
      fi ;;
  esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _ghn "$@"; else compdef _ghn ghn; fi
"""


def fish(commands: Sequence[Command]) -> str:
    """For fish 3 or later."""
    return "\n".join(["# Completion of ghn for fish", *_fish(commands)]) + "\n"


SCRIPTS: Mapping[str, Callable[[Sequence[Command]], str]] = MappingProxyType({"bash": bash, "zsh": zsh, "fish": fish})
"""By the shell's name."""


def _fish(commands: Sequence[Command]) -> Iterator[str]:
    yield "function __ghn_models"
    yield '  set -l cache "$HOME/.cache"; set -q XDG_CACHE_HOME; and set cache $XDG_CACHE_HOME'
    yield "  string match -v '#*' < $cache/ghn/models.txt 2>/dev/null"
    yield "end"
    for each in _first(commands):
        yield f"complete -c ghn -n __fish_use_subcommand -f -a {each.name} -d {_word(each.summary)}"
    with_tasks: dict[str, list[str]] = {}
    for each in commands:
        if " " in each.name:
            name, task = each.name.split()
            with_tasks.setdefault(name, []).append(task)
    for each in commands:
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in each.name.split())
        if each.name in with_tasks:
            seen += f"; and not __fish_seen_subcommand_from {' '.join(with_tasks[each.name])}"
        here = f"complete -c ghn -n '{seen}'"
        for word in each.options:
            flags = " ".join(f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in word.flags)
            yield f"{here} {flags} {_fish_values(word)}".rstrip()
        if each.positional.kind in ("words", "model"):
            yield f"{here} {_fish_values(each.positional).replace('-x ', '')}"


def _fish_values(word: Word) -> str:
    if word.kind == "words":
        return f"-x -a {_word(' '.join(word.values))}"
    if word.kind == "model":
        return "-x -a '(__ghn_models)'"
    return "" if word.switch else "-r"


def _first(commands: Sequence[Command]) -> list[Command]:
    """Those that are a word; the others are tasks of these."""
    return [command for command in commands if " " not in command.name]


def _tasks(commands: Sequence[Command]) -> str:
    """Pattern of commands with a task."""
    return "|".join(_word(command.name) for command in commands if " " in command.name)


def _flags(command: Command) -> list[str]:
    return [flag for word in command.options for flag in word.flags]


def _bash_values(commands: Sequence[Command]) -> Iterator[str]:
    for each in commands:
        for word in each.options:
            if not word.switch:
                yield f"{_cases(each, word)}) {_bash_reply(word)} ;;"


def _bash_reply(word: Word) -> str:
    if word.kind == "model":
        return "models=1"
    return f"replies=({_words(word.values)})" if word.values else ":"


def _zsh_values(commands: Sequence[Command]) -> Iterator[str]:
    for each in commands:
        for word in each.options:
            if not word.switch:
                yield f"{_cases(each, word)}) {_zsh_reply(word)} ;;"


def _zsh_reply(word: Word) -> str:
    if word.kind == "model":
        return "_ghn_models"
    return f"compadd -- {_words(word.values)}; _files" if word.values else "_files"


def _cases(command: Command, word: Word) -> str:
    return "|".join(f'"{command.name} {flag}"' for flag in word.flags)


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(text: str) -> str:
    """A word that no shell takes apart."""
    plain = text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def _indented(rows: Iterator[str], by: int) -> str:
    return "\n".join(" " * by + row for row in rows)
