#!/usr/bin/env python3
"""Deliberate faults, and which check catches each.

    python3 tests/mutants.py              all of them
    python3 tests/mutants.py NAME …       those whose names contain one of the words
    python3 tests/mutants.py --list       their names

Each fault is a small change to one file. It is made in a copy of the tree under target/mutants, never here; then the
model, the simulator and the scenario tests run there, as `make test` runs them. Ends with 1 when a fault survives, or
when a change no longer fits the source: then mend the list, because it no longer says what the suite is worth.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "infra"))
from command_line import Parser  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
CHECKS = ["calls", "calls_paused", "api_services", "model", "simulator", "relay", "flags", "protocol", "order", "faults", "every_step", "store_contract", "start", "altered",
          "list", "quarantine", "admission", "api_runs", "api_run_acts", "sweep"]
LONGEST_RUN = 600


@dataclass(frozen=True)
class Mutant:
    name: str
    path: str
    before: str
    after: str
    # Whose tests are to catch it.
    package: str = "saga-tests"


MUTANTS = [
    Mutant("a word in the timeline that earlier releases refuse", "shared/aws/src/timeline_item.rs",
           "Outcome::Noted => Some(Outcome::Late),", "Outcome::Noted => Some(Outcome::Noted),",
           package="saga-stored-forms"),
    Mutant("a dry run of many sagas commits", "shared/app/src/saga_runs/run.rs",
           "let dry = self.sagas.dry_run();", "let dry = self.sagas;"),
    Mutant("a run changes a saga that its filter does not mean any more", "shared/app/src/saga_runs/run.rs",
           ".only(meant);", ".only(meant.filter(|_| false));"),
    Mutant("a run goes on behind sagas that it only read", "shared/app/src/saga_runs/run.rs",
           "Some(end) => return Ok(end),\n                None => self.stand = all_read,",
           "ended => {\n                    self.stand = all_read;\n"
           "                    if let Some(end) = ended {\n                        return Ok(end);\n                    }\n                }"),
    Mutant("a run tries more than may fail", "shared/app/src/saga_runs/run.rs",
           "batch.len() < most.min(allowed)", "batch.len() < most.max(allowed.min(1))"),
    Mutant("a run keeps no rate", "shared/app/src/saga_runs/run.rs",
           "time.sleep(u64::try_from(early).unwrap_or(0)).await;", "time.sleep(u64::try_from(early).map_or(0, |_| 0)).await;"),
    Mutant("a run by ids begins anew with each answer", "shared/app/src/saga_runs/run.rs",
           "rest: ids.get(*done..)", "rest: ids.get(0..)"),
    Mutant("an empty filter means every saga", "shared/app/src/saga_runs/filter.rs",
           "if given.is_empty() {", "if false {"),
    Mutant("a filter by service means every step that calls one", "shared/app/src/saga_runs/filter.rs",
           "service == Some(wanted)", "service.is_some() || service == Some(wanted)"),
    Mutant("a run does again what was done before", "shared/app/src/saga_runs/act.rs",
           "(_, Outcome::Repeated) => left(", "(_, Outcome::Contradicted) => left("),
    Mutant("sending again counts as a move", "shared/core/src/origin/sweep.rs",
           'Entry::of_command("retransmit", self.now, asked, Outcome::Noted)',
           'Entry::of_command("retransmit", self.now, asked, Outcome::Applied)'),
    Mutant("sending again waits until the saga is due", "shared/core/src/origin/sweep.rs",
           "if !self.saga.is_owed() {\n            return Ok(Decided::Nothing(Outcome::Late));",
           "if !self.is_due() {\n            return Ok(Decided::Nothing(Outcome::Late));"),
    Mutant("a service that is bound wrongly is taken for a refusal", "shared/wire/src/contract/reply.rs",
           "300..500 => Reply::Misbound {\n            why: answered(answer),\n        },",
           "300..500 => Reply::Refused(answered(answer)),", package="saga-wire"),
    Mutant("a service error is taken for a wrong binding", "shared/wire/src/contract/reply.rs",
           "300..500 => Reply::Misbound", "300..600 => Reply::Misbound", package="saga-wire"),
    Mutant("an act is answered with undone", "shared/wire/src/contract/reply.rs",
           '(Verb::Undo, "undone")', '(_, "undone")', package="saga-wire"),
    Mutant("an output with a reserved name is kept", "shared/wire/src/contract/output.rs",
           "output.keys().find(|name| name.starts_with(RESERVED))", "output.keys().find(|name| *name == RESERVED)",
           package="saga-wire"),
    Mutant("an undo has the key of its act", "shared/wire/src/contract/request.rs",
           "let key = key(self.saga, self.step, self.verb);", "let key = key(self.saga, self.step, Verb::Act);",
           package="saga-wire"),
    Mutant("only the first of two secrets signs", "shared/wire/src/contract/signature.rs",
           "let each = self.0.iter().map(", "let each = self.0.iter().take(1).map(", package="saga-wire"),
    Mutant("a service without a proof outside this machine", "shared/wire/src/services.rs",
           "url.is_some_and(is_loopback),\n                \"auth `none`", "url.is_some(),\n                \"auth `none`",
           package="saga-wire"),
    Mutant("a credential over http", "shared/wire/src/services.rs",
           '"http" if is_loopback(&url) => {}', '"http" => {}', package="saga-wire"),
    Mutant("a service is asked before it wants to be", "shared/app/src/call_service/schedule.rs",
           "Some(asked) => backoff.max(", "Some(asked) => backoff.min(", package="saga-app"),
    Mutant("an attempt is kept before its request is put back", "shared/app/src/call_service/mod.rs",
           "            self.queue.put(body, pause).await?;", "            self.queue.put(body, pause).await.ok();"),
    Mutant("a failed commit brings a request twice", "shared/app/src/call_service/mod.rs",
           "Err(error) if said.is_asked_again() => {", "Err(error) if said.is_asked_again() && false => {"),
    Mutant("a request comes before its time and is sent", "shared/app/src/call_service/mod.rs",
           "if too_early(record, now).is_some() {", "if too_early(record, now).is_none() && false {"),
    Mutant("held before anybody was alerted", "shared/core/src/call.rs",
           "let holds = newly && attempt.alerted;", "let holds = newly;"),
    Mutant("an old act delays the undo", "shared/core/src/call.rs",
           "attempt.verb.is_some() && self.asks(record) != attempt.verb", "attempt.verb.is_some() && false"),
    Mutant("an undo relies on a key that is forgotten", "shared/core/src/call.rs",
           "let relies = verb == CallVerb::Act || record.state == StepState::Stopping;", "let relies = verb == CallVerb::Act;"),
    Mutant("giving up is no news", "shared/core/src/call.rs",
           "|| given_up && progress.next.is_some();", "|| given_up && false;"),
    Mutant("an acceptance after a refusal is not reported", "shared/core/src/participate.rs",
           "(refused && message.verb == StepVerb::Answer(Reply::Accepted)).then(", "(refused && false).then("),
    Mutant("a request that reaches no caller holds nothing", "shared/core/src/origin/sweep.rs",
           "if let Some((index, attempt)) = self.unheard() {", "if let Some((index, attempt)) = self.unheard().filter(|_| false) {"),
    Mutant("a paused service is asked", "shared/app/src/call_service/mod.rs",
           "Ok(state.filter(|state| state.paused))", "Ok(state.filter(|_| false))"),
    Mutant("a state that cannot be read is no pause", "shared/app/src/call_service/mod.rs",
           "let state = self.steps.store().service_state(&call.service).await?;",
           "let state = self.steps.store().service_state(&call.service).await.unwrap_or(None);"),
    Mutant("a request to a paused service is not put back", "shared/app/src/call_service/mod.rs",
           "        let next = self.time.now().plus_millis(millis(pause));\n        self.queue.put(body, pause).await?;",
           "        let next = self.time.now().plus_millis(millis(pause));"),
    Mutant("a pause counts as an attempt", "shared/core/src/call.rs",
           "&& !attempt.alerted && !attempt.paused;", "&& !attempt.alerted;"),
    Mutant("a pause holds a step", "shared/core/src/call.rs",
           "let impatient = !attempt.paused && progress", "let impatient = progress"),
    Mutant("a pause uses up the patience", "shared/core/src/progress.rs",
           "            .plus_millis(self.idle_millis)\n", ""),
    Mutant("a step of a paused service counts as unheard", "shared/core/src/progress.rs",
           "let pausing = self.paused.map_or(0, looks_until).max(0);", "let pausing = self.paused.map_or(0, looks_until).min(0);"),
    Mutant("the origin does not hear of a pause", "shared/core/src/call.rs",
           "let reported = holds || turned || counts", "let reported = holds || counts"),
    Mutant("a late event resumes a service", "shared/memory/src/services.rs",
           "kept.is_some_and(|kept| kept.number >= state.number)", "kept.is_some_and(|kept| kept.number == state.number)"),
    Mutant("a change of a service without its event", "shared/app/src/pause_service.rs",
           "Some(row) => store.keep_and_send_service_state(&state, row).await?,",
           "Some(_) => store.keep_service_state(&state).await?,"),
    Mutant("a repeated pause is not sent again", "shared/app/src/pause_service.rs",
           "Some(holds) if forwarded => holds.again(now),", "Some(holds) if forwarded && false => holds.again(now),"),
    Mutant("a dead event of a service parks a saga", "shared/app/src/ports/publisher.rs",
           "(!is_of_service(&self.id)).then_some(self.saga)", "Some(self.saga)"),
    Mutant("an unbound service is asked", "shared/app/src/call_service/mod.rs",
           "bound.filter(|service| service.cloud == self.steps.cloud())", "bound"),
    Mutant("no re-emission on repeat", "shared/core/src/participate.rs",
           "let said = new.as_ref().or(record);", "let said = new.as_ref();"),
    Mutant("no tombstone", "shared/core/src/step.rs",
           "(Compensate | Cancel, None) => to(Refused, Effect::Tombstone, E::Compensate)",
           "(Compensate | Cancel, None) => again(E::Compensate)"),
    Mutant("deadline writes CANCELLED locally", "shared/core/src/origin/sweep.rs",
           'let mut decision = self.cancel(asked.by, asked.why)?;',
           'let mut decision = self.cancel(asked.by, asked.why)?;\n            decision.saga.lifecycle.phase = Phase::Cancelled;\n            decision.status = decision.saga.status(definition);'),
    Mutant("step and outbox in two transactions", "shared/app/src/step_transact.rs",
           "row: row.as_ref(),", "row: None,"),
    Mutant("saga and outbox in two transactions", "shared/app/src/transact.rs",
           'let row = decision.emit.as_ref().and_then(row);',
           'let row = decision.emit.as_ref().and_then(row).filter(|_| false);'),
    Mutant("published row deleted before publish", "shared/app/src/outbox/relay.rs",
           "        run.report.calls += wave.len();\n",
           "        run.report.calls += wave.len();\n"
           "        for rows in &wave {\n            self.outbox.delete(rows).await?;\n        }\n"),
    Mutant("checksum of an event not compared", "shared/wire/src/cloud_event/read.rs",
           "if sum.is_some_and(|sum| !sum.eq_ignore_ascii_case(&event.checksum())) {", "if sum.is_some_and(|_| false) {"),
    Mutant("amounts left out of the checksum", "shared/core/src/event.rs",
           ".chain_update(gist(&self.payload()))", ".chain_update(gist(&reason_data(&self.data, None)))"),
    Mutant("another team's event about another order", "shared/core/src/origin/receive.rs",
           'if outsider.is_some() {\n            self.check_claims',
           'if outsider.is_some_and(str::is_empty) {\n            self.check_claims'),
    Mutant("an outsider who says that AWS sent it", "shared/core/src/event.rs",
           "self.sender != Cloud::ORIGIN && self.target", "self.target"),
    Mutant("the origin's voice from outside", "shared/wire/src/inbound.rs",
           "if source.trim().eq_ignore_ascii_case(origin) {", "if source.is_empty() {"),
    Mutant("hops without room for an answer", "shared/wire/src/saga_event.rs",
           "event.hop.saturating_add(definition.answers(event.address)) > MAX_HOPS", "event.hop > MAX_HOPS"),
    Mutant("version guard of the step dropped", "shared/memory/src/steps.rs",
           "if known.as_ref() != commit.version || ", "if "),
    Mutant("version guard of the saga dropped", "shared/memory/src/sagas.rs",
           "known.as_ref() == Some(version)\n                && ", "known.is_some() && version.0 != \"\"\n                && "),
    Mutant("version guard of the entities dropped", "shared/memory/src/steps.rs",
           " || !contents.entities.are_as_read(commit.writes, commit.read)", ""),
    Mutant("undo without guard", "shared/core/src/step.rs",
           "        (Cancel, Some(Done)) if rules.last",
           "        (Compensate, Some(Undone)) => to(Undone, Effect::Undo, E::Compensate),\n"
           "        (Cancel, Some(Done)) if rules.last"),
    Mutant("cancel stops at the first DONE step", "shared/core/src/step.rs",
           "(Cancel, Some(Done)) => again(E::Cancel)", "(Cancel, Some(Done)) => again(E::Advance)"),
    Mutant("complete ignored while cancelling", "shared/core/src/lifecycle.rs",
           "        (Trigger::Complete, Open) => moved(",
           "        (Trigger::Complete, Open) if lifecycle.cancelling => Transition::Late(None),\n"
           "        (Trigger::Complete, Open) => moved("),
    Mutant("new event id on re-emission", "shared/app/src/step_transact.rs",
           "                row.shard = partition.0;\n",
           "                row.shard = partition.0;\n"
           '                row.id = format!("{}-{}", now.millis(), row.id).parse().unwrap_or(row.id);\n'),
    Mutant("new event time on re-emission", "shared/core/src/emission.rs",
           "_ => (record.at, record.hop),", "_ => (message.time, record.hop),"),
    Mutant("quarantined message not acknowledged", "shared/app/src/participate.rs",
           "&About::message(&String::from_utf8_lossy(body)),\n        )\n        .await;\n",
           "&About::message(&String::from_utf8_lossy(body)),\n        )\n        .await;\n"
           '        return Err(PortError::unavailable("the quarantine", "not acknowledged"));\n'),
    Mutant("refused row deleted from the outbox", "shared/app/src/outbox/relay.rs",
           "                    Err(Refusal::Later(reason)) => {\n",
           "                    Err(Refusal::Later(reason)) => {\n                        done.push(row.clone());\n"),
    Mutant("lease not checked on release", "shared/memory/src/outbox.rs",
           "            if state.outbox.is_held_by(lease) {\n                state.outbox.leases.remove",
           "            if !lease.owner.is_empty() {\n                state.outbox.leases.remove"),
    Mutant("a lease is taken from who has it", "shared/memory/src/outbox.rs",
           "held.is_none_or(|held| held.until <= now || held.owner == wanted.owner);",
           "held.is_none_or(|held| held.until <= now || !held.owner.is_empty());"),
    Mutant("a lost lease is used on", "shared/app/src/outbox/relay.rs",
           "                run.plan.give_up(Some(shard));\n", "                let _ = shard;\n"),
    Mutant("a lease is never renewed and used for ever", "shared/app/src/outbox/lease.rs",
           "if lease.until > now.plus_millis(RENEW_MILLIS) {", "if lease.until > Timestamp::from_millis(0) {"),
    Mutant("later events of a saga do not wait", "shared/app/src/outbox/plan.rs",
           "        self.blocked.insert(row.saga);\n", ""),
    Mutant("two events of a saga side by side", "shared/app/src/outbox/plan.rs",
           "            if sagas.contains(&row.saga) {", "            if sagas.contains(&row.saga) && row.saga.bucket(2) > 1 {"),
    Mutant("a sweep takes what is the stream's", "shared/app/src/outbox/rules.rs",
           "row.tries.next.unwrap_or(grace)", "row.tries.next.unwrap_or(row.queued.min(grace))"),
    Mutant("the pause after a failure is forgotten", "shared/app/src/outbox/rules.rs",
           "            next: Some(now.plus_millis(1 + wait)),", "            next: Some(now.plus_millis(wait.min(0))),"),
    Mutant("a row is tried for ever", "shared/app/src/outbox/rules.rs",
           "if old || failed >= self.attempts {", "if old && failed >= self.attempts {"),
    Mutant("set aside without a word", "shared/app/src/outbox/relay.rs",
           "if !dead.is_empty() && !announce(", "if dead.is_empty() && !announce("),
    Mutant("stuck is alerted at every look", "shared/core/src/origin/sweep.rs",
           'if !self.alerted_since(at) {',
           'if true {'),
    Mutant("a saga that moves stays stuck", "shared/core/src/origin/receive.rs",
           '            // It moves again.\n            decision.saga.stuck = None;\n',
           ''),
    Mutant("a dead letter that was dealt with stays parked", "shared/core/src/origin/notes.rs",
           "note.unparks.as_ref() != Some(&parked.event)", "note.unparks.is_none() || parked.at > note.at"),
    Mutant("the word of another publisher is a step's", "shared/core/src/origin/receive.rs",
           '        if outsider.is_none() {\n            decision.saga.observe',
           '        if event.hop == 0 || outsider.is_none() {\n            decision.saga.observe'),
    Mutant("the ingress acknowledges what the bus refused", "shared/app/src/admit_events.rs",
           "Some(Err(refusal)) => failed = Some(refusal.into_error(PASSING_ON)),", "Some(Err(_)) => {}"),
    Mutant("what is not understood is not kept", "shared/app/src/participate.rs",
           "if let Handled::Quarantined(reason) = &handled {",
           "if let Handled::Quarantined(reason) = &handled\n        && reason.is_empty()\n    {"),
    Mutant("the relay leaves out shards", "shared/app/src/outbox/relay.rs",
           "for shard in overdue {", "for shard in overdue.into_iter().filter(|shard| *shard < 8) {"),
    Mutant("the sweep leaves out a bucket", "shared/app/src/sweep_sagas.rs",
           "for bucket in (0..shards).map(|number| (first + number) % shards) {",
           "for bucket in (0..shards / 2).map(|number| (first + number) % (shards / 2)) {"),
    Mutant("an override closes at once", "shared/core/src/lifecycle.rs",
           "closing: true,", "closing: false,"),
    Mutant("complete to a cancelled saga not answered", "shared/core/src/lifecycle.rs",
           "Transition::Late(Some(Send::CompensateLast))", "Transition::Late(None)"),
    Mutant("an override does not undo step 0", "shared/core/src/lifecycle.rs",
           "moved(lifecycle, true, Some(Send::CancelFirst))", "moved(lifecycle, false, Some(Send::CancelFirst))"),
    Mutant("an end can be left", "shared/core/src/lifecycle.rs",
           "(Trigger::Cancelled | Trigger::Followed | Trigger::Settled, Completed) => {",
           "(Trigger::Cancelled, Completed) => moved(Lifecycle { phase: Cancelled, ..lifecycle }, true, None),\n"
           "        (Trigger::Followed | Trigger::Settled, Completed) => {"),
    Mutant("status fold forgets refusals", "shared/core/src/saga.rs",
           "if self.steps.values().any(|record| record.state.is_compensating()) {",
           "if self.steps.values().any(|record| record.state == StepState::Undone) {"),
    Mutant("the sweep sends the opening while closing", "shared/core/src/origin/sweep.rs",
           'if self.saga.lifecycle.closing {\n            decision.emit', 'if false {\n            decision.emit'),
    Mutant("the sweep looks only once", "shared/core/src/origin/sweep.rs",
           '        decision.saga.due = Some(\n            self.patience\n                .next(self.now, decision.saga.nudges, self.saga.deadline),\n        );',
           '        decision.saga.due = None;'),
    Mutant("payments are not settled", "shared/core/src/origin/ending.rs",
           'decision.settle = self.settle()?;',
           'let _ = self.settle()?;'),
    Mutant("compensation without conditions on stock", "shared/participants/src/inventory.rs",
           "available(stock).saturating_add(quantity)", "available(stock).saturating_add(2 * quantity)"),
    Mutant("a message whose handler panics is acknowledged", "shared/runtime/src/sqs_batch.rs",
           'Err(_) => ("panicked", None),', "Err(_) => return None,",
           "saga-runtime"),
    Mutant("the cursor of a filtered list stays", "shared/app/src/list_sagas.rs",
           "let next = walk.place().filter(|_| !walk.is_over());",
           "let next = if filters { query.cursor } else { walk.place() }.filter(|_| !walk.is_over());"),
    Mutant("any origin passes the handshake", "functions/event-ingress/src/webhook.rs",
           "if !origin.is_some_and(allowed) ||", "if !origin.is_some_and(|origin| allowed(origin) || !origin.is_empty()) ||",
           "event-ingress"),
    Mutant("If-Match is not signed", "shared/azure/src/client/shared_key.rs",
           'header("if-match"));', 'header("no-such-header"));', "saga-azure"),
    Mutant("stuck counts from the last move, not from the deadline", "shared/core/src/origin/sweep.rs",
           '            moved.max(self.saga.deadline)\n',
           '            moved\n'),
    Mutant("a stop that asks a service of keys to undo", "shared/core/src/step.rs",
           "Kind::Call(Recover::Tombstone) => Emission::Undo,",
           "Kind::Call(_) => Emission::Undo,"),
    Mutant("a tombstone over an unknown outcome", "shared/core/src/step.rs",
           "to(Stopping, Effect::Recall, rules.stop())",
           "to(Refused, Effect::Tombstone, E::Compensate)"),
    Mutant("a stop that is forgotten", "shared/core/src/step.rs",
           "to(Stopping, Effect::Recall, rules.stop())",
           "again(rules.stop())"),
    Mutant("a pivot is told to stop", "shared/core/src/step.rs",
           "(Compensate | Cancel, Some(Acting)) if rules.can_be_undone()",
           "(Compensate | Cancel, Some(Acting)) if rules.class != Class::Retriable"),
    Mutant("a stopped step that is accepted goes on", "shared/core/src/step.rs",
           "(From(Reply::Accepted), Some(Stopping)) => to(Undoing, Effect::Settle, E::Undo)",
           "(From(Reply::Accepted), Some(Stopping)) => to(Done, Effect::Settle, E::Advance)"),
    Mutant("a call is undone without its service", "shared/core/src/step.rs",
           "(Compensate, Some(Done)) if matches!(rules.kind, Kind::Call(_))",
           "(Compensate, Some(Done)) if rules.kind == Kind::Call(Recover::Tombstone)"),
    Mutant("a pivot is undone", "shared/core/src/step.rs",
           "(Compensate, Some(Done)) if !rules.can_be_undone()",
           "(Compensate, Some(Done)) if rules.class == Class::Retriable"),
    Mutant("a cancel passes the pivot", "shared/core/src/step.rs",
           "(Cancel, Some(Done)) if rules.last || rules.class == Class::Pivot",
           "(Cancel, Some(Done)) if rules.last"),
    Mutant("a cancel does not stop a wait", "shared/core/src/step.rs",
           "(Compensate | Cancel, Some(Waiting)) => to(Refused, Effect::Tombstone, E::Compensate)",
           "(Compensate | Cancel, Some(Waiting)) => again(E::Waiting)"),
    Mutant("a step after the pivot refuses", "shared/core/src/step.rs",
           "(From(Reply::Refused), Some(Waiting | Acting)) if rules.class == Class::Retriable",
           "(From(Reply::Refused), Some(Acting)) if rules.class == Class::Retriable"),
    Mutant("an undo is not asked for again", "shared/core/src/step.rs",
           "(Advance | Compensate | Cancel, Some(Undoing)) => again(E::Undo)",
           "(Advance | Compensate | Cancel, Some(Undoing)) => ignored"),
    Mutant("a stopped call is not asked for its outcome", "shared/core/src/call.rs",
           "(StepState::Acting, _) | (StepState::Stopping, Recover::Key) => Some(CallVerb::Act)",
           "(StepState::Acting, _) => Some(CallVerb::Act)"),
    Mutant("an undo before a service of keys has decided", "shared/core/src/call.rs",
           "(StepState::Acting, _) | (StepState::Stopping, Recover::Key) => Some(CallVerb::Act),\n            (StepState::Stopping, Recover::Tombstone)",
           "(StepState::Acting, _) => Some(CallVerb::Act),\n            (StepState::Stopping, _)"),
    Mutant("a request that the record does not ask for", "shared/core/src/call.rs",
           "if self.asks(record) != Some(verb) {",
           "if self.asks(record) != Some(verb) && verb == CallVerb::Undo {"),
    Mutant("an act after its key was forgotten", "shared/core/src/call.rs",
           "if relies && late > forgotten",
           "if relies && now > forgotten"),
    Mutant("a stop renews the lifetime of the key", "shared/core/src/participate.rs",
           "let since = known.map_or(now, |progress| progress.since);",
           "let since = known.map_or(now, |_| now);"),
    Mutant("an attempt without a decision is a refusal", "shared/core/src/call.rs",
           "            progress: Some(progress),\n            ..record.clone()",
           "            progress: Some(progress),\n            state: StepState::Refused,\n            ..record.clone()"),
    Mutant("closing ends with step 0's own undo", "shared/core/src/lifecycle.rs",
           "(Trigger::Settled, Cancelled) if lifecycle.closing && lifecycle.followed",
           "(Trigger::Settled, Cancelled) if lifecycle.closing"),
    Mutant("closing ends before step 0's own undo", "shared/core/src/origin/receive.rs",
           "Phase::Cancelled if lifecycle.closing && !void",
           "Phase::Cancelled if lifecycle.closing && void"),
    Mutant("closing asks only step 0", "shared/core/src/origin/sweep.rs",
           "if asks && (self.saga.lifecycle.followed || turn)",
           "if asks"),
    Mutant("closing asks only the other steps", "shared/core/src/origin/sweep.rs",
           "if asks && (self.saga.lifecycle.followed || turn)",
           "if asks && self.saga.lifecycle.followed"),
    Mutant("a cancel after the pivot", "shared/core/src/origin/ending.rs",
           "record.is_some_and(|record| record.state == StepState::Done)",
           "record.is_some_and(|record| record.state == StepState::Undone)"),
    Mutant("an override past a pivot that acts", "shared/core/src/origin/ending.rs",
           "Some(StepState::Done | StepState::Acting) => Err",
           "Some(StepState::Done) => Err"),
    Mutant("an override leaves the origin's pivot free to act", "shared/core/src/origin/ending.rs",
           "if trigger == Trigger::OverrideCancelled {\n                    self.bar",
           "if trigger == Trigger::OverrideCompleted {\n                    self.bar"),
    Mutant("an override past the other cloud's pivot needs no force", "shared/core/src/origin/ending.rs",
           "_ if own || force || self.stops_before(pivot) => Ok(())",
           "_ if own || force || self.stops_before(pivot) || self.saga.due.is_some() => Ok(())"),
    Mutant("a contradiction leaves step 0 undoing", "shared/core/src/origin/ending.rs",
           "if self.saga.lifecycle.closing && self.first_is_calling() {",
           "if self.saga.lifecycle.followed && self.first_is_calling() {"),
    Mutant("what is due is sent all at once", "shared/app/src/sweep_sagas.rs",
           "self.time.sleep(pause).await;", "self.time.sleep(0 * pause).await;"),
    Mutant("the clock does not answer in time", "shared/core/src/origin/answer.rs",
           "*at <= self.now;",
           "*at < self.now;"),
    # The simulator catches these by itself.
    Mutant("an unknown outcome is taken for a refusal", "shared/app/src/call_service/mod.rs",
           "Attempt::NoAnswer { why } => Reply::Again { after: None, why },",
           "Attempt::NoAnswer { why } => Reply::Refused(why),"),
    Mutant("the lifetime of a key is ignored", "shared/core/src/call.rs",
           "if relies && late > forgotten {", "if relies && late > forgotten && false {"),
    Mutant("each attempt has a key of its own", "shared/wire/src/contract/request.rs",
           "let key = key(self.saga, self.step, self.verb);",
           'let key = format!("{}{}", key(self.saga, self.step, self.verb), "x".repeat(usize::from(self.attempt > 1)));'),
    Mutant("a call that was told to stop is done when its service accepts", "shared/core/src/step.rs",
           "(From(Reply::Accepted), Some(Stopping)) => to(Undoing,",
           "(From(Reply::Accepted), Some(Stopping)) if rules.last => to(Done, Effect::Settle, E::Compensate),\n"
           "        (From(Reply::Accepted), Some(Stopping)) => to(Undoing,"),
    Mutant("a service is asked for what its record does not ask", "shared/core/src/call.rs",
           "if self.asks(record) != Some(verb) {", "if self.asks(record) != Some(verb) && false {"),
    Mutant("a step that is stopped forgets what its service accepted", "shared/core/src/step.rs",
           "(From(Reply::Accepted), Some(Stopping)) => to(Undoing, Effect::Settle, E::Undo)",
           "(From(Reply::Accepted), Some(Stopping)) => to(Refused, Effect::Settle, E::Compensate)"),
    Mutant("a service that is paused is asked", "shared/app/src/call_service/mod.rs",
           "Ok(state.filter(|state| state.paused))", "Ok(state.filter(|state| state.paused && state.number > 99))"),
    Mutant("a request is another event once its step is told to stop", "shared/core/src/emission.rs",
           "&& !to_caller);", "&& (!to_caller || true));"),
    Mutant("what a step says of itself is not believed", "shared/core/src/observe.rs",
           "word.is_some() && void(heard.state) && void(known.state)", "word.is_none() && void(heard.state) && void(known.state)"),
]

def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not asked.words or any(word in mutant.name for word in asked.words)]
    if asked.list:
        print("\n".join(mutant.name for mutant in chosen))
        return 0
    copy_tree(TREE)
    bad = [f"{m.name}: its change no longer fits {m.path}" for m in chosen if source(m).count(m.before) != 1]
    if bad:
        print("\n".join(bad), file=sys.stderr)
        return 1
    caught = [check for package in sorted({mutant.package for mutant in chosen}) for check in run_checks(package)[0]]
    if caught:
        print(f"without any fault the suite fails: {', '.join(caught)}", file=sys.stderr)
        return 1
    survivors = []
    for mutant in chosen:
        began = time.monotonic()
        with_fault = TREE / mutant.path
        clean = with_fault.read_text()
        with_fault.write_text(clean.replace(mutant.before, mutant.after))
        try:
            caught, built = run_checks(mutant.package)
        finally:
            with_fault.write_text(clean)
        if not built:
            verdict = "DOES NOT BUILD: mend the list"
        elif caught:
            verdict = "caught by " + ", ".join(caught)
        else:
            verdict = "SURVIVES"
        if not built or not caught:
            survivors.append(mutant.name)
        print(f"{mutant.name:<45} {verdict}  ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} faults caught")
    return 1 if survivors else 0


def source(mutant: Mutant) -> str:
    return (TREE / mutant.path).read_text()


def copy_tree(tree: Path) -> None:
    """The files of this tree as they are now, always at the same place, so that only what differs is built again."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    tree.mkdir(parents=True, exist_ok=True)
    for old in [path for path in tree.rglob("*") if path.is_file()]:
        if str(old.relative_to(tree)) not in names:
            old.unlink()
    for name in names:
        here, there = ROOT / name, tree / name
        if there.exists() and there.read_bytes() == here.read_bytes():
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, there)


