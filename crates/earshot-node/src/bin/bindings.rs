//! Writes `docs/rpc.md`, `docs/rpc.schema.json` and the window's TypeScript; with `--check` tells
//! whether they are stale.

use std::process::ExitCode;

fn main() -> ExitCode {
    earshot_node::bindings::program(std::env::args_os().skip(1)).into()
}
