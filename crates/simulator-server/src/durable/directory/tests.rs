//! A directory of sessions, as servers that come and go find it.

use tempfile::TempDir;

use super::super::frame;
use super::super::stored::Record;
use super::super::stored::tests::{birth, commands};
use super::files::modified;
use super::group_file::tests::group;
use super::place::{OWNER, VACANT};
use super::*;
use crate::command_log::Progress;
use crate::worker::Past;

fn store() -> (TempDir, StateDirectory) {
    let root = tempfile::tempdir().unwrap();
    let store = StateDirectory::open(root.path(), usize::MAX).unwrap();
    (root, store)
}

fn orphans(store: &StateDirectory) -> Vec<Result<Orphan, StateDirectoryError>> {
    let Orphans { groups, sessions } = store.orphans().unwrap();
    assert!(groups.is_empty());
    sessions
}

fn sessions(store: &StateDirectory) -> PathBuf {
    Folder::Sessions.path(&store.root)
}

fn commands_of(store: &StateDirectory) -> PathBuf {
    sessions(store).join(session_name(birth().id)).join(COMMANDS)
}

/// Everything but the end.
fn open_commands() -> Vec<crate::command_log::LoggedCommand> {
    let mut all = commands();
    all.pop();
    all
}

#[test]
fn finds_what_it_kept_when_nobody_owns_it() {
    let (_root, store) = store();
    let mut kept = store.keep(&birth()).unwrap();
    for command in open_commands() {
        kept.commands.append(command).unwrap();
    }
    let progress = Progress {
        reached: 9,
        ..Progress::default()
    };
    kept.commands.note(progress);
    assert!(orphans(&store).is_empty(), "it is owned");
    assert!(store.is_elsewhere(birth().id, &birth().owner));
    assert!(!store.is_elsewhere(birth().id, &Owner::Anyone));
    let Kept { commands, custody } = kept;
    drop(custody);
    assert!(orphans(&store).is_empty(), "something may still be written");
    drop(commands);
    let mut found = orphans(&store);
    let found = found.pop().unwrap().unwrap();
    assert_eq!(found.birth, birth());
    assert_eq!(
        found.past,
        Past {
            commands: open_commands(),
            progress
        }
    );
    assert!(orphans(&store).is_empty(), "it is owned again");
    found.kept.custody.remove().unwrap();
    drop(found);
    assert!(orphans(&store).is_empty());
    assert_eq!(fs::read_dir(sessions(&store)).unwrap().count(), 0);
}

#[test]
fn goes_on_after_a_torn_end() {
    let (_root, store) = store();
    let [first, second, ..] = &open_commands()[..] else {
        panic!("there are more")
    };
    drop(store.keep(&birth()).unwrap());
    let whole = fs::read(commands_of(&store)).unwrap();
    let torn = frame::record(&Record::Command(first.clone()).to_bytes()).unwrap();
    for end in 0..torn.len() {
        fs::write(commands_of(&store), [&whole[..], &torn[..end]].concat()).unwrap();
        let mut found = orphans(&store).pop().unwrap().unwrap();
        assert_eq!(found.past.commands, []);
        found.kept.commands.append(second.clone()).unwrap();
        drop(found);
        let found = orphans(&store).pop().unwrap().unwrap();
        assert_eq!(found.past.commands, std::slice::from_ref(second));
    }
}

