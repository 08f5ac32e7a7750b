# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for mainstay, crm and pcs: the program knows what may come next.

function __mainstay_complete
    set -l words (commandline -opc) (commandline -ct)
    mainstay complete (basename $words[1]) -- $words[2..-1] 2>/dev/null
end

for program in mainstay crm pcs
    complete -c $program -f -a '(__mainstay_complete)'
end
