//! Which process is at the other end of a local connection: the system knows, so nobody has to introduce himself
//! at a door. It reads Linux's `/proc`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Where the system lists connections.
const CONNECTIONS: &str = "/proc/net/tcp";
/// The columns with the near address, the far address and the inode, counted from 0.
const COLUMNS: [usize; 3] = [1, 2, 9];

/// The name of the process that opened a connection from `peer` to `door`, if it is one of these.
pub fn of(peer: SocketAddr, door: SocketAddr, processes: &[(u32, String)]) -> Option<String> {
    let table = fs::read_to_string(CONNECTIONS).ok()?;
    let socket = format!("socket:[{}]", inode(&table, [peer.port(), door.port()])?);
    let owner = processes.iter().rev().find(|(process, _)| holds(*process, &socket));
    owner.map(|(_, name)| name.clone())
}

/// The inode of the socket between these ports, near and far. One port may be the near one of several
/// connections; what belongs to nobody any more has the inode 0.
fn inode(table: &str, ports: [u16; 2]) -> Option<&str> {
    let [near, far] = ports.map(|port| format!(":{port:04X}"));
    table.lines().find_map(|line| {
        let [from, to, inode] = COLUMNS.map(|column| line.split_whitespace().nth(column));
        let matches = from?.ends_with(&near) && to?.ends_with(&far);
        (matches && inode? != "0").then_some(inode?)
    })
}

fn holds(process: u32, socket: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target == Path::new(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inode_is_that_of_the_socket_between_both_ports() {
        let table = "  sl  local_address rem_address st tx rx tr tm retrnsmt uid timeout inode\n\
            0: 0100007F:1F90 0100007F:D431 01 0:0 00:0 0 0 0 77 1\n\
            1: 0100007F:D431 0100007F:1F90 06 0:0 00:0 0 0 0 0 1\n\
            2: 0100007F:D431 0100007F:1F91 01 0:0 00:0 0 0 0 66 1\n\
            3: 0100007F:D431 0100007F:1F90 01 0:0 00:0 0 0 0 88 1\n";
        assert_eq!(inode(table, [0xD431, 0x1F90]), Some("88"));
        assert_eq!(inode(table, [0xD431, 1]), None);
    }
}
