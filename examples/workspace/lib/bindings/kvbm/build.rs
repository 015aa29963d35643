//! Compiles the CUDA part where there is a CUDA compiler; without one the crate has none.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "src/blocks.cu";
const TOOLKIT: &str = "/usr/local/cuda";

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cuda)");
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=NVCC");
    let nvcc = env::var_os("NVCC")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(TOOLKIT).join("bin/nvcc")).filter(|path| path.exists()));
    let Some(nvcc) = nvcc else { return };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let object = out.join("blocks.o");
    run(Command::new(nvcc)
        .args(["-c", SOURCE, "-arch=sm_90", "-O2", "-Xcompiler", "-fPIC", "-o"])
        .arg(&object));
    run(Command::new("ar").arg("crs").arg(out.join("libblocks.a")).arg(&object));
    println!("cargo::rustc-cfg=cuda");
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-search=native={TOOLKIT}/lib64");
    for library in ["static=blocks", "static=cudart_static", "dylib=stdc++", "dylib=rt"] {
        println!("cargo::rustc-link-lib={library}");
    }
}
