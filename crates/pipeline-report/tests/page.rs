//! The page as a whole: its content, that it is self-contained, and that untrusted text cannot break it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;

use pipeline_core::LineChange;
use pipeline_data::{Picture, RgbImage, thumbnail};
use pipeline_eval::RankingRow;
use pipeline_eval::analysis::{Analysis, AnalysisOptions, Chance, Changes, Map, duplicates};
use pipeline_eval::statistics::{Interval, SignTest};
use pipeline_kernels::Matrix;
use pipeline_report::facts::{
    Comparison, Difference, Evaluation, OtherEvaluation, Report, RunFacts, StageDifference, StageFacts, StageState,
    Training,
};
use pipeline_report::{History, pictures};

/// A text that breaks a page that does not escape it.
const EVIL: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> 红色 👗 &amp;";

fn render(report: &Report) -> String {
    pipeline_report::render(report).html
}

fn query(idx: usize) -> RankingRow {
    let ids = |offset: usize| (0..10).map(|place| ((idx + place + offset) % 30).to_string()).collect::<Vec<_>>();
    RankingRow {
        query_id: Some(format!("q{idx}")),
        query_text: if idx == 0 { EVIL.to_owned() } else { format!("query number {idx}") },
        relevant: vec![(idx % 30).to_string()],
        rank: if idx == 7 { None } else { Some(1 + (idx as u32 * 7) % 30) },
        top_ids: ids(if idx.is_multiple_of(3) { 0 } else { 5 }),
        top_scores: (0..10).map(|place| 0.9 - place as f32 * 0.05).collect(),
    }
}

fn evaluation(options: &AnalysisOptions) -> Evaluation {
    let metrics = [("mean_recall", 0.5), ("recall_at_1", 0.1), ("recall_at_5", 0.2), ("recall_at_10", 0.4)];
    let counts = [("n_queries", 60.0), ("n_answerable", 59.0), ("pool_size", 30.0)];
    let metrics: BTreeMap<_, _> =
        metrics.into_iter().chain(counts).map(|(name, value)| (name.to_owned(), value)).collect();
    let ids: Vec<_> = (0..30).map(|id| Some(id.to_string())).collect();
    let features = Matrix::new(30, 2, (0..60).map(|value| (value / 4) as f32).collect());
    let labels = |n: usize| vec![EVIL.to_owned(); n];
    let queries: Vec<_> = (0..60).map(query).collect();
    let image_ranks: Vec<_> = (0..30).map(|rank| Some(rank + 1)).collect();
    Evaluation {
        stage: "evaluate".into(),
        baseline: Some(Ok(metrics.clone())),
        chance: Chance::new(&[1; 60], 30, &[1, 5, 10], 30),
        analysis: Analysis::new(&queries, Some(&image_ranks), &metrics, options),
        metrics,
        queries,
        image_ranks: Some(image_ranks),
        map: Some(Map::new(&features, labels(30), &features, labels(30))),
        duplicates: Some(duplicates(&ids, &features).unwrap()),
        pictures: BTreeMap::new(),
        fed_as: Some("squashed to 96 × 96 pixels, transparency dropped".into()),
        picture_note: None,
    }
}

fn stage(name: &str, inputs: &[&str]) -> StageFacts {
    StageFacts {
        name: name.into(),
        kind: "command".into(),
        inputs: inputs.iter().map(|from| ("from".to_owned(), (*from).to_owned())).collect(),
        state: StageState::Ran,
        seconds: Some(1.5),
        n_rows: Some(1_234),
        n_rejected: 3,
        remarks: vec![EVIL.into()],
        key: Some("ab".repeat(32)),
        artifact: Some("cd".repeat(32)),
        manifest: Some("kind = \"command\"\n".into()),
        ..StageFacts::default()
    }
}

