//! The laws of participants: whoever keeps them passes, and each way to break them is told as a story.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::{AtomicI64, Ordering};

use saga_app::Deployment;
use saga_core::document::{Document, Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};
use saga_core::{SagaId, Status};
use saga_participants::inventory::Inventory;
use saga_participants::payments::Payments;
use saga_participants::receipts::Receipts;
use saga_participants::shipping::Shipping;
use saga_tests::arbitrary::nth_saga;
use saga_tests::every_step::Case;
use saga_tests::example::Seats;
use saga_tests::laws::{Moments, Part, Undone};
use saga_tests::played::{self, Stores};
use saga_tests::sagas;
use saga_tests::world::{SKU, World, order};

const DERIVED: Undone<'static> = &|_, _| None;

/// What a saga of any participant here may be given.
fn input() -> Fields {
    let item = |sku: &str, quantity: i64| {
        Document::Map(fields([("sku", sku.into()), ("quantity", quantity.into())]))
    };
    fields([
        ("order_id", "order-1".into()),
        ("amount", 40.into()),
        ("reserved_amount", "40".into()),
        ("currency", "EUR".into()),
        ("destination", "DE".into()),
        ("flight", "LH1".into()),
        ("items", Document::List(vec![item("sku-1", 3), item("sku-2", 1)])),
    ])
}

/// Room for two on every article and flight, and one that belongs to nobody here.
fn given() -> Entities {
    let stock = |left: i64| fields([("Available", left.into()), ("Place", "A7".into())]);
    [
        (EntityKey::new("stock", "sku-1"), stock(10)),
        (EntityKey::new("stock", "sku-2"), stock(2)),
        (EntityKey::new("stock", "sku-3"), stock(5)),
        (EntityKey::new("flight", "LH1"), fields([("Free", 2.into())])),
    ]
    .into()
}

fn judge(participant: &dyn Participant, given: &Entities, undone: Undone<'_>) -> Result<bool, String> {
    let data = input();
    let context = Context {
        saga: nth_saga(1),
        data: &data,
    };
    let part = Part { participant, context };
    part.keeps_the_laws(given, nth_saga(2), undone)
        .map_err(|broken| broken.to_string())
}

fn participants() -> Vec<Box<dyn Participant>> {
    vec![
        Box::new(Payments),
        Box::new(Inventory { limit: 100.into() }),
        Box::new(Receipts),
        Box::new(Shipping),
        Box::new(Seats),
    ]
}

/// A change of what undo answers.
type Fault = fn(&dyn Participant, Context<'_>, &Entities, Vec<EntityWrite>) -> Vec<EntityWrite>;

/// A participant with a fault in its undo.
struct Broken {
    of: Box<dyn Participant>,
    undo: Fault,
}

impl Participant for Broken {
    fn name(&self) -> &'static str {
        self.of.name()
    }
    fn accepts(&self) -> &'static [&'static str] {
        self.of.accepts()
    }
    fn check(&self, input: &Fields, amounts: Amounts) -> Vec<FieldError> {
        self.of.check(input, amounts)
    }
    fn placement(&self) -> Placement {
        self.of.placement()
    }
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey> {
        self.of.reads(work, context)
    }
    fn act(&self, context: Context<'_>, entities: &Entities) -> Decision {
        self.of.act(context, entities)
    }
    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        (self.undo)(
            self.of.as_ref(),
            context,
            entities,
            self.of.undo(context, entities),
        )
    }
    fn settle(&self, context: Context<'_>) -> Vec<EntityWrite> {
        self.of.settle(context)
    }
}

#[test]
fn every_participant_of_the_reference_and_of_the_readme_keeps_them() {
    for participant in participants() {
        let name = participant.name();
        assert_eq!(judge(participant.as_ref(), &given(), DERIVED), Ok(true), "{name}");
    }
}

#[test]
fn whoever_refuses_has_nothing_to_undo() {
    let full = [(EntityKey::new("flight", "LH1"), fields([("Free", 0.into())]))].into();
    assert_eq!(judge(&Seats, &full, DERIVED), Ok(false));
    let one = [(EntityKey::new("flight", "LH1"), fields([("Free", 1.into())]))].into();
    assert_eq!(
        judge(&Seats, &one, DERIVED),
        Ok(true),
        "no room for another saga beside it"
    );
}

