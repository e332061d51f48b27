//! The page about a sweep: its groups, points and axes, and that untrusted text cannot break it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use pipeline_eval::statistics::Interval;
use pipeline_report::facts::{
    AxisFacts, AxisValue, Difference, EffectFacts, EffectValue, GroupFacts, HeatFacts, ImportanceFacts, ImportantAxis,
    MetricFacts, PointCurve, PointFacts, PointState, RunFacts, RungFacts, RungsFacts, Spread, StageFacts, StageState,
    Standing, SweepReport, SweptStage, SweptTraining,
};
use pipeline_report::{History, render_sweep};

/// A text that breaks a page that does not escape it.
const EVIL: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> 红色 &amp;";

fn axis(name: &str, values: &[&str]) -> AxisFacts {
    let value = |text: &&str| AxisValue { text: (*text).to_owned(), number: text.parse().ok() };
    AxisFacts {
        key: format!("projection.params.{name}"),
        name: name.to_owned(),
        values: values.iter().map(value).collect(),
        is_seed: name == "seed",
    }
}

fn interval(low: f64, high: f64) -> Interval {
    Interval { low, high }
}

/// Temperatures × models × two seeds; the second temperature is a little better than the first.
fn swept() -> SweepReport {
    let axes = vec![axis("temperature", &["0.1", "0.05"]), axis("model", &["small", EVIL]), axis("seed", &["0", "1"])];
    let mean = |group: usize| 0.15 + group as f64 * 0.01;
    let groups = (0..4).map(|group| GroupFacts {
        values: vec![Some(group / 2), Some(group % 2), None],
        points: vec![group * 2, group * 2 + 1],
        mean_recall: Some(Spread { mean: mean(group), sd: Some(0.002), n: 2 }),
        interval: Some(interval(mean(group) - 0.02, mean(group) + 0.02)),
        standing: match group {
            0 => Standing::Reference,
            1 => Standing::Compared(Difference { value: 0.01, interval: interval(-0.002, 0.022) }),
            _ => Standing::Compared(Difference { value: mean(group) - 0.15, interval: interval(0.004, 0.05) }),
        },
        others: vec![Some(Spread { mean: 0.05, sd: None, n: 2 })],
    });
    let points = (0..8).map(|idx| PointFacts {
        number: idx + 1,
        values: vec![idx / 4, idx / 2 % 2, idx % 2],
        state: if idx < 4 { PointState::Ran } else { PointState::Reused },
        seconds: 1.5,
        n_ran: 2,
        n_stages: 10,
        mean_recall: Some(mean(idx / 2)),
        others: vec![Some(0.05)],
        ..PointFacts::default()
    });
    let effect = |axis: usize| EffectFacts {
        axis,
        values: (0..2)
            .map(|value| EffectValue {
                value,
                mean: 0.16,
                interval: Some(interval(0.15, 0.17)),
                difference: None,
                points: vec![(1, 0.15), (2, 0.17)],
            })
            .collect(),
    };
    let copy = |name: &str, state: StageState| StageFacts {
        name: name.into(),
        kind: "train-projection".into(),
        state,
        seconds: Some(1.5),
        key: Some("ab".repeat(32)),
        ..StageFacts::default()
    };
    let curve = |point: usize| {
        let history = format!("epoch,step,loss,lr\n1,1,2.5,0.1\n1,2,{},0.1\n", 2.0 - point as f64 / 10.0);
        PointCurve { points: vec![point], history: History::parse(&history).unwrap() }
    };
    SweepReport {
        run: RunFacts { id: "20261124T082050Z-ab12".into(), spec: EVIL.into(), ..RunFacts::default() },
        evaluation: Some("evaluate".into()),
        other_metrics: vec![MetricFacts { title: "Recall@1".into(), is_share: true }],
        groups: groups.collect(),
        points: points.collect(),
        reference: Some(0),
        best: Some(3),
        effects: vec![effect(0), effect(1)],
        heat: vec![HeatFacts {
            axes: [0, 1],
            columns: vec!["0.05".into(), "0.1".into()],
            rows: vec!["small".into(), EVIL.into()],
            cells: vec![Some((0.15, 2)), Some((0.18, 2)), None, Some((0.165, 1))],
        }],
        trainings: vec![SweptTraining {
            stage: "projection".into(),
            curves: (0..8).map(curve).collect(),
            n_left_out: 3,
        }],
        rungs: Some(rungs()),
        importance: Some(importance()),
        stages: vec![SweptStage {
            name: "projection".into(),
            kind: "train-projection".into(),
            copies: vec![copy("projection.seed-0", StageState::Ran), copy("projection.seed-1", StageState::Reused)],
        }],
        spec_yaml: Some(format!("name: {EVIL}\n")),
        notes: vec![EVIL.into()],
        search: None,
        axes,
    }
}

