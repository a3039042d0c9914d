//! Conformance fixtures: those of a folder, through the engine's own account store and sysvars.
//!
//! `SIM_FIXTURES` names another folder than that of this repository, for example a copy of the public
//! `firedancer-io/test-vectors`. Files that end in `.fix` are fixtures.

mod folder;
mod make;
#[path = "../replay/support.rs"]
#[expect(dead_code, reason = "the replay tests need more of it")]
mod support;

use prost::Message;
use protosol::protos::{ElfLoaderCtx, ElfLoaderEffects, ElfLoaderFixture, InstrFixture, TxnFixture};
use simulator_engine::conformance::{FixtureKind, FixtureOutcome, run_fixture};
use simulator_testkit::accounts;
use simulator_testkit::paths;

use crate::folder::{Report, fixtures, folder, ours};

/// What a fixture fails at.
#[track_caller]
fn failed_field(fixture: &[u8]) -> String {
    match run_fixture(fixture) {
        (_, FixtureOutcome::Failed(mismatch)) => mismatch.field,
        other => panic!("it did not fail: {other:?}"),
    }
}

#[test]
fn every_fixture_of_the_folder_passes_or_says_why_it_cannot_run() {
    let report = Report::of(&folder());
    println!("{report}");
    assert_eq!(report.failed(), 0, "{report}");
}

#[test]
fn our_fixtures_all_run() {
    let report = Report::of(&ours());
    assert_eq!((report.failed(), report.unsupported()), (0, 0), "{report}");
    for kind in [FixtureKind::Instruction, FixtureKind::Transaction] {
        assert!(report.passed(kind) >= 5, "{report}");
    }
    let size: usize = fixtures(&ours()).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(size < 200_000, "{size} bytes");
}

/// They are made from what the validator recorded; so that anybody can see how, and that they are up to date.
#[test]
fn our_fixtures_are_those_of_the_sample() {
    let made = make::fixtures();
    if std::env::var_os("SIM_FIXTURES_UPDATE").is_some() {
        folder::replace(&ours(), &made);
    }
    let found = fixtures(&ours());
    let names = |fixtures: &[(String, Vec<u8>)]| fixtures.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&made), names(&found));
    assert!(
        made == found,
        "run this test with SIM_FIXTURES_UPDATE=1 and look at what has changed"
    );
}

/// What is too large to be kept is made and run all the same: token programs, stakes, lookup tables, deployments.
#[test]
fn every_transaction_of_the_sample_does_as_a_fixture_what_it_did_on_the_chain() {
    let (mut passed, mut others) = (0, Vec::new());
    make::each_of_the_sample(|label, fixture| match run_fixture(fixture) {
        (_, FixtureOutcome::Passed) => passed += 1,
        (kind, other) => others.push(format!("{label}, {kind:?}: {other:?}")),
    });
    assert!(
        others.is_empty(),
        "{passed} passed, but not {}:\n{}",
        others.len(),
        others.join("\n")
    );
    assert!(passed > 478, "{passed}");
}

#[test]
fn a_wrong_transaction_is_reported_with_the_field_that_is_wrong() {
    for (name, bytes) in fixtures(&ours()) {
        let Ok(good) = TxnFixture::decode(&bytes[..]) else {
            continue;
        };
        if !name.starts_with("txn") {
            continue;
        }
        let wrong = |change: fn(&mut protosol::protos::TxnResult)| {
            let mut wrong = good.clone();
            change(wrong.output.as_mut().expect("it has one"));
            failed_field(&wrong.encode_to_vec())
        };
        assert_eq!(wrong(|output| output.executed = !output.executed), "executed", "{name}");
        assert_eq!(wrong(|output| output.is_ok = !output.is_ok), "is_ok", "{name}");
        assert_eq!(wrong(|output| output.status += 1), "status", "{name}");
        assert_eq!(wrong(|output| output.executed_units += 1), "executed_units", "{name}");
        assert_eq!(wrong(|output| output.return_data.push(1)), "return_data", "{name}");
        let size = wrong(|output| output.loaded_accounts_data_size = 1);
        assert_eq!(size, "loaded_accounts_data_size", "{name}");
        let fee = wrong(|output| output.fee_details.get_or_insert_default().transaction_fee += 1);
        assert_eq!(fee, "fee_details.transaction_fee", "{name}");
        let account = wrong(|output| {
            let list = if output.is_ok {
                &mut output.modified_accounts
            } else {
                &mut output.rollback_accounts
            };
            list[0].lamports += 1;
        });
        assert!(account.ends_with("].lamports"), "{name}: {account}");
        let missing = wrong(|output| {
            output.modified_accounts.clear();
            output.rollback_accounts.clear();
        });
        assert!(missing.contains("_accounts["), "{name}: {missing}");
    }
}

