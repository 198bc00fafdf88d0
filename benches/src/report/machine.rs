//! The conditions that figures depend on: versions, compiler, machine, command.

use std::{env, fs, process::Command};

/// Returns the locked version of a dependency of the benches.
pub(super) fn locked_version(crate_name: &str) -> Option<&'static str> {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let (_, entry) = lock.split_once(&format!("name = \"{crate_name}\"\nversion = \""))?;
    entry.split('"').next()
}

/// Describes the processor, the number of cores and the kernel.
pub(super) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(env::consts::ARCH, |(_, model)| model.trim());
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1);
    let s = if cores == 1 { "" } else { "s" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = env::consts::OS.replace("linux", "Linux");
    format!("{model}, {cores} core{s}, {system} {}", kernel.trim()).trim_end().to_owned()
}

/// Returns the version of the compiler.
pub(super) fn rustc() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(_) | Err(_) => "rustc, version unknown".to_owned(),
    }
}

/// Returns the command that repeats the run.
pub(super) fn command(bench: &str) -> String {
    let mut command = format!("cargo bench --manifest-path benches/Cargo.toml --bench {bench}");
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").map(quoted).collect();
    if !arguments.is_empty() {
        command += &format!(" -- {}", arguments.join(" "));
    }
    command
}

fn quoted(argument: String) -> String {
    if argument.contains(char::is_whitespace) { format!("'{argument}'") } else { argument }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        assert!(locked_version("clap").is_some_and(|version| version.starts_with("4.")));
        assert_eq!(locked_version("no such crate"), None);
    }
}
