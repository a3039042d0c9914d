//! The scheduled actions of a session, run where they belong.
//!
//! All of them run within the step that executes what they are anchored to, so that nothing can come in between: a
//! command finds either none of it done or all of it.

use std::sync::Arc;

use simulator_archive::model::Slot;
use simulator_engine::{Bundle, BundleOutcome, DecodedBlock, SlotError};

use super::Executor;
use crate::actions::{Action, ActionRecord, Agenda, Fate, Firing, Kind, MatchedAt, NotRun, RanTransaction, Schedule};

/// Where a session stands in its schedule.
#[derive(Debug)]
pub(super) struct Runner {
    schedule: Schedule,
    /// What is still due in the open slot.
    agenda: Agenda,
}

impl Runner {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            agenda: Agenda::default(),
        }
    }

    /// Takes what is due now.
    fn take(&mut self, part: impl FnOnce(&mut Agenda) -> &mut Vec<Firing>) -> Vec<Firing> {
        std::mem::take(part(&mut self.agenda))
    }
}

impl Executor {
    /// No block follows the open one: what waits for one is told so.
    pub(crate) fn end_schedule(&mut self) {
        let rest = self.actions.as_mut().map(|actions| actions.schedule.end());
        self.tell_missed(rest.unwrap_or_default());
    }

    /// A slot was opened. What comes before its first transaction waits for that: until then the user may change
    /// something. A slot without transactions is over as soon as it is open.
    pub(super) fn begin_actions(&mut self, block: &DecodedBlock) -> Result<(), SlotError> {
        let Some(actions) = &mut self.actions else {
            return Ok(());
        };
        actions.agenda = actions.schedule.open(block);
        let missed = std::mem::take(&mut actions.agenda.missed);
        self.tell_missed(missed);
        if block.batches().is_empty() {
            self.run_actions_before()?;
            self.run_actions_after()?;
        }
        Ok(())
    }

    /// Runs what comes before the block's transactions, once.
    pub(super) fn run_actions_before(&mut self) -> Result<(), SlotError> {
        let due = self.actions.as_mut().map(|actions| actions.take(|due| &mut due.before));
        self.run_actions(due.unwrap_or_default(), None)
    }

    /// Runs what comes after the block's transactions, if all of them have been executed.
    pub(super) fn run_actions_after(&mut self) -> Result<(), SlotError> {
        let is_over = |executor: &Self| {
            let position = executor.replay.position();
            position.is_some_and(|position| position.batch == position.batches)
        };
        if self.actions.is_none() || !is_over(self) {
            return Ok(());
        }
        let due = self.actions.as_mut().map(|actions| actions.take(|due| &mut due.after));
        self.run_actions(due.unwrap_or_default(), None)
    }

    /// Whether anything in the open slot waits for a single transaction.
    pub(super) fn waits_for_matches(&self) -> bool {
        self.actions
            .as_ref()
            .is_some_and(|actions| !actions.agenda.around.is_empty())
    }

    /// Executes the next batch, and on the way what waits for one of its transactions.
    pub(super) fn execute_around_matches(&mut self, block: &DecodedBlock) -> Result<(), SlotError> {
        let batch = self.replay.position().ok_or(SlotError::NoOpenSlot)?.batch;
        for index in block.batches().get(batch).cloned().unwrap_or_default() {
            let around = self
                .actions
                .as_mut()
                .and_then(|actions| actions.agenda.around.remove(&index));
            let around = around.unwrap_or_default();
            let signatures = &block.transactions()[index].signatures;
            let matched = MatchedAt {
                batch,
                transaction: index,
                signature: signatures.first().copied().unwrap_or_default(),
            };
            self.run_actions(around.before, Some(matched))?;
            if let Some(report) = self.replay.execute_transaction()? {
                self.keep(block, report);
            }
            self.run_actions(around.after, Some(matched))?;
        }
        Ok(())
    }

    fn run_actions(&mut self, due: Vec<Firing>, matched: Option<MatchedAt>) -> Result<(), SlotError> {
        let Some(actions) = self.scheduled() else {
            return Ok(());
        };
        let slot = self.replay.slot();
        for firing in due {
            let action = &actions[firing.action];
            let fate = self.run_action(action, &firing)?;
            self.tell_action(action, &firing, (slot, matched), fate);
        }
        Ok(())
    }

    fn run_action(&mut self, action: &Action, firing: &Firing) -> Result<Fate, SlotError> {
        if !self.data.takes_more() {
            return Ok(Fate::NotRun(NotRun::SlotFull));
        }
        let bundle = Bundle {
            overrides: &action.overrides,
            transactions: &action.transactions[firing.transactions.clone()],
            shown: &action.shown,
        };
        let outcome = match action.kind {
            Kind::Simulate => self.replay.simulate_bundle(bundle)?,
            Kind::Send => self.send_bundle(bundle)?,
        };
        Ok(fate(action, outcome))
    }

    fn send_bundle(&mut self, bundle: Bundle<'_>) -> Result<BundleOutcome, SlotError> {
        let mut outcome = self.replay.send_bundle(bundle)?;
        for (injected, transaction) in outcome.transactions.iter_mut().zip(bundle.transactions) {
            self.publish_injected(injected, transaction.clone());
        }
        Ok(outcome)
    }

    fn tell_missed(&mut self, missed: Vec<(Slot, Firing)>) {
        let Some(actions) = self.scheduled() else { return };
        for (slot, firing) in missed {
            let fate = Fate::NotRun(NotRun::NoBlock);
            self.tell_action(&actions[firing.action], &firing, (slot, None), fate);
        }
    }

    fn tell_action(&self, action: &Action, firing: &Firing, (slot, matched): (Slot, Option<MatchedAt>), fate: Fate) {
        self.data.add_action(ActionRecord {
            told_in: self.replay.slot(),
            slot,
            matched,
            action: firing.action,
            label: action.label.clone(),
            fate,
        });
    }

    fn scheduled(&self) -> Option<Arc<[Action]>> {
        let actions = self.actions.as_ref()?;
        Some(Arc::clone(actions.schedule.actions()))
    }
}

fn fate(action: &Action, outcome: BundleOutcome) -> Fate {
    let executions = outcome
        .transactions
        .into_iter()
        .map(|transaction| transaction.execution);
    let transactions: Vec<_> = executions.map(RanTransaction::from).collect();
    Fate::Ran {
        is_committed: action.kind == Kind::Send && transactions.iter().any(|ran| ran.fee.is_some()),
        transactions,
        accounts: action.shown.iter().copied().zip(outcome.accounts).collect(),
    }
}