#[test]
fn every_broken_undo_of_every_participant_is_found() {
    const RESTORE: &str = "undo must leave an entity that was there before act as it was";
    const MARK: &str = "undo must mark an entity that act made";
    const NOT_MAKE: &str = "undo must not make an entity that act did not make";
    let faults: [(&str, Fault, [Option<&str>; 2]); 6] = [
        (
            "returns nothing",
            |_, _, _, _| Vec::new(),
            [Some(MARK), Some(RESTORE)],
        ),
        (
            "writes what is there already",
            |_, _, entities, writes| {
                let same = writes.into_iter().map(|EntityWrite { key, .. }| EntityWrite {
                    fields: entities[&key].clone(),
                    key,
                });
                same.collect()
            },
            [Some(MARK), Some(RESTORE)],
        ),
        (
            "writes another entity",
            |_, _, _, mut writes| {
                writes[0].key.id.push_str("-other");
                writes
            },
            [Some(MARK), Some(RESTORE)],
        ),
        (
            "makes one more",
            |_, _, _, mut writes| {
                let key = EntityKey::new("note", "1");
                writes.push(EntityWrite {
                    key,
                    fields: fields([]),
                });
                writes
            },
            [Some(NOT_MAKE), Some(NOT_MAKE)],
        ),
        (
            "undoes twice",
            |of, context, entities, writes| {
                let mut then = entities.clone();
                then.extend(writes.into_iter().map(|write| (write.key, write.fields)));
                of.undo(context, &then)
            },
            // A mark that is set twice is set.
            [None, Some(RESTORE)],
        ),
        (
            "restores half",
            |_, _, _, mut writes| {
                writes.pop();
                writes
            },
            [Some(MARK), Some(RESTORE)],
        ),
    ];
    for (fault, undo, [marks, restores]) in faults {
        for of in participants() {
            let expected = match of.placement() {
                Placement::BySaga => marks,
                Placement::Together => restores,
            };
            let name = of.name();
            match (judge(&Broken { of, undo }, &given(), DERIVED), expected) {
                (Ok(true), None) => {}
                (Err(story), Some(law)) => assert!(story.contains(law), "{name} {fault}: {story}"),
                (found, expected) => panic!("{name} {fault}: {found:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn an_undo_that_writes_back_what_was_is_found_when_another_saga_acted_in_between() {
    let story = judge(&Remembers, &given(), DERIVED).unwrap_err();
    assert_eq!(
        story,
        format!(
            "participant `remembers`, saga {}: undo must leave an entity that was there before act as it was \
             (another saga acted after this one, and this one is undone before it)\n  \
             entity flight/LH1\n    before  {{Free: 2}}\n    done    {{Free: 0}}\n    undone  {{Free: 1}}",
            nth_saga(1)
        )
    );
}

/// Takes a seat, and writes down how many there were, to write that back.
struct Remembers;

impl Remembers {
    fn keys(context: Context<'_>) -> [EntityKey; 2] {
        [
            EntityKey::new("flight", "LH1"),
            EntityKey::new("seat", context.saga),
        ]
    }
}

impl Participant for Remembers {
    fn name(&self) -> &'static str {
        "remembers"
    }
    fn accepts(&self) -> &'static [&'static str] {
        &[]
    }
    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }
    fn placement(&self) -> Placement {
        Placement::Together
    }
    fn reads(&self, _: Work, context: Context<'_>) -> Vec<EntityKey> {
        Self::keys(context).into()
    }
    fn act(&self, context: Context<'_>, entities: &Entities) -> Decision {
        let [flight, seat] = Self::keys(context);
        let free = entities[&flight]["Free"].as_number().unwrap().as_i64().unwrap();
        let write = |key, fields| EntityWrite { key, fields };
        Decision::Accept {
            writes: vec![
                write(flight, fields([("Free", (free - 1).into())])),
                write(
                    seat,
                    fields([("Was", free.into()), ("Taken", Document::Bool(true))]),
                ),
            ],
            output: fields([]),
        }
    }
    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let [flight, seat] = Self::keys(context);
        let was = entities[&seat]["Was"].clone();
        let write = |key, fields| EntityWrite { key, fields };
        vec![
            write(flight, fields([("Free", was.clone())])),
            write(seat, fields([("Was", was), ("Taken", Document::Bool(false))])),
        ]
    }
}

