//! Finds equal stages among the points: defined alike, together with everything that they read.

use std::collections::HashMap;

use pipeline_spec::{PipelineSpec, StageSpec};

/// Numbers definitions: stages with one name get one number if and only if they are the same.
#[derive(Debug, Default)]
pub struct Definitions {
    numbers: HashMap<String, usize>,
}

impl Definitions {
    /// The number of each stage of `spec`, in its order.
    pub fn of(&mut self, spec: &PipelineSpec) -> Vec<usize> {
        let idx_by_id: HashMap<&str, usize> =
            spec.stages.iter().enumerate().map(|(idx, stage)| (stage.id.as_str(), idx)).collect();
        let mut numbers: Vec<Option<usize>> = vec![None; spec.stages.len()];
        for idx in 0..spec.stages.len() {
            // The stages that wait for the number of an input; the spec has no cycles.
            let mut open = vec![idx];
            while let Some(&idx) = open.last() {
                let stage = &spec.stages[idx];
                let inputs: Vec<usize> = stage.inputs.iter().map(|(_, from)| idx_by_id[from.value.as_str()]).collect();
                match inputs.iter().find(|input| numbers[**input].is_none()) {
                    Some(input) => open.push(*input),
                    None => {
                        let inputs: Vec<usize> = inputs.iter().filter_map(|input| numbers[*input]).collect();
                        numbers[idx] = Some(self.number(spec, stage, &inputs));
                        open.pop();
                    }
                }
            }
        }
        numbers.into_iter().flatten().collect()
    }

    fn number(&mut self, spec: &PipelineSpec, stage: &StageSpec, inputs: &[usize]) -> usize {
        let slots: Vec<&str> = stage.inputs.iter().map(|(slot, _)| slot.value.as_str()).collect();
        // Bare names of models are searched in this folder first.
        let models = spec.var_path("models");
        let text = format!("{}{slots:?}{inputs:?}{models:?}", stage.definition());
        let next = self.numbers.len();
        *self.numbers.entry(text).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(definitions: &mut Definitions, value: u32) -> Vec<usize> {
        let text = format!(
            "stages:\n  c: {{ kind: k, inputs: {{ x: b }} }}\n  b: {{ kind: k, inputs: {{ x: a }}, params: {{ p: \
            {value} }} }}\n  a: {{ kind: k }}\n"
        );
        definitions.of(&pipeline_spec::parse(&text, "spec.yaml".as_ref()).unwrap())
    }

    #[test]
    fn a_changed_stage_changes_what_is_below_it_and_nothing_else() {
        let mut definitions = Definitions::default();
        let (one, two, again) =
            (numbers(&mut definitions, 1), numbers(&mut definitions, 2), numbers(&mut definitions, 1));
        assert_eq!(one, again);
        assert_eq!(one[2], two[2]);
        assert!(one[0] != two[0] && one[1] != two[1]);
    }
}
