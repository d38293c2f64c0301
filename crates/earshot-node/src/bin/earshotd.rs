//! Earshot without a window: the roles of a network as processes.

use std::process::ExitCode;

use earshot_node::api::ready::Role;
use earshot_node::start::{Run, program};

/// The roles of this program.
const ROLES: &[(Role, Run)] = &[];

fn main() -> ExitCode {
    program(std::env::args_os().skip(1), ROLES).into()
}