/// A report with something in every section.
fn full() -> Report {
    let run =
        RunFacts { id: "20261124T082050Z-ab12".into(), spec: EVIL.into(), state: "done".into(), ..RunFacts::default() };
    let change = LineChange { name: "param.lr".into(), old: Some(EVIL.into()), new: None };
    let history = "epoch,step,loss,lr,valid_mean_recall\n1,1,2.5,0.001,\n1,2,2.25,0.0005,0.25\n2,1,2.0,0.0001,0.5\n";
    let evaluation = evaluation(&AnalysisOptions::default());
    let metrics = evaluation.metrics.clone();
    let none = Difference { value: 0.0, interval: Interval { low: -0.01, high: 0.01 } };
    let differences = metrics.keys().map(|metric| (metric.as_str().into(), none)).collect();
    let sign_tests = [("recall_at_1".into(), SignTest { n_up: 5, n_down: 3, p: 0.7266 })].into();
    let mut queries = evaluation.queries.clone();
    queries[3].rank = Some(2);
    queries[5].rank = Some(12);
    let changes = Changes::new(&queries, &evaluation.queries, &[1, 5, 10], 4);
    let other = OtherEvaluation { metrics, differences, sign_tests, queries, changes };
    Report {
        run: run.clone(),
        stages: vec![stage("a", &[]), stage("b", &["a"])],
        trainings: vec![Training { stage: "b".into(), history: History::parse(history).unwrap() }],
        evaluations: vec![evaluation],
        comparison: Some(Comparison {
            run,
            stages: vec![StageDifference::Changed("b".into(), Some(vec![change])), StageDifference::Same("a".into())],
            evaluations: BTreeMap::from([("evaluate".to_owned(), Ok(other))]),
            trainings: vec![Training { stage: "b".into(), history: History::parse(history).unwrap() }],
        }),
        spec_yaml: Some(format!("name: {EVIL}\n")),
        notes: vec![EVIL.into()],
        ..Report::default()
    }
}

/// The full report with a thumbnail for every image that needs one.
fn with_pictures(side: u32) -> Report {
    let mut report = full();
    let wanted = pictures(&report);
    for (evaluation, wanted) in report.evaluations.iter_mut().zip(wanted) {
        let picture = |id: &String| {
            let level = id.len() as u8 * 40 + id.as_bytes()[0];
            RgbImage { width: side, height: side, pixels: vec![level; (side * side * 3) as usize] }
        };
        let picture = |id: &String| Picture { own: thumbnail(&picture(id), 72), fed: None };
        evaluation.pictures = wanted.iter().map(|id| (id.clone(), picture(id))).collect();
    }
    report
}

#[test]
fn every_section_is_there_and_the_navigation_leads_to_it() {
    let html = render(&full());
    for id in
        ["result", "comparison", "changes", "pipeline", "training", "retrieval", "gallery", "images", "map", "config"]
    {
        assert_eq!(html.matches(&format!("<section id=\"{id}\">")).count(), 1, "{id}");
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    for text in ["MeanRecall", "50.00%", "Recall@10", "text to image", "image to text", "learning rate", "validation"] {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("no evidence of a difference"), "two equal runs");
    assert!(html.contains("1,234"));
}

#[test]
fn a_comparison_shows_the_queries_that_were_won_and_lost_and_both_runs_curves() {
    let html = render(&full());
    assert!(html.contains("1 won, 1 lost and 58 unchanged queries."));
    assert!(html.contains("data-groups=\"won:0\"") && html.contains("data-groups=\"lost:0\""));
    assert!(html.contains("rank 12 → <b class=\"up\">6</b>") && html.contains("rank 2 → <b class=\"down\">22</b>"));
    assert!(html.contains("other run, rank 1: image") && html.contains("this run, rank 1: image"));
    assert!(html.contains("Over the same 60 queries MeanRecall stayed the same."));
    assert!(html.contains("exact sign test: p = 0.7266"));
    assert!(html.contains("<path class=\"curve c1 other\""), "the loss of the other run lies beneath");
    let mut gone = full();
    if let Some(Ok(other)) = gone.comparison.as_mut().unwrap().evaluations.get_mut("evaluate") {
        other.queries.clear();
    }
    assert!(!render(&gone).contains("<section id=\"changes\">"), "without rankings there is nothing to show");
}

#[test]
fn the_level_of_chance_is_named_and_drawn() {
    let html = render(&full());
    assert!(html.contains("chance 3.33%") && html.contains("chance 33.33%"), "1 and 10 of 30");
    assert!(html.contains("<path class=\"curve c5 other\""));
    let mut unknown = full();
    unknown.evaluations[0].chance = None;
    assert!(!render(&unknown).contains(">chance "));
}

#[test]
fn a_learning_rate_that_stays_is_no_curve() {
    let mut report = Report { comparison: None, ..full() };
    let history = "epoch,step,loss,lr,temperature\n0,0,2.5,0.001,0.07\n0,1,2.25,0.001,0.07\n";
    report.trainings[0].history = History::parse(history).unwrap();
    let html = render(&report);
    assert!(html.contains("<figcaption>loss</figcaption>"));
    for title in ["learning rate", "temperature"] {
        assert!(!html.contains(&format!("<figcaption>{title}</figcaption>")), "{title}");
    }
}

#[test]
fn what_others_have_written_is_text_and_nothing_else() {
    let html = render(&full());
    assert_eq!(html.matches("<script>").count(), 1, "only the page's own script");
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(!html.contains("<img"), "{EVIL} has become an element");
    assert!(!html.contains("\"'>"), "a quote ends no attribute");
    assert!(html.contains("&lt;/script&gt;") && html.contains("红色 👗 &amp;amp;"));
}

#[test]
fn the_page_stands_alone() {
    let html = render(&with_pictures(80));
    for mark in ["src=", "http://", "https://", "@import", "stylesheet", "<iframe"] {
        let found = html.match_indices(mark).find(|(at, _)| !html[..*at].ends_with("&lt;img "));
        assert!(found.is_none(), "{mark} at {found:?}");
    }
    let addresses = html.split("href=\"").skip(1).filter(|rest| !rest.starts_with("data:,\""));
    let addresses: Vec<_> = addresses.map(|rest| &rest[..1]).collect();
    assert!(!addresses.is_empty() && addresses.iter().all(|first| *first == "#"), "links stay in the page");
    let outside = html.split("url(").skip(1).filter(|rest| !rest.starts_with("data:image/jpeg;base64,")).count();
    assert_eq!(outside, 0, "pictures are in the page");
}

#[test]
fn each_distinct_picture_is_in_the_page_once() {
    let report = with_pictures(80);
    let mut distinct: Vec<_> = report.evaluations[0].pictures.values().map(|picture| &picture.own).collect();
    let n_images = distinct.len();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() < n_images, "some of the pictures are equal");
    assert_eq!(render(&report).matches("data:image/jpeg").count(), distinct.len());
}

