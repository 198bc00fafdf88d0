//! Whether the data is a copy that was put back: then its logs go on from an earlier place, and what clients have seen
//! since is not in them. So they get new epochs.
//!
//! Each run writes a new mark into the database and into the file beside it that is locked, and the database knows
//! where its own file is. A backup of an earlier run, or one that was copied to another place, shows by one of these.
//! Where in doubt the epochs are new: it costs clients one look at the latest messages.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use super::{super::token::epoch, OpenError, Store, StoreError};

impl Store {
    /// Looks whether the data was put back since the last run, and marks it for this one. Says so if it was.
    pub(super) fn mark_run(&self, database: &Path, mut lock: &File) -> Result<bool, OpenError> {
        let failed = |error| OpenError::Folder(database.to_owned(), error);
        let mut last_run = String::new();
        // What is no text is no mark of ours.
        let _ = lock.read_to_string(&mut last_run);
        let place = place_of(database).map_err(failed)?;
        let run = epoch();
        let fact = |name: &str| -> Result<Option<String>, StoreError> {
            self.first("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
        };
        let known = (fact("run")?, fact("place")?);
        let is_new = known == (None, None);
        let restored = !is_new && known != (Some(last_run), Some(place.clone()));
        self.begin()?;
        if restored {
            self.change("UPDATE rooms SET epoch = lower(hex(randomblob(6)))", [])?;
        }
        for (name, value) in [("run", &run), ("place", &place)] {
            let sql =
                "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
            self.change(sql, (name, value))?;
        }
        self.commit()?;
        // An end in between looks like a restored copy to the next run.
        lock.rewind().and_then(|()| lock.set_len(0)).and_then(|()| lock.write_all(run.as_bytes())).map_err(failed)?;
        Ok(restored)
    }
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

    #[test]
    fn data_that_was_put_back_has_new_epochs_and_no_other() {
        let [here, there] = [0, 1].map(|_| std::env::temp_dir().join(format!("switchboard-test-{}", epoch())));
        let epoch_in = |folder: &Path| {
            let store = Store::open(&Data::Folder(folder.to_owned())).unwrap();
            store.room(LOBBY).unwrap().unwrap().epoch
        };
        let file = "chat.sqlite3";
        let first = epoch_in(&here);
        assert_eq!(epoch_in(&here), first, "it was only started again");
        fs::copy(here.join(file), here.join("backup")).unwrap();
        assert_eq!(epoch_in(&here), first);
        // In its place, and elsewhere with all that is beside it.
        fs::copy(here.join("backup"), here.join(file)).unwrap();
        let second = epoch_in(&here);
        assert_ne!(second, first);
        assert_eq!(epoch_in(&here), second);
        fs::create_dir(&there).unwrap();
        for file in [file, "lock"] {
            fs::copy(here.join(file), there.join(file)).unwrap();
        }
        let third = epoch_in(&there);
        assert!(third != second && third != first);
        assert_eq!(epoch_in(&there), third);
        for folder in [here, there] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
