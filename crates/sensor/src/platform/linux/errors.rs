//! What errors of the kernel are called.

use std::io;

use muster_live::Code;
use rustix::io::Errno;

use crate::commands::code;

/// The code of an error of the kernel, as tasks tell it. Source: reference/sensor.md section 11.
#[must_use]
pub fn of_task(error: &io::Error) -> i32 {
    let Some(errno) = Errno::from_io_error(error) else {
        return match error.kind() {
            io::ErrorKind::TimedOut => code::TIMEOUT,
            io::ErrorKind::Unsupported => code::NOT_SUPPORTED,
            _ => code::INVALID_FUNCTION,
        };
    };
    match errno {
        Errno::NOENT => code::FILE_NOT_FOUND,
        Errno::NOTDIR => code::PATH_NOT_FOUND,
        Errno::ACCESS | Errno::PERM => code::ACCESS_DENIED,
        Errno::BADF => 6,
        Errno::NOMEM => 8,
        Errno::ROFS => 19,
        Errno::IO => 30,
        Errno::AGAIN => 32,
        Errno::OPNOTSUPP | Errno::NOSYS => code::NOT_SUPPORTED,
        Errno::NETUNREACH | Errno::HOSTUNREACH => 53,
        Errno::EXIST => 80,
        Errno::SRCH | Errno::INVAL => code::INVALID_PARAMETER,
        Errno::NOTEMPTY => 145,
        Errno::BUSY | Errno::TXTBSY => code::BUSY,
        Errno::NOEXEC => 193,
        Errno::NAMETOOLONG => 206,
        Errno::FBIG => code::FILE_TOO_LARGE,
        Errno::ISDIR => code::DIRECTORY,
        Errno::FAULT => code::INVALID_ADDRESS,
        Errno::TIMEDOUT => code::TIMEOUT,
        Errno::PIPE => 109,
        Errno::NOSPC | Errno::DQUOT => 112,
        _ => code::INVALID_FUNCTION,
    }
}

/// The code of an error of the kernel, as sessions tell it. Source: reference/live-response.md section 8.5.
#[must_use]
pub fn of_session(error: &io::Error) -> Code {
    let Some(errno) = Errno::from_io_error(error) else {
        return match error.kind() {
            io::ErrorKind::TimedOut => Code::TIMEOUT,
            // A path with a zero byte in it, before the kernel was asked.
            io::ErrorKind::InvalidInput => Code::INVALID_NAME,
            io::ErrorKind::Unsupported => Code::NOT_SUPPORTED,
            _ => Code::GEN_FAILURE,
        };
    };
    match errno {
        Errno::NOENT => Code::FILE_NOT_FOUND,
        Errno::NOTDIR => Code::PATH_NOT_FOUND,
        Errno::ACCESS | Errno::PERM | Errno::ISDIR => Code::ACCESS_DENIED,
        Errno::ROFS => Code::WRITE_PROTECT,
        Errno::EXIST => Code::ALREADY_EXISTS,
        Errno::NOTEMPTY => Code::DIR_NOT_EMPTY,
        Errno::INVAL | Errno::SRCH => Code::INVALID_PARAMETER,
        Errno::NOSPC | Errno::DQUOT => Code::DISK_FULL,
        Errno::NAMETOOLONG => Code::FILENAME_TOO_LONG,
        Errno::LOOP => Code::CANT_RESOLVE_FILENAME,
        Errno::MFILE | Errno::NFILE => Code::TOO_MANY_OPEN_FILES,
        Errno::NOMEM => Code::NOT_ENOUGH_MEMORY,
        Errno::TXTBSY => Code::SHARING_VIOLATION,
        Errno::BUSY => Code::BUSY,
        Errno::NOEXEC => Code::BAD_EXE_FORMAT,
        Errno::OPNOTSUPP | Errno::NOSYS => Code::NOT_SUPPORTED,
        Errno::IO => Code::IO_DEVICE,
        Errno::TIMEDOUT => Code::TIMEOUT,
        _ => Code::GEN_FAILURE,
    }
}
