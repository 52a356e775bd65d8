use super::*;
use crate::ClusterError;
use crate::message::{Body, FIRST, Message};
use crate::testing::run_in_folder;
use crate::transport::introduction::CONNECT_TIMEOUT;
use crate::transport::{Handler, Introduction, Link, Peer, Peers, serve};
use dodona_env::Env;
use dodona_env::net::{BoxFuture, Listener};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use uuid::Uuid;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STRICT: TlsSettings = TlsSettings { address: HERE, verify_address: true, optional: false };

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("ours")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for 127.0.0.1.
    fn pem(&self) -> Pem {
        self.pem_of("127.0.0.1", |_| {})
    }

    fn pem_of(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pem {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pem {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            authority: self.0.pem().into_bytes(),
        }
    }
}

/// A node's environment, and whoever it meets.
struct World {
    env: Env,
    listener: Box<dyn Listener>,
    address: SocketAddr,
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    run_in_folder(async |env| {
        let listener = env.net.listen(SocketAddr::new(HERE, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        test(World { env, listener, address }).await;
    });
}

impl World {
    fn tls(&self, pem: &Pem, settings: TlsSettings) -> Arc<InternodeTls> {
        Arc::new(InternodeTls::new(pem, settings, Arc::clone(&self.env.clock)).unwrap())
    }

    fn node(&self, host: u128, tls: Option<Arc<InternodeTls>>) -> Link {
        let introduction = Introduction::new(Uuid::from_u128(9), Uuid::from_u128(host));
        Link::new(self.env.clone(), introduction, tls)
    }

    fn strict(&self, host: u128, pem: &Pem) -> Link {
        self.node(host, Some(self.tls(pem, STRICT)))
    }

    /// One node connects to another: what each says of it.
    async fn meet(&self, from: &Link, to: &Link) -> (Result<(), String>, Result<(), String>) {
        let accept = async {
            loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                let met = to.meet(stream).await;
                // Without TLS a node tries a second time.
                let is_last = met.is_ok() || !from.tls.as_ref().is_some_and(|tls| tls.is_optional());
                if is_last {
                    return met.map(drop).map_err(|error| error.to_string());
                }
            }
        };
        let connect = async { from.open(self.address).await.map(drop).map_err(|error| error.to_string()) };
        let both = async { tokio::join!(connect, accept) };
        tokio::time::timeout(Duration::from_secs(10), both).await.unwrap()
    }
}

fn says(result: &Result<(), String>, what: &str) {
    let error = result.as_ref().unwrap_err();
    assert!(error.contains(what), "{error}");
}

/// A node that sends back what it is sent.
#[derive(Default)]
struct Echo(AtomicUsize);

impl Handler for Echo {
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        self.0.fetch_add(1, Relaxed);
        Box::pin(async move { body })
    }
}

impl World {
    /// A node that listens.
    async fn echo(self, link: Link) -> (Env, SocketAddr, Arc<Echo>) {
        drop(self.listener);
        let echo = Arc::<Echo>::default();
        let service = serve(link, self.address, echo.clone()).await.unwrap();
        self.env.tasks.spawn_local(service);
        (self.env, self.address, echo)
    }
}

#[test]
fn nodes_of_one_authority_exchange_small_and_large_messages() {
    run(async |world| {
        let authority = Authority::new();
        let peers = Peers::new(world.strict(2, &authority.pem()));
        let link = world.strict(1, &authority.pem());
        let (_, address, echo) = world.echo(link).await;
        // More than sockets hold.
        for length in [0, 1, 16 << 20] {
            let body = Body::Mutate((0..length).map(|byte| byte as u8).collect());
            let answer = peers.ask(address, body.clone(), Duration::from_secs(10)).await.unwrap();
            assert!(answer == body, "{length} bytes");
        }
        assert_eq!(echo.0.load(Relaxed), 3);
    });
}

