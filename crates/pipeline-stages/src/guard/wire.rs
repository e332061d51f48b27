//! Messages between a guard and its client: JSON after its length, over a socket.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message: the system limits arguments and environment to a fraction of this.
const MAX_BYTES: usize = 256 << 20;

/// A program with its arguments and environment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// Its path.
    pub(crate) path: OsString,
    /// Its name (`argv[0]`) and its arguments.
    pub(crate) args: Vec<OsString>,
    /// Its working folder.
    pub(crate) folder: OsString,
    /// Its whole environment.
    pub(crate) variables: Vec<(OsString, OsString)>,
}

/// A request to a guard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Starts a program whose output goes to the file that comes with the message.
    Start(Program),
    /// Ends the program: first politely, then by force.
    Stop,
}

/// A reply of a guard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The program runs in the process group of this number.
    Started(i32),
    /// The program could not be started: the system's error number, and a message.
    NotStarted(Option<i32>, String),
    /// The program is gone.
    Ended(End),
}

/// The end of a program. None of its processes is alive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct End {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The names of the processes that it left running, which were ended.
    pub(crate) left: Vec<String>,
    /// The names of those that could not be ended.
    pub(crate) survivors: Vec<String>,
}

/// Sends a message, and a file with it.
pub(super) fn send<T: Serialize>(mut socket: &UnixStream, message: &T, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut bytes = u32::try_from(text.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
    bytes.extend(text);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    let n_sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    socket.write_all(&bytes[n_sent..])
}

/// Receives a message and the file that came with it; `None` once the other side is gone.
pub(super) fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let n_read = rustix::io::retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(&mut length)];
        rustix::net::recvmsg(socket.as_fd(), &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?
    .bytes;
    if n_read == 0 {
        return Ok(None);
    }
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    socket.read_exact(&mut length[n_read..])?;
    let n_bytes = u32::from_le_bytes(length) as usize;
    if n_bytes > MAX_BYTES {
        return Err(io::Error::other("a message is too long"));
    }
    let mut text = vec![0; n_bytes];
    socket.read_exact(&mut text)?;
    Ok(Some((serde_json::from_slice(&text)?, file)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_program_and_its_file_arrive_as_they_were_sent() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let not_text = OsString::from_vec(vec![0xff, b'=', b'\n']);
        let program = Program {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "图".repeat(100_000).into()],
            folder: not_text.clone(),
            variables: vec![("A".into(), not_text.clone())],
        };
        let sending = std::thread::spawn(move || {
            send(&here, &Request::Start(program), Some(writer.as_fd())).unwrap();
            send(&here, &Request::Stop, None).unwrap();
        });
        let (request, file) = receive::<Request>(&there).unwrap().unwrap();
        let Request::Start(program) = request else { panic!("{request:?}") };
        assert_eq!((program.folder, program.args[1].len()), (not_text, 300_000));
        std::fs::File::from(file.unwrap()).write_all(b"output").unwrap();
        assert!(matches!(receive::<Request>(&there).unwrap(), Some((Request::Stop, None))));
        sending.join().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "output");
        assert!(receive::<Request>(&there).unwrap().is_none());
    }
}
