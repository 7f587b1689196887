//! Descriptors as a budget: how many there are, who holds them, and who gives some back.
//!
//! A client may know far more objects than a process may have descriptors. What is held for one is
//! therefore given back when others need it, oldest first and not lately used, and found again
//! later: see [`Parkable`]. Nothing here knows what is held.
//!
//! Who can do without one says so when it begins to hold it, but only while descriptors are scarce:
//! most are closed long before anybody needs them. When they become scarce, all holders are asked once.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use rustix::io::Errno;

use crate::locked;
use crate::sys::{self, Result, identity};

/// Most descriptors given back at once: each takes three system calls, and the request that needs one
/// waits for all.
const BATCH_MAX: usize = 16;

/// Fewest descriptors of a budget: a request may hold some at once, and a client has so many
/// whatever others hold.
const MIN: usize = 12;

/// Fewest that are gone for which it is worth looking.
const GONE_MIN: usize = 64;

/// Most descriptors that are held before they are scarce.
const SCARCE_MIN_MAX: usize = 4096;

/// How often a request tries again when others are quicker.
const ATTEMPTS: usize = 8;

/// Descriptors of the process that are not for objects: one in so many, and no less than
/// [`RESERVE_MIN`]. They are for connections and for what a request opens only while it runs.
const RESERVE_PART: usize = 4;
const RESERVE_MIN: usize = 64;
const RESERVE_MAX: usize = 20_480;

/// What became of an attempt to give a descriptor back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    /// It is given back.
    Yes,
    /// It was given back before, or an open file has it too, so that this makes no room.
    Already,
    /// It is in use, or was a moment ago: to be asked again later.
    Later,
    /// What it is of could not be found again: not to be asked before its next use.
    Never,
}

/// What holds a descriptor and can do without for a time.
pub(super) trait Parkable: Send + Sync {
    /// Gives the descriptor back if what it is of can be found again.
    fn park(self: Arc<Self>) -> Parked;
}

/// What holds many, and is asked when descriptors become scarce.
pub(crate) trait Holder: Send + Sync {
    /// Offers all that is held and can do without: [`Keeper::offer`].
    fn offer_all(&self);
}

/// What may be asked to give its descriptor back.
pub(super) enum Offer {
    /// As long as it lives.
    OfLiving(Weak<dyn Parkable>),
    /// Whatever becomes of who offers it.
    OfAny(Arc<dyn Parkable>),
}

impl Offer {
    fn holds(&self) -> Option<Arc<dyn Parkable>> {
        match self {
            Self::OfLiving(holds) => holds.upgrade(),
            Self::OfAny(holds) => Some(Arc::clone(holds)),
        }
    }

    fn is_alive(&self) -> bool {
        match self {
            Self::OfLiving(holds) => holds.strong_count() > 0,
            Self::OfAny(_) => true,
        }
    }
}

/// The descriptors that all exports of a process may use together.
pub struct Budget {
    max: usize,
    held: AtomicUsize,
    /// So many are held that it must be known who can do without.
    scarce: AtomicBool,
    /// Whether anything was ever given back.
    given_back: AtomicBool,
    keepers: Mutex<Vec<Weak<Keeper>>>,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} descriptors", self.held(), self.max)
    }
}