/// Eight points of which two went on.
fn rungs() -> RungsFacts {
    let first = RungFacts {
        value: "2".into(),
        n_points: 8,
        n_failed: 1,
        n_promoted: 2,
        best: Some(0.5),
        cut: Some(0.4375),
        worst: Some(0.25),
        stopped: vec![1, 3, 4, 7, 8],
    };
    RungsFacts {
        resource: "projection.params.epochs".into(),
        resource_name: "epochs".into(),
        metric: format!("projection.{EVIL}"),
        factor: 3,
        rungs: vec![first],
    }
}

fn importance() -> ImportanceFacts {
    let axis = |name: &str, share: f64, chance: f64| ImportantAxis { name: name.into(), share, chance, n_groups: 2 };
    ImportanceFacts {
        metric: "evaluate.mean_recall".into(),
        rung: None,
        n_points: 8,
        axes: vec![axis(EVIL, 0.6125, 0.0005), axis("seed", 0.02, 0.31)],
        unknown: None,
    }
}

#[test]
fn rungs_and_the_importance_of_axes_are_shown_with_what_may_be_chance() {
    let own = html(&swept());
    assert!(own.contains("<td>1, 3, 4, 7, 8</td>") && own.contains("0.4375"), "{own}");
    let (important, chance) = (own.find("61.25%").unwrap(), own.find("as good as chance").unwrap());
    assert!(important < chance && own[important..chance].contains("matters"), "{own}");
    let unknown = ImportanceFacts { unknown: Some("too few points to say".into()), ..importance() };
    let few = html(&SweepReport { importance: Some(unknown), rungs: None, ..swept() });
    assert!(few.contains("Nothing can be said: too few points to say.") && !few.contains("61.25%"), "{few}");
    assert!(!few.contains("<section id=\"rungs\">"), "{few}");
}

fn html(report: &SweepReport) -> String {
    render_sweep(report).html
}

