//! The configuration: the resolved spec, and the digests and manifests of all stages.

use maud::{Markup, html};

use crate::facts::{Report, StageFacts};

pub(super) fn draw(report: &Report) -> Markup {
    html! {
        @match &report.spec_yaml {
            Some(yaml) => details open { summary { "Resolved spec" } pre { code { (yaml) } } },
            None => p.note { "The run has not kept its spec." },
        }
        details {
            summary { "Digests" }
            div.scroll { table {
                thead { tr { th { "stage" } th { "key" } th { "artifact" } } }
                tbody { @for stage in &report.stages {
                    tr {
                        td { (stage.name) }
                        td { (digest(stage.key.as_ref())) }
                        td { (digest(stage.artifact.as_ref())) }
                    }
                } }
            } }
        }
        details {
            summary { "Manifests" }
            @for stage in &report.stages { (manifest(stage)) }
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
