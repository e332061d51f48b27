//! Lines of Markdown that are no longer than the house allows.

/// The longest line of a document.
const WIDTH: usize = 120;

/// The paragraph in lines, each after the first indented by the width of `first`.
pub fn wrapped(first: &str, paragraph: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in paragraph.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines.join("\n")
}

/// An item of a list: a name in code, a remark in parentheses, and a description.
pub fn item(depth: usize, name: &str, remark: &str, description: &str) -> String {
    let first = format!("{}- ", "  ".repeat(depth));
    let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
    wrapped(&first, &format!("`{name}`{remark}: {description}"))
}
