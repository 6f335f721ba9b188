use std::ffi::OsString;

use super::*;

fn heard(socket: &UnixDatagram) -> String {
    let mut state = [0; 100];
    socket.set_nonblocking(true).unwrap();
    let length = socket.recv(&mut state).unwrap();
    String::from_utf8(state[..length].to_vec()).unwrap()
}

#[test]
fn whoever_waits_hears_it_at_a_file_and_at_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let waiting = UnixDatagram::bind(&path).unwrap();
    tell(path.as_os_str(), b"READY=1").unwrap();
    assert_eq!(heard(&waiting), "READY=1");

    // The name is as good as the folder's is.
    let name = path.to_str().unwrap().replace('/', "-");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let waiting = UnixDatagram::bind_addr(&address).unwrap();
    tell(&OsString::from(format!("@{name}")), b"READY=1").unwrap();
    assert_eq!(heard(&waiting), "READY=1");
}

#[test]
fn nobody_at_the_socket_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    tell(folder.path().join("notify").as_os_str(), b"READY=1").unwrap_err();
    tell(OsStr::new(""), b"READY=1").unwrap_err();
}
