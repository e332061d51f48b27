//! The script for bash, which breaks words at `=` and `:` as no other shell does.

/// Joins what bash has broken apart, cuts the line at the cursor, and gives back only what bash replaces.
pub const SCRIPT: &str = r#"_PROGRAM_complete() {
    local line=${COMP_LINE:0:COMP_POINT} words=() piece trimmed
    for piece in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        trimmed=${line#"${line%%[![:space:]]*}"}
        piece=${piece:0:${#trimmed}}
        if [[ ${#words[@]} -gt 0 && $trimmed == "$line" ]]; then
            words[${#words[@]}-1]+=$piece
        else
            words+=("$piece")
        fi
        line=${trimmed#"$piece"}
    done
    local word=${words[${#words[@]}-1]} before='' sign
    for sign in '=' ':'; do
        if [[ $COMP_WORDBREAKS == *"$sign"* && $word == *"$sign"* ]]; then
            piece=${word%"${word##*"$sign"}"}
            [[ ${#piece} -gt ${#before} ]] && before=$piece
        fi
    done
    mapfile -t COMPREPLY < <(VARIABLE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
        "${words[0]/#\~/$HOME}" -- "${words[@]}" 2> /dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o bashdefault -o default -F _PROGRAM_complete PROGRAM
"#;