/// Writes a note for each saga, and takes it back; each field is a way to go wrong.
struct Notes<'a> {
    /// The id of a saga's note.
    id: fn(SagaId) -> String,
    /// The number that a note gets, and what is added to it for the next one.
    next: &'a AtomicI64,
    step: i64,
    /// Whether undo reads what it replaces.
    read: bool,
    /// Whether act writes its note twice.
    twice: bool,
    /// The kind of the entity on which it settles.
    settles: &'static str,
    /// Whose notes undo takes back.
    undoes: fn(SagaId) -> Vec<SagaId>,
}

impl Participant for Notes<'_> {
    fn name(&self) -> &'static str {
        "notes"
    }
    fn accepts(&self) -> &'static [&'static str] {
        &[]
    }
    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }
    fn placement(&self) -> Placement {
        Placement::BySaga
    }
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey> {
        let keys = (self.undoes)(context.saga)
            .into_iter()
            .map(|saga| EntityKey::new("note", (self.id)(saga)));
        if work == Work::Undo && self.read {
            keys.collect()
        } else {
            Vec::new()
        }
    }
    fn act(&self, context: Context<'_>, _: &Entities) -> Decision {
        let number = self.next.fetch_add(self.step, Ordering::SeqCst);
        let note = EntityWrite {
            key: EntityKey::new("note", (self.id)(context.saga)),
            fields: fields([("Number", number.into())]),
        };
        Decision::Accept {
            writes: if self.twice {
                vec![note.clone(), note]
            } else {
                vec![note]
            },
            output: fields([]),
        }
    }
    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let keys = (self.undoes)(context.saga)
            .into_iter()
            .map(|saga| EntityKey::new("note", (self.id)(saga)));
        let there = keys.filter(|key| !self.read || entities.contains_key(key));
        let fields = fields([("Number", Document::Null)]);
        there
            .map(|key| EntityWrite {
                key,
                fields: fields.clone(),
            })
            .collect()
    }
    fn settle(&self, context: Context<'_>) -> Vec<EntityWrite> {
        let key = EntityKey::new(self.settles, (self.id)(context.saga));
        vec![EntityWrite {
            key,
            fields: fields([("Kept", Document::Bool(true))]),
        }]
    }
}

#[test]
fn what_no_store_would_commit_and_what_is_no_function_is_found() {
    let next = AtomicI64::new(1);
    let good = || Notes {
        id: |saga| saga.to_string(),
        next: &next,
        step: 0,
        read: true,
        twice: false,
        settles: "note",
        undoes: |saga| vec![saga],
    };
    assert_eq!(judge(&good(), &given(), DERIVED), Ok(true));
    for (bad, law) in [
        (
            Notes { step: 1, ..good() },
            "act must answer the same when it is asked the same",
        ),
        (
            Notes {
                read: false,
                ..good()
            },
            "undo must read what it replaces: note/",
        ),
        (
            Notes {
                twice: true,
                ..good()
            },
            "act must write an entity once, and writes note/",
        ),
        (
            Notes {
                settles: "other",
                ..good()
            },
            "settle must set fields on what act wrote, and other/",
        ),
        // The note of one saga is the note of all.
        (
            Notes {
                id: |_| "1".to_owned(),
                ..good()
            },
            "act must read what it replaces: note/1",
        ),
        (
            Notes {
                undoes: |_| vec![nth_saga(1), nth_saga(2)],
                ..good()
            },
            "undo must leave alone what another saga made",
        ),
    ] {
        let story = judge(&bad, &given(), DERIVED).unwrap_err();
        assert!(story.contains(law), "{story}");
    }
}

/// Never changes an entry: undo makes another one beside it.
struct Ledger;

impl Ledger {
    fn entry(context: Context<'_>, what: &str, amount: i64) -> EntityWrite {
        EntityWrite {
            key: EntityKey::new("entry", format!("{}-{what}", context.saga)),
            fields: fields([("Amount", amount.into())]),
        }
    }

