//! What every participant keeps, whatever its business: plain functions over a participant and entities, without a store, a
//! clock or a saga's machinery.
//!
//! - An answer depends on the question alone: asked again, the participant says the same.
//! - Act and undo write an entity once, and replace none that they did not read: no store would ever commit that.
//! - Undo takes back what act did ([`taken_back`]), and so it does when another saga acted in between.
//! - Undo and act leave alone what another saga made.
//! - Settle sets fields on entities that act wrote.

use std::collections::BTreeSet;

use saga_core::SagaId;
use saga_core::document::{Document, Fields};
use saga_core::participant::{Context, Decision, Entities, EntityKey, EntityWrite, Participant, Work};

/// The entities at three moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moments {
    /// Before act.
    pub before: Entities,
    /// After act.
    pub done: Entities,
    /// After undo.
    pub undone: Entities,
}

/// What undone means for a participant that says it otherwise than [`taken_back`] expects: asked with its name, `None`
/// leaves it to [`taken_back`].
pub type Undone<'a> = &'a dyn Fn(&str, &Moments) -> Option<bool>;

/// A law that a participant breaks, as a story: who, for which saga, what must hold, and the entity where it shows, at each
/// moment that there was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    fn shown_by(mut self, key: &EntityKey, moments: &[(&str, &Entities)]) -> Self {
        self.0 += &format!("\n  entity {key}");
        for (moment, entities) in moments {
            let fields = entities.get(key).map_or_else(|| "is not there".to_owned(), show);
            self.0 += &format!("\n    {moment:<7} {fields}");
        }
        self
    }
}

/// Fields as a person reads them.
#[must_use]
pub fn show(fields: &Fields) -> String {
    let each = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", show_value(value)));
    format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
}

fn show_value(value: &Document) -> String {
    match value {
        Document::Null => "null".to_owned(),
        Document::Bool(value) => value.to_string(),
        Document::Number(number) => number.to_string(),
        Document::Text(text) => format!("{text:?}"),
        Document::List(list) => format!("[{}]", list.iter().map(show_value).collect::<Vec<_>>().join(", ")),
        Document::Map(fields) => show(fields),
    }
}

/// An entity that undo did not take back, and why it counts as that. One that was there before act is as it was before; one
/// that act made is still there, says another thing than when it was done, and undo makes none that act did not make.
///
/// # Errors
/// The first entity of which that is not true.
pub fn taken_back(moments: &Moments) -> Result<(), (EntityKey, &'static str)> {
    let Moments { before, done, undone } = moments;
    let all: BTreeSet<&EntityKey> = before.keys().chain(done.keys()).chain(undone.keys()).collect();
    for key in all {
        let why = match (before.get(key), done.get(key), undone.get(key)) {
            (Some(before), _, undone) if undone == Some(before) => continue,
            (Some(_), _, _) => "undo must leave an entity that was there before act as it was",
            (None, Some(done), Some(undone)) if done != undone => continue,
            (None, Some(_), _) => {
                "undo must mark an entity that act made: it says the same as when it was done"
            }
            (None, None, _) => "undo must not make an entity that act did not make",
        };
        return Err((key.clone(), why));
    }
    Ok(())
}

/// What is there after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// Every entity.
    pub entities: Entities,
    /// Those that the answer wrote.
    pub wrote: Vec<EntityKey>,
    /// What travels on.
    pub output: Fields,
}

/// A participant, asked about one saga.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Who is asked.
    pub participant: &'a dyn Participant,
    /// For which saga, and with what.
    pub context: Context<'a>,
}

