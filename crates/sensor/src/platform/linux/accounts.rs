//! User accounts, from the files that hold them.

use std::fs;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of the account file")]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub full_name: String,
    pub home: String,
    pub shell: String,
    /// The password is locked; `None` when that cannot be read.
    pub is_locked: Option<bool>,
    pub groups: Vec<String>,
}

/// Name of the account with this id.
#[must_use]
pub fn user_name(uid: u32) -> Option<String> {
    Names::read().get(uid).map(str::to_owned)
}

/// Names of all accounts, for many look-ups.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(u32, String)>);

impl Names {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self(parse(&text, "", "").into_iter().map(|account| (account.uid, account.name)).collect())
    }

    /// The first name of this id.
    #[must_use]
    pub fn get(&self, uid: u32) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == uid).map(|(_, name)| name.as_str())
    }
}

/// All accounts, in the order of their file.
#[must_use]
pub fn accounts() -> Vec<Account> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/etc/passwd"), &read("/etc/shadow"), &read("/etc/group"))
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
            uid,
            gid,
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