#[test]
fn a_peer_of_another_authority_is_refused_on_either_side() {
    run(async |world| {
        let (ours, theirs) = (Authority::new(), Authority::named("theirs"));
        let node = world.strict(1, &ours.pem());
        let (connects, accepts) = world.meet(&world.strict(2, &theirs.pem()), &node).await;
        says(&connects, "its certificate is not signed by an authority of internode_tls_authority");
        says(&accepts, "it refuses this node's certificate (UnknownCA)");
        // One that would take any certificate, and shows its own.
        let mut mixed = theirs.pem();
        mixed.authority.extend(ours.pem().authority);
        let (connects, accepts) = world.meet(&world.strict(2, &mixed), &node).await;
        says(&connects, "it refuses this node's certificate (UnknownCA)");
        says(&accepts, "its certificate is not signed by an authority of internode_tls_authority");
        let (connects, _) = world.meet(&world.strict(2, &Authority::new().pem()), &node).await;
        says(&connects, "is not signed by an authority");
    });
}

#[test]
fn nothing_is_done_for_a_peer_that_is_refused() {
    run(async |world| {
        let (ours, theirs) = (Authority::new(), Authority::named("theirs"));
        let mut mixed = theirs.pem();
        mixed.authority.extend(ours.pem().authority);
        let strangers = [world.strict(2, &mixed), world.node(3, None)].map(Peers::new);
        let friend = Peers::new(world.strict(4, &ours.pem()));
        let link = world.strict(1, &ours.pem());
        let (_, address, echo) = world.echo(link).await;
        for stranger in strangers {
            let asked = stranger.ask(address, Body::Mutated, Duration::from_secs(5)).await;
            assert!(
                matches!(&asked, Err(ClusterError::Peer(reason)) if reason.contains("broke")),
                "{asked:?}"
            );
        }
        assert_eq!(echo.0.load(Relaxed), 0);
        friend.ask(address, Body::Mutated, Duration::from_secs(5)).await.unwrap();
        assert_eq!(echo.0.load(Relaxed), 1);
    });
}

