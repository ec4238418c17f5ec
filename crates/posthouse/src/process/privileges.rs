//! Giving up what a mail server does not need, for good. Each step is checked afterwards: a server that believes it is
//! harmless and is not would be worse than one that says so and stops.

use std::{fs, io};

use anyhow::{Context as _, ensure};
use rustix::{
    fs::Mode,
    process::{
        DumpableBehavior, Gid, Resource, Rlimit, Uid, getegid, geteuid, getgroups, set_dumpable_behavior, setrlimit,
        umask,
    },
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};

use super::Account;

/// What an account of its own may do beyond its files: nothing.
pub(super) const NOTHING: CapabilitySet = CapabilitySet::empty();
/// What a server that stays root keeps: it goes on with the files that it was begun with, whosever they are.
pub(super) const FILES_OF_OTHERS: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// No core dumps, no reading of the memory by other processes of the same user, and no file for others to read.
pub(super) fn keep_memory_private() {
    umask(Mode::RWXG | Mode::RWXO);
    let dumps = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable).and(dumps) {
        tracing::warn!(%error, "cannot forbid core dumps: passwords and keys could end in one");
    }
}

/// Becomes an account, without groups and capabilities beside its own, and without a way back.
pub(super) fn become_account(account: &Account) -> anyhow::Result<()> {
    ensure_alone()?;
    drop_bounding(NOTHING)?;
    set_thread_groups(&[]).context("dropping the groups of root")?;
    let Account { uid, gid, .. } = account;
    set_thread_res_gid(*gid, *gid, *gid).context("changing the group")?;
    set_thread_res_uid(*uid, *uid, *uid).context("changing the user")?;
    ensure!(getgroups()?.is_empty(), "the groups of root are still there");
    ensure!((geteuid(), getegid()) == (*uid, *gid), "the system did not change the user");
    let back = set_thread_res_uid(*uid, Uid::ROOT, *uid);
    ensure!(back.is_err() && set_thread_groups(&[Gid::ROOT]).is_err(), "the way back to root is still open");
    give_up(NOTHING)
}

/// Gives up every capability but `kept`, and the gaining of others.
pub(super) fn give_up(kept: CapabilitySet) -> anyhow::Result<()> {
    ensure_alone()?;
    drop_bounding(kept)?;
    // A kernel without ambient capabilities has none to clear.
    let _old_kernel = clear_ambient_capability_set().is_err();
    let have = capabilities(None).context("reading the capabilities")?;
    let left = have.permitted & kept;
    let sets = CapabilitySets { effective: have.effective & left, permitted: left, inheritable: NOTHING };
    set_capabilities(None, sets).context("giving up capabilities")?;
    set_no_new_privs(true).context("forbidding new privileges")?;
    ensure!(capabilities(None)?.permitted == left && no_new_privs()?, "privileges are still there");
    Ok(())
}

/// Empties the bounding set. Whoever may not do that has no capability to lose there: no_new_privs sees to the rest.
fn drop_bounding(kept: CapabilitySet) -> anyhow::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).context("emptying the bounding set"),
        }
    }
    Ok(())
}

/// Credentials belong to a thread: with a second one they would be given up by half.
fn ensure_alone() -> anyhow::Result<()> {
    let threads = match fs::read_dir("/proc/self/task") {
        Ok(threads) => threads.count(),
        // Without /proc the order of things in `serve` has to be believed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
        Err(error) => return Err(error).context("counting threads"),
    };
    ensure!(threads <= 1, "a bug: {threads} threads run already");
    Ok(())
}
