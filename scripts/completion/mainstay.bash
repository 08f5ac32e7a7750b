# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for mainstay, crm and pcs: the program knows what may come next.

_mainstay_complete() {
    local program=${1##*/} current word
    COMPREPLY=()
    # What bash splits at : and = is one word to the program.
    local -a words=()
    local line=${COMP_LINE:0:COMP_POINT}
    read -r -a words <<<"$line"
    case $line in *[[:space:]]) words+=('') ;; esac
    current=${words[${#words[@]} - 1]}
    local cut=${current%"${current##*[:=]}"}
    while IFS= read -r word; do
        COMPREPLY+=("${word#"$cut"}")
    done < <(mainstay complete "$program" -- "${words[@]:1}" 2>/dev/null)
    case ${COMPREPLY[0]-} in
    *[=:]) compopt -o nospace 2>/dev/null ;;
    esac
}

complete -F _mainstay_complete mainstay crm pcs
