//! Who listens where.

use super::ClusterError;
use super::plan::PlannedNode;
use dodona_env::os;
use std::net::{SocketAddrV4, TcpListener};

/// Refuses a node whose addresses are taken.
pub(super) fn check_free(node: &PlannedNode) -> Result<(), ClusterError> {
    for address in [node.clients(), node.internode(), node.administration()] {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if os::is_address_taken(&error) => {
                let by = listener(address).unwrap_or_else(|| "another process".into());
                return Err(ClusterError::Taken { address: address.to_string(), by });
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                return Err(ClusterError::Refused(format!(
                    "this machine has no address {0}: give it one (on macOS: sudo ifconfig lo0 alias {0})",
                    address.ip()
                )));
            }
            Err(error) => return Err(ClusterError::Io(address.to_string(), error)),
        }
    }
    Ok(())
}

/// The process that listens on an address, where the operating system tells (proc(5)).
fn listener(address: SocketAddrV4) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = inode_in(&table, address)?;
    let socket = format!("socket:[{inode}]");
    let is_numbered = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    let processes = std::fs::read_dir("/proc").ok()?.flatten().filter(is_numbered);
    let holds = |process: &std::fs::DirEntry| {
        let files = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.to_str() == Some(&*socket)))
    };
    let process = processes.into_iter().find(holds)?;
    let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
    Some(format!("{} (process {})", name.trim(), process.file_name().to_string_lossy()))
}

/// The inode of the socket that listens on an address, in `/proc/net/tcp`.
fn inode_in(table: &str, address: SocketAddrV4) -> Option<&str> {
    const LISTENS: &str = "0A";
    let port = format!("{:04X}", address.port());
    // The bytes of the address as they lie in memory.
    let own = format!("{:08X}", u32::from_ne_bytes(address.ip().octets()));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (ip, its_port) = fields.get(1)?.split_once(':')?;
        let is_it = its_port == port && (ip == own || ip == "00000000") && fields.get(3) == Some(&LISTENS);
        if is_it { fields.get(9).copied() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn whoever_listens_is_found_by_address() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listening.local_addr().unwrap().port());
        if std::path::Path::new("/proc/net/tcp").exists() {
            let found = listener(address).unwrap();
            assert!(found.ends_with(&format!("(process {})", std::process::id())), "{found}");
        }
        drop(listening);
        assert_eq!(listener(address), None);
    }
}
