//! The stages of a run as a graph from left to right.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{number, shortened};

/// A stage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The text below the name.
    pub(crate) detail: String,
    /// Its CSS class, which gives the colour.
    pub(crate) class: &'static str,
    /// The tooltip.
    pub(crate) tip: String,
    /// The indices of the nodes it reads, all before its own.
    pub(crate) inputs: Vec<usize>,
}

const NODE_WIDTH: f64 = 168.0;
const NODE_HEIGHT: f64 = 42.0;
const COLUMN: f64 = 222.0;
const ROW: f64 = 58.0;
const MARGIN: f64 = 4.0;
/// The most characters of a name that fit into a node.
const MAX_CHARS: usize = 24;
/// Sweeps over the layers that move nodes close to their neighbours.
const N_SWEEPS: usize = 8;

/// Draws nodes, inputs before readers, in layers.
pub(crate) fn graph(title: &str, nodes: &[Node]) -> Markup {
    let layout = Layout::new(nodes);
    let places = &layout.places;
    let (n_columns, n_rows) = places.iter().fold((0.0_f64, 0.0_f64), |most, at| (most.0.max(at.0), most.1.max(at.1)));
    let (width, height) = (n_columns * COLUMN + NODE_WIDTH + 2.0 * MARGIN, n_rows * ROW + NODE_HEIGHT + 2.0 * MARGIN);
    let corner = |idx: usize| (MARGIN + places[idx].0 * COLUMN, MARGIN + places[idx].1 * ROW);
    html! {
        svg.graph width=(number(width)) height=(number(height)) viewBox={ "0 0 " (number(width)) " " (number(height)) }
            role="img" aria-label=(title) {
            @for route in &layout.routes {
                path.edge d=(edge(&route.iter().map(|idx| corner(*idx)).collect::<Vec<_>>())) {}
            }
            @for (idx, node) in nodes.iter().enumerate() {
                @let (x, y) = corner(idx);
                g class={ "node " (node.class) } data-tip=(node.tip)
                    transform={ "translate(" (number(x)) " " (number(y)) ")" } {
                    rect width=(NODE_WIDTH) height=(NODE_HEIGHT) rx="7" {}
                    text.name x="11" y="18" { (shortened(&node.name, MAX_CHARS)) }
                    text.detail x="11" y="33" { (node.detail) }
                }
            }
        }
    }
}

/// A curve through places, given by their upper left corners. It runs from the right side of the first to the left side
/// of the last, and straight through those between.
fn edge(corners: &[(f64, f64)]) -> String {
    let middle = |corner: (f64, f64)| number(corner.1 + NODE_HEIGHT / 2.0);
    let mut path = format!("M{} {}", number(corners[0].0 + NODE_WIDTH), middle(corners[0]));
    for (idx, pair) in corners.windows(2).enumerate() {
        let (left, right) = (pair[0].0 + NODE_WIDTH, pair[1].0);
        let bend = number(f64::midpoint(left, right));
        if idx > 0 {
            path += &format!("H{}", number(left));
        }
        path +=
            &format!("C{bend} {} {bend} {} {} {}", middle(pair[0]), middle(pair[1]), number(right), middle(pair[1]));
    }
    path
}

/// The positions of nodes, and the places that edges go through.
struct Layout {
    /// The column and row of each node, then of each place that is reserved for an edge.
    places: Vec<(f64, f64)>,
    /// The places of each edge, from an input to its reader.
    routes: Vec<Vec<usize>>,
}

