//! The tokens of every family against those that its own library gives.

use super::*;

/// Cn_clip splits special tokens that a text spells, where transformers takes them for the tokens.
const SPELT: usize = 22;

/// The text models of `tests/fixtures/ladder`, and the number of their tokens.
const MODELS: &[(&str, TokenizerFamily, usize)] = &[
    ("chinese_clip", TokenizerFamily::Bert, 458),
    ("cn_clip_rn50", TokenizerFamily::Bert, 458),
    ("cn_clip_vit", TokenizerFamily::Bert, 458),
    ("taiyi", TokenizerFamily::Bert, 458),
    ("roberta", TokenizerFamily::Roberta, 561),
    ("xlm_roberta", TokenizerFamily::Roberta, 478),
    ("clip", TokenizerFamily::Clip, 848),
    ("open_clip", TokenizerFamily::Clip, 848),
    ("siglip2", TokenizerFamily::Siglip, 781),
];

struct Golden {
    n_tokens: usize,
    texts: Vec<String>,
    max_length: usize,
    ids: Vec<Vec<u32>>,
}

fn golden(model: &str) -> Golden {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(fixtures::path(&format!("ladder/{name}"))).unwrap()).unwrap()
    };
    let text = &json(&format!("{model}.json"))["text"];
    Golden {
        n_tokens: MODELS.iter().find(|(name, ..)| *name == model).unwrap().2,
        texts: serde_json::from_value(json("texts.json")).unwrap(),
        max_length: text["max_length"].as_u64().unwrap() as usize,
        ids: serde_json::from_value(text["ids"].clone()).unwrap(),
    }
}

/// The small files of a model.
fn files_of(model: &str) -> BTreeMap<String, Value> {
    let names = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"];
    let text = |name: &str| std::fs::read_to_string(fixtures::path(&format!("ladder/{model}/{name}"))).ok();
    names.into_iter().filter_map(|name| Some((name.to_owned(), Value::String(text(name)?)))).collect()
}

fn load(model: &str, files: &BTreeMap<String, Value>, options: TokenizerOptions) -> Result<TextTokenizer, String> {
    let family = MODELS.iter().find(|(name, ..)| *name == model).unwrap().1;
    super::load(family, files, options)
}

fn options(golden: &Golden) -> TokenizerOptions {
    TokenizerOptions { max_length: golden.max_length, n_known: golden.n_tokens, ..TokenizerOptions::default() }
}

fn assert_golden(what: &str, tokenizer: &TextTokenizer, golden: &Golden, but: &[usize]) {
    for (text_idx, (text, expected)) in golden.texts.iter().zip(&golden.ids).enumerate() {
        if !but.contains(&text_idx) {
            assert_eq!(tokenizer.ids(text).unwrap(), *expected, "{what}: text {text_idx}, {text:?}");
        }
    }
}

#[test]
fn the_tokens_of_every_family_are_those_of_its_library() {
    for (model, ..) in MODELS {
        let golden = golden(model);
        let tokenizer = load(model, &files_of(model), options(&golden)).unwrap();
        let but: &[usize] = if model.starts_with("cn_clip") { &[SPELT] } else { &[] };
        assert_golden(model, &tokenizer, &golden, but);
    }
}

/// A folder of `tests/fixtures/ladder` with other settings, and what transformers makes of it.
#[derive(serde::Deserialize)]
struct Changed {
    name: String,
    model: String,
    without: Vec<String>,
    /// Per file, values by their places; the empty place is the whole file.
    changes: BTreeMap<String, BTreeMap<String, Value>>,
    ids: Vec<Vec<u32>>,
}

#[derive(serde::Deserialize)]
struct ChangedGoldens {
    max_length: usize,
    texts: Vec<String>,
    cases: Vec<Changed>,
}

/// The files of a model with other settings.
fn with_changes(model: &str, changes: &BTreeMap<String, BTreeMap<String, Value>>) -> BTreeMap<String, Value> {
    let mut files = files_of(model);
    for (file, changes) in changes {
        let text = files.get(file).and_then(Value::as_str).unwrap_or("{}");
        let mut json: Value = serde_json::from_str(text).unwrap();
        for (place, value) in changes {
            match place.rsplit_once('/') {
                None => json = value.clone(),
                Some((parent, name)) => json.pointer_mut(parent).unwrap()[name] = value.clone(),
            }
        }
        files.insert(file.clone(), Value::String(json.to_string()));
    }
    files
}

/// The files of a model with one other setting in `tokenizer_config.json`.
fn with_setting(model: &str, name: &str, value: Value) -> BTreeMap<String, Value> {
    let setting = BTreeMap::from([(format!("/{name}"), value)]);
    with_changes(model, &BTreeMap::from([("tokenizer_config.json".to_owned(), setting)]))
}

