//! Pages of search results: plain HTML without scripts, light and dark, safe for any ids and texts.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::searching::Results;

const STYLE: &str = "\
:root{color-scheme:light dark;--page:light-dark(#f6f7f8,#121518);--card:light-dark(#fff,#1a1e22);\
--line:light-dark(#dfe3e7,#2d343a);--accent:light-dark(#0067a8,#5fb2f2)}\
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;background:var(--page)}\
a{color:var(--accent)}nav{display:flex;gap:1.2rem;margin-bottom:1rem}nav span{flex:1;font-weight:600}h1{font-size:1.3rem}\
form{display:flex;gap:.5rem}input[name=q]{flex:1;min-width:0}input,button{font:inherit;padding:.45rem .8rem;\
border:1px solid var(--line);border-radius:.5rem;background:var(--card)}\
ol{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:1rem;padding:0;list-style:none}\
figure{margin:0}img{width:100%;aspect-ratio:1;object-fit:contain;border-radius:.3rem;background:#8882}\
figcaption{font-size:.85rem;overflow-wrap:anywhere}.error{color:light-dark(#b3261e,#ff8f85)}";

/// A page with this title and body.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The images in the results; `source` returns the address of an image by its id, if it has a thumbnail.
pub fn results(results: &Results, source: &dyn Fn(&str) -> Option<String>) -> Markup {
    html! {
        h1 { (results.what()) }
        p { (results.pool().replace('`', "")) }
        ol {
            @for found in &results.results {
                @let id = found.id.as_deref().unwrap_or("without id");
                li {
                    figure {
                        @if let Some(source) = found.id.as_deref().and_then(source) {
                            img loading="lazy" alt=(id) src=(source);
                        }
                        figcaption { (found.rank) ". " (id) " · " (format!("{:.4}", found.score)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_tag() {
        let body = html! { p title="<'\"" { "<img src=x onerror='alert(\"1\")'> & 图" } };
        let page = page("<script>", &body);
        assert!(page.contains("<title>&lt;script&gt;</title>"), "{page}");
        assert!(page.contains("<p title=\"&lt;'&quot;\">&lt;img src=x onerror='alert("), "{page}");
        assert!(page.contains("&gt; &amp; 图</p>"), "{page}");
    }
}
