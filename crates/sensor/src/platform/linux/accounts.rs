//! User accounts, from the files that hold them.

use std::fs;
use std::io;

use crate::platform::shapes::Account;

/// What names an account for the kernel.
pub type Id = u32;

/// Names of all accounts, for many look-ups.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(Id, String)>);

impl Names {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self(parse(&text, "", "").into_iter().map(|account| (account.id, account.name)).collect())
    }

    /// The first name of this id.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<String> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, name)| name.clone())
    }
}

/// All accounts, in the order of their file.
///
/// # Errors
///
/// What the kernel says.
pub fn accounts() -> io::Result<Vec<Account>> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    Ok(parse(&fs::read_to_string("/etc/passwd")?, &read("/etc/shadow"), &read("/etc/group")))
}

fn parse(passwd: &str, shadow: &str, group: &str) -> Vec<Account> {
    let account = |line: &str| {
        let mut columns = line.split(':');
        let name = columns.next()?.to_owned();
        let (uid, gid) = (columns.nth(1)?.parse().ok()?, columns.next()?.parse().ok()?);
        let mut rest = || columns.next().unwrap_or_default().to_owned();
        let (full_name, home, shell) = (rest(), rest(), rest());
        Some(Account {
            is_locked: is_locked(shadow, &name),
            groups: groups(group, &name, gid),
            name,
            id: uid,
            group: Some(gid),
            full_name,
            home,
            shell,
        })
    };
    passwd.lines().filter_map(account).collect()
}

fn is_locked(shadow: &str, name: &str) -> Option<bool> {
    let mut columns =
        shadow.lines().map(|line| line.split(':')).find_map(|mut line| (line.next()? == name).then_some(line))?;
    columns.next().map(|password| password.starts_with(['!', '*']))
}

fn groups(group: &str, name: &str, gid: u32) -> Vec<String> {
    let is_in = |line: &str| {
        let columns: Vec<&str> = line.split(':').collect();
        let [title, _, id, members] = columns.as_slice() else { return None };
        let belongs = id.parse() == Ok(gid) || members.split(',').any(|member| member == name);
        belongs.then(|| (*title).to_owned())
    };
    group.lines().filter_map(is_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_put_together_from_three_files() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nana:x:1000:1000:Ana,,,:/home/ana:/bin/sh\n";
        let shadow = "root:!:1::::::\nana:$6$x:1::::::\n";
        let group = "root:x:0:\nana:x:1000:\nsudo:x:27:eva,ana\n";
        let all = parse(passwd, shadow, group);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].is_locked, all[1].is_locked), (Some(true), Some(false)));
        assert_eq!(all[1].groups, ["ana", "sudo"]);
    }
}
