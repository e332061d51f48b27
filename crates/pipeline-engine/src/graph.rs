//! The graph of a spec: its stages in topological order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::path::PathBuf;

use pipeline_core::{Lane, Stage, StageId, StageNode};

/// A stage of a spec with its connections.
pub struct Node {
    /// The stage's name.
    pub id: StageId,
    /// Its work.
    pub stage: Box<dyn Stage>,
    /// The stages of its inputs, by slot.
    pub inputs: BTreeMap<String, StageId>,
    /// False when the artifact's bytes are dropped once its consumers are done.
    pub retain: bool,
    /// The lane in which it works; `None` for the one that its needs choose.
    pub lane: Option<Lane>,
    /// Files of the artifact and the paths to which they are published.
    pub publish: Vec<(String, PathBuf)>,
}

/// The stages of a spec, in topological order; otherwise in the order of the spec.
pub struct Graph {
    nodes: Vec<Node>,
    index: HashMap<StageId, usize>,
    /// The indices of each stage's inputs, in the order of the slots.
    inputs: Vec<Vec<usize>>,
    /// The indices of each stage's readers, one for each slot that reads it.
    consumers: Vec<Vec<usize>>,
}

/// The reason why stages do not form a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two stages have the same name.
    #[error("two stages are named `{stage}`")]
    Duplicate {
        /// The name.
        stage: StageId,
    },
    /// An input does not name a stage.
    #[error("input `{slot}` of `{stage}` names `{input}`, which is not a stage")]
    UnknownInput {
        /// The reader.
        stage: StageId,
        /// Its slot.
        slot: String,
        /// The unknown name.
        input: StageId,
    },
    /// Stages need each other in a circle.
    #[error("stages form a cycle: {}", join_cycle(.stages))]
    Cycle {
        /// The stages of one cycle, each an input of the next, the last an input of the first.
        stages: Vec<StageId>,
    },
    /// Two files would be published to one path, and each run would overwrite one with the other.
    #[error("`{first}` and `{second}` publish to the same path `{}`", .path.display())]
    PublishedTwice {
        /// The path.
        path: PathBuf,
        /// The stage that comes first.
        first: StageId,
        /// The other stage.
        second: StageId,
    },
}

impl Graph {
    /// Sorts `nodes`, given in the order of the spec.
    ///
    /// # Errors
    /// When names or published paths repeat, an input is unknown, or inputs form a cycle.
    pub fn new(nodes: Vec<Node>) -> Result<Self, GraphError> {
        let index = index_by_name(&nodes)?;
        check_published(&nodes)?;
        let inputs = resolve_inputs(&nodes, &index)?;
        let order = sort(&nodes, &inputs)?;
        Ok(Self::in_order(nodes, &inputs, &order))
    }

    /// The graph of these stages and those that they need. Their bytes stay: stages that are left out may read them.
    ///
    /// # Panics
    /// When a stage is not in the graph.
    pub fn restricted_to(mut self, targets: &BTreeSet<StageId>) -> Self {
        let mut is_needed: Vec<bool> = self.nodes.iter().map(|node| targets.contains(&node.id)).collect();
        assert_eq!(is_needed.iter().filter(|needed| **needed).count(), targets.len(), "a target is a stage");
        // Readers come after their inputs, so each stage is decided before its own inputs.
        for idx in (0..self.nodes.len()).rev() {
            if is_needed[idx] {
                self.inputs[idx].iter().for_each(|input| is_needed[*input] = true);
            }
        }
        let mut needed = is_needed.into_iter();
        self.nodes.retain(|_| needed.next().unwrap_or(false));
        self.nodes.iter_mut().for_each(|node| node.retain = true);
        Self::new(self.nodes).expect("a graph with the inputs of all its stages is one")
    }

    /// The stages, inputs before readers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The stages for the first event of a run.
    pub fn stage_nodes(&self) -> Vec<StageNode> {
        let node = |node: &Node| StageNode {
            stage: node.id.clone(),
            kind: node.stage.kind().to_owned(),
            inputs: node.inputs.clone(),
        };
        self.nodes.iter().map(node).collect()
    }

    /// The number of stages.
    pub fn n_stages(&self) -> usize {
        self.nodes.len()
    }

    /// The stage with this name, if there is one.
    pub fn node(&self, id: &StageId) -> Option<&Node> {
        self.position(id).map(|idx| &self.nodes[idx])
    }

