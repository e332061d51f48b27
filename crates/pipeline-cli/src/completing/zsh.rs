//! The script for zsh, which sets no space behind a word that goes on: `STAGE.params.NAME=` and folders.

/// Describes words that are whole and words that go on apart.
pub const SCRIPT: &str = r#"#compdef PROGRAM
_PROGRAM_complete() {
    local line
    local -a open whole
    for line in "${(@f)$(VARIABLE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) \
        "${words[1]/#\~/$HOME}" -- "${words[@]}" 2> /dev/null)}"; do
        if [[ ${line%%:*} == *[=/] ]]; then
            open+=("$line")
        elif [[ -n $line ]]; then
            whole+=("$line")
        fi
    done
    [[ -n $open ]] && _describe -V 'values' open -S ''
    [[ -n $whole ]] && _describe -V 'values' whole
}
compdef _PROGRAM_complete PROGRAM
"#;
