//! The names of nodes, for those who know them by these.

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The answer with the names of members instead of their addresses, where `name_of` knows one. A port stays behind it.
pub(super) fn named(mut answer: Value, name_of: &dyn Fn(IpAddr) -> Option<String>) -> Value {
    for member in answer["members"].as_array_mut().into_iter().flatten() {
        let name = member["address"].as_str().and_then(|address| named_address(address, name_of));
        if let Some(name) = name {
            member["address"] = name.into();
        }
    }
    answer
}

fn named_address(address: &str, name_of: &dyn Fn(IpAddr) -> Option<String>) -> Option<String> {
    if let Ok(ip) = address.parse() {
        return name_of(ip);
    }
    let address: SocketAddr = address.parse().ok()?;
    Some(format!("{}:{}", name_of(address.ip())?, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_named_where_a_name_is_known() {
        let name_of = |ip: IpAddr| (ip.to_string() == "10.0.0.1").then(|| "db1.example".to_owned());
        let members = |addresses: [&str; 3]| {
            let members: Vec<Value> = addresses.iter().map(|it| json!({ "address": it })).collect();
            json!({ "members": members })
        };
        let answer = named(members(["10.0.0.1", "10.0.0.1:7001", "10.0.0.2"]), &name_of);
        assert_eq!(answer, members(["db1.example", "db1.example:7001", "10.0.0.2"]));
    }
}
