//! How many strangers an address may have at the door. Whoever connects is a stranger until a certificate says who he
//! is; strangers wait for a place of their address, and must be quick while others wait. So nobody needs more memory
//! than some connections do, and nobody keeps others of the same address out for long.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

/// Strangers of one address that are looked after at the same time.
pub const STRANGERS_PER_ADDRESS_MAX: usize = 6;
/// How long a stranger may keep his place while others of his address wait for one.
const PATIENCE: Duration = Duration::from_secs(1);

/// The places of all addresses.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    patience: Duration,
    doors: Arc<Mutex<BTreeMap<IpAddr, Door>>>,
}

#[derive(Debug)]
struct Door {
    places: Arc<Semaphore>,
    /// Who waits for a place.
    waiting: watch::Sender<usize>,
    /// Who waits or has a place.
    guests: usize,
}

/// A stranger at the door of his address.
#[derive(Debug)]
pub(super) struct Stranger {
    gate: Gate,
    address: IpAddr,
    places: Arc<Semaphore>,
    waiting: watch::Receiver<usize>,
    place: Option<OwnedSemaphorePermit>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { patience: PATIENCE, doors: Arc::default() }
    }
}

impl Gate {
    /// Somebody is at the door.
    pub(super) fn stranger(&self, address: IpAddr) -> Stranger {
        let address = network(address);
        let mut doors = self.lock();
        let door = doors.entry(address).or_insert_with(|| Door {
            places: Arc::new(Semaphore::new(STRANGERS_PER_ADDRESS_MAX)),
            waiting: watch::Sender::new(0),
            guests: 0,
        });
        door.guests += 1;
        let (places, waiting) = (Arc::clone(&door.places), door.waiting.subscribe());
        drop(doors);
        Stranger { gate: self.clone(), address, places, waiting, place: None }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, address: IpAddr, change: impl FnOnce(&mut usize)) {
        if let Some(door) = self.lock().get(&address) {
            door.waiting.send_modify(change);
        }
    }
}

impl Stranger {
    /// Waits for a place; it is kept until this is dropped.
    pub(super) async fn enter(&mut self) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.place = Some(place);
            return;
        }
        let _waiting = Waiting::new(self.gate.clone(), self.address);
        // The semaphore is never closed.
        self.place = Arc::clone(&self.places).acquire_owned().await.ok();
    }

    /// Returns when it is time to make room: others wait, and this one was let in long enough ago.
    pub(super) async fn must_go(&mut self) {
        sleep(self.gate.patience).await;
        if self.waiting.wait_for(|&waiting| waiting > 0).await.is_err() {
            // There is no door any more, so nobody waits at it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut doors = self.gate.lock();
        if let Some(door) = doors.get_mut(&self.address) {
            door.guests -= 1;
            if door.guests == 0 {
                doors.remove(&self.address);
            }
        }
    }
}

/// Counted among those who wait, until it is dropped.
struct Waiting(Gate, IpAddr);

impl Waiting {
    fn new(gate: Gate, address: IpAddr) -> Self {
        gate.wait(address, |waiting| *waiting += 1);
        Self(gate, address)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.wait(self.1, |waiting| *waiting -= 1);
    }
}

/// Who has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    /// Something that happens at once, also on a busy machine.
    const SOON: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn strangers_wait_for_a_place_and_must_be_quick_then() {
        let gate = Gate { patience: SHORT, ..Gate::default() };
        let here = address("192.0.2.1");
        let mut inside: Vec<Stranger> = Vec::new();
        for _ in 0..STRANGERS_PER_ADDRESS_MAX {
            inside.push(gate.stranger(here));
            timeout(SOON, inside.last_mut().unwrap().enter()).await.unwrap();
        }
        assert!(timeout(SHORT * 5, inside[0].must_go()).await.is_err(), "nobody waits");
        let mut late = gate.stranger(here);
        let entered = tokio::spawn(async move { late.enter().await });
        timeout(SOON, inside[0].must_go()).await.unwrap();
        assert!(!entered.is_finished());
        timeout(SOON, gate.stranger(address("192.0.2.2")).enter()).await.unwrap();
        inside.remove(0);
        timeout(SOON, entered).await.unwrap().unwrap();
        drop(inside);
        assert!(gate.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::2:3")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
