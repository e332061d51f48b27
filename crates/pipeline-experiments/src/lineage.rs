//! Traces the data behind a result: the sources at the top of an evaluation's inputs.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{ArtifactDigest, Digest, Manifest, StageId};
use pipeline_engine::{Decision, Graph, Plan};

/// The facts about a stage that show the origin of data.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The stages that it reads, by slot.
    pub inputs: &'a BTreeMap<String, StageId>,
    /// Its manifest, if it is known.
    pub manifest: Option<&'a Manifest>,
    /// The artifact that it makes, if that is known.
    pub artifact: Option<ArtifactDigest>,
}

/// The stages of a plan or of a recorded run, by name.
#[derive(Debug, Default)]
pub struct Lineage<'a> {
    stages: BTreeMap<&'a StageId, Origin<'a>>,
}

impl<'a> FromIterator<(&'a StageId, Origin<'a>)> for Lineage<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a StageId, Origin<'a>)>>(stages: I) -> Self {
        Self { stages: stages.into_iter().collect() }
    }
}

impl<'a> Lineage<'a> {
    /// The stages of a plan.
    pub fn of_plan(graph: &'a Graph, plan: &'a Plan) -> Self {
        let stages = graph.nodes().iter().zip(&plan.stages).map(|(node, planned)| {
            let artifact = match &planned.decision {
                Decision::Reuse { artifact, .. } => Some(*artifact),
                _ => None,
            };
            (&planned.id, Origin { inputs: &node.inputs, manifest: planned.manifest.as_ref(), artifact })
        });
        stages.collect()
    }

    /// The digest of the data behind an input of a stage: of the sources at the top of it.
    ///
    /// The digest does not cover the input itself, since comparing different features of the same images is the
    /// purpose. `None` when the stage has no such input or the stages above it are unknown.
    pub fn data(&self, stage: &StageId, slot: &str) -> Option<Digest> {
        let mut roots = BTreeSet::new();
        let mut above = vec![self.stages.get(stage)?.inputs.get(slot)?];
        let mut seen = BTreeSet::new();
        while let Some(stage) = above.pop() {
            if !seen.insert(stage) {
                continue;
            }
            let origin = self.stages.get(stage)?;
            if origin.inputs.is_empty() {
                roots.extend(root_lines(origin)?);
            }
            above.extend(origin.inputs.values());
        }
        let lines: Vec<String> = roots.into_iter().collect();
        Some(Digest::of(lines.join("\n").as_bytes()))
    }
}

/// The sources of a stage; for a stage without sources, its artifact. `None` when its sources are unknown.
fn root_lines(origin: &Origin<'_>) -> Option<Vec<String>> {
    let text = origin.manifest?.text();
    // Features that decode their own images have an encoder, too, which is no data.
    let encodes = origin.manifest?.get("kind") == Some("extract-image");
    let is_encoder = |line: &str| encodes && line.starts_with("source.model/");
    let sources = text.lines().filter(|line| line.starts_with("source.") && !is_encoder(line));
    let sources: Vec<String> = sources.map(str::to_owned).collect();
    if sources.is_empty() { Some(vec![format!("artifact = {}", origin.artifact?)]) } else { Some(sources) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of the images behind an evaluation, whose features come from these stages: kind, input and sources.
    fn images(stages: &[(&str, &str, Option<&str>, &[&str])]) -> Option<Digest> {
        let id = |name: &str| name.parse::<StageId>().unwrap();
        let ids: Vec<StageId> = stages.iter().map(|(name, ..)| id(name)).chain([id("evaluate")]).collect();
        let mut inputs: Vec<BTreeMap<String, StageId>> = stages
            .iter()
            .map(|(_, _, from, _)| from.iter().map(|from| ("images".to_owned(), id(from))).collect())
            .collect();
        inputs.push(BTreeMap::from([("images".to_owned(), id("features"))]));
        let manifests: Vec<Manifest> = stages
            .iter()
            .map(|(_, kind, _, sources)| {
                let mut manifest = Manifest::new(kind, 1);
                sources.iter().for_each(|source| manifest.source(source, &Digest::of(source.as_bytes())));
                manifest
            })
            .chain([Manifest::new("evaluate-recall", 1)])
            .collect();
        let origins = inputs.iter().zip(&manifests);
        let origins = origins.map(|(inputs, manifest)| Origin { inputs, manifest: Some(manifest), artifact: None });
        ids.iter().zip(origins).collect::<Lineage<'_>>().data(ids.last()?, "images")
    }

    #[test]
    fn images_are_the_same_whichever_encoder_reads_them_and_whether_their_pixels_are_stored() {
        let through = |model: &'static str, path: &'static str| {
            images(&[
                ("images", "decode-images", None, &[path]),
                ("features", "extract-image", Some("images"), &[model]),
            ])
        };
        let direct = |model, path| images(&[("features", "extract-image", None, &[model, path])]);
        let expect = through("model/weights", "path");
        assert!(expect.is_some());
        for same in [through("model/config", "path"), direct("model/weights", "path"), direct("model/config", "path")] {
            assert_eq!(same, expect);
        }
        for other in [through("model/weights", "path/0.tar"), direct("model/weights", "path/0.tar")] {
            assert_ne!(other, expect);
        }
        // A program may have sources of any name.
        let program = |source: &'static str| images(&[("features", "command", None, &[source, "path"])]);
        assert_ne!(program("model/a"), program("model/b"));
    }
}
