//! Compiles the peer in C++, uWebSockets: a server (`src/peers/uwebsockets.cpp`), and its parser and formatter alone
//! (`src/codec/uwebsockets.cpp`).
//!
//! If that fails (no C++ compiler, no sources), the crate is built without uWebSockets, and contains the reason.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use cargo_metadata::MetadataCommand;

fn main() {
    println!("cargo::rerun-if-changed={PEER}");
    println!("cargo::rerun-if-changed={CODEC}");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed=CC");
    println!("cargo::rerun-if-env-changed=CXX");
    match uwebsockets() {
        Ok((server, codec)) => {
            println!("cargo::rustc-env=UWEBSOCKETS={}", server.display());
            println!("cargo::rustc-env=UWEBSOCKETS_CODEC={}", codec.display());
        }
        Err(reason) => {
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            println!("cargo::warning=no uWebSockets among the peers: {reason}");
            println!("cargo::rustc-env=UWEBSOCKETS_ABSENT={reason}");
        }
    }
}

/// Returns the paths of the server and the codec, or the reason why there are none.
fn uwebsockets() -> Result<(PathBuf, PathBuf), String> {
    let sources = sources()?.join("uWebSockets");
    let sockets = sources.join("uSockets/src");

    // The flags of their own makefiles, except `-march=native`, which no other peer has.
    let mut c = cc::Build::new();
    c.no_default_flags(true).warnings(false).cargo_metadata(false).cargo_warnings(false);
    c.flag("-O3").flag("-flto").define("LIBUS_NO_SSL", None).include(&sockets);
    let mut cpp = c.clone();
    c.flag("-std=c11").files(c_files(&sockets).map_err(|error| format!("{}: {error}", sockets.display()))?);
    cpp.cpp(true).flag("-std=c++20").define("UWS_NO_ZLIB", None).include(sources.join("src"));
    let (mut server, mut codec) = (cpp.clone(), cpp);

    let mut objects = compiled(&c)?;
    objects.extend(compiled(server.file(PEER))?);
    let server = linked(&server, &objects, "uwebsockets")?;
    let objects = compiled(codec.file(CODEC))?;
    let codec = linked(&codec, &objects, "uwebsockets_codec")?;
    Ok((server, codec))
}

fn compiled(build: &cc::Build) -> Result<Vec<PathBuf>, String> {
    build.try_compile_intermediates().map_err(|error| error.to_string())
}

fn linked(build: &cc::Build, objects: &[PathBuf], name: &str) -> Result<PathBuf, String> {
    let program = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?).join(name);
    let mut link = build.try_get_compiler().map_err(|error| error.to_string())?.to_command();
    let output = link.args(objects).arg("-o").arg(&program).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Returns the folder of the package with the C++ sources. The package is a dependency of no target, so only the
/// metadata of all targets lists it. The listing also downloads it.
fn sources() -> Result<PathBuf, String> {
    let mut command = MetadataCommand::new();
    command.cargo_path(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let metadata = command.exec().map_err(|error| error.to_string())?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == "libuwebsockets-sys");
    let manifest = &package.ok_or("cargo metadata does not list libuwebsockets-sys")?.manifest_path;
    Ok(manifest.parent().map(PathBuf::from).unwrap_or_default())
}

/// Returns uSockets' C files, of all its event loops. Its headers choose the one that is used.
fn c_files(sockets: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["", "eventing", "crypto", "io_uring"] {
        for entry in fs::read_dir(sockets.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "c") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

const PEER: &str = "src/peers/uwebsockets.cpp";
const CODEC: &str = "src/codec/uwebsockets.cpp";
