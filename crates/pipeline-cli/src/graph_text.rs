//! A graph of stages in the languages of other programs, Mermaid and Graphviz, and the rows of its JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use console::measure_text_width;
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
    /// What a run would do with it, where that is asked for.
    #[serde(flatten)]
    pub state: Option<DrawnState>,
}

/// What a run would do with a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrawnState {
    /// `reuse`, `run` or `depends`.
    pub decision: &'static str,
    /// The reason, in a few words.
    pub reason: String,
}

impl DrawnState {
    /// The state in words: a stage that is reused has its reason alone.
    pub fn words(&self) -> String {
        if self.decision == "reuse" { self.reason.clone() } else { format!("{}: {}", self.decision, self.reason) }
    }

    /// The state in at most `columns`, without its reason where that is longer: `status` and `why` have it.
    pub fn words_in(&self, columns: usize) -> String {
        let words = self.words();
        match self.decision {
            _ if measure_text_width(&words) <= columns => words,
            "reuse" => "up to date".to_owned(),
            decision => decision.to_owned(),
        }
    }
}

/// The stages of a graph, inputs before readers.
pub fn stages_of(graph: &Graph) -> Vec<DrawnStage> {
    let drawn = |node: &pipeline_engine::Node| DrawnStage {
        stage: node.id.to_string(),
        kind: node.stage.kind().to_owned(),
        inputs: node.inputs.iter().map(|(slot, from)| (slot.clone(), from.to_string())).collect(),
        state: None,
    };
    graph.nodes().iter().map(drawn).collect()
}

/// A Mermaid flowchart.
pub fn mermaid(stages: &[DrawnStage]) -> String {
    let ids = ids(stages);
    let mut text = "flowchart TD\n".to_owned();
    for stage in stages {
        let id = &ids[&*stage.stage];
        let state = stage.state.as_ref();
        let words = state.map(|state| format!("<br/>{}", escaped(&state.words()))).unwrap_or_default();
        let class = state.map(|state| format!(":::{}", state.decision)).unwrap_or_default();
        let _ = writeln!(text, "  {id}[\"{}<br/><small>{}</small>{words}\"]{class}", stage.stage, stage.kind);
    }
    if stages.iter().any(|stage| stage.state.is_some()) {
        text.push_str("  classDef run stroke-width:3px\n  classDef depends stroke-dasharray:4\n");
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
        let state = stage.state.as_ref();
        let words = state.map(|state| format!("\n{}", state.words())).unwrap_or_default();
        let style = match state.map(|state| state.decision) {
            Some("run") => " style=bold",
            Some("depends") => " style=dashed",
            _ => "",
        };
        let label = format!("{}\n{}{words}", stage.stage, stage.kind);
        let _ = writeln!(text, "  {} [label={}{style}];", quoted(&stage.stage), quoted(&label));
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

/// A text in a label of Mermaid, which is HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
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
            DrawnStage { stage: "load".into(), kind: "load-queries".into(), inputs: BTreeMap::new(), state: None },
            DrawnStage { stage: "end".into(), kind: "extract-text".into(), inputs, state: None },
        ]
    }

    #[test]
    fn a_state_stands_in_the_label_and_is_drawn() {
        let mut stages = two_stages();
        stages[0].state = Some(DrawnState { decision: "run", reason: "param.n 1 -> 2".into() });
        stages[1].state = Some(DrawnState { decision: "depends", reason: "on what `load` gives".into() });
        let words = [40, 12].map(|columns| stages[1].state.as_ref().unwrap().words_in(columns));
        assert_eq!(words, ["depends: on what `load` gives", "depends"]);
        let (mermaid, dot) = (mermaid(&stages), dot("a", &stages));
        assert!(mermaid.contains("<br/>run: param.n 1 -&gt; 2\"]:::run\n"), "{mermaid}");
        assert!(mermaid.ends_with("classDef depends stroke-dasharray:4\n  s0 -- queries --> s1\n"), "{mermaid}");
        assert!(dot.contains("\\nrun: param.n 1 -> 2\" style=bold];"), "{dot}");
        assert!(dot.contains("style=dashed"), "{dot}");
    }

    #[test]
    fn each_format_has_all_stages_and_edges() {
        let stages = two_stages();
        assert_eq!(
            mermaid(&stages),
            "flowchart TD\n  s0[\"load<br/><small>load-queries</small>\"]\n  \
            s1[\"end<br/><small>extract-text</small>\"]\n  \
             s0 -- queries --> s1\n"
        );
        assert_eq!(
            dot("a \"b\"", &stages),
            "digraph \"a \\\"b\\\"\" {\n  node [shape=box];\n  \"load\" [label=\"load\\nload-queries\"];\n  \"end\" \
             [label=\"end\\nextract-text\"];\n  \"load\" -> \"end\" [label=\"queries\"];\n}\n"
        );
    }
}
