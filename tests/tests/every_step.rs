//! Every saga survives a fault at each of its port calls and a repeat of each of its messages.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]
#![allow(clippy::print_stdout, reason = "what was looked at is part of the result")]

use saga_app::Deployment;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_core::Status::{self, CancelledViaCompensation, Completed};
use saga_core::definition::Catalogue;
use saga_core::document::fields;
use saga_core::participant::{EntityKey, Participant, Placement};
use saga_tests::every_step::Case;
use saga_tests::example::Seats;
use saga_tests::sagas::deployment;
use saga_tests::world::{QUANTITY, SKU, World};

async fn check(definition: &str, amount: &str, more: &str, end: Status) {
    let body = format!(
        r#"{{"order_id":"order-1","amount":{amount},"currency":"EUR"{more},"items":[{{"sku":"{SKU}","quantity":{QUANTITY}}}]}}"#
    );
    let case = Case {
        deployment: &deployment,
        given: &|_| {},
        definition,
        body: &body,
        end,
    };
    let runs = case.survives_everything().await;
    println!("every step of {definition}, {end}: {runs} runs");
    assert!(runs > 60, "only {runs} runs");
}

#[tokio::test]
async fn a_payment_that_completes() {
    check("payment", "129.90", "", Completed).await;
}

#[tokio::test]
async fn a_payment_that_is_refused() {
    check("payment", "10000.01", "", CancelledViaCompensation).await;
}

#[tokio::test]
async fn an_order_that_completes() {
    check("order", "129.90", r#","destination":"DE""#, Completed).await;
}

#[tokio::test]
async fn an_order_that_the_inventory_refuses() {
    check(
        "order",
        "10000.01",
        r#","destination":"DE""#,
        CancelledViaCompensation,
    )
    .await;
}

#[tokio::test]
async fn an_order_that_is_undone_from_the_last_step() {
    check(
        "order",
        "129.90",
        r#","destination":"AQ""#,
        CancelledViaCompensation,
    )
    .await;
}

const PAGE: &str = include_str!("../../shared/participants/README.md");

/// The first block of this language of the page "Write your own saga".
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// The deployment of that page's example: its file, its participant, and what is there already.
fn with_the_example() -> Deployment {
    let definition = saga_wire::definitions::parse(block("toml")).unwrap();
    let mut deployment = deployment();
    deployment.catalogue = Catalogue::new(deployment.catalogue.iter().cloned().chain([definition])).unwrap();
    deployment.participants.insert(Seats.name(), Box::new(Seats));
    deployment
}

#[tokio::test]
async fn the_example_of_the_page() {
    // Two seats: the laws also look at another saga that takes one in between.
    for (free, end) in [(2, Completed), (0, CancelledViaCompensation)] {
        let flight = |world: &World| {
            let partition = saga_app::step_transact::partition(
                Seats.name(),
                Placement::Together,
                saga_tests::arbitrary::nth_saga(0),
                DEFAULT_SHARDS,
            );
            world.azure.put_entity(
                &partition,
                EntityKey::new("flight", "LH1"),
                fields([("Free", free.into())]),
            );
        };
        let case = Case {
            deployment: &with_the_example,
            given: &flight,
            definition: "trip",
            body: r#"{"order_id":"trip-1","amount":99,"currency":"EUR","flight":"LH1"}"#,
            end,
        };
        assert!(case.survives_everything().await > 60);
    }
}

#[test]
fn the_participant_of_the_page_is_the_one_that_is_tested() {
    let tested = include_str!("../src/example.rs");
    let words = |text: &str| text.split_whitespace().collect::<String>();
    assert!(
        words(tested).contains(&words(block("rust"))),
        "shared/participants/README.md shows another participant than src/example.rs"
    );
}