    /// The index of a stage in [`Graph::nodes`], if it is there.
    pub fn position(&self, id: &StageId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The indices of the inputs of the stage at `idx`, one for each slot, in the order of the slots.
    pub fn inputs(&self, idx: usize) -> &[usize] {
        &self.inputs[idx]
    }

    /// The indices of the stages that read the one at `idx`, once for each slot that reads it.
    pub fn consumers(&self, idx: usize) -> &[usize] {
        &self.consumers[idx]
    }

    fn in_order(nodes: Vec<Node>, inputs: &[Vec<usize>], order: &[usize]) -> Self {
        let mut position = vec![0; nodes.len()];
        for (idx, &spec_idx) in order.iter().enumerate() {
            position[spec_idx] = idx;
        }
        let mut slots: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
        let nodes: Vec<Node> = order.iter().filter_map(|&spec_idx| slots[spec_idx].take()).collect();
        let inputs: Vec<Vec<usize>> =
            order.iter().map(|&spec_idx| inputs[spec_idx].iter().map(|&input| position[input]).collect()).collect();
        let index = nodes.iter().enumerate().map(|(idx, node)| (node.id.clone(), idx)).collect();
        let consumers = reverse(&inputs);
        Self { nodes, index, inputs, consumers }
    }
}

fn index_by_name(nodes: &[Node]) -> Result<HashMap<StageId, usize>, GraphError> {
    let mut index = HashMap::with_capacity(nodes.len());
    for (idx, node) in nodes.iter().enumerate() {
        if index.insert(node.id.clone(), idx).is_some() {
            return Err(GraphError::Duplicate { stage: node.id.clone() });
        }
    }
    Ok(index)
}

fn check_published(nodes: &[Node]) -> Result<(), GraphError> {
    let mut publishers: HashMap<&PathBuf, &StageId> = HashMap::new();
    for node in nodes {
        for (_, path) in &node.publish {
            if let Some(first) = publishers.insert(path, &node.id) {
                let (first, second) = (first.clone(), node.id.clone());
                return Err(GraphError::PublishedTwice { path: path.clone(), first, second });
            }
        }
    }
    Ok(())
}

fn resolve_inputs(nodes: &[Node], index: &HashMap<StageId, usize>) -> Result<Vec<Vec<usize>>, GraphError> {
    let resolve = |node: &Node| {
        let resolve_slot = |(slot, input): (&String, &StageId)| {
            index.get(input).copied().ok_or_else(|| GraphError::UnknownInput {
                stage: node.id.clone(),
                slot: slot.clone(),
                input: input.clone(),
            })
        };
        node.inputs.iter().map(resolve_slot).collect()
    };
    nodes.iter().map(resolve).collect()
}

fn reverse(inputs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); inputs.len()];
    for (idx, inputs) in inputs.iter().enumerate() {
        for &input in inputs {
            consumers[input].push(idx);
        }
    }
    consumers
}

/// Kahn's algorithm; among the stages that could come next, it takes the first in the spec.
fn sort(nodes: &[Node], inputs: &[Vec<usize>]) -> Result<Vec<usize>, GraphError> {
    let consumers = reverse(inputs);
    let mut n_missing: Vec<usize> = inputs.iter().map(Vec::len).collect();
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..nodes.len()).filter(|&idx| n_missing[idx] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(idx)) = free.pop() {
        order.push(idx);
        for &consumer in &consumers[idx] {
            n_missing[consumer] -= 1;
            if n_missing[consumer] == 0 {
                free.push(Reverse(consumer));
            }
        }
    }
    if order.len() == nodes.len() { Ok(order) } else { Err(find_cycle(nodes, inputs, &n_missing)) }
}

/// Walks from a stage that never became free to inputs that never did, until one repeats.
fn find_cycle(nodes: &[Node], inputs: &[Vec<usize>], n_missing: &[usize]) -> GraphError {
    let stuck = |idx: &usize| n_missing[*idx] > 0;
    let mut seen_at = HashMap::new();
    let mut path: Vec<usize> = Vec::new();
    let mut idx = (0..nodes.len()).find(stuck).expect("a stage outside the order waits for an input");
    while !seen_at.contains_key(&idx) {
        seen_at.insert(idx, path.len());
        path.push(idx);
        idx = inputs[idx].iter().copied().find(stuck).expect("a stage that waits has an input that waits");
    }
    let stages = path[seen_at[&idx]..].iter().rev().map(|&idx| nodes[idx].id.clone()).collect();
    GraphError::Cycle { stages }
}

fn join_cycle(stages: &[StageId]) -> String {
    stages.iter().chain(stages.first()).map(|stage| format!("`{stage}`")).collect::<Vec<_>>().join(" -> ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipeline_core::{Source, StageContext, StageError, StageReport, StageWork, WholeStage};

    use super::*;

    struct Nothing;

    impl Stage for Nothing {
        fn kind(&self) -> &'static str {
            "nothing"
        }
        fn version(&self) -> u32 {
            1
        }
        fn params(&self) -> BTreeMap<String, String> {
            BTreeMap::new()
        }
        fn sources(&self) -> Result<Vec<Source>, StageError> {
            Ok(Vec::new())
        }
        fn work(&self) -> StageWork<'_> {
            StageWork::Whole(self)
        }
    }

    impl WholeStage for Nothing {
        fn run(&self, _: &StageContext<'_>, _: &Path) -> Result<StageReport, StageError> {
            Ok(StageReport::default())
        }
    }

    /// Builds a graph of `name: inputs` and gives its order or its error as text.
    fn check(stages: &[(&str, &[&str])], expect: &str) {
        let nodes = stages.iter().map(|(id, inputs)| Node {
            id: id.parse().unwrap(),
            stage: Box::new(Nothing),
            inputs: inputs.iter().map(|input| ((*input).to_owned(), input.parse().unwrap())).collect(),
            retain: true,
            lane: None,
            publish: Vec::new(),
        });
        let result = match Graph::new(nodes.collect()) {
            Ok(graph) => graph.nodes().iter().map(|node| node.id.to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expect);
    }

    #[test]
    fn stages_come_after_their_inputs_and_else_in_the_order_of_the_spec() {
        check(&[("b", &[]), ("a", &[]), ("c", &["a", "b"])], "b a c");
        check(&[("c", &["a", "b"]), ("b", &["a"]), ("z", &[]), ("a", &[])], "z a b c");
    }

    #[test]
    fn stages_that_are_no_graph_are_named() {
        check(&[("a", &[]), ("a", &[])], "two stages are named `a`");
        check(&[("a", &["x"])], "input `x` of `a` names `x`, which is not a stage");
        check(&[("a", &["a"])], "stages form a cycle: `a` -> `a`");
        check(
            &[("z", &[]), ("d", &["c"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b", "z"])],
            "stages form a cycle: `a` -> `b` -> `c` -> `a`",
        );
    }
}
