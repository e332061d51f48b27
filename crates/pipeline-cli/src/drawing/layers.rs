//! The layers of a graph: every stage below its inputs, with few crossings between them.

/// The rounds of sorting: more change nothing in graphs of tens of stages.
const N_ROUNDS: usize = 12;

/// An item of a layer: the box of a stage, or its line on the way to a layer below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The position of the stage whose output the line carries.
    pub stage: usize,
    /// True for the stage itself.
    pub is_box: bool,
}

/// The layers from top to bottom, their items from left to right.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The items.
    pub items: Vec<Vec<Item>>,
}

impl Layers {
    /// The layers of stages with these inputs; a stage stands behind its inputs.
    pub fn of(inputs: &[Vec<usize>]) -> Self {
        let depths = depths(inputs);
        let n_layers = depths.iter().max().map_or(0, |deepest| deepest + 1);
        let mut items = vec![Vec::new(); n_layers];
        for (stage, depth) in depths.iter().enumerate() {
            items[*depth].push(Item { stage, is_box: true });
            let readers = inputs.iter().enumerate().filter(|(_, read)| read.contains(&stage));
            let last = readers.map(|(reader, _)| depths[reader]).max().unwrap_or(*depth);
            for layer in items.iter_mut().take(last).skip(depth + 1) {
                layer.push(Item { stage, is_box: false });
            }
        }
        let mut best = Self { items };
        let mut tried = best.clone();
        for round in 0..N_ROUNDS {
            tried.sort(inputs, round % 2 == 0);
            if tried.n_crossings(inputs) < best.n_crossings(inputs) {
                best = tried.clone();
            }
        }
        best
    }

    /// Sorts layer by layer by the middle of the neighbours above, or below.
    fn sort(&mut self, inputs: &[Vec<usize>], is_downwards: bool) {
        let n_layers = self.items.len();
        for step in 1..n_layers {
            let (idx, fixed) = if is_downwards { (step, step - 1) } else { (n_layers - 1 - step, n_layers - step) };
            let middles: Vec<f64> = (self.items[idx].iter().enumerate())
                .map(|(position, item)| {
                    let neighbours = self.items[fixed].iter().enumerate().filter(|(_, other)| match is_downwards {
                        true => reads(*item, **other, inputs),
                        false => reads(**other, *item, inputs),
                    });
                    let (sum, n) = neighbours.fold((0.0, 0), |(sum, n), (at, _)| (sum + at as f64, n + 1));
                    if n == 0 { position as f64 } else { sum / f64::from(n) }
                })
                .collect();
            let mut order: Vec<usize> = (0..middles.len()).collect();
            order.sort_by(|a, b| middles[*a].total_cmp(&middles[*b]));
            self.items[idx] = order.into_iter().map(|position| self.items[idx][position]).collect();
        }
    }

    fn n_crossings(&self, inputs: &[Vec<usize>]) -> usize {
        let between = |pair: &[Vec<Item>]| {
            let lines: Vec<(usize, usize)> = (pair[1].iter().enumerate())
                .flat_map(|(below, item)| {
                    let above = pair[0].iter().enumerate().filter(|(_, other)| reads(*item, **other, inputs));
                    above.map(move |(above, _)| (above, below))
                })
                .collect();
            let crosses = |a: &(usize, usize), b: &(usize, usize)| a.0 < b.0 && a.1 > b.1;
            lines.iter().map(|a| lines.iter().filter(|b| crosses(a, b)).count()).sum::<usize>()
        };
        self.items.windows(2).map(between).sum()
    }
}

/// Whether a line leads from `above` to `below`, items of neighbouring layers.
pub fn reads(below: Item, above: Item, inputs: &[Vec<usize>]) -> bool {
    if below.is_box { inputs[below.stage].contains(&above.stage) } else { below.stage == above.stage }
}

/// The layer of each stage: below its inputs; a stage without inputs is just above its first reader.
fn depths(inputs: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; inputs.len()];
    for (stage, read) in inputs.iter().enumerate() {
        depths[stage] = read.iter().map(|input| depths[*input] + 1).max().unwrap_or(0);
    }
    for stage in (0..inputs.len()).filter(|stage| inputs[*stage].is_empty()) {
        let readers = inputs.iter().enumerate().filter(|(_, read)| read.contains(&stage));
        if let Some(first) = readers.map(|(reader, _)| depths[reader]).min() {
            depths[stage] = first - 1;
        }
    }
    depths
}
