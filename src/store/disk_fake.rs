//! A disk in memory whose power can be cut and whose writes and syncs can fail.
//!
//! Only what was synced survives a cut, and of the rest any 512-byte sectors; of names changed since the last sync of names,
//! any number of the first changes. After a failed sync the pages are clean but not on the disk, as on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::codec::length_u64;
use crate::store::disk::{Disk, DiskFile};

const SECTOR: usize = 512;
/// What Linux says of a block that the disk cannot give.
const EIO: i32 = 5;

/// What happens at the n-th operation that changes or syncs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It and everything after it fails; a write gets a random part of its sectors into the cache.
    PowerOff,
    /// That one fails; a write leaves half of its bytes.
    Error,
}

#[derive(Default)]
pub(crate) struct FakeDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    changes: Vec<NameChange>,
    files: BTreeMap<u64, File>,
    next: u64,
    operations: u64,
    fault: Option<(u64, Fault)>,
    off: bool,
    /// Files whose bytes the disk cannot give.
    unreadable: BTreeSet<u64>,
    random: Random,
    /// Bytes that fit on it; `None`: as many as one likes.
    capacity: Option<u64>,
}

#[derive(Clone)]
enum NameChange {
    Add(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

#[derive(Clone, Default)]
struct File {
    cached: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A small generator of random numbers, the same for the same seed (xorshift64*).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % length_u64(limit.max(1))).unwrap()
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.next() & 16 == 0
    }
}

