//! The program itself, killed.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::bench::{Bench, Client, event};

async fn start(bench: &Bench) -> (Child, Client) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_saga-azure-standin"))
        .arg("--config")
        .arg(bench.config_file())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // A port that was free a moment ago may be somebody else's by now: the program says which one it got.
    let mut log = BufReader::new(program.stdout.take().unwrap()).lines();
    let address = loop {
        let line: Value = serde_json::from_str(&log.next_line().await.unwrap().unwrap()).unwrap();
        if line["message"] == "the stand-in listens" {
            break line["address"].as_str().unwrap().parse().unwrap();
        }
    };
    // Its log is read on, or it would stand still.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (program, Client::new(address))
}

#[tokio::test]
async fn what_was_accepted_is_delivered_after_a_kill() {
    // Given events that were accepted and cannot be delivered
    let bench = Bench::new(false).await;
    let (mut program, client) = start(&bench).await;
    for id in 0..20 {
        client.publish(&event(&format!("{id}"), "Any", "aws")).await;
    }
    // When the program is killed and started again
    program.kill().await.unwrap();
    bench.webhook.open();
    let (_program, client) = start(&bench).await;
    // Then every one of them arrives, and the journal is empty
    client.settled("to-aws", 20).await;
    let mut ids: Vec<u32> = bench
        .webhook
        .deliveries()
        .iter()
        .map(|d| d.body["id"].as_str().unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..20).collect::<Vec<u32>>());
    assert_eq!(
        std::fs::read_dir(bench.path().join("state/journal/to-aws"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_wrong_command_line_or_configuration_is_an_error() {
    let program = || Command::new(env!("CARGO_BIN_EXE_saga-azure-standin"));
    let output = program().output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("--config <file.json>")
    );

    let mut bench = Bench::new(true).await;
    let good = bench.config.clone();
    let mistakes: [fn(&mut Value); 6] = [
        |config| config["listen"] = "0.0.0.0:0".into(),
        |config| config["retry_scale"] = 0.into(),
        |config| config["subscriptions"][0]["max_attempts"] = 31.into(),
        |config| config["subscriptions"][0]["name"] = "to-aws".into(),
        |config| config["subscriptions"][1]["storage_queue"] = "two-destinations".into(),
        |config| config["typing_mistake"] = true.into(),
    ];
    for (number, mistake) in mistakes.into_iter().enumerate() {
        bench.config = good.clone();
        mistake(&mut bench.config);
        let output = program()
            .arg("--config")
            .arg(bench.config_file())
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "mistake {number}");
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("configuration"),
            "mistake {number}"
        );
    }
}
