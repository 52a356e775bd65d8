//! Settings that are read, refused and handed on.

use super::*;
use crate::point_in_time;
use crate::registry::View;
use dodona_query::system_tables::ServerView;

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(Settings::parse(""), Ok(Settings::default()));
    assert_eq!(Settings::default().check(), Ok(()));
}

#[test]
fn every_key_is_read_back_as_it_is_written() {
    let settings = Settings {
        port: 1,
        authenticator: AuthenticatorKind::Password,
        commit_log_sync: CommitLogSync::Group,
        tls_key: Some("key.pem".into()),
        ..Settings::default()
    };
    let text = toml::to_string(&settings).unwrap();
    assert_eq!(Settings::parse(&text), Ok(settings));
}

#[test]
fn one_setting_of_memory_is_shared_out_unless_a_part_is_set() {
    let settings = Settings { memory_bytes: 64 << 20, ..Settings::default() };
    let engine = settings.engine();
    assert_eq!((engine.memtable_bytes, engine.block_cache_bytes), (16 << 20, 16 << 20));
    assert_eq!(settings.bytes_in_flight(), 16 << 20);
    let settings = Settings { memtable_bytes: Some(5 << 20), ..settings };
    assert_eq!(settings.engine().memtable_bytes, 5 << 20);
    let defaults = Settings::default();
    assert_eq!(defaults.engine().memtable_bytes, EngineSettings::default().memtable_bytes);
    assert!(Settings { memory_bytes: 1 << 20, ..defaults }.check().is_err());
}

#[test]
fn administration_is_at_the_address_for_clients_if_only_this_machine_reaches_it() {
    let at = |listen: &str, admin_listen: Option<&str>| {
        let admin_listen = admin_listen.map(|address| address.parse().unwrap());
        let settings = Settings { listen: listen.parse().unwrap(), admin_listen, ..Settings::default() };
        settings.administration().to_string()
    };
    assert_eq!(at("127.0.0.2", None), "127.0.0.2:7199");
    assert_eq!(at("::1", None), "[::1]:7199");
    assert_eq!(at("10.0.0.1", None), "127.0.0.1:7199");
    assert_eq!(at("127.0.0.2", Some("127.0.0.3")), "127.0.0.3:7199");
    assert_eq!(at("127.0.0.2", Some("10.0.0.1")), "10.0.0.1:7199");
}

#[test]
fn hints_are_as_the_settings_say_and_as_in_cassandra_without_them() {
    let text = "hinted_handoff_enabled = false\nhinted_handoff_disabled_datacenters = [\"far\"]\n\
                max_hint_window_seconds = 60\nhint_bytes_per_second = 0\nmax_hint_bytes_per_host = 5\nmax_hint_bytes = 7";
    let hints = Settings::parse(text).unwrap().node(1).hints;
    assert!(!hints.enabled && hints.disabled_data_centers.contains("far"));
    assert_eq!(hints.max_hint_window.as_secs(), 60);
    assert_eq!((hints.delivered_bytes_per_second, hints.max_bytes_per_target, hints.max_bytes), (0, 5, 7));
    let hints = Settings::default().node(1).hints;
    assert!(hints.enabled && hints.disabled_data_centers.is_empty());
    assert_eq!((hints.max_hint_window.as_secs(), hints.delivered_bytes_per_second), (3 * 3_600, 1 << 20));
}

#[test]
fn a_misspelled_key_is_named_with_its_line_and_the_nearest_one() {
    let error = Settings::parse("port = 1\nclustername = \"x\"\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: there is no setting `clustername`: did you mean `cluster_name`?");
}

#[test]
fn guardrails_are_a_section_and_the_server_shows_them_as_cassandra_does() {
    let settings = Settings::parse("[guardrails]\ndrop_compact_storage_enabled = true\n").unwrap();
    assert!(settings.guardrails.drop_compact_storage_enabled);
    let settings_of = |text: &str| Settings::parse(&format!("[guardrails]\n{text}\n")).unwrap();
    let refused =
        settings_of("page_size_warn_threshold = 9\npage_size_fail_threshold = 8").check().unwrap_err();
    assert!(refused.to_string().starts_with("guardrails: The warn threshold 9"), "{refused}");
    let error = Settings::parse("[guardrails]\ndrop_compact_storage = true\n").unwrap_err().to_string();
    assert!(error.starts_with("line 2: there is no setting `drop_compact_storage`"), "{error}");
    let shown = View {
        registry: std::sync::Arc::default(),
        settings,
        metrics: crate::metrics::Metrics::default(),
        process: crate::Process::default(),
    }
    .settings();
    assert!(shown.contains(&("drop_compact_storage_enabled".into(), Some("true".into()))));
    assert!(shown.is_sorted() && !shown.iter().any(|(name, _)| name == "guardrails"));
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_line() {
    let error = Settings::parse("\n\nport = \"x\"\n").unwrap_err();
    assert!(error.to_string().starts_with("line 3: "), "{error}");
}

#[test]
fn nodes_talk_on_other_addresses_by_tls_or_where_it_is_said() {
    let files = |count: usize| {
        let file = |index: usize| (index < count).then(|| PathBuf::from("x.pem"));
        Settings {
            listen: "10.0.0.1".parse().unwrap(),
            seeds: vec!["10.0.0.1".into()],
            allow_anonymous: true,
            internode_tls_certificate: file(0),
            internode_tls_key: file(1),
            internode_tls_authority: file(2),
            ..Settings::default()
        }
    };
    let says = |settings: &Settings, text: &str| {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(&files(0), "without TLS: set internode_tls_certificate");
    says(&files(1), "set all three or none");
    says(&files(2), "set all three or none");
    assert_eq!(files(3).check(), Ok(()));
    assert_eq!(files(3).node(1).internode.port(), 7000);
    let optional = Settings { internode_tls_optional: true, ..files(3) };
    says(&optional, "without TLS");
    assert_eq!(optional.node(1).internode.port(), 0, "nobody connects");
    assert_eq!(Settings { allow_plain_internode: true, ..optional }.check(), Ok(()));
    says(&Settings { internode_tls_optional: true, ..files(0) }, "internode_tls_optional needs");
}

#[test]
fn what_is_to_be_restored_is_said_whole() {
    let from = Settings { restore_directories: vec!["/archive".into()], ..Settings::default() };
    let at = |text: &str| Some(text.to_owned());
    assert_eq!(from.check(), Ok(()));
    let good = Settings { restore_point_in_time: at("2026:04:30 20:43:12"), ..from.clone() };
    assert_eq!(good.check(), Ok(()));
    assert_eq!(good.node(1).restore.up_to_micros, point_in_time::parse("2026:04:30 20:43:12"));
    let says = |settings: &Settings, text: &str| {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(&Settings { restore_point_in_time: at("2026-04-30"), ..from }, "is no time as yyyy");
    says(&Settings { restore_directories: Vec::new(), ..good }, "needs restore_directories");
    says(&Settings { archive_directory: Some("archive".into()), ..Settings::default() }, "absolute");
}

#[test]
fn anybody_is_served_on_loopback_only_unless_it_is_said() {
    let mut settings = Settings { listen: "10.0.0.1".parse().unwrap(), ..Settings::default() };
    assert!(settings.check().is_err());
    settings.allow_anonymous = true;
    assert_eq!(settings.check(), Ok(()));
    settings.listen = "0.0.0.0".parse().unwrap();
    assert!(settings.check().unwrap_err().to_string().contains("advertise"));
}
