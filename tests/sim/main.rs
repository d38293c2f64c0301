//! Stories of the whole network in virtual time. STYLE 14: each test is a sentence.

mod attackers;
mod buddy_list;
mod calls;
mod certificates;
mod chat;
mod devices;
mod directory;
mod election;
mod enrolment;
mod flapping;
mod lab;
mod listing;
mod login;
mod moving;
mod overload;
mod owning;
mod presence;
mod ring_rules;
mod same_seed;
mod secrecy;
mod seen;
mod stoica;
mod swarm;
mod unwatching;
mod watching;
mod watching_on_ring;
