//! Sessions over the sample ledger, without a network.

use std::path::Path;
use std::time::Duration;

use simulator_api::replay::OutcomeDetail;
use simulator_archive::import::{ImportOptions, ledger};
use simulator_engine::ReplayOptions;
use solana_account::AccountSharedData;
use solana_message::VersionedMessage;
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use crate::archives::Archives;
use crate::command_log::MemoryCommandLog;
use crate::config::Times;
use crate::event_log::Sequence;
use crate::outcomes::OutcomeRequest;
use crate::session::{Changes, Order, Start};

struct Sample {
    archives: Archives,
    _directory: TempDir,
}

impl Sample {
    async fn import() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().to_str().unwrap().to_owned();
        let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/agave-small");
        ledger::import(&ledger, &location, ImportOptions::default(), |_| {})
            .await
            .unwrap();
        Self {
            archives: Archives::open(&[location], 2).await.unwrap(),
            _directory: directory,
        }
    }

    async fn launch(&self, outcomes: Option<OutcomeDetail>, limits: &Limits) -> Arc<SessionHandle> {
        let spec = SessionSpec {
            range: 36..=59,
            start: Start::AfterFirstBlock,
            discoveries: Vec::new(),
            options: ReplayOptions::default(),
            outcomes,
            send_summary: false,
            capacity_wait: Duration::ZERO,
            disconnect: Duration::ZERO,
            token: None,
            name: None,
            actions: Arc::default(),
        };
        let archive = self.archives.covering(&spec.range).unwrap();
        let keyframe = self.archives.keyframe(archive, 36, &spec.options).await.unwrap();
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let id = SessionId::from_random_bytes([1; 16]);
        launch(Launch {
            id,
            number: 1,
            spec,
            archive,
            keyframe,
            limits,
            completed_hold: Times::default().completed_hold,
            data_grace: Times::default().data_grace,
            commands: Box::new(MemoryCommandLog::new(limits.command_log_bytes)),
            past: None,
            keeping: Keeping::default(),
            place,
            meter: SessionMeter::alone(),
            data_pool: &limits.data_pool(),
        })
        .await
        .unwrap()
    }
}

async fn go_on(session: &SessionHandle) {
    let order = Order::Continue {
        request: None,
        blocks: u64::MAX,
        changes: Changes::default(),
    };
    session.tell(Message::Order(order)).await.unwrap();
}

/// Asks a session where it is, again and again, until `is_blocked`; it must not move any more after that.
async fn stands_still(session: &SessionHandle, is_blocked: impl Fn() -> bool) {
    let slot = || session.read(|executor| executor.replay().slot());
    while !is_blocked() {
        slot().await.unwrap();
    }
    let here = slot().await.unwrap();
    for _ in 0..100 {
        assert_eq!(slot().await.unwrap(), here);
    }
    assert!(here < 59);
}

/// Reads all events up to the last one; they are numbered without a gap.
async fn last_event(session: &SessionHandle) -> BacktestResponse {
    let mut cursor = Sequence::default();
    loop {
        let (sequence, event) = session.events.next_after(cursor).await;
        assert_eq!((sequence.0, event.seq_id), (cursor.0 + 1, Some(cursor.0 + 1)));
        session.events.mark_read(sequence);
        cursor = sequence;
        if event.response.is_terminal() {
            return event.response;
        }
    }
}

#[tokio::test]
async fn waits_for_its_readers_and_loses_nothing() {
    let sample = Sample::import().await;
    let slow_events = Limits {
        unread_events: 3,
        ..Limits::default()
    };
    let session = sample.launch(None, &slow_events).await;
    go_on(&session).await;
    stands_still(&session, || !session.events.has_room()).await;
    assert!(last_event(&session).await.is_completed());
    session.stop.cancel();
    session.finished.cancelled().await;

    let slow_outcomes = Limits {
        outcome_bytes: 1,
        ..Limits::default()
    };
    let session = sample.launch(Some(OutcomeDetail::Divergences), &slow_outcomes).await;
    let outcomes = session.outcomes.clone().unwrap();
    go_on(&session).await;
    stands_still(&session, || !outcomes.has_room()).await;
    let (mut after, mut slots) = (None, 0);
    loop {
        let page = outcomes
            .next(OutcomeRequest {
                after,
                max_slots: 1,
                max_bytes: 1,
            })
            .await;
        slots += page.records.len();
        if page.complete {
            break;
        }
        let record: serde_json::Value = serde_json::from_str(page.records[0].get()).unwrap();
        after = record["slot"].as_u64();
    }
    assert_eq!(slots, 21);
}