#[test]
fn the_model_s_view_is_offered_where_an_image_looks_different_to_it() {
    let mut report = with_pictures(80);
    assert!(!render(&report).contains("as the model sees them"), "no image looks different");
    let picture = report.evaluations[0].pictures.values_mut().next().unwrap();
    *picture = Picture { own: b"\x89PNG".to_vec(), fed: Some(picture.own.clone()) };
    let html = render(&report);
    assert!(html.contains("as the model sees them") && html.contains("squashed to 96 × 96 pixels"));
    assert!(html.contains("--own:url(data:image/png;base64,iVBORw==);--fed:url(data:image/jpeg;base64,"));
}

#[test]
fn an_image_without_a_picture_is_told_by_its_id() {
    let html = render(&full());
    assert!(html.contains("<small>17</small>"));
    assert_eq!(html.matches("data:image/jpeg").count(), 0);
}

#[test]
fn a_run_without_an_evaluation_still_has_its_stages_and_its_spec() {
    let report = Report { evaluations: Vec::new(), trainings: Vec::new(), comparison: None, ..full() };
    let html = render(&report);
    let sections: Vec<_> = html.split("<section id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(sections, ["pipeline", "config"]);
    assert!(pictures(&report).is_empty());
}

#[test]
fn the_same_facts_give_the_same_page() {
    assert_eq!(render(&full()), render(&full()));
}

#[test]
fn what_cannot_be_compared_is_said_and_not_shown() {
    let mut report = full();
    report.evaluations[0].baseline = Some(Err("another pool".into()));
    let comparison = report.comparison.as_mut().unwrap();
    comparison.evaluations.insert("evaluate".into(), Err("another pool".into()));
    let html = render(&report);
    assert!(html.contains("Not compared with the baseline: another pool."));
    assert!(html.contains("Not compared with the other run: another pool."));
    assert!(!html.contains("vs baseline") && !html.contains("vs other run"));
}

#[test]
fn the_gallery_is_as_long_as_it_was_asked_to_be() {
    let evaluations = |n_queries| vec![evaluation(&AnalysisOptions { n_queries, ..AnalysisOptions::default() })];
    let cards = |n_queries| {
        render(&Report { evaluations: evaluations(n_queries), comparison: None, ..full() }).matches("<article").count()
    };
    assert!((1..=16).contains(&cards(16)), "{}", cards(16));
    assert_eq!(cards(0), 0);
}

#[test]
fn a_page_works_under_a_policy_that_forbids_all_but_its_own_style_and_script() {
    let html = render(&with_pictures(80));
    assert!(!html.contains(" style=\"") && !html.contains(" onclick"), "neither has a hash of its own");
    assert_eq!(html.matches("<style>").count(), 1);
    let policy = pipeline_report::render(&full()).content_security_policy;
    assert!(policy.starts_with("default-src 'none'; img-src data:; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_ne!(
        policy,
        pipeline_report::render(&with_pictures(80)).content_security_policy,
        "pictures are in the style"
    );
}

#[test]
fn beside_a_search_box_the_page_links_to_it() {
    let html = render(&Report { search: Some("/".into()), ..full() });
    assert!(html.contains("<a class=\"button\" href=\"/\">Search</a>"));
}
