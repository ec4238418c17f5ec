//! As whom the process runs. Names are looked up in `/etc/passwd` and `/etc/group`, for there is no safe way to ask the C
//! library; an account that a directory service knows is written as numbers.
//!
//! | started by | `user` | runs as |
//! | --- | --- | --- |
//! | root | a name or number | that account, after binding |
//! | root | `root` | root, with no more power than over files |
//! | root | not there | the account `posthouse` if there is one; else root, with a warning at every start |
//! | anybody else | not there, or itself | itself |

use std::{fmt, fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::Context as _;
use rustix::process::{Gid, Uid};

use crate::config::Config;

/// The account that a server of root becomes when nothing says otherwise.
const DEFAULT: &str = "posthouse";

/// A user and a group of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// What it is called: a name, or its number.
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the user {} (uid {}, gid {})", self.name, self.uid.as_raw(), self.gid.as_raw())
    }
}

/// What the process is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It stays who it is, and is not root.
    Own,
    /// It is root and becomes somebody.
    Become(Account),
    /// It is root and was told to stay that.
    RootAsked,
    /// It is root and nobody said what it should be.
    RootUnasked,
}

impl Standing {
    /// That of a server.
    pub(crate) fn of(user: Option<&str>, group: Option<&str>) -> anyhow::Result<Self> {
        let files = Files::read();
        let me = rustix::process::geteuid();
        choose(me, user, group, &files)
    }

    /// That of a command on the files of a server: whose data_dir is, he is. An empty one is the server's already, for the
    /// first start gives it to its account.
    pub(crate) fn of_command(config: &Config) -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let begun = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        match owner(&config.data_dir).filter(|_| begun(&config.data_dir)) {
            Some(owner) if !owner.uid.is_root() => Ok(Self::Become(owner)),
            Some(_) => Ok(Self::RootAsked),
            None => Self::of(config.user.as_deref(), config.group.as_deref()),
        }
    }

    /// Whom the files are for, when that is not whoever makes them.
    pub(crate) fn account(&self) -> Option<&Account> {
        match self {
            Self::Become(account) => Some(account),
            Self::Own | Self::RootAsked | Self::RootUnasked => None,
        }
    }
}

fn owner(path: &Path) -> Option<Account> {
    let found = fs::metadata(path).ok()?;
    Some(Account { name: found.uid().to_string(), uid: Uid::from_raw(found.uid()), gid: Gid::from_raw(found.gid()) })
}

fn choose(me: Uid, user: Option<&str>, group: Option<&str>, files: &Files) -> anyhow::Result<Standing> {
    let wanted = match user {
        Some(user) => Some(files.account(user, group)?),
        None if group.is_some() => anyhow::bail!("`group` needs `user`: write both, or neither"),
        None => None,
    };
    if !me.is_root() {
        if let Some(wanted) = wanted.filter(|wanted| wanted.uid != me) {
            anyhow::bail!(
                "only root can become {wanted}, and this is uid {}: start it as root or as that user",
                me.as_raw()
            );
        }
        return Ok(Standing::Own);
    }
    Ok(match wanted {
        Some(wanted) if wanted.uid.is_root() => Standing::RootAsked,
        Some(wanted) => Standing::Become(wanted),
        None => files.account(DEFAULT, None).map_or(Standing::RootUnasked, Standing::Become),
    })
}

/// The system's accounts.
struct Files {
    passwd: String,
    group: String,
}

impl Files {
    fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// The account of a name or number, in the group of another or its own.
    fn account(&self, user: &str, group: Option<&str>) -> anyhow::Result<Account> {
        let known = line(&self.passwd, user);
        let field = |index: usize| known.as_ref().and_then(|fields| fields.get(index)?.parse::<u32>().ok());
        let uid = field(2).or_else(|| user.parse().ok()).with_context(|| {
            format!(
                "there is no user `{user}` in /etc/passwd; make one with `useradd --system {user}`, or write its number"
            )
        })?;
        let gid = match group {
            Some(group) => self.gid(group)?,
            None => field(3).with_context(|| format!("the user `{user}` is a number; write its `group`, too"))?,
        };
        anyhow::ensure!(uid != u32::MAX && gid != u32::MAX, "{} is no number of an account", u32::MAX);
        Ok(Account { name: user.to_owned(), uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }

    fn gid(&self, group: &str) -> anyhow::Result<u32> {
        let known = line(&self.group, group).and_then(|fields| fields.get(2)?.parse().ok());
        known.or_else(|| group.parse().ok()).with_context(|| {
            format!("there is no group `{group}` in /etc/group; make it with `groupadd`, or write its number")
        })
    }
}

/// The fields of the line that a name or a number in the third field stands for.
fn line<'f>(file: &'f str, wanted: &str) -> Option<Vec<&'f str>> {
    let lines = || file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by = |index: usize| lines().find(|fields| fields.get(index) == Some(&wanted));
    by(0).or_else(|| by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(with_default: bool) -> Files {
        let mut passwd = "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n".to_owned();
        if with_default {
            passwd.push_str("posthouse:x:999:998::/nonexistent:/usr/sbin/nologin\n");
        }
        Files { passwd, group: "root:x:0:\nmail:x:8:\nssl-cert:x:107:\n".into() }
    }

    fn become_of(name: &str, uid: u32, gid: u32) -> Standing {
        Standing::Become(Account { name: name.into(), uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }

    fn check(me: u32, user: Option<&str>, group: Option<&str>, with_default: bool, expect: &Standing) {
        let standing = choose(Uid::from_raw(me), user, group, &files(with_default)).unwrap();
        assert_eq!(standing, *expect, "{me} {user:?} {group:?}");
    }

    #[test]
    fn as_whom_a_server_runs() {
        check(0, Some("mail"), None, true, &become_of("mail", 8, 8));
        check(0, Some("mail"), Some("ssl-cert"), true, &become_of("mail", 8, 107));
        check(0, Some("1234"), Some("77"), true, &become_of("1234", 1234, 77));
        check(0, Some("8"), None, true, &become_of("8", 8, 8));
        check(0, Some("root"), None, true, &Standing::RootAsked);
        check(0, None, None, true, &become_of("posthouse", 999, 998));
        check(0, None, None, false, &Standing::RootUnasked);
        check(8, None, None, true, &Standing::Own);
        check(8, Some("mail"), None, true, &Standing::Own);
    }

    fn check_refused(me: u32, user: Option<&str>, group: Option<&str>, expect: &str) {
        let error = choose(Uid::from_raw(me), user, group, &files(true)).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_cannot_be() {
        check_refused(0, Some("nobody-here"), None, "no user `nobody-here`");
        check_refused(0, Some("mail"), Some("none"), "no group `none`");
        check_refused(0, Some("1234"), None, "write its `group`");
        check_refused(0, None, Some("mail"), "`group` needs `user`");
        check_refused(8, Some("posthouse"), None, "only root can become the user posthouse");
        check_refused(0, Some("4294967295"), Some("1"), "no number of an account");
    }
}