#[tokio::test]
async fn whoever_looks_finds_an_open_slot_until_the_end() {
    let sample = Sample::import().await;
    let session = sample.launch(None, &Limits::default()).await;
    go_on(&session).await;
    let look = |executor: &Executor| {
        let is_complete = executor.replay_summary().complete;
        (executor.replay().open_block().is_some(), is_complete)
    };
    while let (is_open, false) = session.read(look).await.unwrap() {
        assert!(is_open);
    }
}

/// A session that is held up in the middle of its messages, until this is dropped.
struct Hold {
    reached: oneshot::Receiver<()>,
    _release: std::sync::mpsc::SyncSender<()>,
}

impl Hold {
    async fn put(session: &SessionHandle) -> Self {
        let (reach, reached) = oneshot::channel();
        let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
        let wait = move |_: &Executor| {
            // Not everyone waits for it.
            let _ = reach.send(());
            assert!(released.recv().is_err(), "it is dropped, not used");
        };
        session.tell(Message::Read(Box::new(wait))).await.unwrap();
        Self {
            reached,
            _release: release,
        }
    }
}

/// One SOL from an account of the sample that has more than 100.
fn transfer(executor: &Executor, signature: Signature) -> VersionedTransaction {
    let from: Pubkey = "71PvmEchigwUJsygzTBs94sL47872v1XD98V75SvFor".parse().unwrap();
    let instruction = solana_system_interface::instruction::transfer(&from, &from, 1_000_000_000);
    let blockhash = executor.replay().latest_blockhash().blockhash;
    let message = solana_message::Message::new_with_blockhash(&[instruction], Some(&from), &blockhash);
    VersionedTransaction {
        signatures: vec![signature],
        message: VersionedMessage::Legacy(message),
    }
}

#[tokio::test]
async fn a_change_whose_sender_has_gone_is_not_made() {
    let sample = Sample::import().await;
    let session = sample.launch(None, &Limits::default()).await;
    let address = Pubkey::new_from_array([9; 32]);
    let accounts = vec![(address, AccountSharedData::new(1, 0, &Pubkey::default()))];
    let (lost, kept) = (Signature::from([7; 64]), Signature::from([8; 64]));
    let transactions = move |executor: &Executor| (transfer(executor, lost), transfer(executor, kept));
    let (withdrawn, executed) = session.read(transactions).await.unwrap();
    let before = Hold::put(&session).await;
    let (reply, gone) = oneshot::channel();
    drop(gone);
    session.tell(Message::SetAccounts { accounts, reply }).await.unwrap();
    go_on(&session).await;
    let (reply, leaving) = oneshot::channel();
    let transaction = Box::new(withdrawn);
    session.tell(Message::Send { transaction, reply }).await.unwrap();
    let (reply, staying) = oneshot::channel();
    let transaction = Box::new(executed);
    session.tell(Message::Send { transaction, reply }).await.unwrap();
    let mut after = Hold::put(&session).await;
    drop(before);
    (&mut after.reached).await.unwrap();
    drop((leaving, after));
    // Both are the same but for their signatures: the second would be refused if the first had been executed.
    assert!(staying.await.unwrap().unwrap().execution.outcome().is_some());
    let look = move |executor: &Executor| {
        let has = |signature| executor.history().get(signature).is_some();
        (
            executor.replay().account(&address).known().is_some(),
            has(&lost),
            has(&kept),
        )
    };
    assert_eq!(session.read(look).await.unwrap(), (false, false, true));
}

#[tokio::test]
async fn a_panic_ends_its_own_session_only() {
    let sample = Sample::import().await;
    let (session, other) = (
        sample
            .launch(Some(OutcomeDetail::Divergences), &Limits::default())
            .await,
        sample.launch(None, &Limits::default()).await,
    );
    let read = session.read(|_| panic!("on purpose")).await;
    assert!(read.is_err(), "nobody answers");
    session.finished.cancelled().await;
    assert!(matches!(
        last_event(&session).await,
        BacktestResponse::Error(BacktestError::Internal { .. })
    ));
    session
        .outcomes
        .clone()
        .unwrap()
        .next(OutcomeRequest {
            after: None,
            max_slots: 1,
            max_bytes: 1,
        })
        .await;
    assert!(session.tell(Message::Close).await.is_err());
    go_on(&other).await;
    assert!(last_event(&other).await.is_completed());
}
