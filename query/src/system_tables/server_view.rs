//! The content of `system_views.clients`, `queries`, `settings`, `system_logs` and `system_properties`: what the server
//! above knows.

use super::Fill;
use super::rows::{bigint, boolean, inet, int, text, text_map};
use crate::error::CqlError;
use std::time::Duration;

pub(super) fn refill_clients(fill: &Fill<'_>) -> Result<(), CqlError> {
    let Some(server) = fill.host.server_view.get() else {
        return Ok(());
    };
    fill.replace("system_views", "clients", |rows| {
        server.clients().iter().try_for_each(|client| {
            let ip = client.address.ip();
            let mut values = vec![
                ("address", inet(ip)),
                ("port", int(client.address.port().into())),
                ("client_options", text_map(&client.options)?),
                ("connection_stage", text(client.stage)),
                ("hostname", text(&ip.to_string())),
                ("protocol_version", int(client.protocol_version.into())),
                ("request_count", bigint(i64::try_from(client.requests).unwrap_or(i64::MAX))),
                ("ssl_enabled", boolean(client.tls.is_some())),
                ("username", text(client.role.as_deref().unwrap_or("anonymous"))),
            ];
            let optional = [
                ("driver_name", client.options.get("DRIVER_NAME")),
                ("driver_version", client.options.get("DRIVER_VERSION")),
                ("keyspace_name", client.keyspace.as_ref()),
                ("ssl_cipher_suite", client.tls.as_ref().map(|(suite, _)| suite)),
                ("ssl_protocol", client.tls.as_ref().map(|(_, protocol)| protocol)),
            ];
            values.extend(optional.into_iter().filter_map(|(name, value)| Some((name, text(value?)))));
            rows.put(&values)
        })
    })
}

pub(super) fn refill_queries(fill: &Fill<'_>) -> Result<(), CqlError> {
    let Some(server) = fill.host.server_view.get() else {
        return Ok(());
    };
    let now = fill.host.node.env.clock.mono();
    let micros = |from: Duration, to: Duration| {
        bigint(i64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(i64::MAX))
    };
    fill.replace("system_views", "queries", |rows| {
        server.running().iter().try_for_each(|request| {
            let began = request.began.unwrap_or(now);
            rows.put(&[
                ("thread_id", text(&request.id)),
                ("queued_micros", micros(request.came, began)),
                ("running_micros", micros(began, now)),
                ("task", text(&request.task)),
            ])
        })
    })
}

pub(super) fn refill_settings(fill: &Fill<'_>) -> Result<(), CqlError> {
    let Some(server) = fill.host.server_view.get() else {
        return Ok(());
    };
    fill.replace("system_views", "settings", |rows| {
        server.settings().iter().try_for_each(|(name, value)| {
            let mut values = vec![("name", text(name))];
            values.extend(value.as_deref().map(|value| ("value", text(value))));
            rows.put(&values)
        })
    })
}

pub(super) fn refill_properties(fill: &Fill<'_>) -> Result<(), CqlError> {
    let Some(server) = fill.host.server_view.get() else {
        return Ok(());
    };
    fill.replace("system_views", "system_properties", |rows| {
        let properties = server.properties();
        properties
            .iter()
            .try_for_each(|(name, value)| rows.put(&[("name", text(name)), ("value", text(value))]))
    })
}

pub(super) fn refill_log(fill: &Fill<'_>) -> Result<(), CqlError> {
    let Some(server) = fill.host.server_view.get() else {
        return Ok(());
    };
    fill.replace("system_views", "system_logs", |rows| {
        let (mut last_millis, mut order) = (None, 0);
        server.log().iter().try_for_each(|line| {
            order = if last_millis == Some(line.at_millis) { order + 1 } else { 0 };
            last_millis = Some(line.at_millis);
            rows.put(&[
                ("timestamp", bigint(line.at_millis)),
                ("order_in_millisecond", int(order)),
                ("level", text(line.level)),
                ("logger", text(&line.logger)),
                ("message", text(&line.message)),
            ])
        })
    })
}
