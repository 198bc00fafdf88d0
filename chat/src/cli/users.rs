//! `switchboard user`: adds and changes accounts.

use std::io::{self, BufRead as _, IsTerminal as _};

use switchboard_chat::{Accounts, Data};

use super::options::{DataOption, UserCommand, UserOptions};
use crate::print_line;

/// Runs the command, and prints what has changed.
pub(crate) fn run(options: &UserOptions) -> Result<(), String> {
    let data = &options.data();
    match &options.command {
        UserCommand::Add { name } => {
            let accounts = open(data)?;
            accounts.add(name, &read_password()?).map_err(|error| error.to_string())?;
            print_line(io::stdout(), &format!("{name} has an account"));
        }
        UserCommand::Password { name } => {
            let accounts = open(data)?;
            accounts.set_password(name, &read_password()?).map_err(|error| error.to_string())?;
            print_line(io::stdout(), &format!("{name} has a new password and is signed out everywhere"));
        }
        UserCommand::Operator { name, revoke } => {
            open(data)?.set_operator(name, !revoke).map_err(|error| error.to_string())?;
            print_line(io::stdout(), &format!("{name} is {} an operator", if *revoke { "no longer" } else { "now" }));
        }
    }
    Ok(())
}

fn open(data: &DataOption) -> Result<Accounts, String> {
    match data.location()? {
        Data::Memory => {
            Err("accounts in memory exist only inside a running server; choose a folder with --data DIR".into())
        }
        location => Accounts::open(&location).map_err(|error| error.to_string()),
    }
}

/// Reads a password: asks for it twice on a terminal, else takes the first line of standard input.
fn read_password() -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot read the password: {error}");
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ").map_err(failed)?;
    let again = rpassword::prompt_password("Repeat the password: ").map_err(failed)?;
    if password == again {
        Ok(password)
    } else {
        Err("the passwords do not match, and nothing was changed; try again".to_owned())
    }
}
