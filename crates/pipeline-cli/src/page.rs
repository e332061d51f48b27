//! Pages of search results: plain HTML without scripts, light and dark, whatever the ids and texts are.

use std::fmt::Write as _;

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

/// Text as HTML shows it, in elements and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page with this title and body.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<link rel=\"icon\" \
         href=\"data:,\">\n<title>{}</title>\n<style>{STYLE}</style>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// The images that were found; `source` gives the address of an image by its id, if there is a picture of it.
pub fn results(results: &Results, source: &dyn Fn(&str) -> Option<String>) -> String {
    let mut html =
        format!("<h1>{}</h1>\n<p>{}</p>\n<ol>\n", escape(results.what()), escape(&results.pool().replace('`', "")));
    for found in &results.results {
        let id = found.id.as_deref().unwrap_or("without id");
        let image = found
            .id
            .as_deref()
            .and_then(source)
            .map(|source| format!("<img loading=\"lazy\" alt=\"{}\" src=\"{}\">", escape(id), escape(&source)));
        let image = image.unwrap_or_default();
        let caption = format!("{}. {} · {:.4}", found.rank, escape(id), found.score);
        writeln!(html, "<li><figure>{image}<figcaption>{caption}</figcaption></figure></li>")
            .expect("a String takes any text");
    }
    html + "</ol>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_tag() {
        let page = page("<script>", &escape("<img src=x onerror='alert(\"1\")'> & 图"));
        assert!(page.contains("<title>&lt;script&gt;</title>"), "{page}");
        assert!(page.contains("&lt;img src=x onerror=&#39;alert(&quot;1&quot;)&#39;&gt; &amp; 图"), "{page}");
    }
}
