//! Compiles the eBPF programs: clang's own target, no toolchain besides.

use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "bpf/dns.bpf.c";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let object = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("dns.bpf.o");
    let machine = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let outcome = Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-c", SOURCE, "-o"])
        .arg(&object)
        // Where Debian keeps asm/types.h, which clang's target does not know.
        .arg(format!("-I/usr/include/{machine}-linux-gnu"))
        .status();
    match outcome {
        Ok(status) if status.success() => {}
        Ok(status) => {
            panic!("clang could not compile {SOURCE}: {status} (Debian: clang libbpf-dev linux-libc-dev)")
        }
        Err(error) => {
            panic!("clang is needed for {SOURCE}: {error} (Debian: clang libbpf-dev linux-libc-dev)")
        }
    }
}