impl FakeDisk {
    /// Lets the `nth` operation from now on (1 is the next) end like this.
    pub(crate) fn plan(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + nth, fault));
    }

    /// How many operations that change or sync something there have been.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the planned fault has come.
    pub(crate) fn faulted(&self) -> bool {
        let state = self.state();
        state.fault.is_some_and(|(at, _)| state.operations >= at)
    }

    /// From now on only so much can be written beside what is there.
    pub(crate) fn leave_free(&self, bytes: u64) {
        let mut state = self.state();
        state.capacity = Some(state.used() + bytes);
    }

    /// Every read of this file fails, as where the disk has gone bad.
    pub(crate) fn spoil(&self, name: &str) {
        let mut state = self.state();
        let number = state.names[name];
        state.unreadable.insert(number);
    }

    /// No fault is planned any more, and every file can be read.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.fault = None;
        state.unreadable.clear();
    }

    /// The disk after a power cut now.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Arc<Self> {
        let state = self.state();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9).max(1));
        // Mostly everything since the last sync is lost, or any of it survives.
        let any_survives = !random.next().is_multiple_of(4);
        let mut names = state.synced_names.clone();
        let kept = if any_survives { random.below(state.changes.len() + 1) } else { 0 };
        for change in &state.changes[..kept] {
            match change {
                NameChange::Add(name, file) => names.insert(name.clone(), *file),
                NameChange::Remove(name) => names.remove(name),
                NameChange::Rename(from, to, file) => {
                    names.remove(from);
                    names.insert(to.clone(), *file)
                }
            };
        }
        let mut files = BTreeMap::new();
        for (number, file) in &state.files {
            let mut bytes = file.synced.clone();
            for sector in &file.dirty {
                if any_survives && random.coin() {
                    let from = sector * SECTOR;
                    let to = file.cached.len().min(from + SECTOR);
                    if bytes.len() < to {
                        bytes.resize(to, 0);
                    }
                    bytes[from..to].copy_from_slice(&file.cached[from..to]);
                }
            }
            files.insert(*number, File { cached: bytes.clone(), synced: bytes, dirty: BTreeSet::new() });
        }
        let next = state.next;
        let state = State { synced_names: names.clone(), names, files, next, random, ..State::default() };
        Arc::new(Self(Arc::new(Mutex::new(state))))
    }

    /// Changes a file's bytes behind everybody's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let number = state.names[name];
        let file = state.files.get_mut(&number).unwrap();
        change(&mut file.cached);
        file.synced = file.cached.clone();
        file.dirty.clear();
    }

    /// A copy that goes its own way.
    pub(crate) fn fork(&self) -> Arc<Self> {
        let state = self.state();
        let files = state.files.clone();
        let (names, synced_names) = (state.names.clone(), state.synced_names.clone());
        let state = State { names, synced_names, files, next: state.next, ..State::default() };
        Arc::new(Self(Arc::new(Mutex::new(state))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation; the fault it meets, if any.
    fn operate(&mut self) -> Option<Fault> {
        if self.off {
            return Some(Fault::PowerOff);
        }
        self.operations += 1;
        let fault = self.fault.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        self.off = fault == Some(Fault::PowerOff);
        fault
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> u64 {
        self.names.values().map(|number| length_u64(self.files[number].cached.len())).sum()
    }

    fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn number(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

fn failed() -> io::Error {
    io::Error::other("as the test wants it")
}

fn check(fault: Option<Fault>) -> io::Result<()> {
    fault.map_or(Ok(()), |_| Err(failed()))
}

impl Disk for Arc<FakeDisk> {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        let length = |number: &u64| length_u64(state.files[number].cached.len());
        Ok(state.names.iter().map(|(name, number)| (name.clone(), length(number))).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let number = self.state().number(name)?;
        Ok(Box::new(FakeFile { state: Arc::clone(&self.0), number }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        check(state.operate())?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.next += 1;
        let number = state.next;
        state.names.insert(name.into(), number);
        state.files.insert(number, File::default());
        state.changes.push(NameChange::Add(name.into(), number));
        Ok(Box::new(FakeFile { state: Arc::clone(&self.0), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        check(state.operate())?;
        let number = state.number(from)?;
        state.names.remove(from);
        state.names.insert(to.into(), number);
        state.changes.push(NameChange::Rename(from.into(), to.into(), number));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        check(state.operate())?;
        state.number(name)?;
        state.names.remove(name);
        state.changes.push(NameChange::Remove(name.into()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        check(state.operate())?;
        state.synced_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.state().free())
    }
}

struct FakeFile {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl FakeFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), self.number)
    }
}

impl DiskFile for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state, number| {
            if state.off {
                return Err(failed());
            }
            if state.unreadable.contains(&number) {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            let bytes = &state.files[&number].cached;
            let from = usize::try_from(offset).unwrap().min(bytes.len());
            let count = buffer.len().min(bytes.len() - from);
            buffer[..count].copy_from_slice(&bytes[from..from + count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state, number| {
            if state.off {
                return Err(failed());
            }
            let fault = state.operate();
            let mut random = state.random.clone();
            let free = usize::try_from(state.free()).unwrap_or(usize::MAX);
            let file = state.files.get_mut(&number).unwrap();
            let offset = usize::try_from(offset).unwrap();
            assert_eq!(offset % SECTOR, 0, "writes begin at sectors");
            let fits = file.cached.len().saturating_add(free).saturating_sub(offset).min(bytes.len());
            let full = fits < bytes.len();
            let written = if fault == Some(Fault::Error) { fits / 2 } else { fits };
            for (index, sector) in bytes[..written].chunks(SECTOR).enumerate() {
                if fault == Some(Fault::PowerOff) && random.coin() {
                    continue;
                }
                let from = offset + index * SECTOR;
                if file.cached.len() < from + sector.len() {
                    file.cached.resize(from + sector.len(), 0);
                }
                file.cached[from..from + sector.len()].copy_from_slice(sector);
                file.dirty.insert(from / SECTOR);
            }
            state.random = random;
            check(fault)?;
            if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state, number| {
            let fault = state.operate();
            let file = state.files.get_mut(&number).unwrap();
            if fault == Some(Fault::Error) {
                file.dirty.clear();
            }
            check(fault)?;
            let File { cached, synced, dirty } = file;
            synced.resize(cached.len(), 0);
            for sector in std::mem::take(dirty) {
                let from = sector * SECTOR;
                let to = cached.len().min(from + SECTOR);
                synced[from..to].copy_from_slice(&cached[from..to]);
            }
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.with(|state, number| length_u64(state.files[&number].cached.len())))
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.with(|state, number| {
            check(state.operate())?;
            let length = usize::try_from(length).unwrap();
            let file = state.files.get_mut(&number).unwrap();
            // Lengths are told by the file system's own journal: gone at once, for this model.
            file.cached.truncate(length);
            file.synced.truncate(length);
            file.dirty.retain(|sector| sector * SECTOR < length);
            Ok(())
        })
    }
}
