//! The ends of `switchboard stop`, `reload` and `infos`.

use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use switchboard_chat::Data;

use super::{super::options::DataOption, Answer, Infos, Request, socket_in};
use crate::print_line;

/// Stops the chat, and waits for its end if asked to.
pub(crate) fn stop(data: &DataOption, wait: bool) -> Result<(), String> {
    let mut chat = Chat::find(data)?;
    let done = chat.ask_for_text(Request::Stop)?;
    if wait {
        chat.wait_for_end()?;
        print_line(io::stdout(), "stopped");
    } else {
        print_line(io::stdout(), &done);
    }
    Ok(())
}

/// Makes the chat use its settings anew, and prints its answer.
pub(crate) fn reload(data: &DataOption) -> Result<(), String> {
    print_line(io::stdout(), &Chat::find(data)?.ask_for_text(Request::Reload)?);
    Ok(())
}

/// Prints what the chat says about itself.
pub(crate) fn print_infos(data: &DataOption, as_json: bool) -> Result<(), String> {
    let infos: Box<Infos> = match Chat::find(data)?.ask(Request::Infos)? {
        Answer::Infos(infos) => infos,
        Answer::Done(_) | Answer::Failed(_) => return Err("the chat is of another version".to_owned()),
    };
    let text = if as_json { serde_json::to_string_pretty(&infos).unwrap_or_default() } else { infos.to_string() };
    print_line(io::stdout(), text.trim_end());
    Ok(())
}

/// A connection to a chat that runs.
struct Chat {
    folder: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Chat {
    fn find(data: &DataOption) -> Result<Self, String> {
        let folder = match data.location()? {
            Data::Folder(folder) => folder,
            Data::Memory => return Err("a chat without a folder of data is reached by signals alone".to_owned()),
        };
        match UnixStream::connect(socket_in(&folder)) {
            Ok(stream) => Ok(Self { folder, stream: BufReader::new(stream) }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                let folder = folder.display();
                Err(format!("no chat runs with its data in {folder}; name another folder with --data DIR"))
            }
            Err(error) => Err(format!("cannot reach the chat in {}: {error}", folder.display())),
        }
    }

    fn ask_for_text(&mut self, request: Request) -> Result<String, String> {
        match self.ask(request)? {
            Answer::Done(text) => Ok(text),
            Answer::Failed(why) => Err(why),
            Answer::Infos(_) => Err("the chat is of another version".to_owned()),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Answer, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the chat does not answer: {error}");
        let text = serde_json::to_string(&request).map_err(|error| failed(&error))? + "\n";
        self.stream.get_ref().set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(|error| failed(&error))?;
        self.stream.get_mut().write_all(text.as_bytes()).map_err(|error| failed(&error))?;
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(|error| failed(&error))?;
        serde_json::from_str(&line).map_err(|error| failed(&error))
    }

    /// Waits until the process of the chat has ended: then the connection does.
    fn wait_for_end(&mut self) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot wait for the chat in {}: {error}", self.folder.display());
        self.stream.get_ref().set_read_timeout(None).map_err(cannot)?;
        match self.stream.read(&mut [0]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(cannot(error)),
        }
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