/// A client of TLS that is no node.
fn client(
    authority: &Authority,
    own: Option<&Pem>,
    version: &'static rustls::SupportedProtocolVersion,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(pem) => {
            let key = PrivateKeyDer::from_pem_slice(&pem.key).unwrap();
            config.with_client_auth_cert(certificates("own", &pem.certificate).unwrap(), key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

#[test]
fn a_client_needs_a_certificate_by_either_version_of_tls() {
    run(async |world| {
        let authority = Authority::new();
        let tls = world.tls(&authority.pem(), STRICT);
        let own = authority.pem();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for shown in [None, Some(&own)] {
                let connector = client(&authority, shown, version);
                let stream = world.env.net.connect(world.address).await.unwrap();
                let accept = async {
                    let (stream, _) = world.listener.accept().await.unwrap();
                    tls.accept(stream).await.map(drop)
                };
                let connect = async { drop(connector.connect(name_of(HERE), stream).await) };
                let accepted = tokio::join!(accept, connect).0;
                assert_eq!(accepted.is_ok(), shown.is_some(), "{version:?}");
                if let Err(error) = accepted {
                    assert!(explain(&error).unwrap().contains("it shows no certificate"), "{error}");
                }
            }
        }
    });
}

/// A clock that stands in the year 2019.
struct Past;

impl Clock for Past {
    fn mono(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_micros(&self) -> i64 {
        1_560_000_000_000_000
    }
}

#[test]
fn a_certificate_that_has_expired_is_refused_on_either_side() {
    run(async |world| {
        let authority = Authority::new();
        let old = authority.pem_of("127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1));
        let node = world.strict(1, &authority.pem());
        // By its own clock it is valid.
        let late = world.node(2, Some(Arc::new(InternodeTls::new(&old, STRICT, Arc::new(Past)).unwrap())));
        let (connects, accepts) = world.meet(&late, &node).await;
        says(&connects, "it refuses this node's certificate (CertificateExpired)");
        says(&accepts, "its certificate has expired");
        let (connects, accepts) = world.meet(&node, &late).await;
        says(&connects, "its certificate has expired");
        says(&accepts, "it refuses this node's certificate (CertificateExpired)");
    });
}

#[test]
fn who_connects_checks_that_the_certificate_names_the_address() {
    run(async |world| {
        let authority = Authority::new();
        let elsewhere = TlsSettings { address: Ipv4Addr::new(127, 0, 0, 2).into(), ..STRICT };
        let lenient = TlsSettings { verify_address: false, ..STRICT };
        let moved = world.tls(&authority.pem_of("127.0.0.2", |_| {}), elsewhere);
        let moved = world.node(1, Some(moved));
        let node = world.strict(2, &authority.pem());
        let (connects, accepts) = world.meet(&node, &moved).await;
        says(&connects, "does not name the node's address");
        says(&accepts, "it refuses this node's certificate (BadCertificate)");
        assert_eq!(world.meet(&moved, &node).await, (Ok(()), Ok(())), "who accepts does not check it");
        let named = world.node(3, Some(world.tls(&authority.pem_of("node.example", |_| {}), lenient)));
        assert_eq!(world.meet(&named, &moved).await, (Ok(()), Ok(())));
        // It takes any address, but not any authority.
        let stranger = world.strict(4, &Authority::new().pem());
        says(&world.meet(&named, &stranger).await.0, "is not signed by an authority");
    });
}

#[test]
fn both_sides_say_that_one_speaks_tls_and_the_other_does_not() {
    run(async |world| {
        let (encrypted, plain) = (world.strict(1, &Authority::new().pem()), world.node(2, None));
        let (connects, accepts) = world.meet(&plain, &encrypted).await;
        says(&connects, "it speaks TLS, and this node does not");
        says(&accepts, "it speaks without TLS");
        let (connects, accepts) = world.meet(&encrypted, &plain).await;
        says(&connects, "it closed the connection before TLS began");
        says(&accepts, "it speaks TLS, and this node does not");
    });
}

#[test]
fn no_introduction_looks_like_tls() {
    let body = Introduction::new(Uuid::from_u128(1), Uuid::from_u128(2)).encode();
    let mut bytes = Vec::new();
    Message { id: 0, patience_micros: 0, members: 0, notes: None, body }.encode(FIRST, &mut bytes);
    assert_ne!(bytes[0], HANDSHAKE);
}

#[test]
fn where_tls_is_optional_both_are_spoken_but_no_stranger_is_spoken_to() {
    run(async |world| {
        let authority = Authority::new();
        let optional = TlsSettings { optional: true, ..STRICT };
        let both = world.node(1, Some(world.tls(&authority.pem(), optional)));
        let others = [
            world.node(2, None),
            world.strict(3, &authority.pem()),
            world.node(4, Some(world.tls(&authority.pem(), optional))),
        ];
        for other in &others {
            assert_eq!(world.meet(other, &both).await, (Ok(()), Ok(())));
            assert_eq!(world.meet(&both, other).await, (Ok(()), Ok(())));
        }
        let stranger = world.strict(5, &Authority::new().pem());
        let connects = async { both.open(world.address).await.map(drop).map_err(|error| error.to_string()) };
        let accepts = async { stranger.meet(world.listener.accept().await.unwrap().0).await.is_err() };
        let both = async { tokio::join!(connects, accepts) };
        let (connects, is_refused) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
        assert!(is_refused);
        says(&connects, "is not signed by an authority");
    });
}

#[test]
fn garbage_and_silence_end_their_own_connection_only() {
    run(async |world| {
        let authority = Authority::new();
        let friend = Peers::new(world.strict(2, &authority.pem()));
        let link = world.strict(1, &authority.pem());
        let (env, address, _) = world.echo(link).await;
        let mut silent = env.net.connect(address).await.unwrap();
        let beginning_of_a_handshake = [&[HANDSHAKE, 3, 1, 0xff, 0xff][..], &[7; 3_000]].concat();
        for garbage in [vec![0xff; 4_096], vec![0; 100], beginning_of_a_handshake] {
            let mut stream = env.net.connect(address).await.unwrap();
            stream.write_all(&garbage).await.unwrap();
            // Closed or reset.
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer);
            drop(tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap());
        }
        friend.ask(address, Body::Mutated, Duration::from_secs(5)).await.unwrap();
        tokio::time::pause();
        let mut byte = [0];
        let closed = tokio::time::timeout(2 * CONNECT_TIMEOUT, silent.read(&mut byte)).await;
        assert_eq!(closed.expect("in time").unwrap(), 0);
    });
}

#[test]
fn a_peer_that_is_refused_reads_why_whatever_it_has_sent() {
    run(async |world| {
        let link = world.strict(1, &Authority::new().pem());
        let (env, address, _) = world.echo(link).await;
        let mut stream = env.net.connect(address).await.unwrap();
        stream.write_all(&[0xff; 32 << 10]).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        ended.unwrap().expect("closed, not reset");
        assert_eq!(answer[..2], [0x15, 3], "an alert: {answer:?}");
    });
}

#[test]
fn certificates_are_exchanged_while_they_are_used_and_faulty_ones_are_not_taken() {
    run(async |world| {
        let (old, new) = (Authority::new(), Authority::new());
        let tls = world.tls(&old.pem(), STRICT);
        let node = world.node(1, Some(Arc::clone(&tls)));
        let (left, right) = (world.strict(2, &old.pem()), world.strict(3, &new.pem()));
        assert_eq!(world.meet(&left, &node).await, (Ok(()), Ok(())));
        let unsigned = Pem { authority: new.pem().authority, ..old.pem() };
        assert!(tls.replace(&unsigned).unwrap_err().contains("is not signed by"));
        assert_eq!(world.meet(&left, &node).await, (Ok(()), Ok(())));
        // Both authorities, until all nodes have certificates of the new one.
        let both = Pem { authority: [old.pem().authority, new.pem().authority].concat(), ..old.pem() };
        tls.replace(&both).unwrap();
        assert_eq!(world.meet(&left, &node).await, (Ok(()), Ok(())));
        says(&world.meet(&right, &node).await.0, "is not signed by");
        tls.replace(&new.pem()).unwrap();
        assert_eq!(world.meet(&right, &node).await, (Ok(()), Ok(())));
        says(&world.meet(&left, &node).await.0, "is not signed by");
    });
}

#[test]
fn a_node_is_told_what_is_wrong_with_its_own_certificate() {
    run(async |world| {
        let authority = Authority::new();
        let good = authority.pem();
        let refused = |pem: &Pem| InternodeTls::new(pem, STRICT, Arc::clone(&world.env.clock)).map(drop);
        let other = authority.pem();
        says(
            &refused(&Pem { key: other.key, ..good.clone() }),
            "internode_tls_certificate and internode_tls_key: ",
        );
        says(&refused(&Pem { key: b"none".to_vec(), ..good.clone() }), "internode_tls_key: ");
        says(
            &refused(&Pem { certificate: Vec::new(), ..good.clone() }),
            "internode_tls_certificate holds no",
        );
        says(&refused(&Pem { authority: Vec::new(), ..good.clone() }), "internode_tls_authority holds no");
        says(&refused(&Pem { authority: Authority::new().pem().authority, ..good }), "it is not signed by");
        says(&refused(&authority.pem_of("127.0.0.2", |_| {})), "it does not name the node's address");
        let expires = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
        says(&refused(&authority.pem_of("127.0.0.1", expires)), "it has expired");
        let serves = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        says(&refused(&authority.pem_of("127.0.0.1", serves)), "it is not for this side of a connection");
    });
}
