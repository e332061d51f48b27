//! Explanations: the root cause, what runs because of it, and adopting a result across a cosmetic change.

use pipeline_core::RunReason;
use pipeline_engine::{Decision, Why, adopt, why};

use crate::world::{Part, World, graph, part};

fn chain(world: &World, keep: usize, version_of_c: u32) -> Vec<Part> {
    vec![
        part("a").source(world.path("in.txt")),
        part("b").input("a").param("keep", keep),
        part("c").input("b").version(version_of_c),
        part("d").input("c"),
        part("side").input("a"),
    ]
}

fn world() -> World {
    let world = World::new();
    world.write("in.txt", "0123456789");
    world.expect(&chain(&world, 5, 1)[..1], "a");
    world.run(&chain(&world, 5, 1));
    world
}

fn explain(world: &World, parts: &[Part], stage: &str) -> Why {
    let plan = world.plan(parts).unwrap();
    why(&graph(parts, &Default::default()), &plan, &stage.parse().unwrap()).unwrap()
}

#[test]
fn the_root_cause_is_found_with_its_old_and_new_value() {
    let world = world();
    let why = explain(&world, &chain(&world, 6, 1), "d");
    let chain: Vec<String> = why.chain.iter().map(|cause| cause.stage.to_string()).collect();
    assert_eq!(chain, ["d", "c", "b"]);
    let Decision::Run { why: RunReason::Changed { changes }, .. } = &why.chain[2].decision else { panic!("{why:?}") };
    assert_eq!((changes[0].old.as_deref(), changes[0].new.as_deref()), (Some("5"), Some("6")));
    assert!(why.compared_with.is_some());
}

#[test]
fn the_blast_radius_is_what_runs_below_and_how_long_it_took() {
    let world = world();
    let why = explain(&world, &chain(&world, 6, 1), "b");
    let stages: Vec<String> = why.blast_radius.stages.iter().map(ToString::to_string).collect();
    assert_eq!(stages, ["b", "c", "d"]);
    let of_a_stage_below = explain(&world, &chain(&world, 6, 1), "d").blast_radius.stages;
    assert_eq!(of_a_stage_below, why.blast_radius.stages, "the radius is that of the root cause");
    assert!(why.blast_radius.seconds > 0.0);
    assert_eq!(why.blast_radius.n_untimed, 0);
    let why = explain(&world, &chain(&world, 6, 1), "side");
    assert!(why.blast_radius.stages.is_empty());
    assert!(matches!(why.chain[0].decision, Decision::Reuse { .. }));
}

#[test]
fn a_stage_whose_bytes_are_demanded_runs_because_of_its_reader() {
    let world = world();
    for object in world.objects() {
        std::fs::remove_file(object).unwrap();
    }
    let why = explain(&world, &chain(&world, 6, 1), "a");
    let chain: Vec<String> = why.chain.iter().map(|cause| cause.stage.to_string()).collect();
    assert_eq!(chain, ["a", "b"]);
    let stages: Vec<String> = why.blast_radius.stages.iter().map(ToString::to_string).collect();
    assert_eq!(stages, ["a", "b", "c", "d"], "what is demanded counts too, and `side` does not run");
}

#[test]
fn a_result_is_adopted_across_a_change_of_version_alone() {
    let world = world();
    let adopt = |parts: &[Part], stage: &str| {
        let graph = graph(parts, &Default::default());
        adopt(&graph, &world.store(), &world.spec().path, &world.options, &stage.parse().unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(adopt(&chain(&world, 5, 1), "c"), Err("stage `c` is up to date".into()));
    assert_eq!(adopt(&chain(&world, 6, 2), "c"), Err("stage `c` depends on `b`, which is about to run".into()));
    assert_eq!(
        adopt(&chain(&world, 6, 2), "b"),
        Err("more than the version of stage `b` has changed: `param.keep`".into())
    );
    let adopted = adopt(&chain(&world, 5, 2), "c").unwrap();
    assert_eq!((adopted.old_version.as_str(), adopted.new_version.as_str()), ("1", "2"));
    world.expect(&chain(&world, 5, 2), "");
    let plan = world.plan(&chain(&world, 5, 2)).unwrap();
    let Decision::Reuse { key, .. } = plan.stages[2].decision else { panic!("{plan:?}") };
    let record = world.store().records().get(&key).unwrap().unwrap();
    assert_eq!((adopted.key, record.provenance.adopted_from), (key, Some(adopted.from)));
}