    /// Undone, in its own words: the entries add up to what they were before.
    fn adds_up(moments: &Moments) -> bool {
        let sum = |entities: &Entities| -> i64 {
            let entries = entities.iter().filter(|(key, _)| key.kind == "entry");
            entries
                .map(|(_, entry)| entry["Amount"].as_number().unwrap().as_i64().unwrap())
                .sum()
        };
        sum(&moments.before) == sum(&moments.undone)
    }
}

impl Participant for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }
    fn accepts(&self) -> &'static [&'static str] {
        &[]
    }
    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }
    fn placement(&self) -> Placement {
        Placement::BySaga
    }
    fn reads(&self, _: Work, _: Context<'_>) -> Vec<EntityKey> {
        Vec::new()
    }
    fn act(&self, context: Context<'_>, _: &Entities) -> Decision {
        Decision::Accept {
            writes: vec![Self::entry(context, "debit", -40)],
            output: fields([]),
        }
    }
    fn undo(&self, context: Context<'_>, _: &Entities) -> Vec<EntityWrite> {
        vec![Self::entry(context, "credit", 40)]
    }
}

#[test]
fn a_participant_may_say_itself_what_undone_means() {
    let stated: Undone<'_> = &|name, moments| (name == "ledger").then(|| Ledger::adds_up(moments));
    assert!(judge(&Ledger, &given(), DERIVED).is_err());
    assert_eq!(judge(&Ledger, &given(), stated), Ok(true));
    let undo: Fault = |_, _, _, mut writes| {
        writes[0].fields = fields([("Amount", 30.into())]);
        writes
    };
    let broken = Broken {
        of: Box::new(Ledger),
        undo,
    };
    let story = judge(&broken, &given(), stated).unwrap_err();
    assert!(
        story.contains("what its own statement does not call undone"),
        "{story}"
    );
    assert!(story.contains("done    {Amount: -40}"), "{story}");
}

/// The reference, with a shop whose undo gives nothing back.
fn with_a_broken_inventory() -> Deployment {
    let mut deployment = sagas::deployment();
    let broken = Broken {
        of: Box::new(Inventory { limit: 10_000.into() }),
        undo: |_, _, _, _| Vec::new(),
    };
    deployment.participants.insert("inventory", Box::new(broken));
    deployment
}

#[tokio::test]
#[should_panic(expected = "step 1 (inventory): participant `inventory`, saga")]
async fn a_case_tells_which_step_of_which_saga_is_broken() {
    let case = Case {
        deployment: &with_a_broken_inventory,
        given: &|_| {},
        definition: "payment",
        body: &order("12.90"),
        end: Status::Completed,
    };
    case.survives_everything().await;
}

#[tokio::test]
async fn what_was_committed_otherwise_than_the_participants_said_is_found() {
    let stock = EntityKey::new("stock", SKU);
    let run = async || {
        let mut world = World::default();
        let before = Stores::of(&world);
        let id = world.start("12.90").await;
        world.settle().await;
        assert_eq!(played::check(&world, id, &before, DERIVED), Ok(()));
        (world, before, id)
    };
    let (world, before, id) = run().await;
    let mut fields = world.azure.entity(&world.stock_partition(), &stock).unwrap();
    world
        .azure
        .put_entity(&world.stock_partition(), stock.clone(), fields.clone());
    let written_again = played::check(&world, id, &before, DERIVED).unwrap_err();
    assert!(
        written_again.contains("entity stock/sku-1")
            && written_again.contains("written 3 time(s)")
            && written_again.contains("written 2 time(s)"),
        "{written_again}"
    );

    let (world, before, id) = run().await;
    fields.insert("Available".to_owned(), 94.into());
    world
        .azure
        .put_entity(&world.stock_partition(), stock.clone(), fields);
    let taken_twice = played::check(&world, id, &before, DERIVED).unwrap_err();
    assert!(
        taken_twice.contains("Available: 94") && taken_twice.contains("Available: 97"),
        "{taken_twice}"
    );

    let (world, before, id) = run().await;
    world
        .azure
        .put_entity(&world.stock_partition(), EntityKey::new("note", 1), Fields::new());
    let one_more = played::check(&world, id, &before, DERIVED).unwrap_err();
    assert!(
        one_more.contains("entity note/1") && one_more.contains("should be not there"),
        "{one_more}"
    );
}
