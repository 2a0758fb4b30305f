//! What every [`Definitions`] must do.

use saga_app::ports::{DefinitionNames, Definitions};
use saga_core::{Definition, DefinitionRef};

use crate::arbitrary;
use crate::property::{holds, same};
use crate::sagas;

/// `payment`, with another version and deadline.
fn payment(version: u32, seconds: i64) -> Definition {
    let catalogue = sagas::catalogue();
    let payment = catalogue.latest("payment").unwrap();
    let reference = DefinitionRef {
        name: "payment".to_owned(),
        version,
    };
    Definition::new(reference, seconds * 1_000, payment.steps().to_vec()).unwrap()
}

/// Nothing is made up.
pub async fn what_was_never_kept_is_not_found<D: Definitions>(store: &D) {
    let kept = payment(1, 900);
    store.keep_definition(&kept).await.unwrap();
    for (name, version) in [("payment", 2), ("pay", 1), ("payments", 1), ("all", 1)] {
        let other = DefinitionRef {
            name: name.to_owned(),
            version,
        };
        assert_eq!(store.stored_definition(&other).await.unwrap(), None, "{other}");
    }
    assert_eq!(
        store.stored_definition(kept.reference()).await.unwrap(),
        Some(kept)
    );
}

/// A version means one thing for ever.
pub async fn what_is_kept_stays<D: Definitions>(store: &D) {
    let (first, second) = (payment(1, 900), payment(1, 60));
    assert_eq!(store.keep_definition(&first).await.unwrap(), first);
    for again in [&first, &second, &first] {
        assert_eq!(store.keep_definition(again).await.unwrap(), first);
        assert_eq!(
            store.stored_definition(first.reference()).await.unwrap(),
            Some(first.clone())
        );
    }
    let other = payment(2, 60);
    assert_eq!(store.keep_definition(&other).await.unwrap(), other);
    assert_eq!(
        store.stored_definition(first.reference()).await.unwrap(),
        Some(first)
    );
}

/// Many processes may keep it at the same time: one of them wins, and all are told what is kept.
pub async fn of_many_who_keep_a_version_at_once_one_wins<D: Definitions>(store: &D) {
    let texts = [payment(1, 60), payment(1, 120), payment(1, 180)];
    let keep = |definition| async move {
        // An adapter may ask to be asked again while another is at it.
        for _ in 0..20 {
            if let Ok(kept) = store.keep_definition(definition).await {
                return kept;
            }
        }
        panic!("never kept");
    };
    let (a, b, c) = tokio::join!(keep(&texts[0]), keep(&texts[1]), keep(&texts[2]));
    assert_eq!((&a, &b), (&b, &c));
    assert!(texts.contains(&a), "{a:?}");
    assert_eq!(store.stored_definition(a.reference()).await.unwrap(), Some(a));
}

/// Up to 16 steps, names of 64 characters.
pub async fn every_field_of_every_definition_is_kept<D: Definitions>(store: &D) {
    let mut version = 0;
    holds(48, arbitrary::definition(), async |definition| {
        version += 1;
        let name = &definition.reference().name;
        let reference = DefinitionRef {
            name: name.clone(),
            version,
        };
        let deadline = definition.deadline_millis();
        let definition = Definition::new(reference, deadline, definition.steps().to_vec()).unwrap();
        let kept = store.keep_definition(&definition).await.unwrap();
        same(&kept, &definition)?;
        let stored = store.stored_definition(definition.reference()).await.unwrap();
        same(&stored, &Some(definition))
    })
    .await;
}

/// See [`DefinitionNames`].
pub async fn all_that_is_kept_is_named<D: DefinitionNames>(store: &D) {
    assert_eq!(store.definition_names().await.unwrap(), []);
    let kept = [payment(1, 60), payment(3, 60), payment(10, 60)];
    for definition in kept.iter().chain(&kept) {
        store.keep_definition(definition).await.unwrap();
    }
    let mut names = store.definition_names().await.unwrap();
    names.sort();
    assert_eq!(names, kept.map(|definition| definition.reference().clone()));
}