#[test]
fn sets_aside_what_is_damaged_and_names_it() {
    let (root, store) = store();
    drop(store.keep(&birth()).unwrap());
    let mut bytes = fs::read(commands_of(&store)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(commands_of(&store), &bytes).unwrap();
    let error = orphans(&store).pop().unwrap().err().unwrap();
    let StateDirectoryError::Unreadable { path, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert!(orphans(&store).is_empty());
    assert_eq!(fs::read_dir(root.path().join(SET_ASIDE)).unwrap().count(), 1);
}

#[test]
fn forgets_what_was_closed() {
    let (_root, store) = store();
    let mut kept = store.keep(&birth()).unwrap();
    kept.commands.append(commands().pop().unwrap()).unwrap();
    drop(kept);
    assert!(orphans(&store).is_empty());
    assert_eq!(fs::read_dir(sessions(&store)).unwrap().count(), 0);
}

#[test]
fn knows_since_when_nobody_drives() {
    let (_root, store) = store();
    let make = |directory: &Path| write_new(&directory.join(GROUP), b"");
    let (place, _) = Place::make(&store.root, Folder::Groups, "somebody".to_owned(), make).unwrap();
    let alive = modified(&store.root.join(ALIVE)).unwrap();
    assert_eq!(place.driven_until().unwrap(), alive);
    place.vacant().unwrap();
    assert_eq!(
        place.driven_until().unwrap(),
        modified(&place.directory().join(VACANT)).unwrap()
    );
    place.driven().unwrap();
    place.driven().unwrap();
    assert_eq!(place.driven_until().unwrap(), alive);
}

/// The sessions of [`group`].
fn keep_parts(store: &StateDirectory) -> Vec<Kept> {
    let births = group().parts.into_iter().map(|part| Birth { id: part.id, ..birth() });
    births.map(|birth| store.keep(&birth).unwrap()).collect()
}

fn ids(group: &OrphanGroup) -> Vec<Option<SessionId>> {
    let parts = group.parts.iter();
    parts
        .map(|part| part.as_ref().unwrap().as_ref().map(|orphan| orphan.birth.id))
        .collect()
}

#[test]
fn sessions_that_belong_together_are_taken_over_together() {
    let (_root, store) = store();
    let (mut parts, custody) = (keep_parts(&store), store.keep_group(&group()).unwrap());
    let found = |store: &StateDirectory| {
        let Orphans { groups, sessions } = store.orphans().unwrap();
        assert!(sessions.is_empty(), "they are not taken alone");
        groups.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert!(found(&store).is_empty(), "they are owned");
    assert!(store.is_group_elsewhere(group().id, &group().owner));
    assert!(!store.is_group_elsewhere(group().id, &Owner::Anyone));
    drop(custody);
    let second = parts.pop().unwrap();
    drop(parts);
    assert!(found(&store).is_empty(), "one of them is owned");
    drop(second);
    let mut groups = found(&store);
    let both = groups.pop().unwrap();
    assert_eq!((&both.birth, groups.len()), (&group(), 0));
    assert_eq!(
        ids(&both),
        group().parts.iter().map(|part| Some(part.id)).collect::<Vec<_>>()
    );
    assert!(found(&store).is_empty(), "they are owned again");
    // One ends.
    both.parts[0]
        .as_ref()
        .unwrap()
        .as_ref()
        .unwrap()
        .kept
        .custody
        .remove()
        .unwrap();
    drop(both);
    let one = found(&store).pop().unwrap();
    assert_eq!(ids(&one), [None, Some(group().parts[1].id)]);
    // What is left is driven alone.
    one.custody.remove().unwrap();
    drop(one);
    assert_eq!(orphans(&store).len(), 1);
}

#[test]
fn sessions_whose_bond_is_damaged_live_alone() {
    let (root, store) = store();
    drop((keep_parts(&store), store.keep_group(&group()).unwrap()));
    let path = Folder::Groups
        .path(root.path())
        .join(group_name(group().id))
        .join(GROUP);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let Orphans { groups, sessions } = store.orphans().unwrap();
    assert_eq!(sessions.len(), 2);
    let error = groups.into_iter().next().unwrap().err().unwrap();
    let StateDirectoryError::Unreadable { path, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[test]
fn what_a_crash_left_unfinished_is_swept_up_at_the_start() {
    let (root, store) = store();
    let sessions = sessions(&store);
    let unfinished = |name: &str| {
        let path = sessions.join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    // Before the lock, before the log, and after it.
    unfinished(".a");
    fs::write(unfinished(".b").join(OWNER), b"").unwrap();
    fs::write(unfinished(".c").join(OWNER), b"").unwrap();
    fs::write(sessions.join(".c").join(COMMANDS), b"simsesn").unwrap();
    // While it was taken apart by a process that began with the lock, and what is nobody's place.
    fs::write(unfinished(".e").join(COMMANDS), b"simsesn").unwrap();
    fs::write(sessions.join(".DS_Store"), b"").unwrap();
    // Somebody is at work.
    let busy = unfinished(".d").join(OWNER);
    let lock = files::lock(&busy).unwrap();
    let kept = store.keep(&birth()).unwrap();
    let again = StateDirectory::open(root.path(), usize::MAX).unwrap();
    let left = files::names(&sessions).unwrap();
    assert_eq!(left, [".DS_Store", ".d", &session_name(birth().id)]);
    drop((lock, kept));
    assert_eq!(orphans(&again).len(), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let (root, store) = store();
    let kept = store.keep(&birth()).unwrap();
    kept.custody.vacant().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let session = sessions(&store).join(session_name(birth().id));
    for directory in [
        Folder::Groups.path(root.path()),
        root.path().join(SET_ASIDE),
        session.clone(),
    ] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    for file in [
        root.path().join(ALIVE),
        session.join(COMMANDS),
        session.join(OWNER),
        session.join(VACANT),
    ] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let content = fs::read(session.join(COMMANDS)).unwrap();
    assert!(
        !session
            .to_string_lossy()
            .contains(&birth().id.uuid().simple().to_string())
    );
    assert!(content.windows(4).any(|window| window == b"desk"));
}
