//! A program that uses a managed session, and writes down what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use simulator_api::{
    BacktestStatus, ContinueParams, ContinueToParams, CreateBacktestSessionRequest, CreateSessionParams,
    DiscoveryFilter,
};
use simulator_client::managed::{ManagedBacktestSession, ManagedEvent, ManagedSessionBuilder, ManagedSessionError};
use simulator_testkit::peer::{Applied, Script};
use tokio::time::sleep;

/// What a program saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) control: Vec<String>,
    /// By kind and by what was subscribed to.
    pub(crate) notifications: BTreeMap<String, Vec<String>>,
    pub(crate) asked: Vec<Applied>,
}

/// One thing to ask for.
#[derive(Clone, Debug)]
enum Step {
    Continue(ContinueParams),
    ContinueTo(u64, Option<u32>),
}

pub(crate) fn script() -> Script {
    Script::generate(9, 300..=305).complain(302).discover(301, 1)
}

pub(crate) fn create() -> CreateBacktestSessionRequest {
    let params = CreateSessionParams {
        start_slot: 300,
        end_slot: 305,
        disconnect_timeout_secs: Some(360),
        discoveries: vec![DiscoveryFilter::ProgramExecuted(script().programs[0])],
        ..CreateSessionParams::default()
    };
    params.into()
}

/// Steps to the match, then in two strides to the end.
pub(crate) async fn run(builder: ManagedSessionBuilder) -> Result<Seen, ManagedSessionError> {
    run_thinking(builder, Duration::ZERO).await
}

/// As [`run`], and thinks before it asks for anything.
pub(crate) async fn run_thinking(
    builder: ManagedSessionBuilder,
    thinks: Duration,
) -> Result<Seen, ManagedSessionError> {
    let mut session = builder.start().await?;
    let programs = script().programs;
    session.subscribe_transactions(programs.clone())?;
    session.subscribe_account_diffs(programs[..1].to_vec())?;
    let mut seen = Seen::default();
    let mut steps = vec![go_on("rest", u64::MAX), go_on("two", 2)];
    loop {
        let event = session.next_event().await?;
        let next = match &event {
            ManagedEvent::DiscoveryBatch(found) => Some(Step::ContinueTo(found.slot, Some(found.batch_index))),
            ManagedEvent::ReadyForContinue if !seen.asked.is_empty() => steps.pop(),
            _ => None,
        };
        let is_over = matches!(event, ManagedEvent::Completed { .. });
        seen.note(event);
        if is_over {
            break;
        }
        if let Some(next) = next {
            sleep(thinks).await;
            seen.ask(&mut session, next).await?;
        }
    }
    session.shutdown().await;
    Ok(seen)
}

impl Seen {
    fn note(&mut self, event: ManagedEvent) {
        match event {
            ManagedEvent::Transaction(one) => self.note_notification("transaction", one.target(), one.raw()),
            ManagedEvent::AccountDiff(one) => self.note_notification("diff", one.target(), one.raw()),
            ManagedEvent::Status(BacktestStatus::StartingRuntime) => {}
            other => self.control.push(format!("{other:?}")),
        }
    }

    /// Without the number of the subscription, which is another one on every connection.
    fn note_notification(&mut self, kind: &str, target: &str, raw: &str) {
        let (_, told) = raw.split_once("\"subscription\":").expect("every notification says it");
        let told = told.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let stream = self.notifications.entry(format!("{kind} {target}")).or_default();
        stream.push(told.to_owned());
    }

    async fn ask(&mut self, session: &mut ManagedBacktestSession, step: Step) -> Result<(), ManagedSessionError> {
        match step {
            Step::Continue(params) => {
                self.asked.push(Applied::Continue(params.clone()));
                session.send_continue(params).await
            }
            Step::ContinueTo(slot, batch_index) => {
                let params = ContinueToParams {
                    slot,
                    batch_index,
                    request_id: None,
                };
                self.asked.push(Applied::ContinueTo(params.clone()));
                session.send_continue_to(params).await
            }
        }
    }
}

fn go_on(mark: &str, advance_count: u64) -> Step {
    Step::Continue(ContinueParams {
        advance_count,
        transactions: vec![mark.to_owned()],
        ..ContinueParams::default()
    })
}