def run_checks(package: str) -> tuple[list[str], bool]:
    """The checks that fail, and whether everything could be built at all."""
    targets = {check: ["--test", check] for check in CHECKS} if package == "saga-tests" else {package: []}
    environment = os.environ | {"CARGO_TARGET_DIR": str(WORK / "build"), "RUST_BACKTRACE": "0"}
    command = ["cargo", "test", "--package", package]
    all_targets = [part for target in targets.values() for part in target]
    built = subprocess.run([*command, "--quiet", "--no-run", *all_targets], cwd=TREE, env=environment, capture_output=True,
                           text=True, check=False)
    if built.returncode:
        print(built.stderr[-3000:], file=sys.stderr)
        return [], False
    failed = []
    for check, target in targets.items():
        try:
            run = subprocess.run([*command, *target], cwd=TREE, env=environment, capture_output=True, text=True, check=False,
                                 timeout=LONGEST_RUN)
        except subprocess.TimeoutExpired:
            failed.append(f"{check} (does not end)")
            continue
        if run.returncode:
            text = run.stdout + run.stderr
            rules = re.findall(r"^(I\d [a-z ]+?|[a-z][a-z ,]+?) does not hold:", text, re.M)
            rules += re.findall(r"seed \d+ fails: (\w+):", text)
            tests = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M)
            detail = "; ".join(dict.fromkeys(rules)) or f"{len(tests)} scenarios"
            failed.append(f"{check} [{detail}]")
    return failed, True


if __name__ == "__main__":
    sys.exit(main())
