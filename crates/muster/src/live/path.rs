//! Paths of endpoints, which may be of another system than this one.

use muster_model::Platform;

/// How an endpoint writes paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `/usr/bin`.
    Unix,
    /// `C:\Windows`.
    Windows,
}

impl Style {
    /// The style of an endpoint that has these drives.
    pub fn of(drives: &[String]) -> Self {
        if drives.iter().any(|drive| drive.ends_with('\\')) { Self::Windows } else { Self::Unix }
    }

    /// The style of an endpoint of this platform.
    pub fn of_platform(platform: Platform) -> Self {
        if platform == Platform::WINDOWS { Self::Windows } else { Self::Unix }
    }

    /// What stands between directories.
    pub const fn separator(self) -> char {
        match self {
            Self::Unix => '/',
            Self::Windows => '\\',
        }
    }

    /// Whether a character stands between directories; Windows takes both.
    pub const fn is_separator(self, char: char) -> bool {
        char == '/' || (char == '\\' && matches!(self, Self::Windows))
    }

    /// The whole path of what is named in a directory, without `.` and `..`. A separator at the end stays there.
    pub fn join(self, directory: &str, path: &str) -> String {
        let (root, rest) = self.root(path);
        let (root, mut parts) = match root {
            // A path of Windows may name the root and leave the drive to where one is.
            Some("") => (self.root(directory).0.unwrap_or_default(), Vec::new()),
            Some(root) => (root, Vec::new()),
            None => {
                let (root, rest) = self.root(directory);
                (root.unwrap_or_default(), self.parts(rest).collect())
            }
        };
        for part in self.parts(rest) {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let separator = self.separator();
        let mut whole = String::from(root);
        for part in &parts {
            whole.push(separator);
            whole.push_str(part);
        }
        if parts.is_empty() || rest.ends_with(|char| self.is_separator(char)) {
            whole.push(separator);
        }
        whole
    }

    /// The last name of a path, if it has one.
    pub fn name(self, path: &str) -> Option<&str> {
        self.parts(self.root(path).1).last()
    }

    /// A path up to its last separator, and what is behind it.
    pub fn split(self, path: &str) -> (&str, &str) {
        path.split_at(path.rfind(|char| self.is_separator(char)).map_or(0, |at| at + 1))
    }

    fn parts(self, path: &str) -> impl Iterator<Item = &str> {
        path.split(move |char| self.is_separator(char)).filter(|part| !part.is_empty())
    }

    /// What a path begins at, without the separator, and the rest; nothing if it begins where one is.
    fn root(self, path: &str) -> (Option<&str>, &str) {
        let begins = |text: &str| text.starts_with(|char| self.is_separator(char));
        if self == Self::Windows {
            let bytes = path.as_bytes();
            if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
                return (Some(&path[..2]), &path[2..]);
            }
            // A server and what it shares: \\server\share.
            if begins(path) && begins(&path[1..]) {
                let mut ends = path.char_indices().skip(2).filter(|(_, char)| self.is_separator(*char));
                let end = ends.nth(1).map_or(path.len(), |(at, _)| at);
                return (Some(&path[..end]), &path[end..]);
            }
        }
        if begins(path) { (Some(""), path) } else { (None, path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_both_systems_are_joined_as_a_shell_there_does() {
        let unix = [
            ("/", "tmp", "/tmp"),
            ("/tmp", "..", "/"),
            ("/a/b", "../c/./d", "/a/c/d"),
            ("/a", "/b//c/", "/b/c/"),
            ("/a", "x\\y", "/a/x\\y"),
            ("/", "../../..", "/"),
            ("/a", "", "/a"),
        ];
        for (directory, path, whole) in unix {
            assert_eq!(Style::Unix.join(directory, path), whole, "{directory} {path}");
        }
        let windows = [
            ("C:\\Windows", "system32", "C:\\Windows\\system32"),
            ("C:\\Windows", "..", "C:\\"),
            ("C:\\Windows", "\\temp", "C:\\temp"),
            ("C:\\Windows", "d:/a/b", "d:\\a\\b"),
            ("C:\\Windows", "D:", "D:\\"),
            ("C:\\a", "\\\\host\\share\\x\\..\\y", "\\\\host\\share\\y"),
            ("\\\\host\\share", "..\\z", "\\\\host\\share\\z"),
            ("C:\\a", "b\\", "C:\\a\\b\\"),
        ];
        for (directory, path, whole) in windows {
            assert_eq!(Style::Windows.join(directory, path), whole, "{directory} {path}");
        }
    }

    #[test]
    fn the_style_of_an_endpoint_is_seen_by_its_drives() {
        let drives = |drive: &str| Style::of(&[drive.to_owned()]);
        assert_eq!((drives("/"), drives("C:\\")), (Style::Unix, Style::Windows));
        let platforms = [Platform::LINUX, Platform::WINDOWS].map(Style::of_platform);
        assert_eq!(platforms, [Style::Unix, Style::Windows]);
        assert_eq!(Style::Windows.name("C:\\a\\b.txt"), Some("b.txt"));
        assert_eq!(Style::Windows.name("C:\\"), None);
        assert_eq!(Style::Unix.split("/usr/bi"), ("/usr/", "bi"));
        assert_eq!(Style::Unix.split("bi"), ("", "bi"));
    }
}