#[test]
fn every_section_is_there_and_the_navigation_leads_to_it() {
    let html = html(&swept());
    for id in ["result", "parallel", "groups", "rungs", "importance", "effects", "heat", "curves", "pipeline", "config"]
    {
        assert_eq!(html.matches(&format!("<section id=\"{id}\">")).count(), 1, "{id}");
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert!(html.contains("8 points of temperature (2) × model (2) × seed (2): 4 ran, 4 reused."));
}

#[test]
fn the_best_group_is_shown_with_its_spread_its_interval_and_its_difference_to_the_first() {
    let report = swept();
    let html = html(&report);
    for text in [
        "Best of 4 groups",
        "18.00%",
        "18.00% ± 0.20, 2 seeds",
        "16.00–20.00%",
        "+3.00",
        "+0.40 … +5.00",
        "[+0.40, +5.00]",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("<p class=\"label\">better</p>"));
    assert!(html.contains("no evidence of a difference"), "of the second group, whose interval holds 0");
    assert!(html.contains("flattered by the choice"), "the best of several");
    let mut first = report.clone();
    first.best = Some(0);
    assert!(render_sweep(&first).html.contains("The first group is the best"));
}

#[test]
fn every_column_can_be_sorted_and_every_group_opens_to_its_points() {
    let html = html(&swept());
    assert_eq!(html.matches("scope=\"col\" aria-sort=\"none\"><button").count(), 7);
    assert_eq!(html.matches("scope=\"col\" aria-sort=\"ascending\"><button").count(), 1);
    assert_eq!(html.matches("<tr class=\"group\">").count(), 4);
    assert_eq!(html.matches("<code>pipeline report 20261124T082050Z-ab12:").count(), 8);
    assert_eq!(html.matches("<g class=\"line q").count(), 4, "a line for each group");
}

#[test]
fn curves_lie_over_each_other_and_the_best_groups_stand_out() {
    let html = html(&swept());
    for (class, n) in [("c1 best", 2), ("c2 best", 2), ("c3 best", 2), ("c5 muted", 2)] {
        assert_eq!(html.matches(&format!("<g class=\"line {class}\"")).count(), n, "{class}: two seeds each");
    }
    assert!(html.contains("3 further trainings are not drawn"));
    assert!(html.contains("point 8: temperature=0.05, model=&lt;/script&gt;"), "the text under the pointer");
    assert!(!html.contains("<figcaption>lr</figcaption>"), "settings are no curves");
}

#[test]
fn two_axes_are_a_table_whose_best_cell_is_framed() {
    let html = html(&swept());
    assert!(
        html.contains("<td class=\"h8 best\"")
            && html.contains("<td class=\"h0\"")
            && html.contains("<td class=\"empty\">")
    );
    assert!(!html.contains("<select>"), "one pair needs no choice");
    let mut two = swept();
    two.heat.push(two.heat[0].clone());
    assert!(render_sweep(&two).html.contains("<select><option value=\"0\">model × temperature</option>"));
}

#[test]
fn what_others_have_written_is_text_and_nothing_else() {
    let page = render_sweep(&swept());
    assert_eq!((page.html.matches("<script>").count(), page.html.matches("</script>").count()), (1, 1));
    assert!(!page.html.contains("<img"), "{EVIL} has become an element");
    assert!(!page.html.contains(" style=\""), "a policy would forbid it");
    assert!(!page.content_security_policy.contains("unsafe"));
}

#[test]
fn what_was_measured_over_other_data_is_neither_compared_nor_drawn() {
    let mut report = swept();
    report.groups[2].standing = Standing::Incomparable("measured on another pool (pool_size 600 and 30)".into());
    report.groups[3].standing = Standing::Untested("the results were collected".into(), 0.03);
    let html = html(&report);
    assert!(html.contains("1 of 4 groups were measured over other data"));
    assert!(html.contains("not compared: measured on another pool (pool_size 600 and 30)"));
    assert!(html.contains("not tested: the results were collected"));
    assert!(html.contains("Best of 3 groups"));
    assert_eq!(html.matches("<g class=\"line q").count(), 3);
}

#[test]
fn a_sweep_that_measured_nothing_still_has_its_points_and_stages() {
    let mut report = swept();
    (report.reference, report.best, report.evaluation, report.effects) = (None, None, None, Vec::new());
    for group in &mut report.groups {
        (group.mean_recall, group.interval, group.standing) = (None, None, Standing::Unmeasured);
    }
    for point in &mut report.points {
        (point.mean_recall, point.state) = (None, PointState::Failed);
        point.remarks = vec![EVIL.into()];
    }
    let html = html(&report);
    assert!(html.contains("No point has measured MeanRecall"));
    assert!(!html.contains("<section id=\"parallel\">") && !html.contains("<section id=\"effects\">"));
    assert!(html.contains("8 failed."));
    assert_eq!(html.matches("✕ failed").count(), 8);
}

#[test]
fn two_hundred_points_make_a_page_of_moderate_size() {
    let mut report = swept();
    let (group, point) = (report.groups[3].clone(), report.points[0].clone());
    report.groups.extend((4..100).map(|idx| GroupFacts { points: vec![idx * 2, idx * 2 + 1], ..group.clone() }));
    report.points.extend((8..200).map(|idx| PointFacts { number: idx + 1, ..point.clone() }));
    let steps: String = (1..=500).map(|step| format!("1,{step},{}\n", 9.0 / f64::from(step))).collect();
    let history = History::parse(&format!("epoch,step,loss\n{steps}")).unwrap();
    report.trainings[0].curves =
        (0..100).map(|idx| PointCurve { points: vec![idx * 2], history: history.clone() }).collect();
    let html = html(&report);
    assert_eq!(html.matches("<g class=\"line q").count(), 100);
    assert_eq!(html.matches("<g class=\"line c").count(), 100);
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}
