//! The chat's end of the socket.

use std::{
    fs::{self, Permissions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{super::removed_file::RemovedFile, Answer, Request, socket_in};

/// The socket of a chat.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens in this folder, which the caller has locked: a socket that is there is that of a chat which was killed.
    pub(crate) fn bind(folder: &Path) -> io::Result<Self> {
        let path = socket_in(folder);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // The folder is its owner's alone already.
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers requests on a thread of its own, until the process ends. The socket is removed with what is
    /// returned.
    pub(crate) fn start(self, mut answer: impl FnMut(Request) -> Answer + Send + 'static) -> io::Result<RemovedFile> {
        let Self { listener, path } = self;
        thread::Builder::new().name("switchboard-control".to_owned()).spawn(move || {
            // Those who wait for the end of the process.
            let mut waiting = Vec::new();
            for stream in listener.incoming() {
                let served = stream.and_then(|stream| serve(stream, &mut answer));
                match served {
                    Ok(stream) => waiting.extend(stream),
                    Err(error) => log::info!("control: {error}"),
                }
            }
        })?;
        Ok(RemovedFile(path))
    }
}

/// Answers one request. Returns the connection if it waits for the end of the process.
fn serve(mut stream: UnixStream, answer: &mut impl FnMut(Request) -> Answer) -> io::Result<Option<UnixStream>> {
    // A client that sends nothing keeps others waiting for no longer.
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(READ_TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(&stream).take(MAX_REQUEST_BYTES).read_line(&mut line)?;
    let request = serde_json::from_str(&line);
    let answer = match &request {
        Ok(request) => answer(*request),
        Err(error) => Answer::Failed(format!("not a request: {error}")),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    Ok(matches!(request, Ok(Request::Stop)).then_some(stream))
}

const READ_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_REQUEST_BYTES: u64 = 1 << 10;
