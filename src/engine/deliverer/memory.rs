//! What leaves from memory, while the store takes nothing: in the same messages in which it would leave from the store. What
//! left so is put down when the store returns, so that what follows goes by it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Deliverer;
use super::attempts::keeps_alerts;
use super::work::{Outcome, Work};
use crate::domain::grouping::{Group, Keeping, LISTED_MAX, Left, Member, Rules, depart};
use crate::domain::incident::IncidentId;
use crate::domain::judge::Aspect;
use crate::domain::names::{ChannelName, ProbeName};
use crate::domain::time::{Timestamp, later};
use crate::engine::unrecorded::{Candidate, patiently};
use crate::engine::vitals::Part;
use crate::ports::{Delivery, Settlement};

/// What left from memory and is not put down.
#[derive(Default)]
pub(super) struct Memory {
    /// By the delivery that carries it. A message that is tried again is the same.
    gone: BTreeMap<String, Gone>,
    /// What each channel was told of within the last interval.
    left: HashMap<ChannelName, Vec<Left>>,
    /// When it was told within the last interval that something began.
    begun: HashMap<(ChannelName, ProbeName, Aspect), Timestamp>,
}

/// A message that left.
#[derive(Clone)]
struct Gone {
    delivery: Delivery,
    /// The end that it tells as well.
    resolve: Option<Delivery>,
    /// The others that it tells; nothing where the store knows of itself.
    with: Option<Vec<String>>,
    /// Their ends.
    ends: Vec<String>,
    /// All that it tells of.
    incidents: Vec<IncidentId>,
}

impl Memory {
    /// The incidents of which a channel was told together: how they go on is told by the key of that message, which is known
    /// once the store has it.
    fn told_together(&self) -> HashSet<(ChannelName, IncidentId)> {
        let several = self.gone.values().filter(|gone| gone.with.as_ref().is_some_and(|with| !with.is_empty()));
        several.flat_map(|gone| gone.incidents.iter().map(|id| (gone.delivery.channel.clone(), id.clone()))).collect()
    }

    /// Whether something left that the store does not know of. Until it does it puts nothing together.
    pub(super) fn is_under_way(&self) -> bool {
        !self.gone.is_empty()
    }

    /// With which others a message left, and with which their ends were told.
    pub(super) fn told_with(&self, id: &str) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let gone = self.gone.get(id);
        (gone.and_then(|gone| gone.with.clone()), gone.filter(|gone| gone.with.is_some()).map(|gone| gone.ends.clone()))
    }

    /// The store knows of it.
    pub(super) fn forget(&mut self, id: &str) {
        self.gone.remove(id);
    }

    /// What a channel did not take goes to its fallback as it was.
    pub(super) fn hand_over(&mut self, from: &str, fallback: &Delivery) {
        let group = |of: &Delivery| of.notification.group.clone();
        let group =
            self.gone.get(from).and_then(|gone| group(&gone.delivery).or(gone.resolve.as_ref().and_then(group)));
        let Some(group) = group else { return };
        let mut delivery = fallback.clone();
        let id = fallback.id.clone();
        Arc::make_mut(&mut delivery.notification).group =
            Some(Group { id: id.clone(), origin: Some(id.clone()), ..group });
        self.gone.insert(id, Gone { delivery, resolve: None, with: None, ends: Vec::new(), incidents: Vec::new() });
    }

    /// What a channel was told of within the last interval; what is older is forgotten.
    fn left(&mut self, channel: &ChannelName, rules: &Rules, now: Timestamp) -> Vec<Left> {
        let is_recent = |at: Timestamp| at <= now && later(at, rules.grouping.interval) > now;
        self.begun.retain(|(of, ..), at| of != channel || is_recent(*at));
        let left = self.left.entry(channel.clone()).or_default();
        left.retain(|message| is_recent(message.at));
        left.clone()
    }

    fn note(&mut self, message: &[Candidate], now: Timestamp) {
        let Some(first) = message.first() else { return };
        let together = first.waiting.together.clone();
        let together = together.filter(|key| message.iter().all(|one| one.waiting.together.as_ref() == Some(key)));
        let left = Left { event: first.waiting.event, together, at: now, size: message.len() as u64 };
        self.left.entry(first.channel.clone()).or_default().push(left);
        for begins in message.iter().filter_map(|one| one.waiting.begins.as_ref()) {
            let (probe, aspect) = begins.of.clone();
            self.begun.insert((first.channel.clone(), probe, aspect), now);
        }
    }
}

