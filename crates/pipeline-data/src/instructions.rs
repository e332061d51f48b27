//! What this processor can do, chosen at run time: one program serves every processor.
//!
//! Its unsafe code: calls into functions that are compiled for more instructions than the rest of the program.

#![allow(unsafe_code)]

/// Instructions that this processor has: a value is the proof that they may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InstructionSet(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX2, BMI1, BMI2 and LZCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the program was compiled for.
    Portable,
}

/// What [`InstructionSet::run`] is given: no closure, since a closure need not be inlined, and what is not inlined is
/// compiled for every processor.
pub(crate) trait Work {
    type Output;

    /// To be `#[inline(always)]`, with all that matters in it.
    fn run(self) -> Self::Output;
}

impl InstructionSet {
    /// The widest that this processor has.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
        {
            return Self(Level::Avx2);
        }
        Self::portable()
    }

    /// What every processor has that the program was compiled for.
    pub(crate) fn portable() -> Self {
        Self(Level::Portable)
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }

    /// Runs `work` compiled for these instructions.
    #[inline(always)]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            // SAFETY: a value of this level exists only where the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(work) },
            Level::Portable => work.run(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}
