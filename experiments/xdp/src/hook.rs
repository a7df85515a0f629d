//! The programs in the receive hook: loaded, filled, attached and taken off.

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::programs::xdp::{XdpLinkId, XdpMode};
use aya::{Ebpf, EbpfLoader};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::Result;
use crate::hot::{Answer, Hot, NameKey};
use crate::world::{PORT, SERVER};

/// The interface in the server's namespace.
pub const INTERFACE: &str = "server";
/// The interface in the client's.
pub const CLIENT_INTERFACE: &str = "client";

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/dns.bpf.o"));

/// How the program is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By the driver, before there is a socket buffer.
    Native,
    /// By the stack, behind a driver that knows nothing of it.
    Generic,
}

/// What filling the maps took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filled {
    /// Names and answers.
    pub names: Duration,
    /// The flat table.
    pub flat: Duration,
    /// The trie.
    pub trie: Duration,
}

/// The loaded programs. Whatever is attached goes with the value.
pub struct Hook {
    ebpf: Ebpf,
    attached: Option<(&'static str, XdpLinkId)>,
}

impl Hook {
    /// Loads all programs; nothing is attached yet.
    pub fn load(payload_octets: u16) -> Result<Hook> {
        let address = u32::from_ne_bytes(SERVER.octets());
        let port = PORT.to_be();
        let mut ebpf = EbpfLoader::new()
            .override_global("server_address", &address, true)
            .override_global("server_port", &port, true)
            .override_global("payload_octets", &payload_octets, true)
            .load(OBJECT)?;
        for name in ["answer_flat", "answer_bare", "answer_trie", "reflect", "redirect", "pass"] {
            let program: &mut Xdp = ebpf.program_mut(name).ok_or("no such program")?.try_into()?;
            program.load()?;
        }
        Ok(Hook { ebpf, attached: None })
    }

    /// Fills the maps of the answering programs.
    pub fn fill(&mut self, hot: &Hot) -> Result<Filled> {
        let mut filled = Filled::default();
        let start = Instant::now();
        let mut answers: Array<_, Answer> = self.ebpf.map_mut("answers").ok_or("no map")?.try_into()?;
        for (number, answer) in hot.answers.iter().enumerate() {
            answers.set(number as u32, answer, 0)?;
        }
        let mut names: HashMap<_, NameKey, [u32; 2]> =
            self.ebpf.map_mut("names").ok_or("no map")?.try_into()?;
        for (key, value) in &hot.names {
            names.insert(key, value, 0)?;
        }
        filled.names = start.elapsed();
        let start = Instant::now();
        let mut flat: Array<_, [u16; 256]> =
            self.ebpf.map_mut("flat_networks").ok_or("no map")?.try_into()?;
        for (index, row) in hot.flat.iter().enumerate() {
            flat.set(index as u32, row, 0)?;
        }
        filled.flat = start.elapsed();
        let start = Instant::now();
        let mut trie: LpmTrie<_, [u8; 8], u32> =
            self.ebpf.map_mut("trie_networks").ok_or("no map")?.try_into()?;
        for (service, network, length, value) in &hot.networks {
            let mut data = [0; 8];
            data[..4].copy_from_slice(&service.to_be_bytes());
            data[4..].copy_from_slice(&network.to_be_bytes());
            trie.insert(&Key::new(32 + u32::from(*length), data), value, 0)?;
        }
        filled.trie = start.elapsed();
        Ok(filled)
    }

    /// Registers the AF_XDP socket of a queue.
    pub fn register(&mut self, queue: u32, socket: impl AsRawFd) -> Result<()> {
        let mut sockets: XskMap<_> = self.ebpf.map_mut("sockets").ok_or("no map")?.try_into()?;
        Ok(sockets.set(queue, socket, 0)?)
    }

    /// Puts a program in the hook of an interface of the calling thread's network namespace.
    pub fn attach(&mut self, name: &'static str, interface: &str, mode: Mode) -> Result<()> {
        self.detach()?;
        let mode = match mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        let program: &mut Xdp = self.ebpf.program_mut(name).ok_or("no such program")?.try_into()?;
        self.attached = Some((name, program.attach(interface, mode)?));
        Ok(())
    }

    /// Takes it off again.
    pub fn detach(&mut self) -> Result<()> {
        if let Some((name, link)) = self.attached.take() {
            let program: &mut Xdp = self.ebpf.program_mut(name).ok_or("no such program")?.try_into()?;
            program.detach(link)?;
        }
        Ok(())
    }

    /// How long a program has run in all, and how often, while the kernel counted that.
    pub fn run_time(&self, name: &str) -> Result<(Duration, u64)> {
        let info = self.ebpf.program(name).ok_or("no such program")?.info()?;
        Ok((info.run_time(), info.run_count()))
    }

    /// Answered static, answered steered, passed on (of the datagrams to the server), since it was loaded.
    pub fn counts(&self) -> Result<[u64; 3]> {
        let counters: PerCpuArray<_, u64> = self.ebpf.map("counters").ok_or("no map")?.try_into()?;
        let mut counts = [0; 3];
        for (index, count) in counts.iter_mut().enumerate() {
            *count = counters.get(&(index as u32), 0)?.iter().sum();
        }
        Ok(counts)
    }
}
