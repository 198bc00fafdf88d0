//! Detects that the data was restored from a backup, or moved, and then gives all rooms new epochs.
//!
//! A restored log continues from an earlier position, without the messages that clients have seen since. A new epoch
//! tells clients to load the latest messages again.
//!
//! The same mark is stored in the database and in the lock file beside it. The program writes a new mark at each start
//! and end, and from time to time in between. The database also stores the identity of its own file. An older backup
//! has a mark that does not match, and a copy in another place has another file identity. A backup by the program
//! itself says that it is one, however young it is. In doubt the rooms get new epochs: that costs each client one
//! request for the latest messages.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    super::token::epoch,
    OpenError, Store, StoreError, TransactionError,
    files::FolderLock,
    instance_mark::{InstanceMark, file_identity, read_marks},
};

impl Store {
    /// Marks the data for this run. Returns whether the data was restored or moved since the last run.
    pub(super) fn mark_instance(&mut self, database: &Path, mut lock: FolderLock) -> Result<bool, OpenError> {
        let failed = |error| OpenError::Folder(database.to_owned(), error);
        let marks = read_marks(&mut lock).map_err(failed)?;
        let identity = file_identity(database).map_err(failed)?;
        let (known_mark, known_identity) = (self.meta("mark")?, self.meta("place")?);
        let is_known = known_mark.as_ref().is_some_and(|known| marks.lines().any(|mark| mark == known));
        let is_backup = self.meta(BACKUP)?.is_some();
        let is_same = is_known && known_identity.as_ref() == Some(&identity);
        let restored = is_backup || (known_mark.is_some() && !is_same);
        self.begin()?;
        if restored {
            self.change("UPDATE rooms SET epoch = lower(hex(randomblob(6)))", [])?;
            self.change("DELETE FROM facts WHERE name = ?1", [BACKUP])?;
        }
        self.set_meta("place", &identity)?;
        self.commit()?;
        self.instance =
            Some(InstanceMark::new(lock, marks.lines().count(), database, identity, known_mark.unwrap_or_default()));
        self.renew_mark()?;
        Ok(restored)
    }

    /// Writes a new mark if anything was written since the last one. A copy made before this call then has an old mark.
    pub(crate) fn renew_mark(&mut self) -> Result<(), OpenError> {
        let changes = self.db.total_changes();
        let Some(mut instance) = self.instance.take_if(|instance| instance.changes != changes) else { return Ok(()) };
        let renewed = self.write_mark(&mut instance, epoch());
        instance.changes = self.db.total_changes();
        self.instance = Some(instance);
        renewed
    }

    /// Refuses all later writes if the database file was moved or deleted: they would be lost when the process ends.
    ///
    /// Returns the path where the database was, on the first call that finds it gone.
    pub(crate) fn refuse_writes_if_moved(&mut self) -> Result<Option<PathBuf>, StoreError> {
        let is_moved = |instance: &mut InstanceMark| match file_identity(&instance.database) {
            Ok(identity) => identity != instance.file_identity,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let Some(instance) = self.instance.take_if(is_moved) else { return Ok(None) };
        self.refuse_writes(true)?;
        Ok(Some(instance.database))
    }

    /// Writes a mark to the lock file and the database. First the lock file gets the new mark beside those that the
    /// database may have, then the database gets it, then the others are removed from the lock file. So the two files
    /// match whenever the process ends, also if the database cannot tell whether it has the new mark.
    fn write_mark(&self, instance: &mut InstanceMark, mark: String) -> Result<(), OpenError> {
        let database = instance.database.clone();
        let failed = |error| OpenError::Folder(database, error);
        let before = instance.marks.clone();
        if let Err(error) = instance.add_mark(&mark) {
            return Err(failed(error));
        }
        match self.store_mark(&mark) {
            Ok(()) => instance.set_mark(&mark).map_err(failed),
            Err(TransactionError::Undone(error)) => {
                instance.marks = before;
                Err(error.into())
            }
            Err(TransactionError::Unknown(error)) => Err(error.into()),
        }
    }

    fn store_mark(&self, mark: &str) -> Result<(), TransactionError> {
        self.begin()?;
        self.set_meta("mark", mark).inspect_err(|_| self.roll_back())?;
        self.commit()
    }
}

/// The name of the value that only a backup has: the time at which it was made.
pub(super) const BACKUP: &str = "backup";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{Data, LOBBY},
        *,
    };

    fn open(folder: &Path) -> (Store, String) {
        let store = Store::open(&Data::Folder(folder.to_owned())).unwrap();
        let epoch = store.room(LOBBY).unwrap().unwrap().epoch;
        (store, epoch)
    }

    #[test]
    fn restored_or_moved_data_gets_new_epochs_and_other_data_keeps_them() {
        let [here, there] = [0, 1].map(|_| std::env::temp_dir().join(format!("switchboard-test-{}", epoch())));
        let file = "chat.sqlite3";
        let first = open(&here).1;
        assert_eq!(open(&here).1, first, "a restart keeps the epoch");
        // A backup of an earlier run, restored in place.
        fs::copy(here.join(file), here.join("backup")).unwrap();
        assert_eq!(open(&here).1, first);
        fs::copy(here.join("backup"), here.join(file)).unwrap();
        let second = open(&here).1;
        assert_ne!(second, first);
        // A backup of the same run, from before the last mark.
        let (mut store, _) = open(&here);
        store.db.execute("VACUUM INTO ?1", [here.join("during").to_str().unwrap()]).unwrap();
        store.add_user("Ada", "ada", None, 0).unwrap();
        store.renew_mark().unwrap();
        drop(store);
        fs::copy(here.join("during"), here.join(file)).unwrap();
        let third = open(&here).1;
        assert_ne!(third, second);
        assert_eq!(open(&here).1, third);
        // A copy in another folder, with its lock file.
        fs::create_dir(&there).unwrap();
        for file in [file, "lock"] {
            fs::copy(here.join(file), there.join(file)).unwrap();
        }
        let fourth = open(&there).1;
        assert!(fourth != third && fourth != second);
        assert_eq!(open(&there).1, fourth);
        for folder in [here, there] {
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn an_epoch_survives_an_end_of_the_process_while_the_mark_is_written() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        let (mut store, first) = open(&folder);
        let instance = store.instance.take().unwrap();
        let marks = [format!("{}\nthe next\n", instance.marks[0]), format!("an earlier one\n{}\n", instance.marks[0])];
        drop((store, instance));
        for text in marks {
            let mark = fs::read_to_string(folder.join("lock")).unwrap();
            let known = text.lines().find(|line| line.len() == 8).unwrap().to_owned();
            fs::write(folder.join("lock"), text.replace(&known, mark.trim())).unwrap();
            assert_eq!(open(&folder).1, first);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
