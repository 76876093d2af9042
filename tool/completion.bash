# Completion of the vellum command for bash: what its own help names. After `run`, the program and its words are completed as
# those of a command line of their own.

_vellum() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} i
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$(vellum help --names 2>/dev/null) --help --version" -- "$word")
    return
  fi
  if [[ $command == run ]]; then
    for ((i = 2; i < COMP_CWORD; ++i)); do
      case ${COMP_WORDS[i]} in
        --) ((i + 1 < COMP_CWORD)) && { _command_offset $((i + 1)); return; }; compopt -o default; mapfile -t COMPREPLY < <(compgen -c -- "$word"); return ;;
        --memory | --vmem | --user | --bind | --env | --report | --time | --engine | --kernel | --name | --gdb | --cpus) ((++i)) ;;
        -*) ;;
        *) _command_offset "$i"; return ;;
      esac
    done
  fi
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    --user) mapfile -t COMPREPLY < <(compgen -W "illumos linux" -- "$word"); return ;;
    --engine) mapfile -t COMPREPLY < <(compgen -W "auto tcg kvm" -- "$word"); return ;;
    --arch) mapfile -t COMPREPLY < <(compgen -W "amd64 i386" -- "$word"); return ;;
    --bind) compopt -o dirnames; return ;;
    --report | --kernel) compopt -o default; return ;;
    help) mapfile -t COMPREPLY < <(compgen -W "$(vellum help --names 2>/dev/null)" -- "$word"); return ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(vellum help "$command" 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u)" -- "$word")
  elif [[ $command == run ]]; then
    compopt -o default
    mapfile -t COMPREPLY < <(compgen -c -- "$word")
  fi
}
complete -F _vellum vellum
