//! The contract: everything that can be asked of a node, and everything that it tells.
//!
//! One set of types for `earshotd`'s JSON-RPC and for the window; `docs/rpc.md`,
//! `docs/rpc.schema.json` and the window's TypeScript are made from them. Source: INTERFACES 2 and
//! 3. Invariants: fields are camelCase, ids strings, times Unix milliseconds, durations end in
//! `…Ms`, and what is absent is omitted. The result of a question comes first, then the events that
//! it caused.
//!
//! | module | what it holds |
//! |---|---|
//! | [`commands`] | the table of methods; [`Command`](commands::Command) |
//! | [`events`] | [`Event`](events::Event) and the numbered stream of them |
//! | [`errors`], [`failure`] | what can go wrong |
//! | [`reply`] | the answer that a question waits for |
//! | [`ready`] | the first line of a process |
//! | [`snapshot`] | everything at one moment |
//! | [`text`] | how names, ids, times and passwords are written |
//! | the others | what is asked and told of one subject |

pub mod audio;
pub mod buddies;
pub mod call;
pub mod chat;
pub mod commands;
pub mod errors;
pub mod events;
pub mod failure;
pub mod nat;
pub mod network;
pub mod ready;
pub mod reply;
pub mod session;
pub mod settings;
pub mod snapshot;
pub mod super_peer;
pub mod text;
