//! A graph of stages in the languages of other programs, Mermaid and Graphviz, and the rows of its JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use pipeline_engine::Graph;
use serde::Serialize;

/// A stage of the drawing.
#[derive(Debug, Clone, Serialize)]
pub struct DrawnStage {
    /// Its name.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// The stages that it reads, by slot.
    pub inputs: BTreeMap<String, String>,
}

/// The stages of a graph, inputs before readers.
pub fn stages_of(graph: &Graph) -> Vec<DrawnStage> {
    let drawn = |node: &pipeline_engine::Node| DrawnStage {
        stage: node.id.to_string(),
        kind: node.stage.kind().to_owned(),
        inputs: node.inputs.iter().map(|(slot, from)| (slot.clone(), from.to_string())).collect(),
    };
    graph.nodes().iter().map(drawn).collect()
}

/// A Mermaid flowchart.
pub fn mermaid(stages: &[DrawnStage]) -> String {
    let ids = ids(stages);
    let mut text = "flowchart TD\n".to_owned();
    for stage in stages {
        let _ = writeln!(text, "  {}[\"{}<br/><small>{}</small>\"]", ids[&*stage.stage], stage.stage, stage.kind);
    }
    for (from, slot, to) in edges(stages) {
        let _ = writeln!(text, "  {} -- {slot} --> {}", ids[from], ids[to]);
    }
    text
}

/// A Graphviz digraph.
pub fn dot(name: &str, stages: &[DrawnStage]) -> String {
    let mut text = format!("digraph {} {{\n  node [shape=box];\n", quoted(name));
    for stage in stages {
        let label = format!("{}\n{}", stage.stage, stage.kind);
        let _ = writeln!(text, "  {} [label={}];", quoted(&stage.stage), quoted(&label));
    }
    for (from, slot, to) in edges(stages) {
        let _ = writeln!(text, "  {} -> {} [label={}];", quoted(from), quoted(to), quoted(slot));
    }
    text.push_str("}\n");
    text
}

/// The edges as (from, slot, to).
fn edges(stages: &[DrawnStage]) -> impl Iterator<Item = (&str, &str, &str)> {
    stages
        .iter()
        .flat_map(|stage| stage.inputs.iter().map(|(slot, from)| (from.as_str(), slot.as_str(), stage.stage.as_str())))
}

/// Names that are valid in Mermaid: stage names may contain dots and reserved words, such as `end`.
fn ids(stages: &[DrawnStage]) -> BTreeMap<&str, String> {
    stages.iter().enumerate().map(|(idx, stage)| (stage.stage.as_str(), format!("s{idx}"))).collect()
}

/// A quoted string of Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_stages() -> Vec<DrawnStage> {
        let inputs = BTreeMap::from([("queries".to_owned(), "load".to_owned())]);
        vec![
            DrawnStage { stage: "load".into(), kind: "load-queries".into(), inputs: BTreeMap::new() },
            DrawnStage { stage: "end".into(), kind: "extract-text".into(), inputs },
        ]
    }

    #[test]
    fn each_format_has_all_stages_and_edges() {
        let stages = two_stages();
        assert_eq!(
            mermaid(&stages),
            "flowchart TD\n  s0[\"load<br/><small>load-queries</small>\"]\n  s1[\"end<br/><small>extract-text</small>\"]\n  \
             s0 -- queries --> s1\n"
        );
        assert_eq!(
            dot("a \"b\"", &stages),
            "digraph \"a \\\"b\\\"\" {\n  node [shape=box];\n  \"load\" [label=\"load\\nload-queries\"];\n  \"end\" \
             [label=\"end\\nextract-text\"];\n  \"load\" -> \"end\" [label=\"queries\"];\n}\n"
        );
    }
}
