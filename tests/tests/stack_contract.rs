//! The store contract, held against DynamoDB and Table storage as the local stack's emulators play them. Each test
//! has tables of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use aws_config::SdkConfig;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_aws::definitions::DynamoDefinitions;
use saga_aws::outbox::DynamoOutbox;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_azure::TableStore;
use saga_tests::stack::{
    aws, azure, create_participants_table, create_table, dynamodb_local, participant, unique,
};

saga_tests::saga_store_contract!(dynamodb, empty_dynamodb_tables);
saga_tests::saga_store_contract!(dynamodb_local, empty_dynamodb_local_tables);
saga_tests::step_store_contract!(azure_tables, empty_azure_table);
saga_tests::definitions_contract!(dynamodb_definitions, empty_dynamodb_definitions);
saga_tests::definition_names_contract!(dynamodb_names, empty_dynamodb_definitions);
saga_tests::definitions_contract!(dynamodb_local_definitions, empty_dynamodb_local_definitions);
saga_tests::definition_names_contract!(dynamodb_local_names, empty_dynamodb_local_definitions);
saga_tests::definitions_contract!(azure_definitions, empty_azure_table);
saga_tests::service_states_contract!(dynamodb_services, empty_dynamodb_services);
saga_tests::service_changes_contract!(dynamodb_changes_of_services, empty_dynamodb_tables);
saga_tests::service_states_contract!(dynamodb_local_services, empty_dynamodb_local_services);
saga_tests::service_changes_contract!(dynamodb_local_changes_of_services, empty_dynamodb_local_tables);
saga_tests::service_states_contract!(azure_services, empty_azure_table);

async fn empty_dynamodb_services() -> Option<DynamoSagas> {
    Some(empty_tables(&aws().await).await.0)
}

async fn empty_dynamodb_local_services() -> Option<DynamoSagas> {
    Some(empty_tables(&dynamodb_local().await?).await.0)
}

async fn empty_dynamodb_tables() -> Option<(DynamoSagas, DynamoOutbox)> {
    Some(empty_tables(&aws().await).await)
}

async fn empty_dynamodb_local_tables() -> Option<(DynamoSagas, DynamoOutbox)> {
    Some(empty_tables(&dynamodb_local().await?).await)
}

async fn empty_dynamodb_definitions() -> Option<DynamoDefinitions> {
    Some(empty_definitions(&aws().await).await)
}

async fn empty_dynamodb_local_definitions() -> Option<DynamoDefinitions> {
    Some(empty_definitions(&dynamodb_local().await?).await)
}

async fn empty_definitions(config: &SdkConfig) -> DynamoDefinitions {
    let table = format!("{}Sagas", unique());
    create_table(config, &table, &["SagaId"], &[]).await;
    DynamoDefinitions::new(config, table)
}

async fn empty_tables(config: &SdkConfig) -> (DynamoSagas, DynamoOutbox) {
    let prefix = unique();
    let tables = Tables {
        sagas: format!("{prefix}Sagas"),
        entities: format!("{prefix}LocalPayments"),
        outbox: format!("{prefix}SagaOutbox"),
    };
    let indexes = [("due", "DueBucket", "DueAt"), ("list", "ListBucket", "CreatedAt")];
    create_table(config, &tables.sagas, &["SagaId"], &indexes).await;
    create_table(config, &tables.entities, &["TransactionId"], &[]).await;
    create_table(config, &tables.outbox, &["Shard", "EventId"], &[]).await;
    let outbox = DynamoOutbox::new(config, tables.outbox.clone());
    (DynamoSagas::new(config, tables, DEFAULT_SHARDS), outbox)
}

async fn empty_azure_table() -> Option<TableStore> {
    let access = azure();
    create_participants_table(&access).await;
    Some(participant(&access).store)
}