#[test]
fn settings_of_every_family_change_tokens_as_in_transformers() {
    let text = std::fs::read(fixtures::path("goldens/tokenizer_families.json")).unwrap();
    let goldens: ChangedGoldens = serde_json::from_slice(&text).unwrap();
    // Some settings add a token.
    let options = TokenizerOptions { max_length: goldens.max_length, n_known: 1000, ..TokenizerOptions::default() };
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let mut files = with_changes(&case.model, &case.changes);
        files.retain(|name, _| !case.without.contains(name));
        let tokenizer = load(&case.model, &files, options).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        for (text, expected) in goldens.texts.iter().zip(&case.ids) {
            let ids = tokenizer.ids(text).unwrap();
            if ids != *expected {
                wrong.push(format!("{}: {text:?} gives {ids:?} instead of {expected:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tokens_that_say_nothing_of_a_text_are_counted() {
    for (model, text, n_tokens, n_unknown) in [
        ("chinese_clip", "豹纹", 2, 1),
        ("chinese_clip", "[SEP] [UNK]", 1, 1),
        ("xlm_roberta", "a 鲸", 3, 1),
        ("clip", "a cat", 3, 0),
        ("clip", "鲸鱼", 6, 6),
        ("roberta", "é", 2, 2),
        ("siglip2", "a 鲸", 5, 3),
        ("siglip2", "", 0, 0),
    ] {
        let tokenizer = load(model, &files_of(model), options(&golden(model))).unwrap();
        let ids = tokenizer.ids(text).unwrap();
        assert_eq!(tokenizer.count(&ids), TokenCount { n_tokens, n_unknown }, "{model}: {text:?} is {ids:?}");
    }
}

#[test]
fn lower_case_can_be_chosen_for_every_family() {
    let cased = serde_json::json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let changes =
        |file: &str, place: &str, value: Value| (file.to_owned(), BTreeMap::from([(place.to_owned(), value)]));
    let class = changes("tokenizer_config.json", "/tokenizer_class", "GemmaTokenizer".into());
    let gemma = with_changes("siglip2", &BTreeMap::from([changes("tokenizer.json", "/normalizer", cased), class]));
    for (model, files, lower_cases) in
        [("siglip2", gemma, false), ("roberta", files_of("roberta"), false), ("clip", files_of("clip"), true)]
    {
        let golden = golden(model);
        let ids = |lower_case, text| {
            let options = TokenizerOptions { lower_case, ..options(&golden) };
            load(model, &files, options).unwrap().ids(text).unwrap()
        };
        let (upper, lower) = ("RED Dress 😀<s>", "red dress 😀<s>");
        assert_eq!(ids(None, upper) == ids(None, lower), lower_cases, "{model}");
        assert_eq!(ids(Some(true), upper), ids(None, lower), "{model}");
        assert_eq!(ids(Some(false), lower), ids(None, lower), "{model}");
        assert_ne!(ids(Some(false), upper), ids(None, lower), "{model}");
    }
}

#[test]
fn a_text_can_be_cleaned_as_chinese_clip_cleans_it() {
    let golden = golden("chinese_clip");
    // The excerpt of the vocabulary has no double quote.
    let files = files_of("chinese_clip");
    let words = format!("{}\"\n", files["vocab.txt"].as_str().unwrap());
    let files = BTreeMap::from([("vocab.txt".to_owned(), Value::String(words))]);
    let tokenizer = |cleaning| {
        let options = TokenizerOptions { cleaning, n_known: golden.n_tokens + 1, ..options(&golden) };
        load("chinese_clip", &files, options).unwrap()
    };
    let (plain, cleaned) = (tokenizer(Cleaning::Off), tokenizer(Cleaning::ChineseClip));
    assert_ne!(plain.ids("“引号”").unwrap(), plain.ids("\"引号\"").unwrap());
    assert_eq!(cleaned.ids("“引号”").unwrap(), plain.ids("\"引号\"").unwrap());
}

#[test]
fn what_is_not_followed_is_refused_in_every_family() {
    for (model, setting, value, named) in [
        ("clip", "tokenizer_class", "BertTokenizer", "`tokenizer_class` is `BertTokenizer` instead of `CLIPTokenizer`"),
        ("xlm_roberta", "tokenizer_class", "JinaTokenizer", "instead of `RobertaTokenizer`"),
        ("siglip2", "padding_side", "middle", "`padding_side` is `middle`"),
        ("siglip2", "pad_token", "<filler>", "no token `<filler>`"),
        ("clip", "unk_token", "<unk>", "`unk_token` is `<|endoftext|>`, and `<unk>`"),
        ("roberta", "cls_token", "</s>", "it does not put `</s>` before and `</s>` after"),
    ] {
        let files = with_setting(model, setting, value.into());
        let error = load(model, &files, options(&golden(model))).err().unwrap_or_else(|| panic!("{value}: accepted"));
        assert!(error.contains(named), "{model}, {value}: {error}");
    }
    for (model, setting, value, named) in [
        ("siglip2", "add_bos_token", true, "it does not put `<bos>` before and `<eos>` after"),
        ("siglip2", "add_eos_token", false, "it does not put nothing before and nothing after"),
        ("xlm_roberta", "add_prefix_space", false, "`add_prefix_space` is false"),
    ] {
        let files = with_setting(model, setting, value.into());
        let error = load(model, &files, options(&golden(model))).err().unwrap_or_else(|| panic!("{setting}: accepted"));
        assert!(error.contains(named), "{model}, {setting}: {error}");
    }
}

#[test]
fn words_of_another_family_are_refused_with_a_way_out() {
    let only = |names: &[&str], model: &str| {
        let mut files = files_of(model);
        files.retain(|name, _| names.contains(&name.as_str()));
        files
    };
    let pairs = only(&["vocab.json", "merges.txt"], "roberta");
    for (model, files) in [("roberta", only(&["vocab.txt"], "taiyi")), ("roberta", pairs.clone()), ("siglip2", pairs)] {
        let error = load(model, &files, options(&golden(model))).err().unwrap();
        let expected = "there is no `tokenizer.json`; AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one";
        assert!(error.contains(expected), "{model}: {error}");
    }
}

#[test]
fn a_token_beyond_the_embedding_is_an_error_in_every_family() {
    for (model, _, n_tokens) in MODELS {
        let with = |n_known| load(model, &files_of(model), TokenizerOptions { n_known, ..options(&golden(model)) });
        with(*n_tokens).unwrap();
        let error = with(n_tokens - 1).err().unwrap();
        assert!(error.contains(&format!("the model knows only {} tokens", n_tokens - 1)), "{model}: {error}");
    }
}
