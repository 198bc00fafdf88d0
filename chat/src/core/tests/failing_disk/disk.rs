//! The contents that a disk may have after a crash, worked out from the log that `shim.c` has kept.

use std::{collections::BTreeMap, fs, path::PathBuf};

use switchboard_tests::random::Random;

/// The files in the folder, by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Which calls fail: see `shim.c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) mode: char,
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Plan {
    pub(super) const OFF: Self = Self { mode: 'o', first: 0, last: 0 };
    pub(super) const COUNT: Self = Self { mode: 'f', first: 0, last: 0 };
    pub(super) const CRASHED: Self = Self { mode: 'x', first: 0, last: 0 };
}

/// The part of the unsynced calls that a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The process was killed: everything that it has written.
    Kill,
    /// The power has failed: any sectors of any writes.
    PowerLoss,
}

/// The folder whose files the shim watches.
pub(super) struct Disk {
    pub(super) folder: PathBuf,
    plan: PathBuf,
}

impl Disk {
    pub(super) fn new(folder: PathBuf, plan: PathBuf) -> Self {
        Self { folder, plan }
    }

    /// Makes the calls fail that the plan says, and counts and logs all calls anew.
    pub(super) fn obey(&self, plan: Plan) {
        fs::write(&self.plan, format!("{} {} {}", plan.mode, plan.first, plan.last)).unwrap();
    }

    /// Returns the files as the process sees them.
    pub(super) fn files(&self) -> Files {
        let files = fs::read_dir(&self.folder).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        });
        files.filter(|(name, _)| !name.ends_with("-shm")).collect()
    }

    /// Replaces the files. A file that exists stays the same file, with other content.
    pub(super) fn put(&self, files: &Files) {
        for file in fs::read_dir(&self.folder).unwrap() {
            let file = file.unwrap();
            if !files.contains_key(file.file_name().to_str().unwrap()) {
                fs::remove_file(file.path()).unwrap();
            }
        }
        for (name, content) in files {
            fs::write(self.folder.join(name), content).unwrap();
        }
    }

    /// Returns the length of the log in bytes.
    pub(super) fn logged(&self) -> usize {
        fs::metadata(self.log_file()).unwrap().len().try_into().unwrap()
    }

    /// Returns what was logged since the last [`obey`](Self::obey) that has started a log.
    pub(super) fn log(&self) -> Vec<Call> {
        read_log(&fs::read(self.log_file()).unwrap())
    }

    fn log_file(&self) -> PathBuf {
        self.plan.with_extension("log")
    }
}

/// A record of the log.
pub(super) struct Call {
    pub(super) kind: char,
    name: String,
    pub(super) offset: usize,
    pub(super) length: usize,
    data: Vec<u8>,
    /// The length of the log up to the end of this record.
    pub(super) end: usize,
}

fn read_log(log: &[u8]) -> Vec<Call> {
    let (mut calls, mut rest) = (Vec::new(), log);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let [kind, name, offset, length] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let mut call = Call {
            kind: kind.parse().unwrap(),
            name: name.to_owned(),
            offset: offset.parse().unwrap(),
            length: length.parse().unwrap(),
            data: Vec::new(),
            end: 0,
        };
        if call.kind == 'w' {
            call.data.extend_from_slice(&rest[..call.length]);
            rest = &rest[call.length..];
        }
        call.end = log.len() - rest.len();
        calls.push(call);
    }
    calls
}

/// A file on the disk, with the changes that may be lost.
#[derive(Default)]
struct File {
    content: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl File {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Write(offset, data) => {
                let end = offset + data.len();
                if self.content.len() < end {
                    self.content.resize(end, 0);
                }
                self.content[offset..end].copy_from_slice(&data);
            }
            Change::Truncate(length) => self.content.resize(length, 0),
        }
    }

    /// Makes those unsynced changes final that `keeps` selects. The others are lost.
    fn settle(&mut self, mut keeps: impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.unsynced) {
            if keeps() {
                self.apply(change);
            }
        }
    }
}

/// Returns files that a disk may hold after a crash when the log was `end` long, if it held `before` at the beginning
/// of the log.
pub(super) fn after_crash(before: &Files, calls: &[Call], end: usize, crash: Crash, random: &mut Random) -> Files {
    let is_kill = crash == Crash::Kill;
    let sector = if is_kill { usize::MAX } else { [SECTOR, 8 * SECTOR, usize::MAX][random.below(3)] };
    let mut files: Vec<File> =
        before.values().map(|content| File { content: content.clone(), unsynced: Vec::new() }).collect();
    // The entries of the folder, as indices of files. Changes of a folder reach the disk in their order.
    let mut entries: Entries = before.keys().cloned().zip(0..).collect();
    let mut synced_entries = entries.clone();
    let mut unsynced_entries = Vec::new();
    for Call { kind, name, offset, data, .. } in calls.iter().take_while(|call| call.end <= end) {
        let file = entries.get(name).map(|at| &mut files[*at]);
        match (kind, file) {
            ('w', Some(file)) => file.unsynced.extend(sectors(*offset, data, sector)),
            ('t', Some(file)) => file.unsynced.push(Change::Truncate(*offset)),
            ('s', Some(file)) => {
                file.settle(|| true);
                // As in every file system with a journal, the entry of a new file is written as well. SQLite relies on
                // that: it ignores errors of the folder's sync.
                sync_entries(&entries, &mut synced_entries, &mut unsynced_entries);
            }
            // The system forgets which writes have failed, and a later sync does not try them again.
            ('e', Some(file)) => {
                let share = random.below(5);
                file.settle(|| is_kill || random.chance(share, 4));
            }
            ('c', _) => {
                entries.insert(name.clone(), files.len());
                files.push(File::default());
                unsynced_entries.push(entries.clone());
            }
            ('u', _) => {
                entries.remove(name);
                unsynced_entries.push(entries.clone());
            }
            ('D', _) => sync_entries(&entries, &mut synced_entries, &mut unsynced_entries),
            ('E' | 'n', _) => {}
            _ => panic!("{kind} of {name}"),
        }
    }
    match crash {
        Crash::Kill => synced_entries = entries,
        Crash::PowerLoss => {
            let survive = random.below(unsynced_entries.len() + 1);
            if let Some(last) = survive.checked_sub(1) {
                synced_entries = unsynced_entries.swap_remove(last);
            }
        }
    }
    let share = random.below(5);
    for file in &mut files {
        file.settle(|| is_kill || random.chance(share, 4));
    }
    synced_entries.into_iter().map(|(name, at)| (name, std::mem::take(&mut files[at].content))).collect()
}

type Entries = BTreeMap<String, usize>;

fn sync_entries(entries: &Entries, synced: &mut Entries, unsynced: &mut Vec<Entries>) {
    synced.clone_from(entries);
    unsynced.clear();
}

/// Cuts a write at the borders of sectors, each of which is written whole or not at all.
fn sectors(offset: usize, data: &[u8], sector: usize) -> impl Iterator<Item = Change> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == data.len() {
            return None;
        }
        let length = (sector - (offset + start) % sector).min(data.len() - start);
        let piece = Change::Write(offset + start, data[start..start + length].to_vec());
        start += length;
        Some(piece)
    })
}

const SECTOR: usize = 512;
