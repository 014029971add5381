//! Result codes of commands. Source: reference/live-response.md section 8.4.

/// A Win32 error code; 0 is success. Sensors on every system use these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

#[allow(missing_docs, reason = "the names are those of the published table")]
impl Code {
    pub const SUCCESS: Self = Self(0);
    pub const FILE_NOT_FOUND: Self = Self(2);
    pub const PATH_NOT_FOUND: Self = Self(3);
    pub const TOO_MANY_OPEN_FILES: Self = Self(4);
    pub const ACCESS_DENIED: Self = Self(5);
    pub const NOT_ENOUGH_MEMORY: Self = Self(8);
    pub const WRITE_PROTECT: Self = Self(19);
    pub const GEN_FAILURE: Self = Self(31);
    pub const SHARING_VIOLATION: Self = Self(32);
    pub const NOT_SUPPORTED: Self = Self(50);
    pub const INVALID_PARAMETER: Self = Self(87);
    pub const DISK_FULL: Self = Self(112);
    pub const INVALID_NAME: Self = Self(123);
    pub const DIR_NOT_EMPTY: Self = Self(145);
    pub const BUSY: Self = Self(170);
    pub const ALREADY_EXISTS: Self = Self(183);
    pub const BAD_EXE_FORMAT: Self = Self(193);
    pub const FILENAME_TOO_LONG: Self = Self(206);
    pub const DIRECTORY: Self = Self(267);
    pub const OPERATION_ABORTED: Self = Self(995);
    pub const BADKEY: Self = Self(1010);
    pub const IO_DEVICE: Self = Self(1117);
    pub const CANCELLED: Self = Self(1223);
    pub const NO_SYSTEM_RESOURCES: Self = Self(1450);
    pub const TIMEOUT: Self = Self(1460);
    pub const INVALID_DATATYPE: Self = Self(1804);
    pub const CANT_RESOLVE_FILENAME: Self = Self(1921);

    /// As clients read it: an HRESULT, `0x80070000` and the code, as an unsigned number; 0 stays 0.
    #[must_use]
    pub const fn hresult(self) -> u32 {
        if self.0 == 0 { 0 } else { 0x8007_0000 | (self.0 & 0xffff) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_the_published_decimals() {
        let pairs = [(Code::SUCCESS, 0), (Code::FILE_NOT_FOUND, 2_147_942_402), (Code::NOT_SUPPORTED, 2_147_942_450)];
        for (code, decimal) in pairs.into_iter().chain([(Code::TIMEOUT, 2_147_943_860)]) {
            assert_eq!(code.hresult(), decimal);
        }
    }
}