impl Deliverer {
    /// What the store does not take leaves from memory, and what it has taken and cannot let go; unless the store has
    /// something that is to be told before it. Where it cannot even be read, what began there waits for it.
    pub(super) async fn tell_from_memory(&self, work: &mut Work, now: Timestamp) {
        let mut channels: BTreeMap<ChannelName, Vec<Candidate>> = BTreeMap::new();
        let members: HashSet<_> =
            work.memory.gone.values().flat_map(|gone| gone.with.iter().flatten()).cloned().collect();
        for candidate in self.unrecorded.candidates(|id| work.is_settled(id)) {
            if !work.busy.contains(&candidate.id) && !members.contains(&candidate.id) {
                channels.entry(candidate.channel.clone()).or_default().push(candidate);
            }
        }
        let together = work.memory.told_together();
        let mut is_readable = true;
        for (channel, mut candidates) in channels {
            let rules = self.plan.borrow().rules(&channel);
            if rules.keeping != Keeping::Messages {
                candidates
                    .retain(|one| !one.waiting.follows || !together.contains(&(channel.clone(), one.incident.clone())));
            }
            let (gone, mut new): (Vec<_>, Vec<_>) =
                candidates.into_iter().partition(|candidate| work.memory.gone.contains_key(&candidate.id));
            for candidate in gone.into_iter().filter(|candidate| candidate.waiting.ripe_at <= now) {
                self.try_again(&candidate.id, work);
            }
            // As in the store a drill goes together with nothing, and is no part of a storm.
            let (drills, kept): (Vec<_>, Vec<_>) = new.into_iter().partition(|candidate| candidate.drill);
            new = kept;
            for drill in drills.into_iter().filter(|drill| drill.waiting.ripe_at <= now) {
                if work.has_room_for(&channel) && self.goes(&drill, &mut is_readable, work).await {
                    self.send(&[drill], now, work);
                }
            }
            let left = work.memory.left(&channel, &rules, now);
            for begins in new.iter_mut().filter_map(|candidate| candidate.waiting.begins.as_mut()) {
                let (probe, aspect) = begins.of.clone();
                begins.told_at = work.memory.begun.get(&(channel.clone(), probe, aspect)).copied();
            }
            let waiting: Vec<_> = new.iter().map(|candidate| candidate.waiting.clone()).collect();
            let departure = depart(&rules, &waiting, &left, now);
            for place in departure.stood_for {
                let ids = [Some(&new[place].id), new[place].resolve.as_ref()];
                let rows: Vec<_> = ids.into_iter().flatten().filter_map(|id| self.unrecorded.get(id)).collect();
                for delivery in rows {
                    work.put(Outcome { delivery, settlement: Settlement::Merged { at: now }, with: None });
                }
            }
            let mut new: Vec<_> = new.into_iter().map(Some).collect();
            for places in departure.messages {
                if !work.has_room_for(&channel) {
                    break;
                }
                let mut message = Vec::new();
                for candidate in places.into_iter().filter_map(|place| new[place].take()) {
                    if self.goes(&candidate, &mut is_readable, work).await {
                        message.push(candidate);
                    }
                }
                self.send(&message, now, work);
            }
        }
    }