impl Part<'_> {
    /// What is there after it acted; `None`: it refused.
    ///
    /// # Errors
    /// [`Broken`] when it answers in two ways, or with writes that no store would commit.
    pub fn act(&self, entities: &Entities) -> Result<Option<After>, Broken> {
        let read = self.read(Work::Act, entities);
        let decision = self.participant.act(self.context, &read);
        if self.participant.act(self.context, &read) != decision {
            return Err(self.broken("act must answer the same when it is asked the same"));
        }
        match decision {
            Decision::Refuse(_) => Ok(None),
            Decision::Accept { writes, output } => {
                self.written("act", entities, &read, &writes, output).map(Some)
            }
        }
    }

    /// What is there after it undid its part.
    ///
    /// # Errors
    /// As [`Part::act`].
    pub fn undo(&self, entities: &Entities) -> Result<After, Broken> {
        let read = self.read(Work::Undo, entities);
        let writes = self.participant.undo(self.context, &read);
        if self.participant.undo(self.context, &read) != writes {
            return Err(self.broken("undo must answer the same when it is asked the same"));
        }
        self.written("undo", entities, &read, &writes, Fields::new())
    }

    /// What is there after the saga completed.
    ///
    /// # Errors
    /// [`Broken`] when it sets fields on an entity that is not there.
    pub fn settle(&self, entities: &Entities) -> Result<After, Broken> {
        let mut settled = entities.clone();
        let mut wrote = Vec::new();
        for write in self.participant.settle(self.context) {
            let Some(fields) = settled.get_mut(&write.key) else {
                let law = format!(
                    "settle must set fields on what act wrote, and {} is not there",
                    write.key
                );
                return Err(self.broken(&law));
            };
            fields.extend(write.fields);
            wrote.push(write.key);
        }
        Ok(After {
            entities: settled,
            wrote,
            output: Fields::new(),
        })
    }

    fn read(&self, work: Work, entities: &Entities) -> Entities {
        let keys = self.participant.reads(work, self.context);
        let found = keys.into_iter().filter_map(|key| entities.get_key_value(&key));
        found.map(|(key, fields)| (key.clone(), fields.clone())).collect()
    }

    /// The entities after these writes, on the conditions under which a store commits them.
    fn written(
        &self,
        work: &str,
        entities: &Entities,
        read: &Entities,
        writes: &[EntityWrite],
        output: Fields,
    ) -> Result<After, Broken> {
        let mut written = entities.clone();
        let mut seen = BTreeSet::new();
        for EntityWrite { key, fields } in writes {
            if !seen.insert(key) {
                return Err(self.broken(&format!(
                    "{work} must write an entity once, and writes {key} twice"
                )));
            }
            if entities.contains_key(key) && !read.contains_key(key) {
                return Err(self.broken(&format!(
                    "{work} must read what it replaces: {key} is there, and is not among what it reads for that"
                )));
            }
            written.insert(key.clone(), fields.clone());
        }
        Ok(After {
            entities: written,
            wrote: seen.into_iter().cloned().collect(),
            output,
        })
    }

    fn broken(&self, law: &str) -> Broken {
        let (name, saga) = (self.participant.name(), self.context.saga);
        Broken(format!("participant `{name}`, saga {saga}: {law}"))
    }

    fn judge(&self, moments: &Moments, undone: Undone<'_>, when: &str) -> Result<(), Broken> {
        let found = match undone(self.participant.name(), moments) {
            Some(true) => return Ok(()),
            Some(false) => Err((None, "undo leaves what its own statement does not call undone")),
            None => taken_back(moments).map_err(|(key, law)| (Some(key), law)),
        };
        let Err((key, law)) = found else { return Ok(()) };
        let broken = self.broken(&format!("{law}{when}"));
        let Moments { before, done, undone } = moments;
        // A statement does not say which entity it is about: the first that act changed.
        let changed = || done.iter().find(|(key, fields)| before.get(key) != Some(fields));
        let key = key.or_else(|| changed().map(|(key, _)| key.clone()));
        Err(match key {
            Some(key) => broken.shown_by(&key, &[("before", before), ("done", done), ("undone", undone)]),
            None => broken,
        })
    }

    /// Holds the participant to every law. Whether it accepted, so that undo was looked at; `undone` is what undone means
    /// for it where that is said otherwise, and `other` is another saga, which comes with the same data.
    ///
    /// # Errors
    /// [`Broken`], the first law that it breaks.
    pub fn keeps_the_laws(
        &self,
        entities: &Entities,
        other: SagaId,
        undone: Undone<'_>,
    ) -> Result<bool, Broken> {
        let Some(done) = self.act(entities)? else {
            return Ok(false);
        };
        let done = done.entities;
        self.settle(&done)?;
        let alone = Moments {
            before: entities.clone(),
            undone: self.undo(&done)?.entities,
            done,
        };
        self.judge(&alone, undone, "")?;

        let context = Context {
            saga: other,
            ..self.context
        };
        let theirs = Part { context, ..*self };
        let Some(both) = theirs.act(&alone.done)? else {
            return Ok(true);
        };
        let both = both.entities;
        for (first, then, when) in [(self, &theirs, "before"), (&theirs, self, "after")] {
            let between = first.undo(&both)?.entities;
            let moments = Moments {
                before: entities.clone(),
                done: both.clone(),
                undone: then.undo(&between)?.entities,
            };
            let when = format!(" (another saga acted after this one, and this one is undone {when} it)");
            self.judge(&moments, undone, &when)?;
        }
        let between = self.undo(&both)?.entities;
        for (key, made) in both.iter().filter(|(key, _)| !alone.done.contains_key(*key)) {
            if between.get(key) != Some(made) {
                let broken = self.broken("undo must leave alone what another saga made");
                return Err(broken.shown_by(key, &[("done", &both), ("undone", &between)]));
            }
        }
        Ok(true)
    }
}
