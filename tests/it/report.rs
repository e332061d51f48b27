//! `report`: a run as one page.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::notebook::{notebook_with_features, run};
use crate::project::{Project, make_fifo};

/// The page about a run, from stdout.
fn page(project: &Project, args: &[&str]) -> String {
    let output = project.command(&[&["report"], args, &["-o", "-"]].concat()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_report_lies_beside_the_run_and_shows_what_it_measured() {
    let project = notebook_with_features();
    run(&project, &[]);
    let reply = project.run(&["report"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(
        reply.stdout.starts_with("[FOLDER]/artifacts/runs/") && reply.stdout.ends_with("/report.html"),
        "{reply:?}"
    );
    let json = project.command(&["report", "spec.yaml", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let html = std::fs::read_to_string(json["file"].as_str().unwrap()).unwrap();
    assert_eq!(json["bytes"], html.len());
    for section in ["result", "pipeline", "training", "retrieval", "gallery", "images", "map", "config"] {
        assert!(html.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    assert!(html.contains("7.27%") && html.contains("188 queries over a pool of 150 images"), "the notebook's result");
    assert!(html.contains("data:image/jpeg;base64,"), "pixels are dropped, but their source is there");
    assert!(!html.contains("<p class=\"note\">No "), "nothing is missing");
    assert!(html.contains("\">chance "), "the level of chance");
    assert_eq!(html, page(&project, &["last"]), "the same run gives the same page");
}

#[test]
fn a_report_compares_with_the_baseline_and_with_another_run() {
    let project = notebook_with_features();
    run(&project, &[]);
    assert_eq!(project.run(&["check", "spec.yaml", "--accept"]).code, Some(0));
    run(&project, &["--set", "projection.params.epochs=4"]);
    let runs = project.command(&["runs", "--json"]).output().unwrap();
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    let html = page(&project, &["last", "--compare", runs[0]["id"].as_str().unwrap()]);
    assert!(html.contains("vs baseline 7.27%"));
    assert!(html.contains("<code>param.epochs</code>"));
    assert!(html.contains("8 of 10 stages gave the same artifact."));
    assert!(html.contains("<path class=\"curve c1 other\""), "the curves of both runs");
    let summary = html.split("<section id=\"changes\">").nth(1).unwrap().split("<p class=\"sub\">").nth(1).unwrap();
    let counts: Vec<u32> = summary.split_whitespace().filter_map(|word| word.parse().ok()).take(3).collect();
    assert_eq!(counts.iter().sum::<u32>(), 188, "won, lost and unchanged: {}", &summary[..120]);
    let same = page(&project, &["last", "--against", "last"]);
    assert!(same.contains("0 won, 0 lost and 188 unchanged queries."), "a run against itself");
    // Results over fewer images must not be compared.
    run(&project, &["--set", "valid-images.params.max_samples=100"]);
    let html = page(&project, &["--compare", runs[0]["id"].as_str().unwrap()]);
    assert!(html.contains("Not compared with the baseline: it was measured over other data (pool)."));
    assert!(html.contains("Not compared with the other run: it was measured over other data (pool)."));
}

#[test]
fn a_report_about_a_point_of_a_sweep_compares_it_with_another_as_diff_does() {
    let project = notebook_with_features();
    let axis = ["--axis", "projection.params.epochs=[1, 4]"];
    assert_eq!(project.run(&[&["sweep", "spec.yaml"][..], &axis].concat()).code, Some(0));
    let reply = project.run(&["report", "last:2", "--compare", "last:1", "--artifacts", "artifacts"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stdout.ends_with("/report-2.html"), "{reply:?}");
    let html = page(&project, &["last:2", "--compare", "last:1", "--artifacts", "artifacts"]);
    assert!(html.contains("<code>param.epochs</code>"));
    assert!(html.contains("8 of 10 stages gave the same artifact."));
    let diff = project.command(&["diff", "last:1", "last:2", "--json", "--artifacts", "artifacts"]).output().unwrap();
    let diff: Value = serde_json::from_slice(&diff.stdout).unwrap();
    let evaluation =
        diff["measured"].as_array().unwrap().iter().find(|compared| compared["later"] == "evaluate").unwrap();
    let metric = &evaluation["metrics"][0];
    let points = |bound: &str| format!("{:+.2}", metric[bound].as_f64().unwrap() * 100.0).replace('-', "−");
    let interval = format!("{} … {}", points("low"), points("high"));
    assert!(html.contains(&interval), "the interval of MeanRecall, {interval}, as diff shows it");
}

#[test]
fn a_page_is_opened_by_the_browser_of_the_user_and_nothing_waits_for_it() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    project.run(&["run", "spec.yaml"]);
    let open = |browser: Option<&str>, args: &[&str]| {
        let mut command = project.command(&[&["report", "--open"], args].concat());
        for name in ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"] {
            command.env_remove(name);
        }
        browser.map(|browser| command.env("BROWSER", browser));
        project.reply(&command.output().unwrap())
    };
    let script = |name: &str, text: &str| {
        project.write(name, &format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(project.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        project.path(name).display().to_string()
    };
    let writes = script("writes", "printf '%s|' \"$@\" > opened");
    let to = ["-o", "a page;touch $HOME.html"];
    let reply = open(Some(&format!("/no/such/browser:{writes} --new")), &to);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let opened = project.read("opened");
    assert!(opened.starts_with("--new|file:///"), "{opened}");
    assert!(opened.ends_with("/a%20page%3Btouch%20%24HOME.html|"), "one word, which no shell reads: {opened}");
    // A browser that stays in the foreground: it ends when the FIFO is opened.
    make_fifo(&project.path("fifo"));
    let stays = script("stays", "echo \"$1\" > opened; read line < fifo");
    let reply = open(Some(&format!("{stays} %s")), &[]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(project.read("opened").trim_end().ends_with("/report.html"));
    std::fs::write(project.path("fifo"), "\n").unwrap();

    let fails = script("fails", "exit 3");
    for (browser, why) in [(None, "no display and no `$BROWSER` here"), (Some(fails.as_str()), "exit status: 3")] {
        let reply = open(browser, &[]);
        assert_eq!(reply.code, Some(0), "the page is there all the same: {reply:?}");
        assert!(reply.stderr.contains(why) && reply.stderr.contains("help: open file://"), "{reply:?}");
    }
    let reply = open(None, &["-o", "-"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("`--open` needs a file"), "{reply:?}");
}

#[test]
fn what_is_gone_is_said_and_the_rest_is_shown() {
    let project = notebook_with_features();
    run(&project, &[]);
    std::fs::remove_dir_all(project.path("artifacts/store-v1")).unwrap();
    let html = page(&project, &["last"]);
    assert!(html.contains("No rankings of `evaluate`: the store remembers `evaluate` no more."), "{html}");
    assert!(html.contains("7.27%"), "the events still have the metrics");
}

#[test]
fn a_run_of_other_stages_has_a_report_too() {
    let project = Project::with_spec(
        "name: '</title><script>'\nstages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n  \
         b: { kind: command, inputs: { from: a }, params: { run: ['false'], outputs: [out] } }\n",
    );
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(3));
    let html = page(&project, &[]);
    assert!(html.contains("2 stages: 1 ran, 1 failed."));
    assert_eq!(html.matches("<script>").count(), 1);
}

#[test]
fn a_report_about_a_spec_is_about_its_last_run_whatever_its_overrides() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    let subject = |project: &Project| -> String {
        let json = project.command(&["report", "spec.yaml", "--json"]).output().unwrap();
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        json["file"].as_str().unwrap().to_owned()
    };
    let mut subjects = BTreeSet::new();
    for more in [&[][..], &["--set", "a.params.timeout=9s"], &["--force"]] {
        project.run(&[&["run", "spec.yaml"], more].concat());
        assert!(subjects.insert(subject(&project)), "{more:?}: {subjects:?}");
    }
}

#[test]
fn a_report_about_nothing_is_refused() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    let reply = project.run(&["report", "spec.yaml"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("has not run in the store"), "{reply:?}");
    project.run(&["run", "spec.yaml"]);
    for (subject, message) in [("2001", "there is no run `2001`"), ("other.yaml", "there is no spec `other.yaml`")] {
        let reply = project.run(&["report", subject]);
        assert_eq!(reply.code, Some(2));
        assert!(reply.stderr.contains(message), "{reply:?}");
    }
    let reply = project.run(&["report", "-o", "spec.yaml/report.html"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("cannot write `spec.yaml/report.html`"), "{reply:?}");
}
