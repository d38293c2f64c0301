//! Writes `docs/rpc.md` and `docs/rpc.schema.json`; with `--check` tells whether they are stale.

use std::process::ExitCode;

fn main() -> ExitCode {
    earshot_node::bindings::program(std::env::args_os().skip(1)).into()
}
