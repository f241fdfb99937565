# SPDX-License-Identifier: Apache-2.0
# Completion of holdfast(1) for bash. What may come next is asked from `holdfast __complete`.
_holdfast() {
    local line=${COMP_LINE:0:COMP_POINT} part=${COMP_WORDS[COMP_CWORD]} word
    local -a words
    COMPREPLY=()
    # COMP_WORDS is cut at : = and @ too, which stand in the names of units and in addresses.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current=${words[-1]}
    part=${part:0:${#current}}
    [[ $current == *"$part" ]] || part=$current
    [[ $part == [:=@]* ]] && part=${part##[:=@]}
    local before=${current:0:${#current}-${#part}}
    while IFS=$'\t' read -r word _; do
        case $word in
        :files) compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$part") ;;
        :folders) compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$part") ;;
        :programs) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -c -- "$part") ;;
        *)
            word=${word#"$before"}
            [[ $word == *[^[:alnum:]_.:@=/-]* ]] && printf -v word %q "$word" # it is typed, and the shell would run it
            COMPREPLY+=("$word")
            ;;
        esac
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _holdfast holdfast
