"""Shells: what their start-up files read, so that they ask `pfedmma complete` for a word."""

BASH = r"""# pfedmma in bash: eval "$(pfedmma completion bash)" in ~/.bashrc
_pfedmma() {
    local word
    mapfile -t COMPREPLY < <(pfedmma complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    for word in "${COMPREPLY[@]}"; do
        [[ $word == *[=./] ]] && compopt -o nospace 2>/dev/null
    done
    return 0
}
complete -F _pfedmma pfedmma
"""

ZSH = r"""# pfedmma in zsh, behind compinit: eval "$(pfedmma completion zsh)" in ~/.zshrc
_pfedmma() {
    local -a found
    found=("${(@f)$(pfedmma complete zsh "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    compadd -Q -S '' -- ${(M)found:#*[=./]}
    compadd -Q -- ${found:#(*[=./]|)}
}
compdef _pfedmma pfedmma
"""

FISH = r"""# pfedmma in fish: pfedmma completion fish > ~/.config/fish/completions/pfedmma.fish
function __pfedmma
    set -l before (commandline -opc)
    set -e before[1]
    set -l current (commandline -ct)
    pfedmma complete fish $before "$current" 2>/dev/null
end
complete -c pfedmma -f -a '(__pfedmma)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