impl Layout {
    /// Assigns columns and rows.
    ///
    /// The column is the longest path from a node without inputs, or just before the first reader. The rows place nodes
    /// beside the mean of their neighbours. Long edges reserve places on their path, shared by all edges that leave one
    /// node.
    fn new(nodes: &[Node]) -> Self {
        let mut columns = columns(nodes);
        let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        let mut free: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut routes = Vec::new();
        for (reader, input) in
            nodes.iter().enumerate().flat_map(|(idx, node)| node.inputs.iter().map(move |from| (idx, *from)))
        {
            let mut route = vec![input];
            for column in columns[input] + 1..columns[reader] {
                let place = *free.entry((input, column)).or_insert_with(|| {
                    columns.push(column);
                    neighbours.push(Vec::new());
                    columns.len() - 1
                });
                route.push(place);
            }
            route.push(reader);
            for pair in route.windows(2) {
                neighbours[pair[0]].push(pair[1]);
                neighbours[pair[1]].push(pair[0]);
            }
            routes.push(route);
        }
        let rows = rows(&columns, &neighbours);
        Self { places: columns.into_iter().zip(rows).map(|(column, row)| (column as f64, row)).collect(), routes }
    }
}

fn columns(nodes: &[Node]) -> Vec<usize> {
    let mut columns = vec![0_usize; nodes.len()];
    let mut first_reader = vec![None; nodes.len()];
    for (idx, node) in nodes.iter().enumerate() {
        columns[idx] = node.inputs.iter().map(|input| columns[*input] + 1).max().unwrap_or(0);
    }
    for (idx, node) in nodes.iter().enumerate().rev() {
        columns[idx] = first_reader[idx].map_or(columns[idx], |reader: usize| reader - 1);
        for input in &node.inputs {
            let reader: &mut Option<usize> = &mut first_reader[*input];
            *reader = Some(reader.map_or(columns[idx], |earlier| earlier.min(columns[idx])));
        }
    }
    columns
}

/// The row of each place: columns are sorted by the mean row of the neighbours, back and forth, and centred.
fn rows(columns: &[usize], neighbours: &[Vec<usize>]) -> Vec<f64> {
    let mut layers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    columns.iter().enumerate().for_each(|(idx, column)| layers.entry(*column).or_default().push(idx));
    let longest = layers.values().map(Vec::len).max().unwrap_or(1) as f64;
    let mut layers: Vec<Vec<usize>> = layers.into_values().collect();
    let mut rows = vec![0.0; columns.len()];
    let settle = |layer: &[usize], rows: &mut [f64]| {
        let first = (longest - layer.len() as f64) / 2.0;
        layer.iter().enumerate().for_each(|(idx, place)| rows[*place] = first + idx as f64);
    };
    layers.iter().for_each(|layer| settle(layer, &mut rows));
    for _ in 0..N_SWEEPS {
        for layer in &mut layers {
            let mean = |place: &usize| match neighbours[*place].as_slice() {
                [] => rows[*place],
                others => others.iter().map(|other| rows[*other]).sum::<f64>() / others.len() as f64,
            };
            layer.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
            settle(layer, &mut rows);
        }
        layers.reverse();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(inputs: &[&[usize]]) -> Vec<Node> {
        inputs.iter().map(|inputs| Node { inputs: inputs.to_vec(), ..Node::default() }).collect()
    }

    #[test]
    fn a_node_stands_right_of_its_inputs_and_no_two_in_one_place() {
        let nodes = nodes(&[&[], &[], &[0], &[1], &[2, 3, 0], &[], &[4, 5]]);
        let layout = Layout::new(&nodes);
        let places = &layout.places;
        for (idx, node) in nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|input| places[*input].0 < places[idx].0), "{places:?}");
        }
        for (idx, place) in places.iter().enumerate() {
            assert!(!places[..idx].contains(place), "{places:?}");
        }
        assert_eq!(places[5].0, 2.0, "a node that only the last one reads stands just before it");
        assert!(layout.routes.contains(&vec![0, 7, 4]), "a long edge has a place of its own: {:?}", layout.routes);
    }

    #[test]
    fn edges_do_not_cross_where_they_need_not() {
        let places = Layout::new(&nodes(&[&[], &[], &[1], &[0]])).places;
        assert_eq!((places[0].1 < places[1].1), (places[3].1 < places[2].1), "{places:?}");
    }
}
