//! One computation a key.

use pipeline_core::{Digest, Key, Numerics};
use pipeline_store::{LockOutcome, host_name};

use crate::fixture::Fixture;

#[test]
fn a_key_has_one_owner_and_the_others_learn_who() {
    let fixture = Fixture::new();
    let key = Key(Digest::of(b"key"));
    let LockOutcome::Acquired(lock) = fixture.store.workspace().lock(&key, "train", Numerics::Plain).unwrap() else {
        panic!("the lock is free")
    };
    for store in [&fixture.store, &fixture.another_handle()] {
        let LockOutcome::Held(owner) = store.workspace().lock(&key, "other", Numerics::Plain).unwrap() else {
            panic!("the lock is held")
        };
        assert_eq!((owner.pid, owner.stage.as_str()), (std::process::id(), "train"));
        assert_eq!(owner.host, host_name());
        assert!(owner.since_ms > 0);
    }
    let other_key = Key(Digest::of(b"other key"));
    assert!(matches!(
        fixture.store.workspace().lock(&other_key, "train", Numerics::Plain).unwrap(),
        LockOutcome::Acquired(_)
    ));
    drop(lock);
    assert!(matches!(
        fixture.store.workspace().lock(&key, "train", Numerics::Plain).unwrap(),
        LockOutcome::Acquired(_)
    ));
    assert_eq!(std::fs::read_dir(fixture.in_store("locks")).unwrap().count(), 0);
}

#[test]
fn of_many_threads_one_at_a_time_owns_a_key() {
    let fixture = Fixture::new();
    let key = Key(Digest::of(b"key"));
    let n_inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = fixture.another_handle();
                let mut n_owned = 0;
                while n_owned < 200 {
                    if let LockOutcome::Acquired(_lock) =
                        store.workspace().lock(&key, "train", Numerics::Plain).unwrap()
                    {
                        assert_eq!(n_inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        n_inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        n_owned += 1;
                    }
                }
            });
        }
    });
}
