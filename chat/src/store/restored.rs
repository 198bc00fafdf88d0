//! Whether the data is a copy that was put back: then its logs go on from an earlier place, and what clients have seen
//! since is not in them. So they get new epochs.
//!
//! The same mark is in the database and in the file beside it that is locked; it is a new one with each start and each
//! end, and now and then in between. And the database knows where its own file is. A backup of an earlier time, or one
//! that was copied to another place, shows by one of these. Where in doubt the epochs are new: it costs clients one look
//! at the latest messages.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::{super::token::epoch, OpenError, Store, StoreError};

/// The file beside the database, which is locked as long as it is open.
#[derive(Debug)]
pub(super) struct Beside {
    lock: File,
    database: PathBuf,
    place: String,
    /// What is in it and in the database.
    mark: String,
    /// How many rows had been changed when that was written.
    changes: u64,
}

impl Store {
    /// Looks whether the data was put back since the last run, and marks it for this one. Says so if it was.
    pub(super) fn mark_run(&mut self, database: &Path, mut lock: File) -> Result<bool, OpenError> {
        let failed = |error| OpenError::Folder(database.to_owned(), error);
        let mut marks = String::new();
        // What is no text is no mark of ours.
        let _ = lock.read_to_string(&mut marks);
        let place = place_of(database).map_err(failed)?;
        let fact = |name: &str| -> Result<Option<String>, StoreError> {
            self.first("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
        };
        let (known_mark, known_place) = (fact("mark")?, fact("place")?);
        let is_known = known_mark.as_ref().is_some_and(|known| marks.lines().any(|mark| mark == known));
        let restored = known_mark.is_some() && !(is_known && known_place.as_ref() == Some(&place));
        self.begin()?;
        if restored {
            self.change("UPDATE rooms SET epoch = lower(hex(randomblob(6)))", [])?;
        }
        self.set_fact("place", &place)?;
        self.commit()?;
        let mark = known_mark.unwrap_or_default();
        self.beside = Some(Beside { lock, database: database.to_owned(), place, mark, changes: 0 });
        self.renew_mark()?;
        Ok(restored)
    }

    /// Writes a new mark, if anything was written since the last one: a copy that was made until now is known by it.
    pub(crate) fn renew_mark(&mut self) -> Result<(), OpenError> {
        let changes = self.db.total_changes();
        let Some(beside) = self.beside.take_if(|beside| beside.changes != changes) else { return Ok(()) };
        let mark = epoch();
        let renewed = self.write_mark(&beside, &mark);
        let mark = if renewed.is_ok() { mark } else { beside.mark };
        self.beside = Some(Beside { mark, changes: self.db.total_changes(), ..beside });
        renewed
    }

    /// Looks whether the database is still where it was opened. If not, what would be written would be lost with the
    /// process: from then on nothing is. Gives the place where it is no more, once.
    pub(crate) fn give_up_if_moved(&mut self) -> Result<Option<PathBuf>, StoreError> {
        let is_moved = |beside: &mut Beside| match place_of(&beside.database) {
            Ok(place) => place != beside.place,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let Some(beside) = self.beside.take_if(is_moved) else { return Ok(None) };
        self.refuse_writes(true)?;
        Ok(Some(beside.database))
    }

    /// First the file has both marks, then the database has the new one, then only that is left in the file: wherever
    /// this ends, they fit.
    fn write_mark(&self, beside: &Beside, mark: &str) -> Result<(), OpenError> {
        let failed = |error| OpenError::Folder(beside.database.clone(), error);
        write(&beside.lock, &format!("{}\n{mark}\n", beside.mark)).map_err(failed)?;
        self.begin()?;
        let written = self.set_fact("mark", mark).and_then(|()| self.commit());
        if let Err(error) = written {
            self.roll_back();
            return Err(error.into());
        }
        write(&beside.lock, &format!("{mark}\n")).map_err(failed)
    }

    fn set_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.change(sql, (name, value)).map(drop)
    }
}

fn write(mut file: &File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_data()
}

/// What names a file as long as it stays where it is.
#[cfg(unix)]
fn place_of(file: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(file)?;
    Ok(format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn place_of(file: &Path) -> io::Result<String> {
    Ok(std::fs::canonicalize(file)?.display().to_string())
}

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
    fn data_that_was_put_back_has_new_epochs_and_no_other() {
        let [here, there] = [0, 1].map(|_| std::env::temp_dir().join(format!("switchboard-test-{}", epoch())));
        let file = "chat.sqlite3";
        let first = open(&here).1;
        assert_eq!(open(&here).1, first, "it was only started again");
        // Of an earlier run, in its place.
        fs::copy(here.join(file), here.join("backup")).unwrap();
        assert_eq!(open(&here).1, first);
        fs::copy(here.join("backup"), here.join(file)).unwrap();
        let second = open(&here).1;
        assert_ne!(second, first);
        // Of the same run, from before the last mark.
        let (mut store, _) = open(&here);
        store.db.execute("VACUUM INTO ?1", [here.join("during").to_str().unwrap()]).unwrap();
        store.add_person("Ada", "ada", None, 0).unwrap();
        store.renew_mark().unwrap();
        drop(store);
        fs::copy(here.join("during"), here.join(file)).unwrap();
        let third = open(&here).1;
        assert_ne!(third, second);
        assert_eq!(open(&here).1, third);
        // Elsewhere with all that is beside it.
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
    fn an_end_while_the_mark_is_written_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
        let (mut store, first) = open(&folder);
        let beside = store.beside.take().unwrap();
        let marks = [format!("{}\nthe next\n", beside.mark), format!("an earlier one\n{}\n", beside.mark)];
        drop((store, beside));
        for text in marks {
            let mark = fs::read_to_string(folder.join("lock")).unwrap();
            let known = text.lines().find(|line| line.len() == 8).unwrap().to_owned();
            fs::write(folder.join("lock"), text.replace(&known, mark.trim())).unwrap();
            assert_eq!(open(&folder).1, first);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