    /// Whether nothing is to be told before it.
    async fn goes(&self, candidate: &Candidate, is_readable: &mut bool, work: &Work) -> bool {
        let before = match self.unrecorded.get(&candidate.id) {
            Some(delivery) if *is_readable => {
                let before = patiently(&self.clock, self.store.stands_before(&delivery));
                self.vitals.waiting(Part::Deliverer, before).await.ok()
            }
            _ => None,
        };
        *is_readable = before.is_some();
        before.map_or(candidate.begins_here, |before| before.iter().all(|id| work.is_settled(id)))
    }

    /// One message, which the first of them carries.
    fn send(&self, message: &[Candidate], now: Timestamp, work: &mut Work) {
        let Some(first) = message.first() else { return };
        let Some(mut delivery) = self.unrecorded.get(&first.id) else { return };
        let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
        let in_turn = notifier.as_deref().is_some_and(keeps_alerts);
        let mut resolve = first.resolve.as_ref().and_then(|id| self.unrecorded.get(id));
        if message.len() > 1 {
            let told = resolve.as_ref().filter(|_| !in_turn).map_or(&delivery, |resolve| resolve);
            let member = |candidate: &Candidate| {
                let id = candidate.resolve.as_ref().filter(|_| !in_turn).unwrap_or(&candidate.id);
                Some(Member::of(&self.unrecorded.get(id)?.notification.incident, false))
            };
            let group = Group {
                id: told.id.clone(),
                origin: first.waiting.event.begins().then(|| delivery.id.clone()),
                size: message.len() as u64,
                left: 0,
                members: message.iter().take(LISTED_MAX).filter_map(member).collect(),
            };
            let told = resolve.as_mut().filter(|_| !in_turn).unwrap_or(&mut delivery);
            Arc::make_mut(&mut told.notification).group = Some(group);
        }
        for told in [Some(&mut delivery), resolve.as_mut()].into_iter().flatten() {
            Arc::make_mut(&mut told.notification).unrecorded = true;
        }
        let others = &message[1..];
        let gone = Gone {
            delivery,
            resolve,
            with: Some(others.iter().map(|other| other.id.clone()).collect()),
            ends: others.iter().filter_map(|other| other.resolve.clone()).collect(),
            incidents: message.iter().map(|one| one.incident.clone()).collect(),
        };
        if !first.drill {
            work.memory.note(message, now);
        }
        work.memory.gone.insert(first.id.clone(), gone);
        self.try_again(&first.id, work);
    }

    /// Tries a message that left, as it was.
    fn try_again(&self, id: &str, work: &mut Work) {
        let (Some(gone), Some(known)) = (work.memory.gone.get(id).cloned(), self.unrecorded.get(id)) else { return };
        let Gone { mut delivery, resolve, .. } = gone;
        if !work.has_room(&delivery) {
            return;
        }
        delivery.attempts = known.attempts;
        let as_known = (known.notification.plain, true);
        if (delivery.notification.plain, delivery.notification.unrecorded) != as_known {
            let told = Arc::make_mut(&mut delivery.notification);
            (told.plain, told.unrecorded) = as_known;
        }
        let notifier = self.plan.borrow().channels.get(&delivery.channel).cloned();
        self.attempt(work, notifier, delivery, resolve, None);
    }

    /// The store takes again what happens: what left and is to be tried again is put down as it is.
    pub(super) fn return_to_store(&self, work: &mut Work, now: Timestamp) {
        let rests: Vec<_> = work.memory.gone.iter().filter(|(id, _)| !work.busy.contains(*id)).collect();
        let rests: Vec<_> = rests.into_iter().map(|(id, gone)| (id.clone(), gone.clone())).collect();
        for (id, Gone { delivery, with, .. }) in rests {
            let Some(known) = self.unrecorded.get(&id).filter(|_| with.is_some()) else {
                work.memory.forget(&id);
                continue;
            };
            let at = known.next_attempt_at.max(now);
            let error = "it was tried while the store took nothing".to_owned();
            let settlement = Settlement::Again { at, error, plain: known.notification.plain };
            work.put(Outcome { delivery, settlement, with });
        }
    }
}
