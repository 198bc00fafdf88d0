//! The header is what cbindgen makes of the sources.

use std::{env, fs, path::Path};

#[test]
fn the_header_is_the_one_of_these_sources() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(package.join("cbindgen.toml")).expect("the configuration is valid");
    let bindings = cbindgen::Builder::new().with_crate(package).with_config(config).generate();
    let mut made = Vec::new();
    bindings.expect("the sources can be read").write(&mut made);
    let made = String::from_utf8(made).expect("a header is UTF-8");
    let path = package.join("include/switchboard.h");
    if env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &made).expect("the header can be written");
    }
    let header = fs::read_to_string(&path).expect("there is a header");
    assert!(header == made, "the header differs; UPDATE_HEADER=1 cargo test -p switchboard-ffi makes it anew");
}
