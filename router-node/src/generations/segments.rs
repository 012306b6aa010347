//! The files of a journal: lines of JSON in segments that are only ever appended to. The oldest go when there
//! is too much or they are too old; a line that a crash tore is cut off at the next start.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use super::KEPT;
use super::kept::Kept;
use super::scene::Scene;
use super::written::{self, Line};

/// A segment that is as long gets no further line: a few thousand records, so that little goes at once.
pub(super) const SEGMENT_BYTES: usize = 8 << 20;
/// All segments together: as much as the records in memory may take.
const MAX_BYTES: u64 = 64 << 20;
/// Records say who called what and when: they are not kept for longer than anybody asks.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What segments are called, behind their number.
const EXTENSION: &str = "jsonl";

/// Lines for one segment.
pub(super) struct Batch {
    /// Its number.
    pub(super) segment: u64,
    /// Whole lines.
    pub(super) lines: Vec<u8>,
}

/// A folder of segments.
#[derive(Clone)]
pub(super) struct Segments {
    folder: PathBuf,
    at_hand: u64,
}

impl Segments {
    /// In this folder; this process begins a segment of its own.
    pub(super) fn new(folder: PathBuf) -> Self {
        let last = list(&folder).keys().next_back().copied();
        Self { folder, at_hand: last.map_or(0, |last| last.saturating_add(1)) }
    }

    /// The segment that lines go to.
    pub(super) fn at_hand(&self) -> u64 {
        self.at_hand
    }

    /// Begins another one.
    pub(super) fn next(&mut self) {
        self.at_hand = self.at_hand.saturating_add(1);
    }

    /// Appends, and deletes what is over the bounds. What goes wrong is logged: a router serves calls without
    /// a disk, too.
    pub(super) fn append(&self, batches: &[Batch]) {
        let written = batches.iter().try_for_each(|batch| self.append_one(batch));
        if let Err(error) = written.and_then(|()| self.prune(SystemTime::now())) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "records cannot be kept on the disk");
        }
    }

    fn append_one(&self, batch: &Batch) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Who called what is nobody else's business on this machine.
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        options.open(self.path(batch.segment))?.write_all(&batch.lines)
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:012}.{EXTENSION}"))
    }

    /// Deletes segments that are too old, and the oldest of those that are too much.
    fn prune(&self, now: SystemTime) -> io::Result<()> {
        let mut bytes = 0;
        for (_, path) in list(&self.folder).into_iter().rev() {
            let metadata = fs::metadata(&path)?;
            bytes += metadata.len();
            let age = metadata.modified().ok().and_then(|at| now.duration_since(at).ok());
            if bytes > MAX_BYTES || age.is_some_and(|age| age > MAX_AGE) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The last [`KEPT`] records, the oldest first. A torn line at the end of a segment is cut off; other
    /// lines that cannot be read are passed over, which is logged.
    pub(super) fn recall(&self, bytes: &Arc<AtomicUsize>) -> Vec<Kept> {
        if let Err(error) = self.prune(SystemTime::now()) {
            tracing::warn!(%error, "old records cannot be deleted");
        }
        let mut records = VecDeque::new();
        for path in list(&self.folder).into_values().rev() {
            if records.len() >= KEPT {
                break;
            }
            let older = read_segment(&path, KEPT - records.len(), bytes);
            older.into_iter().rev().for_each(|kept| records.push_front(kept));
        }
        records.into()
    }
}

/// Segments by number.
fn list(folder: &Path) -> BTreeMap<u64, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let numbered = entries.filter_map(|entry| {
        let path = entry.path();
        let ours = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        number.filter(|_| ours).map(|number| (number, path))
    });
    numbered.collect()
}

/// The last `most` records of a segment.
fn read_segment(path: &Path, most: usize, bytes: &Arc<AtomicUsize>) -> Vec<Kept> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "records cannot be read");
            return Vec::new();
        }
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        cut(path, whole);
    }
    let lines: Vec<&[u8]> = text.get(..whole).unwrap_or_default().split(|b| *b == b'\n').collect();
    let is_record = |line: &&&[u8]| line.starts_with(written::RECORD);
    let skipped = lines.iter().filter(is_record).count().saturating_sub(most);
    let (mut scenes, mut records, mut bad, mut seen) = (BTreeMap::new(), Vec::new(), 0, 0);
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        seen += usize::from(is_record(&&line));
        if is_record(&&line) && seen <= skipped {
            continue;
        }
        match read_line(line, &mut scenes, bytes) {
            Some(kept) => records.extend(kept),
            None => bad += 1,
        }
    }
    if bad > 0 {
        tracing::warn!(bad, path = %path.display(), "records on the disk are not understood");
    }
    records
}

/// A record, or nothing for the line of a scene; `None` for a line that is neither.
fn read_line(
    line: &[u8],
    scenes: &mut BTreeMap<u32, Arc<Scene>>,
    bytes: &Arc<AtomicUsize>,
) -> Option<Option<Kept>> {
    match written::read(line)? {
        Line::Scene(scene) => {
            scenes.insert(scene.number, Arc::new(Scene::read(scene.snapshot()?, bytes)));
            Some(None)
        }
        Line::Record(record) => record.kept(scenes).map(Some),
    }
}

/// Cuts a torn line off.
fn cut(path: &Path, whole: usize) {
    let length = u64::try_from(whole).unwrap_or(u64::MAX);
    let cut = File::options().write(true).open(path).and_then(|file| file.set_len(length));
    match cut {
        Ok(()) => tracing::info!(path = %path.display(), "cut off a record that was torn"),
        Err(error) => tracing::warn!(%error, path = %path.display(), "a torn record stays"),
    }
}

#[cfg(test)]
mod tests;
