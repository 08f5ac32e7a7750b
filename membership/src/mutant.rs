//! Seeded protocol bugs, one per attack: each is a decision point that asks [`on`]. Without the
//! feature `mutants` the question is the constant `false` and costs nothing.

/// A seeded bug and the rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// A promise is answered before it is on disk (I1).
    PromiseWithoutPersist,
    /// An echo is not taken as a promise (R0).
    EchoNoPromise,
    /// Promises are not withheld after a restart (R0).
    HoldForgottenAtRestart,
    /// A memory watermark is counted as durable (R1).
    AckMemoryAsDurable,
    /// An entry of an older ballot is committed by counting (Raft 5.4.2).
    CommitOldBallot,
    /// Who has what a new DC offers does not say where it stands.
    OfferUnanswered,
    /// The offer of a coordinator whose ballot is older than what is promised is not refused.
    OldBallotOffers,
    /// What was lost on its way to a follower is sent again only when nothing else is sent.
    LossHiddenByLoad,
    /// A refusal that arrives after its proposal was answered is told as well (I8).
    LateAnswerTold,
    /// While joint, the new voter set alone decides (R3).
    SinglePredicate,
    /// Votes of nodes outside the voter set are counted (R3).
    NonMemberVote,
    /// wait_for_all is not re-armed at a process start (R5).
    WaitForAllForgotten,
    /// SOLE_SURVIVOR is believed although a newer view was accepted (R5).
    StaleSoleSurvivor,
    /// A node whose store was lost votes (R6).
    StoreLostVotes,
    /// A damaged log is cut off before it is on disk that something was lost (R6).
    DamageForgotten,
    /// Incarnations of peers are not compared (R8).
    IncarnationUnchecked,
    /// A command's token is not compared (I13).
    TokenUnchecked,
    /// A certificate is taken for any boot of its node (I15).
    CertificateWithoutBoot,
    /// A view names a process although the log knows a later one of its node (R8).
    SupersededInView,
    /// The authority's clock starts when the echo arrives, not when the stamp was sent (R0).
    AuthorityFromReceipt,
    /// The first view is formed by a quorum instead of all configured nodes (R6).
    BootstrapWithoutAll,
    /// Of those that promised, the first view has who is heard when the last promise comes (R6).
    FirstViewOfSome,
    /// Elections need no quorum of dc_lost bits.
    NoPreVote,
    /// A view that drops an echoed member is acknowledged at once (R0).
    AckViewAtOnce,
    /// The candidate keeps its own log although a promise names a newer one.
    NoLogAdoption,
    /// A recovering node leaves RECOVERING with the DC's answer alone (R6).
    RecoverFromDcAlone,
    /// In a two-node view one node's disk is enough.
    TwoNodeCommitAlone,
    /// Of two nodes' logs the higher ballot wins, not the certified survivor's.
    BallotAboveCertificate,
    /// Of two nodes, one that only saw the other acts alone without having been in a view with it.
    OutsiderStandsAlone,
    /// Echoes count for grants that the echoer has seen end (R12).
    EchoAfterRevoke,
    /// A revoked VIP is granted again without waiting for the hold (R12).
    RevokeWithoutHold,
    /// A lease's clock starts when the echo arrives, not when the stamp was sent (R14).
    LeaseFromReceipt,
    /// A grant to another process, or another boot, of the node is taken for this one's (R12).
    OldProcessGrantHonoured,
    /// Echoes of nodes that know newer voter sets than the holder count for its leases (R3).
    LeaseBehindConfig,
    /// A late tick is not taken for a pause: a lone holder goes on as if nothing had been (R9, R11).
    LeaseAcrossPause,
    /// A snapshot on its way to the disk is acknowledged as durable (R1).
    SnapshotAckedUnwritten,
    /// The log gives way before the snapshot that takes its place is written (R1).
    SnapshotOverNothing,
    /// The application is told of a snapshot that is not on disk yet (I10).
    SnapshotToldUnwritten,
    /// A follower that has the offered snapshot does not say so again.
    SnapshotWordLost,
    /// A command that waited for the disk is not checked again (I13).
    CommandCheckedOnce,
    /// A write that waits behind a slow one counts as long as if the store were at it: a store that
    /// works again is taken for hung, and clients are refused (I23).
    QueuedTakenForHung,
    /// A process that stood still tells at once that it has heard nobody: all nodes of a machine that
    /// did lose their quorum together, and stop everything (I24).
    PauseTakenForLoss,
    /// A certificate frees a lone node of two before it is on disk (R1, R11).
    ProofInMemory,
    /// A session that stands after the view carries no soft state of before (R2).
    SoftStateOnce,
    /// An open fence intent keeps out even whom nothing can be committed without (R10).
    IntentKeepsOut,
    /// A second coordinator's refusal is taken for the first one's, too.
    RefusalForgetsDoubt,
    /// A coordinator numbers a view by its own views alone, below what a member went through (I10).
    ViewBehindMember,
    /// Number and ballot of the newest view are compared as one (I10).
    ViewGoesBack,
    /// A lone node of two commits what precedes its lone view before that view (class U).
    AloneBeforeItsView,
    /// What a lone node of two may have acknowledged is dropped without a word (I20).
    ConflictForgotten,
    /// A lone node of two is free as soon as it names the other in a view (R11, I3).
    FreeBeforeTheOtherAgrees,
    /// A recovering node goes on asking for an entry that its log has passed (R6).
    RecoveryAimKept,
    /// A recovered node does not see that the snapshot it is offered is in its log.
    RecoveredUnmatched,
    /// A grant that waits for another is used without anybody's word (R12).
    HeirWithoutWord,
    /// Any process may say that a grant is given up, and is believed (R12).
    WordOfAnybody,
    /// A process that said it had given a grant up goes on relying on it (R12).
    WordTakenBack,
    /// A VIP is given away while a grant that waits may have got the word (R12).
    HeirPassedOver,
    /// A lone half whose snapshot lies beyond the other's whole log asks again for ever.
    ForkBelowSnapshotUnseen,
    /// A lone half's entries go into a snapshot as early as anybody's, and are in no conflict.
    ConflictCompacted,
    /// A lone half ignores the offer of a snapshot that differs from what it committed alone.
    ForkInSnapshotUnseen,
    /// Who is heard through another node only is missed, although it is echoed (R0).
    RelayedNotHeard,
    /// An echo given by relay binds nobody (R0).
    RelayedEchoNoPromise,
    /// A node passes on what another one passed on: packets run in circles.
    RelayForEver,
    /// A node passes on as much as anybody sends.
    RelayUnbounded,
    /// A path that works one way is taken for one that works both ways.
    EdgeOneWay,
    /// A member that hears nobody stays a member for ever.
    DeafStaysMember,
    /// Of two nodes, who does not receive the other is gone for it, although it is heard (R11).
    DeafOfTwoIsGone,
    /// A member out of the DC's reach is let in again whenever it is heard.
    RejoinAtOnce,
    /// A DC acts on although the log says that it left.
    LeavingDcActs,
    /// `expected_votes` below the sum of the votes lowers the quorum (R3).
    ExpectedBelowVoters,
    /// The tie goes to whoever has the lowest node of those present, not to the configured one (R4).
    TieFromView,
    /// A witness answers before its promise is on disk (I1).
    WitnessForgetsPromise,
    /// A witness promises a lower ballot than it promised before (I1).
    WitnessPromisesTwice,
    /// A witness that lost its store votes as if nothing had been (R6, R7).
    WitnessLostVotes,
    /// A witness promises to whoever asks, in its view or not (R7).
    WitnessPromisesAnybody,
    /// The witness' vote counts for entries that members of its view lack (R7).
    WitnessCountsAlone,
    /// The witness is given a view before its members have it (R7).
    WitnessViewEarly,
    /// The witness is given a view whose members lack what it was counted for under the view before (R7).
    WitnessViewOverCommits,
    /// Voters that are no quorum without the witness are taken, also where it has no view and can promise
    /// nobody (R7).
    WitnessIndispensable,
    /// A witness does not take an echo for a promise (R0).
    WitnessEchoNoPromise,
    /// A witness promises a node its presence while a view without it is on its way to the disk (R0).
    WitnessSkipsAView,
    /// A witness gives echoes again before its disk says that it may (I12).
    WitnessBackInMemory,
    /// A witness that lost its store does not wait to hear how long its echoes are relied on (R0).
    WitnessHoldUnknown,
    /// A witness writes its record for each answer, also where it asks the same again: a slow disk is
    /// given more than it can ever write (I25).
    WitnessWritesEachAnswer,
    /// What is for the witness goes through another node where its link is held down: it is lost.
    WitnessByRelay,
    /// last_man_standing is each node's own affair: whom it misses for the window counts no more (R3).
    LmsByLocalTimer,
    /// A candidate is given half of T however often it failed: disks that take longer to write a
    /// promise never elect anybody (R9).
    CandidacyEverAsShort,
    /// Who has asked for promises is outbid after half of T: slow disks write one promise after the
    /// other, each for a candidate that has given up (R9).
    AskingOutbid,
    /// A promise that is asked for again is written again: a slow disk is given more than it can ever
    /// write.
    EachQuestionWritten,
    /// A coordinator whose first view is not on the disks of a quorum within 2 T steps down: disks that
    /// take longer than that never found a cluster.
    FirstViewInTwoT,
    /// A coordinator whose disk is much slower than the others' goes on for ever.
    SlowDcStays,
    /// A store that hangs again and again is trusted after each write that ends (I24).
    HungTrustedAtOnce,
    /// A proposal that another coordinator may have appended is appended by the next, although that
    /// remembers only later ones (R1).
    DoubtGivenAgain,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 93] = [
        Self::PromiseWithoutPersist,
        Self::EchoNoPromise,
        Self::HoldForgottenAtRestart,
        Self::AckMemoryAsDurable,
        Self::OfferUnanswered,
        Self::LossHiddenByLoad,
        Self::OldBallotOffers,
        Self::LateAnswerTold,
        Self::CommitOldBallot,
        Self::SinglePredicate,
        Self::NonMemberVote,
        Self::WaitForAllForgotten,
        Self::StaleSoleSurvivor,
        Self::StoreLostVotes,
        Self::DamageForgotten,
        Self::IncarnationUnchecked,
        Self::TokenUnchecked,
        Self::CertificateWithoutBoot,
        Self::SupersededInView,
        Self::AuthorityFromReceipt,
        Self::BootstrapWithoutAll,
        Self::FirstViewOfSome,
        Self::NoPreVote,
        Self::AckViewAtOnce,
        Self::NoLogAdoption,
        Self::RecoverFromDcAlone,
        Self::TwoNodeCommitAlone,
        Self::BallotAboveCertificate,
        Self::OutsiderStandsAlone,
        Self::EchoAfterRevoke,
        Self::RevokeWithoutHold,
        Self::LeaseFromReceipt,
        Self::OldProcessGrantHonoured,
        Self::LeaseBehindConfig,
        Self::LeaseAcrossPause,
        Self::SnapshotAckedUnwritten,
        Self::SnapshotOverNothing,
        Self::SnapshotToldUnwritten,
        Self::SnapshotWordLost,
        Self::CommandCheckedOnce,
        Self::QueuedTakenForHung,
        Self::PauseTakenForLoss,
        Self::ProofInMemory,
        Self::SoftStateOnce,
        Self::IntentKeepsOut,
        Self::RefusalForgetsDoubt,
        Self::ViewBehindMember,
        Self::ViewGoesBack,
        Self::AloneBeforeItsView,
        Self::ConflictForgotten,
        Self::FreeBeforeTheOtherAgrees,
        Self::RecoveryAimKept,
        Self::RecoveredUnmatched,
        Self::HeirWithoutWord,
        Self::WordOfAnybody,
        Self::WordTakenBack,
        Self::HeirPassedOver,
        Self::ForkBelowSnapshotUnseen,
        Self::ConflictCompacted,
        Self::ForkInSnapshotUnseen,
        Self::RelayedNotHeard,
        Self::RelayedEchoNoPromise,
        Self::RelayForEver,
        Self::RelayUnbounded,
        Self::EdgeOneWay,
        Self::DeafStaysMember,
        Self::DeafOfTwoIsGone,
        Self::RejoinAtOnce,
        Self::LeavingDcActs,
        Self::ExpectedBelowVoters,
        Self::TieFromView,
        Self::WitnessForgetsPromise,
        Self::WitnessPromisesTwice,
        Self::WitnessLostVotes,
        Self::WitnessPromisesAnybody,
        Self::WitnessCountsAlone,
        Self::WitnessViewEarly,
        Self::WitnessViewOverCommits,
        Self::WitnessIndispensable,
        Self::WitnessEchoNoPromise,
        Self::WitnessSkipsAView,
        Self::WitnessBackInMemory,
        Self::WitnessHoldUnknown,
        Self::WitnessWritesEachAnswer,
        Self::WitnessByRelay,
        Self::LmsByLocalTimer,
        Self::CandidacyEverAsShort,
        Self::AskingOutbid,
        Self::EachQuestionWritten,
        Self::FirstViewInTwoT,
        Self::SlowDcStays,
        Self::HungTrustedAtOnce,
        Self::DoubtGivenAgain,
    ];
}

/// Is this bug seeded in the running thread?
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn on(_mutant: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static SEEDED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Is this bug seeded in the running thread?
    pub fn on(mutant: Mutant) -> bool {
        SEEDED.get() == Some(mutant)
    }

    /// The bug seeded in the running thread.
    pub fn seeded() -> Option<Mutant> {
        SEEDED.get()
    }

    /// Seeds one bug in the running thread, or none.
    pub fn seed(mutant: Option<Mutant>) {
        SEEDED.set(mutant);
    }
}

#[cfg(feature = "mutants")]
pub use switch::{on, seed, seeded};
