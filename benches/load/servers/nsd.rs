//! NSD's words: static names, and no places at all. Its rate limit of 200 answers a second, on as it comes, would
//! silence it within a moment: it is off.

use super::{Site, path, words, write};
use crate::Result;
use crate::packet::ZONE;

impl Site<'_> {
    pub(super) fn nsd(&self) -> Result<Vec<String>> {
        let text = format!(
            "server:\n    ip-address: 127.0.0.1@{port}\n    server-count: {workers}\n    reuseport: {reuseport}\n    \
             zonesdir: \"{folder}\"\n    username: \"\"\n    chroot: \"\"\n    database: \"\"\n    \
             pidfile: \"\"\n    xfrdfile: \"\"\n    xfrdir: \"{folder}\"\n    zonelistfile: \"{folder}/zone.list\"\n    \
             zonefiles-check: yes\n    verbosity: 0\n    rrl-ratelimit: 0\n\
             remote-control:\n    control-enable: no\n\
             zone:\n    name: {ZONE}\n    zonefile: \"zone\"\n",
            port = self.port,
            workers = self.workers,
            reuseport = if self.workers > 1 { "yes" } else { "no" },
            folder = self.folder.display(),
        );
        let file = self.folder.join("nsd.conf");
        write(&file, &text)?;
        Ok(words(&["nsd", "-d", "-c", &path(&file)]))
    }
}
