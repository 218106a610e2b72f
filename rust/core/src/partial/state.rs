//! What is known of the answer so far: pieces of it, joined where they meet.

use std::collections::BTreeMap;

use crate::{Error, Result};

use super::encoding::{decode, encode};
use super::piece::{Border, Piece};
use super::{Analysis, Question};

/// What is known of the answer to a question. Merging is associative and commutative, and what comes
/// twice counts once.
#[derive(Debug, Clone)]
pub struct State {
    question: Question,
    /// By where they begin. No two can be joined.
    pieces: BTreeMap<Border, Piece>,
}

impl State {
    /// Nothing is known yet.
    pub fn new(question: &Question) -> Self {
        Self { question: question.clone(), pieces: BTreeMap::new() }
    }

    pub(super) fn of(question: &Question, piece: Piece) -> Self {
        let mut state = Self::new(question);
        state.put(piece);
        state
    }

    /// As bytes, for [`Self::add`] elsewhere.
    ///
    /// # Errors
    /// There is no room.
    pub fn encode(&self) -> Result<Vec<u8>> {
        encode(&(self.question.analysis, self.pieces.values().collect::<Vec<_>>()))
    }

    /// Adds what somebody else has found out.
    ///
    /// # Errors
    /// The bytes are none of a state, or of one of another version, or of another question; or it tells
    /// of some logs that are known already, and of others that are not.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let (analysis, pieces) = decode::<(Analysis, Vec<Piece>)>(bytes)?;
        if analysis != self.question.analysis {
            return Err(Error::Elsewhere(
                "cannot use what a worker has found: it answers another question".to_owned(),
            ));
        }
        for piece in pieces {
            self.check(&piece)?;
            self.put(piece);
        }
        Ok(())
    }

    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    /// What is known, of which nothing is left here then.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let pieces = std::mem::take(&mut self.pieces);
        Self { question: self.question.clone(), pieces }
    }

    /// How many logs are known completely.
    pub fn logs(&self) -> u64 {
        let whole = self.pieces.values().filter(|piece| piece.range.is_none());
        whole.map(|piece| piece.logs.len() as u64).sum()
    }

    /// All of it, if it is about logs 0 to `logs`, and no other.
    pub(super) fn into_whole(mut self, logs: u64) -> Result<Piece> {
        let known = self.logs();
        match self.pieces.pop_first() {
            Some((_, piece))
                if self.pieces.is_empty() && piece.end() == (logs, 0) && known == logs =>
            {
                Ok(piece)
            }
            _ => Err(Error::Elsewhere(format!(
                "of {logs} logs, {known} were looked at: the answer is not complete"
            ))),
        }
    }

    /// That it does not overlap with what is known, but for what is known already, all of it.
    fn check(&self, piece: &Piece) -> Result<()> {
        if piece.is_sound() && (self.knows(piece) || !self.overlaps(piece)) {
            return Ok(());
        }
        Err(Error::Elsewhere(
            "cannot use what a worker has found: it does not fit what others have".to_owned(),
        ))
    }

    fn before(&self, piece: &Piece) -> Option<&Piece> {
        self.pieces.range(..=piece.start()).next_back().map(|(_, before)| before)
    }

    fn knows(&self, piece: &Piece) -> bool {
        self.before(piece).is_some_and(|before| piece.end() <= before.end())
    }

    fn overlaps(&self, piece: &Piece) -> bool {
        let reaches = |before: &Piece| before.end() > piece.start();
        self.before(piece).is_some_and(reaches)
            || self.pieces.range(piece.start()..).next().is_some_and(|(at, _)| *at < piece.end())
    }

    /// Adds a piece, joined with those that it meets.
    fn put(&mut self, mut piece: Piece) {
        if self.knows(&piece) {
            return;
        }
        loop {
            piece.complete(&self.question);
            let before = self.before(&piece).filter(|before| before.meets(&piece));
            if let Some(mut before) =
                before.map(Piece::start).and_then(|at| self.pieces.remove(&at))
            {
                before.join(piece);
                piece = before;
                continue;
            }
            let behind = self.pieces.get(&piece.end()).filter(|behind| piece.meets(behind));
            let Some(behind) = behind.map(Piece::start).and_then(|at| self.pieces.remove(&at))
            else {
                break;
            };
            piece.join(behind);
        }
        self.pieces.insert(piece.start(), piece);
    }
}