#[test]
fn a_wrong_instruction_is_reported_with_the_field_that_is_wrong() {
    let mut data = 0;
    for (name, bytes) in fixtures(&ours()).iter().filter(|(name, _)| name.starts_with("instr")) {
        let good = InstrFixture::decode(&bytes[..]).expect("it is one");
        let wrong = |change: fn(&mut protosol::protos::InstrEffects)| {
            let mut wrong = good.clone();
            change(wrong.output.as_mut().expect("it has one"));
            failed_field(&wrong.encode_to_vec())
        };
        assert_eq!(wrong(|output| output.result += 1), "result", "{name}");
        assert_eq!(wrong(|output| output.custom_err += 1), "custom_err", "{name}");
        assert_eq!(wrong(|output| output.cu_avail += 1), "cu_avail", "{name}");
        assert_eq!(wrong(|output| output.return_data.push(1)), "return_data", "{name}");
        let output = good.output.as_ref().expect("it has one");
        let with_data = |account: &&protosol::protos::AcctState| !account.data.is_empty();
        if output.modified_accounts.iter().any(|account| with_data(&account)) {
            data += 1;
            let field = wrong(|output| {
                let mut accounts = output.modified_accounts.iter_mut();
                let account = accounts.find(|account| !account.data.is_empty()).expect("there is one");
                account.data[0] ^= 1;
            });
            assert!(field.ends_with("].data"), "{name}: {field}");
        }
    }
    assert!(data > 0, "no fixture changes data");
}

/// The state before matters, too: the same transaction over other accounts or features does something else.
#[test]
fn the_state_of_a_fixture_is_what_it_runs_over() {
    let (name, bytes) = fixtures(&ours())
        .into_iter()
        .find(|(name, _)| name.starts_with("txn") && name.contains("system"))
        .expect("there is one");
    let mut poor = TxnFixture::decode(&bytes[..]).expect("it is one");
    let input = poor.input.as_mut().expect("it has one");
    let payer = input
        .tx
        .clone()
        .and_then(|tx| tx.message)
        .expect("it has one")
        .account_keys[0]
        .clone();
    input.account_shared_data.retain(|account| account.address != payer);
    assert_eq!(failed_field(&poor.encode_to_vec()), "executed", "{name}");
    let mut clockless = TxnFixture::decode(&bytes[..]).expect("it is one");
    let clock = "SysvarC1ock11111111111111111111111111111111".parse::<solana_pubkey::Pubkey>();
    let clock = clock.expect("an address").to_bytes().to_vec();
    let input = clockless.input.as_mut().expect("it has one");
    input.account_shared_data.retain(|account| account.address != clock);
    let (kind, outcome) = run_fixture(&clockless.encode_to_vec());
    assert!(matches!(
        (kind, outcome),
        (FixtureKind::Transaction, FixtureOutcome::Unsupported(_))
    ));
}

#[test]
fn what_is_no_fixture_is_unsupported() {
    let (_, bytes) = fixtures(&ours()).into_iter().next().expect("there is one");
    for bytes in [&b""[..], b"\xff\xff", &bytes[..40], &bytes[..bytes.len() - 1]] {
        let (_, outcome) = run_fixture(bytes);
        assert!(matches!(outcome, FixtureOutcome::Unsupported(_)), "{outcome:?}");
    }
    let other = make::metadata("sol_compat_block_execute_v1");
    let other = TxnFixture {
        metadata: Some(other),
        ..TxnFixture::default()
    };
    let (kind, outcome) = run_fixture(&other.encode_to_vec());
    assert_eq!(kind, FixtureKind::Other);
    let FixtureOutcome::Unsupported(reason) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        reason.to_string(),
        "there is no harness for \"sol_compat_block_execute_v1\""
    );
}

/// The memo program of the sample, and what a reader of ELF files sees of it.
#[test]
fn programs_are_loaded_from_their_files() {
    let dump = accounts::read(&paths::sample("agave-small").join("accounts-start.jsonl.gz")).expect("a dump");
    let memo = "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"
        .parse()
        .expect("an address");
    let elf_data = dump[&memo].data.clone();
    let fixture = |elf_data: Vec<u8>, output: ElfLoaderEffects| {
        let fixture = ElfLoaderFixture {
            metadata: Some(make::metadata("sol_compat_elf_loader_v1")),
            input: Some(ElfLoaderCtx {
                elf_data,
                ..ElfLoaderCtx::default()
            }),
            output: Some(output),
        };
        fixture.encode_to_vec()
    };
    let at = |offset: usize| u64::from_le_bytes(elf_data[offset..offset + 8].try_into().expect("eight bytes"));
    // The entry point stands in the header, and the text section begins where its section header says.
    let (entry, sections) = (at(24), usize::try_from(at(40)).expect("small"));
    let text = (0..usize::from(elf_data[60]))
        .map(|number| sections + 64 * number)
        .find(|header| at(header + 16) <= entry && entry < at(header + 16) + at(header + 32) && at(header + 8) & 4 != 0)
        .expect("code stands in a section that can be executed");
    let expected = ElfLoaderEffects {
        text_cnt: at(text + 32) / 8,
        text_off: at(text + 16),
        entry_pc: (entry - at(text + 16)) / 8,
        ..ElfLoaderEffects::default()
    };
    // What the header says is right; the hashes, which are compared last, are not known.
    assert_eq!(failed_field(&fixture(elf_data.clone(), expected)), "rodata_hash");
    let longer = ElfLoaderEffects {
        text_cnt: expected.text_cnt + 1,
        ..expected
    };
    assert_eq!(failed_field(&fixture(elf_data.clone(), longer)), "text_cnt");
    let broken = fixture(elf_data[..elf_data.len() / 2].to_vec(), expected);
    assert_eq!(failed_field(&broken), "err_code");
}
