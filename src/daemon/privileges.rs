//! From root to nobody in particular, once the sockets are open and before any thread is started.

use std::ffi::CString;
use std::fmt;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};

/// Why privileges could not be dropped: the server then does not start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DropError {
    /// `server.user` names nobody.
    NoUser(String),
    /// `server.group` names no group.
    NoGroup(String),
    /// `server.group` is set and there is no user to go with it.
    GroupWithoutUser,
    /// A system call failed.
    Refused(&'static str, Errno),
    /// The calls succeeded and yet root could be had again.
    NotDropped,
}

impl fmt::Display for DropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropError::NoUser(name) => write!(f, "there is no user {name:?} (server.user)"),
            DropError::NoGroup(name) => write!(f, "there is no group {name:?} (server.group)"),
            DropError::GroupWithoutUser => write!(f, "server.group is set without server.user"),
            DropError::Refused(call, error) => write!(f, "cannot drop privileges: {call}: {}", error.desc()),
            DropError::NotDropped => write!(f, "privileges were dropped and could be had again"),
        }
    }
}

impl std::error::Error for DropError {}

/// What became of the process's privileges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Privileges {
    /// It was not started as root.
    Unprivileged,
    /// It now runs as this user.
    Dropped(Uid, Gid),
    /// It stays root because nothing else was asked for.
    Root,
}

/// Becomes the user and group of the configuration if the process is root, and verifies that there is no
/// way back. Further programs gain nothing either (`no_new_privs`), whoever the user.
pub fn drop_privileges(user: Option<&str>, group: Option<&str>) -> Result<Privileges, DropError> {
    nix::sys::prctl::set_no_new_privs().map_err(|error| DropError::Refused("prctl", error))?;
    if !geteuid().is_root() {
        return Ok(Privileges::Unprivileged);
    }
    let Some(user) = user else {
        return if group.is_some() { Err(DropError::GroupWithoutUser) } else { Ok(Privileges::Root) };
    };
    let account = find_user(user)?;
    let gid = match group {
        Some(group) => find_group(group)?,
        None => account.gid,
    };
    // Groups first: afterwards nobody would let us.
    match &account.name {
        Some(name) => initgroups(name, gid).map_err(|error| DropError::Refused("initgroups", error))?,
        None => setgroups(&[gid]).map_err(|error| DropError::Refused("setgroups", error))?,
    }
    setgid(gid).map_err(|error| DropError::Refused("setgid", error))?;
    setuid(account.uid).map_err(|error| DropError::Refused("setuid", error))?;
    let way_back = setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok() && gid.as_raw() != 0;
    if !account.uid.is_root() && (way_back || geteuid() != account.uid || getegid() != gid) {
        return Err(DropError::NotDropped);
    }
    Ok(Privileges::Dropped(account.uid, gid))
}

/// The user and group that [`drop_privileges`] becomes; `None` if it stays what it is.
pub fn identity(user: Option<&str>, group: Option<&str>) -> Result<Option<(u32, u32)>, DropError> {
    let Some(user) = user.filter(|_| geteuid().is_root()) else { return Ok(None) };
    let account = find_user(user)?;
    let gid = match group {
        Some(group) => find_group(group)?,
        None => account.gid,
    };
    Ok(Some((account.uid.as_raw(), gid.as_raw())))
}

struct Account {
    uid: Uid,
    gid: Gid,
    /// As `initgroups` wants it; a bare number has no further groups.
    name: Option<CString>,
}

fn find_user(user: &str) -> Result<Account, DropError> {
    let none = || DropError::NoUser(user.to_owned());
    let found = User::from_name(user).map_err(|error| DropError::Refused("getpwnam", error))?;
    if let Some(found) = found {
        let name = CString::new(user).map_err(|_| none())?;
        return Ok(Account { uid: found.uid, gid: found.gid, name: Some(name) });
    }
    // A container made from scratch has no list of users; numbers work there.
    let number: u32 = user.parse().map_err(|_| none())?;
    Ok(Account { uid: Uid::from_raw(number), gid: Gid::from_raw(number), name: None })
}

fn find_group(group: &str) -> Result<Gid, DropError> {
    let found = Group::from_name(group).map_err(|error| DropError::Refused("getgrnam", error))?;
    match (found, group.parse()) {
        (Some(found), _) => Ok(found.gid),
        (None, Ok(number)) => Ok(Gid::from_raw(number)),
        (None, Err(_)) => Err(DropError::NoGroup(group.to_owned())),
    }
}

/// Raises the limit on open descriptors to what the system allows, and beyond that to what is wanted where the process
/// may: as root. Returns what it is then.
pub fn raise_descriptor_limit(wanted: u64) -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let beyond = (wanted > hard && geteuid().is_root()).then_some(wanted);
    for limit in beyond.into_iter().chain([hard]) {
        if soft < limit && setrlimit(Resource::RLIMIT_NOFILE, limit, limit.max(hard)).is_ok() {
            return Some(limit);
        }
    }
    Some(soft)
}
