//! Models and training in burn, generic over its backend: that of a GPU, and burn's own for processors in tests.
//!
//! Families of transformer layers share [`tower`]; any other is a file here: its layers, their forward pass, and
//! [`Place`] for its parts.

pub(super) mod arithmetic;
mod clip_resnet;
mod convnext;
mod layers;
mod learner;
mod resnet;
mod rows;
mod tower;

pub(super) use arithmetic::Arithmetic;
pub(crate) use arithmetic::Site;
pub(super) use learner::FrameworkLearner;

/// The parts of a model, plain numbers that can be moved to a device.
pub(crate) trait Place<Forward: ?Sized> {
    /// Moves them to a device and returns the forward pass there.
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<Forward>;
}
