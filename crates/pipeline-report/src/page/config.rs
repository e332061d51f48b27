//! The configuration: the resolved spec, and the digests and manifests of all stages.

use maud::{Markup, html};

use crate::facts::{Report, StageFacts};

pub(super) fn draw(report: &Report) -> Markup {
    html! {
        (spec(report.spec_yaml.as_deref()))
        (digests(report.stages.iter()))
        details {
            summary { "Manifests" }
            @for stage in &report.stages { (manifest(stage)) }
        }
    }
}

/// The resolved spec.
pub(super) fn spec(yaml: Option<&str>) -> Markup {
    html! { @match yaml {
        Some(yaml) => details open { summary { "Resolved spec" } pre { code { (yaml) } } },
        None => p.note { "The run has not kept its spec." },
    } }
}

/// The digests of stages: their keys and their artifacts.
pub(super) fn digests<'a>(stages: impl Iterator<Item = &'a StageFacts>) -> Markup {
    html! {
        details {
            summary { "Digests" }
            div.scroll { table {
                thead { tr { th { "stage" } th { "key" } th { "artifact" } } }
                tbody { @for stage in stages {
                    tr {
                        td { (stage.name) }
                        td { (digest(stage.key.as_ref())) }
                        td { (digest(stage.artifact.as_ref())) }
                    }
                } }
            } }
        }
    }
}

fn digest(digest: Option<&String>) -> Markup {
    html! { @match digest {
        Some(digest) => code.digest data-tip=(digest) { (digest.get(..12).unwrap_or(digest)) },
        None => "–",
    } }
}

fn manifest(stage: &StageFacts) -> Markup {
    html! { @if let Some(manifest) = &stage.manifest { h4 { (stage.name) } pre { code { (manifest) } } } }
}
