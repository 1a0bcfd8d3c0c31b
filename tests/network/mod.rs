//! Machines on one machine: network namespaces with an address each, joined by a bridge in a namespace of its own. Nothing
//! of the machine's own network is touched, and everything goes away with the value, also after a panic.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Machines `1..=count` with the addresses 10.77.0.1, 10.77.0.2 and so on.
#[derive(Debug)]
pub struct Network {
    prefix: String,
    count: u8,
}

/// Whether namespaces can be made here: as root, with iproute2, where the kernel lets us.
pub fn available() -> bool {
    let name = unique();
    ip(&["netns", "add", &name]).is_ok() && ip(&["netns", "delete", &name]).is_ok()
}

/// A name that no other test uses, in this process or another.
fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("muster-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Network {
    pub fn new(count: u8) -> Self {
        let network = Self { prefix: unique(), count };
        let switch = network.name(0);
        must(&["netns", "add", &switch]);
        must(&["-netns", &switch, "link", "add", "bridge", "type", "bridge"]);
        must(&["-netns", &switch, "link", "set", "bridge", "up"]);
        for machine in 1..=count {
            network.attach(machine);
        }
        network
    }

    fn attach(&self, machine: u8) {
        let (switch, name) = (self.name(0), self.name(machine));
        let port = format!("port{machine}");
        let address = format!("{}/24", self.address(machine));
        must(&["netns", "add", &name]);
        must(&["-netns", &name, "link", "set", "lo", "up"]);
        must(&[
            "-netns", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &switch,
        ]);
        must(&["-netns", &name, "address", "add", &address, "dev", "eth0"]);
        must(&["-netns", &name, "link", "set", "eth0", "up"]);
        must(&["-netns", &switch, "link", "set", &port, "master", "bridge", "up"]);
    }

    /// The address of a machine.
    pub fn address(&self, machine: u8) -> String {
        assert!((1..=self.count).contains(&machine));
        format!("10.77.0.{machine}")
    }

    /// What to put before a command so that it runs on a machine.
    pub fn on(&self, machine: u8) -> Vec<String> {
        ["ip", "netns", "exec", &self.name(machine)].map(str::to_owned).to_vec()
    }

    /// The same, where the `hidden` folders and files are there but empty.
    pub fn on_without(&self, machine: u8, hidden: &[PathBuf]) -> Vec<String> {
        // `ip netns exec` gives every command a mount namespace of its own.
        let script = "while [ \"$1\" != -- ]; do \
            if [ -d \"$1\" ]; then mount -t tmpfs none \"$1\"; else mount --bind /dev/null \"$1\"; fi || exit 9; \
            shift; done; shift; exec \"$@\"";
        let mut words = self.on(machine);
        words.extend(["sh", "-c", script, "sh"].map(str::to_owned));
        words.extend(hidden.iter().map(|path| path.to_str().unwrap().to_owned()));
        words.push("--".to_owned());
        words
    }

    /// Nothing comes from or to a machine any more, and nobody is told.
    pub fn cut(&self, machine: u8) {
        self.set_port(machine, "0");
    }

    /// Undoes [`Network::cut`].
    pub fn join(&self, machine: u8) {
        self.set_port(machine, "3");
    }

    /// What the machine's port of the bridge does, as the kernel numbers it: 0 nothing, 3 forward.
    fn set_port(&self, machine: u8, state: &str) {
        let port = format!("port{machine}");
        self.run_on(0, &["bridge", "link", "set", "dev", &port, "state", state]);
    }

    /// What `from` sends to `to` is lost; what comes back is not.
    pub fn mute(&self, from: u8, to: u8) {
        // Frames to an address that no machine has.
        let address = self.address(to);
        let nobody = "02:00:00:00:00:01";
        must(&[
            "-netns",
            &self.name(from),
            "neighbour",
            "replace",
            &address,
            "lladdr",
            nobody,
            "nud",
            "permanent",
            "dev",
            "eth0",
        ]);
    }

    /// Undoes [`Network::mute`].
    pub fn unmute(&self, from: u8, to: u8) {
        let address = self.address(to);
        must(&["-netns", &self.name(from), "neighbour", "delete", &address, "dev", "eth0"]);
    }

    /// Lets a machine receive no more than so much, as `tc` spells it.
    pub fn slow(&self, machine: u8, rate: &str) {
        let port = format!("port{machine}");
        let words = ["tc", "qdisc", "replace", "dev", &port, "root", "tbf", "rate", rate, "burst", "16kb"];
        self.run_on(0, &[&words[..], &["latency", "400ms"]].concat());
    }

    fn run_on(&self, machine: u8, words: &[&str]) {
        let before = self.on(machine);
        let output = Command::new(&before[0]).args(&before[1..]).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", words.join(" "));
    }

    fn name(&self, machine: u8) -> String {
        format!("{}-{machine}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in 0..=self.count {
            // Links end with the namespaces that hold them.
            let _ = ip(&["netns", "delete", &self.name(machine)]);
        }
    }
}

fn must(arguments: &[&str]) {
    ip(arguments).unwrap_or_else(|error| panic!("ip {}: {error}", arguments.join(" ")));
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    match Command::new("ip").args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
