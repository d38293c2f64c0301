//! Whether the connection costs by the byte, as NetworkManager says.
//!
//! Source: NetworkManager's D-Bus interface, property *Metered* of `org.freedesktop.NetworkManager`
//! and the values of `NMMetered`. A guess of NetworkManager's counts as its word: it guesses
//! *metered* of telephones that share their connection. Where it is not, or does not answer,
//! nothing is known.

use earshot_node::fitness::Tariff;
use zbus::blocking::Connection;
use zbus::blocking::proxy::Builder;
use zbus::proxy::CacheProperties;

const SERVICE: &str = "org.freedesktop.NetworkManager";
const PATH: &str = "/org/freedesktop/NetworkManager";

/// Asks the system bus, which may take a moment.
#[must_use]
pub fn tariff() -> Option<Tariff> {
    ask().ok().and_then(of_number)
}

fn ask() -> zbus::Result<u32> {
    let connection = Connection::system()?;
    let proxy: zbus::blocking::Proxy<'_> = Builder::new(&connection)
        .destination(SERVICE)?
        .path(PATH)?
        .interface(SERVICE)?
        .cache_properties(CacheProperties::No)
        .build()?;
    proxy.get_property("Metered")
}

const fn of_number(number: u32) -> Option<Tariff> {
    match number {
        1 | 3 => Some(Tariff::Metered),
        2 | 4 => Some(Tariff::Flat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_network_manager_does_not_know_is_not_known() {
        assert_eq!([0, 5].map(of_number), [None, None]);
        assert_eq!([1, 3].map(of_number), [Some(Tariff::Metered); 2]);
        assert_eq!([2, 4].map(of_number), [Some(Tariff::Flat); 2]);
    }
}
