# SPDX-License-Identifier: Apache-2.0
# Completion of holdfast(1) for fish. What may come next is asked from `holdfast __complete`.
function __holdfast_complete
    set -l typed (commandline -opc)
    set -l program $typed[1]
    set -e typed[1]
    set -l current (commandline -ct)
    for line in (command $program __complete $typed "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current")
            case ':folders'
                __fish_complete_directories (string replace -r -- '^--[^=]*=' '' "$current")
            case ':programs'
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end
complete -c holdfast -f -a '(__holdfast_complete)'