impl Budget {
    /// So many descriptors, at least 12.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(MIN),
            held: AtomicUsize::new(0),
            scarce: AtomicBool::new(false),
            given_back: AtomicBool::new(false),
            keepers: Mutex::default(),
        })
    }

    /// The one of the process: RLIMIT_NOFILE as it is at the first call, less a reserve of a
    /// quarter (64 to 20,480).
    #[must_use]
    pub fn of_process() -> Arc<Self> {
        static PROCESS: OnceLock<Arc<Budget>> = OnceLock::new();
        Arc::clone(PROCESS.get_or_init(|| {
            let limit = usize::try_from(sys::descriptor_limit()).unwrap_or(usize::MAX);
            let reserve = (limit / RESERVE_PART).clamp(RESERVE_MIN, RESERVE_MAX);
            Self::new(limit.saturating_sub(reserve))
        }))
    }

    /// How many there are.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// They are scarce above this: early enough that none has to be given back yet, and before asking all
    /// holders takes long.
    fn scarce_min(&self) -> usize {
        (self.max / 2).min(SCARCE_MIN_MAX)
    }

    /// Has all that can do without a descriptor offered, from now on and from before. What begins to hold one at this very
    /// moment may be missed: it is offered with its next use.
    fn become_scarce(&self) {
        if self.scarce.swap(true, Ordering::SeqCst) {
            return;
        }
        for keeper in self.keepers() {
            if let Some(holder) = keeper.holder.get().and_then(Weak::upgrade) {
                holder.offer_all();
            }
        }
    }

    /// There are plenty again, at another number than above, so that it does not go to and fro there. Not where any was
    /// ever given back: then far more may be known than is held, and to ask all of it again would take long.
    fn become_plenty(&self) {
        if !self.given_back.load(Ordering::Relaxed) {
            self.scarce.store(false, Ordering::SeqCst);
        }
    }

    fn keepers(&self) -> Vec<Arc<Keeper>> {
        let mut known = locked(&self.keepers);
        known.retain(|keeper| keeper.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether so many are held that some may soon be given back.
    pub(super) fn is_short(&self) -> bool {
        self.held() > self.max / 2
    }

    /// Whether all that is known has a descriptor, and will have it for the time of a request.
    pub(super) fn has_all(&self) -> bool {
        !self.is_short() && !self.given_back.load(Ordering::Relaxed)
    }

    /// Has those who hold the most give some back. False when nobody can.
    fn make_room(&self) -> bool {
        let mut keepers = self.keepers();
        keepers.sort_by_cached_key(|keeper| std::cmp::Reverse(keeper.held()));
        keepers.iter().any(|keeper| keeper.park(self.batch()) > 0)
    }

    fn batch(&self) -> usize {
        (self.max / 8).clamp(1, BATCH_MAX)
    }
}

/// What may be given back, oldest first; some of it gone or given back since.
#[derive(Default)]
struct Idle {
    offers: VecDeque<Offer>,
    /// How many of them were left when those that are gone were last taken out.
    left: usize,
}

impl Idle {
    /// Adds one. Those that are gone are looked for when there may be as many of them as of others, so
    /// that each is looked at about twice.
    fn add(&mut self, offer: Offer) {
        if self.offers.len() >= 2 * self.left + GONE_MIN {
            self.offers.retain(Offer::is_alive);
            self.left = self.offers.len();
        }
        self.offers.push_back(offer);
    }
}

/// What one client holds of a budget.
pub struct Keeper {
    budget: Arc<Budget>,
    held: AtomicUsize,
    /// What holds them.
    holder: OnceLock<Weak<dyn Holder>>,
    idle: Mutex<Idle>,
}

impl Keeper {
    pub(super) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        let keeper = Arc::new(Self {
            budget: Arc::clone(budget),
            held: AtomicUsize::new(0),
            holder: OnceLock::new(),
            idle: Mutex::default(),
        });
        locked(&budget.keepers).push(Arc::downgrade(&keeper));
        keeper
    }

    /// Says what holds the client's descriptors: once, before it holds any.
    pub(crate) fn held_by(&self, holder: Weak<dyn Holder>) {
        // A second one would be a mistake, which costs no more than what it holds.
        let _ = self.holder.set(holder);
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether who begins to hold a descriptor is to be offered.
    pub(super) fn wants_offers(&self) -> bool {
        self.budget.scarce.load(Ordering::Relaxed)
    }

    /// How many descriptors all clients together may hold.
    pub(super) fn descriptors(&self) -> usize {
        self.budget.max()
    }

    /// Whether others are left enough: a client may hold three quarters of what others do not.
    fn is_fair(&self) -> bool {
        let held = self.held();
        let others = self.budget.held().saturating_sub(held);
        held <= (self.budget.max.saturating_sub(others) / 4 * 3).max(MIN)
    }

    /// A place in the budget for one descriptor.
    ///
    /// # Errors
    /// EMFILE when this client holds its share, ENFILE when all clients together hold all there
    /// are, and none of it can be given back.
    fn permit(self: &Arc<Self>) -> Result<Permit> {
        let mut refused = Errno::NFILE;
        for _ in 0..ATTEMPTS {
            let permit = Permit::new(self);
            let is_fair = self.is_fair();
            if is_fair && self.budget.held() <= self.budget.max {
                return Ok(permit);
            }
            drop(permit);
            // Whoever holds more than its share gives back first; then others what they can do
            // without, for that is no share. What is given back is anybody's.
            let has_room = identity::as_server(|| {
                let gives = !is_fair && self.park(self.budget.batch()) > 0;
                Ok(gives || self.budget.make_room())
            })?;
            refused = if is_fair { Errno::NFILE } else { Errno::MFILE };
            if !has_room {
                break;
            }
        }
        Err(refused)
    }

    /// Runs what opens a descriptor that will be held. `call` is run twice when the process has none left
    /// although the budget has: others in the process use some too.
    ///
    /// # Errors
    /// Those of `call`; EMFILE and ENFILE when there is none to be had.
    pub(super) fn holding<T>(
        self: &Arc<Self>,
        call: impl Fn() -> Result<T>,
    ) -> Result<(T, Permit)> {
        let permit = self.permit()?;
        let made = match call() {
            Err(Errno::MFILE | Errno::NFILE)
                if identity::as_server(|| Ok(self.budget.make_room()))? =>
            {
                call()
            }
            made => made,
        };
        Ok((made?, permit))
    }

    /// A descriptor that will be held.
    ///
    /// # Errors
    /// As [`Keeper::holding`].
    pub(super) fn open(
        self: &Arc<Self>,
        call: impl Fn() -> Result<OwnedFd>,
    ) -> Result<Arc<Descriptor>> {
        let (fd, permit) = self.holding(call)?;
        Ok(Descriptor::new(fd, permit))
    }

    /// From now on this may be asked to give its descriptor back.
    pub(super) fn offer(&self, offer: Offer) {
        locked(&self.idle).add(offer);
    }

    /// Gives back up to `wanted` descriptors; returns how many.
    fn park(&self, wanted: usize) -> usize {
        let mut parked = 0;
        // Each is asked twice at most: the first time it may say that it was used lately.
        let tries = locked(&self.idle).offers.len() * 2;
        for _ in 0..tries {
            let Some(next) = locked(&self.idle).offers.pop_front() else {
                break;
            };
            match next.holds().map(Parkable::park) {
                Some(Parked::Yes) => {
                    self.budget.given_back.store(true, Ordering::Relaxed);
                    parked += 1;
                }
                Some(Parked::Already) => {
                    self.budget.given_back.store(true, Ordering::Relaxed);
                }
                Some(Parked::Later) => locked(&self.idle).offers.push_back(next),
                Some(Parked::Never) | None => {}
            }
            if parked == wanted {
                break;
            }
        }
        parked
    }
}

/// A place in the budget.
pub(super) struct Permit(Arc<Keeper>);

impl Permit {
    fn new(keeper: &Arc<Keeper>) -> Self {
        let budget = &keeper.budget;
        let before = budget.held.fetch_add(1, Ordering::Relaxed);
        keeper.held.fetch_add(1, Ordering::Relaxed);
        if before >= budget.scarce_min() && !budget.scarce.load(Ordering::Relaxed) {
            budget.become_scarce();
        }
        Self(Arc::clone(keeper))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
        let budget = &self.0.budget;
        let before = budget.held.fetch_sub(1, Ordering::Relaxed);
        if before <= budget.scarce_min() / 2 && budget.scarce.load(Ordering::Relaxed) {
            budget.become_plenty();
        }
    }
}

/// A descriptor that counts.
pub(crate) struct Descriptor {
    fd: OwnedFd,
    _permit: Permit,
}

impl Descriptor {
    pub(super) fn new(fd: OwnedFd, permit: Permit) -> Arc<Self> {
        Arc::new(Self {
            fd,
            _permit: permit,
        })
    }

    /// A descriptor of the server itself, which is held whatever the budget says.
    pub(super) fn of_house(fd: OwnedFd, keeper: &Arc<Keeper>) -> Arc<Self> {
        Self::new(fd, Permit::new(keeper))
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
