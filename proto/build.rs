//! Compiles the `.proto` files without `protoc`, so that a fresh machine needs
//! nothing but Cargo. Not a place for hand-written types: those are in `src/`.

use std::env::var_os;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;

/// File under `OUT_DIR` that `src/lib.rs` includes for gRPC reflection.
const DESCRIPTOR_FILE: &str = "trunkline_descriptor.bin";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=trunkline");
    let out_dir = PathBuf::from(var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?);
    let mut files = Vec::new();
    collect(Path::new("trunkline"), &mut files)?;
    files.sort();

    let descriptors = protox::compile(&files, ["."])?;
    fs::write(out_dir.join(DESCRIPTOR_FILE), descriptors.encode_to_vec())?;
    // Ordered maps: the same message always becomes the same JSON and the same bytes.
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(descriptors)?;
    Ok(())
}

/// Every `.proto` file below `folder`, so that a new file needs no entry here.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
